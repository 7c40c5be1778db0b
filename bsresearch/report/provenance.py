"""How the records were made: hardware and versions, how the time was spent, and when."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from bsresearch.report import markdown
from bsresearch.report.inventory import Inventory
from bsresearch.report.markdown import NONE, counted
from bsresearch.store import verify
from bsresearch.store.standing import FINISHED

PHASES = {
    'updates': 'updates',
    'evaluate': 'evaluation',
    'measure': 'measurements',
    'checkpoint': 'checkpoints',
    'compile': 'compiling',
    'calibrate': 'calibration of the pace',
    'overhead': 'overhead',
}
USEFUL = ('updates', 'evaluate', 'measure', 'probes')
FACTS = {
    'device': 'device',
    'platform': 'platform',
    'processor': 'processor',
    'memory_gib': 'memory, GiB',
    'machine': 'machine',
    'commit': 'commit of the code',
    'source_sha256': 'sha256 of the source',
    'matmul_precision': 'precision of matrix products',
}
OF_RUNS = {'strategy': 'strategy of replicas', 'replicas': 'runs in a group', 'layout': 'devices of a group'}


def hardware(inventory: Inventory) -> str:
    """A row per fact, with the number of runs and probes where they differ."""
    metas, of_runs = inventory.metas, [run.meta for run in inventory.runs if run.meta]
    if not metas:
        return 'Nothing was noted about hardware and versions.'
    rows = [(title, _spread(m.get(key) for m in metas)) for key, title in FACTS.items()]
    rows += [(title, _spread(m.get(key) for m in of_runs)) for key, title in OF_RUNS.items() if of_runs]
    packages = sorted({name for m in metas for name in m.get('versions', {})})
    rows += [(name, _spread(m.get('versions', {}).get(name) for m in metas)) for name in packages]
    exceptions = {
        'went on with other code or versions': sum('versions_later' in m or len(m.get('code', ())) > 1 for m in metas),
        'records without a checksum, of an older version': sum(
            run.status in FINISHED and verify.KEY not in run.meta for run in inventory.runs
        ),
        'went on on other devices': sum('layouts_later' in m for m in metas),
    }
    rows += [(title, counted(count, 'run')) for title, count in exceptions.items() if count]
    caption = f'As noted when each of {len(metas):,} runs and probes began; a number in brackets is how many of them.'
    return markdown.table(caption, ('fact', 'value'), rows)


def _spread(values: Iterable[Any]) -> str:
    """'cpu', or 'cpu (3), gpu (1)'."""
    counts = Counter(NONE if v is None else str(v) for v in values)
    if len(counts) == 1:
        return next(iter(counts))
    return ', '.join(f'{"not noted" if name == NONE else name} ({n})' for name, n in sorted(counts.items()))


def device(inventory: Inventory) -> str:
    """The distinct ones."""
    devices = {str(m['device']) for m in inventory.metas if m.get('device') is not None}
    return ', '.join(sorted(devices)) or 'an unnamed device'


def _groups(inventory: Inventory) -> list[Mapping[str, float]]:
    """The phases of each group once: its members share them. A run without a group counts as its own."""
    latest: dict[tuple[str, str], Mapping[str, float]] = {}
    for run in inventory.runs:
        seconds = run.meta.get('seconds')
        if isinstance(seconds, Mapping):
            key = (run.study, run.meta.get('group', run.id))
            # A member that diverged early or was backfilled may have noted less than the others.
            latest[key] = max(latest.get(key, seconds), seconds, key=lambda phases: phases.get('wall', 0.0))
    return list(latest.values())


def spent(inventory: Inventory) -> dict[str, float]:
    """Seconds by phase over all groups, of 'probes', which keep no phases and no time of compiling, and 'in all'."""
    groups = _groups(inventory)
    total = {phase: sum(g.get(phase, 0.0) for g in groups) for phase in PHASES}
    probes = sum(s for p in inventory.probes if isinstance(s := p.meta.get('seconds'), int | float))
    return total | {'probes': probes, 'in all': probes + sum(g.get('wall', 0.0) for g in groups)}


def _when(inventory: Inventory) -> tuple[float, float] | None:
    """(first start, last end) in seconds since 1970; None where none was noted."""
    started = [m['started'] for m in inventory.metas if m.get('started')]
    ended = [m['ended'] for m in inventory.metas if m.get('ended')]
    return (min(started), max([*ended, *started])) if started else None


def dates(inventory: Inventory) -> str:
    """'2026-11-22 18:12 to 18:13 UTC'; '' where none was noted."""
    span = _when(inventory)
    if span is None:
        return ''
    first, last = (time.strftime('%Y-%m-%d %H:%M', time.gmtime(t)) for t in span)
    last = last.removeprefix(first[:11]) if last[:11] == first[:11] else last
    return f'{first} UTC' if first.endswith(last) else f'{first} to {last} UTC'


def duration(seconds: float) -> str:
    """'0.82 s', '75 s', '12.5 min', '3.2 h'."""
    if seconds < 100:
        return f'{seconds:.2g} s' if seconds < 10 else f'{seconds:.0f} s'
    return f'{seconds / 60:.3g} min' if seconds < 5400 else f'{seconds / 3600:.3g} h'


def times(inventory: Inventory) -> list[str]:
    """Phases over all groups and probes, and how much longer it all took than what it was for."""
    total = spent(inventory)
    whole = total['in all']
    if not whole:
        return ['No times were noted.']
    titles = PHASES | {'probes': 'probes (without compiling)', 'in all': 'in all'}
    rows = [(title, duration(s := total[phase]), f'{s / whole:.1%}', markdown.bar(s / whole))
            for phase, title in titles.items()]  # fmt: skip
    caption = f'Wall-clock seconds of {counted(len(_groups(inventory)), "group")} of runs and of the probes.'
    sentences = markdown.escape(' '.join(_totals(inventory, whole, sum(total[phase] for phase in USEFUL))))
    return [markdown.table(caption, ('phase', 'time', 'share', ''), rows), sentences]


def _totals(inventory: Inventory, whole: float, useful: float) -> list[str]:
    """Sentences on the whole."""
    times = f'{whole / useful:.3g} times as long'
    sentences = [f'In all it took {times} as updates, evaluation, measurements and probes.']
    span = _when(inventory)
    if span:
        elapsed = span[1] - span[0]
        others = f', {elapsed / useful:.3g} times as long'
        sentences.append(
            f'From the first start to the last end {duration(elapsed)} passed{others if others[2:] != times else ""}: '
            'that counts pauses, start-up, and what probes compile and load.'
        )
    for row in inventory.estimates:
        ended = 'took' if row['ended'] else 'was stopped after'
        taken = f'{duration(row["estimated_seconds"])}; it {ended} {duration(row["spent_seconds"])}'
        sentences.append(f'A launch of study {row["study"]} was estimated at {taken}.')
    without = sum(not isinstance(run.meta.get('seconds'), Mapping) for run in inventory.runs)
    if without:
        sentences.append(f'{counted(without, "run")} noted no times and {"is" if without == 1 else "are"} not counted.')
    return sentences
