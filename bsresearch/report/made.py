"""How the records were made: hardware and versions, how the time was spent, and when."""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from bsresearch.report import markdown
from bsresearch.report.found import Found
from bsresearch.report.markdown import NONE, counted
from bsresearch.store import verify

PHASES = {
    'updates': 'updates',
    'evaluate': 'evaluation',
    'measure': 'measurements',
    'checkpoint': 'checkpoints',
    'compile': 'compiling',
    'calibrate': 'calibration of the pace',
    'overhead': 'overhead',
}
FINISHED = ('done', 'diverged')
USEFUL = ('updates', 'evaluate', 'measure')
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


def hardware(found: Found) -> str:
    """A row per fact, with the number of runs and probes where they differ."""
    metas = [x.meta for x in (*found.runs, *found.probes) if x.meta]
    if not metas:
        return 'Nothing was noted about hardware and versions.'
    of_runs = [run.meta for run in found.runs if run.meta]
    rows = [(title, _spread(m.get(key) for m in metas)) for key, title in FACTS.items()]
    rows += [(title, _spread(m.get(key) for m in of_runs)) for key, title in OF_RUNS.items() if of_runs]
    packages = sorted({name for m in metas for name in m.get('versions', {})})
    rows += [(name, _spread(m.get('versions', {}).get(name) for m in metas)) for name in packages]
    later = sum('versions_later' in m or len(m.get('code', ())) > 1 for m in metas)
    moved = sum('layouts_later' in m for m in metas)
    unverified = sum(run.status in FINISHED and verify.KEY not in run.meta for run in found.runs)
    rows += [('went on with other code or versions', counted(later, 'run'))] if later else []
    rows += [('records without a checksum, of an older version', counted(unverified, 'run'))] if unverified else []
    rows += [('went on on other devices', counted(moved, 'run'))] if moved else []
    caption = f'As noted when each of {len(metas):,} runs and probes began; a number in brackets is how many of them.'
    return markdown.table(caption, ('fact', 'value'), rows)


def _spread(values: Iterable[Any]) -> str:
    """'cpu', or 'cpu (3), gpu (1)'."""
    counts: dict[str, int] = {}
    for v in values:
        name = NONE if v is None else str(v)
        counts[name] = counts.get(name, 0) + 1
    if len(counts) == 1:
        return next(iter(counts))
    return ', '.join(f'{"not noted" if name == NONE else name} ({n})' for name, n in sorted(counts.items()))


def common(found: Found, key: str) -> str:
    """The distinct values of a fact of meta.json, or of a package's version; '' where none was noted."""
    metas = [x.meta for x in (*found.runs, *found.probes)]
    values = {str(v) for m in metas if (v := m.get(key, m.get('versions', {}).get(key))) is not None}
    return ', '.join(sorted(values))


def _groups(found: Found) -> list[Mapping[str, float]]:
    """The phases of each group once: its members share them. A run without a group counts as its own."""
    latest: dict[tuple[str, str], Mapping[str, float]] = {}
    for run in found.runs:
        seconds = run.meta.get('seconds')
        if isinstance(seconds, Mapping):
            key = (run.study, run.meta.get('group', run.id))
            # A member that diverged early or was backfilled may have noted less than the others.
            if key not in latest or seconds.get('wall', 0.0) > latest[key].get('wall', 0.0):
                latest[key] = seconds
    return list(latest.values())


def spent(found: Found) -> dict[str, float]:
    """Seconds by phase over all groups, their 'wall', and 'probes', which keep no phases; compiling is not in those."""
    groups = _groups(found)
    total = {phase: sum(g.get(phase, 0.0) for g in groups) for phase in (*PHASES, 'wall')}
    own = [p.meta.get('seconds') for p in found.probes]
    return total | {'probes': sum(s for s in own if isinstance(s, int | float))}


def when(found: Found) -> tuple[float, float] | None:
    """(first start, last end) in seconds since 1970; None where none was noted."""
    metas = [x.meta for x in (*found.runs, *found.probes)]
    started = [m['started'] for m in metas if m.get('started')]
    ended = [m['ended'] for m in metas if m.get('ended')]
    return (min(started), max([*ended, *started])) if started else None


def dates(found: Found) -> str:
    """'2026-11-22 18:12 to 18:13 UTC'; '' where none was noted."""
    span = when(found)
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


def shares(found: Found) -> list[tuple[str, float, float]]:
    """(phase, seconds, share of the whole) over all groups and probes; empty where no times were noted."""
    total = spent(found)
    whole = total['wall'] + total['probes']
    if not whole:
        return []
    phases = [(title, total[phase]) for phase, title in PHASES.items()]
    return [
        (title, seconds, seconds / whole)
        for title, seconds in [*phases, ('probes (without compiling)', total['probes']), ('in all', whole)]
    ]


def times(found: Found) -> list[str]:
    """Phases over all groups, and how much longer it all took than what it was for."""
    rows = [(title, duration(s), f'{share:.1%}', markdown.bar(share)) for title, s, share in shares(found)]
    if not rows:
        return ['No times were noted.']
    caption = f'Wall-clock seconds of {counted(len(_groups(found)), "group")} of runs and of the probes.'
    return [markdown.table(caption, ('phase', 'time', 'share', ''), rows), markdown.escape(' '.join(_totals(found)))]


def _totals(found: Found) -> list[str]:
    """Sentences on the whole."""
    total = spent(found)
    whole, useful = total['wall'] + total['probes'], sum(total[phase] for phase in USEFUL) + total['probes']
    said = [f'In all it took {whole / useful:.3g} times as long as updates, evaluation, measurements and probes.']
    span = when(found)
    if span:
        elapsed = span[1] - span[0]
        said.append(
            f'From the first start to the last end {duration(elapsed)} passed, {elapsed / useful:.3g} times as long: '
            'that counts pauses, start-up, and what probes compile and load.'
        )
    for row in found.estimates:
        ended = 'took' if row['ended'] else 'was stopped after'
        taken = f'{duration(row["estimated_seconds"])}; it {ended} {duration(row["spent_seconds"])}'
        said.append(f'A launch of study {row["study"]} was estimated at {taken}.')
    without = sum(not isinstance(run.meta.get('seconds'), Mapping) for run in found.runs)
    if without:
        said.append(f'{counted(without, "run")} noted no times and {"is" if without == 1 else "are"} not counted.')
    return said
