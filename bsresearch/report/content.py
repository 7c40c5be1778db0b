"""Collects a report: claims, figures, tables, lineage, config, hardware, time. The writers only render it."""

import importlib
import importlib.util
import pathlib
from collections.abc import Sequence

from bsresearch.analysis import claims as claims_of
from bsresearch.analysis.claims import Verdict
from bsresearch.report import config, figures, grid, made
from bsresearch.report.blocks import MARKS, NONE, Claims, Preformatted, Report, Section, Table, Text, counted
from bsresearch.report.figures import Drawn
from bsresearch.report.found import Found, Run
from bsresearch.store import lineage

NAMED = 4  # diverged runs named in the summary
LONG_TREE = 30  # lines


def collect(
    workdir: pathlib.Path, found: Found, out: pathlib.Path, title: str, drawn: Sequence[Drawn] | None
) -> Report:
    """The whole content.

    Args:
      out: directory of the report, above the figures'. title: '' for one from what the workdir holds.
      drawn: of the figure scripts that apply; None where none was to be drawn.
    """
    tested = _claims(workdir, found)
    verdicts = [claim.verdict for block in tested if isinstance(block, Claims) for claim in block.claims]
    tally: list[tuple[Verdict, int]] = [(v, verdicts.count(v)) for v in MARKS if v in verdicts]
    sections = [
        Section('claims', 'Claims', tuple(tested)),
        Section('figures', 'Figures', tuple(_figures(drawn, out))),
        Section('results', 'Results', tuple(_results(found))),
        Section('lineage', 'Lineage', tuple(_lineage(workdir, found))),
        Section('config', 'Config', tuple(config.table(found.of(s), s) for s in found.studies if found.of(s))),
        Section('hardware', 'Hardware and versions', (made.hardware(found),)),
        Section('time', 'Time', made.times(found)),
    ]
    kept = tuple(s for s in sections if s.blocks)
    return Report(
        title or _title(workdir, found),
        _incomplete(found, drawn or ()),
        _summary(found),
        tuple(tally),
        _facts(found),
        kept,
    )


def _incomplete(found: Found, drawn: Sequence[Drawn]) -> str:
    """What is not finished, and which figures failed; '' where all is well."""
    parts = []
    for noun, statuses in (('run', [r.status for r in found.runs]), ('probe', [p.status for p in found.probes])):
        pending = [s for s in statuses if s not in made.FINISHED]
        parts += [f'{counted(pending.count(s), noun)} {s}' for s in sorted(set(pending))]
    parts += [f'{one.script} failed' for one in drawn if one.failed]
    return f'Incomplete: {", ".join(parts)}.' if parts else ''


def _title(workdir: pathlib.Path, found: Found) -> str:
    name, studies = workdir.resolve().name, ', '.join(found.studies)
    return name if name == studies else f'{name}: {studies}'


def _claims(workdir: pathlib.Path, found: Found) -> list[Claims | Text]:
    """Of each study that has a file of them; one that refuses is named with its reason."""
    blocks: list[Claims | Text] = []
    for study in found.studies:
        name = f'{claims_of.__name__}.{study}'
        if importlib.util.find_spec(name) is None:
            continue
        try:
            tested = importlib.import_module(name).claims(workdir)
        except (ValueError, FileNotFoundError) as e:
            blocks.append(Text(f'The claims of study {study} were not tested: {" ".join(str(e).split())}'))
        except Exception as e:  # a fault of its code must not cost the rest of the report
            blocks.append(Text(f'The claims of study {study} failed: {figures.fault(e)}'))
        else:
            blocks.append(Claims(study, tuple(tested)))
    return blocks


def _figures(drawn: Sequence[Drawn] | None, out: pathlib.Path) -> Sequence[object]:
    if drawn is None:
        return [Text('Figures were not drawn (--draw=false).')]
    return figures.blocks(drawn, out) or [Text('No figure script applies to what this workdir holds.')]


def _results(found: Found) -> list[Table | Text]:
    tables: list[Table | Text] = []
    for study in found.studies:
        if found.of(study):
            table = grid.frame(found, study)
            by = grid.fields(table)
            try:
                tables += grid.arms_table(table, by, study)
            except ValueError as e:
                tables.append(Text(f'No table of the arms of study {study}: {e}.'))
            tables.append(grid.runs_table(found, table, by, study))
    return [*tables, *_probes(found)]


def _probes(found: Found) -> list[Table]:
    if not found.probes:
        return []
    rows = []
    for probe in found.probes:
        points = [f'{p["run"]} at epoch {p["epoch"]:g}' for p in probe.stated.get('points', [])]
        seconds = probe.meta.get('seconds')
        rate = probe.stated.get('learning_rate')
        spent = made.duration(seconds) if isinstance(seconds, int | float) else NONE
        rows.append(
            (probe.id, probe.name, probe.study, probe.status, '; '.join(points), f'{rate:g}' if rate else NONE, spent)
        )
    columns = ('probe', 'name', 'study', 'status', 'of', 'learning rate', 'time')
    return [Table(f'{counted(len(rows), "probe")} of trained runs.', columns, tuple(rows), len(rows) > grid.LONG)]


def _lineage(workdir: pathlib.Path, found: Found) -> list[Preformatted]:
    """The tree, where there is one."""
    branches = sum(run.parent is not None for run in found.runs)
    if not branches:
        return []
    text = lineage.text(workdir)
    caption = f'{counted(branches, "branch", "branches")}, each below the run it began from'
    return [Preformatted(caption, text, text.count('\n') >= LONG_TREE)]


def _summary(found: Found) -> str:
    """One paragraph."""
    said = [_runs_sentence(found)] if found.runs else ['No runs, only what was probed.']
    if found.runs and not any(run.status == 'done' for run in found.runs):
        said.append('No run is finished.')
    diverged = [run for run in found.runs if run.status == 'diverged']
    if diverged:
        named = [_diverged(run, found) for run in diverged[:NAMED]]
        more = [f'{len(diverged) - NAMED} more in the table of runs'] if len(diverged) > NAMED else []
        said.append(f'Diverged: {"; ".join([*named, *more])}.')
    failed = [f'{run.id} ({run.meta.get("error")})' for run in found.runs if run.status == 'failed']
    said += [f'Failed: {"; ".join(failed)}.'] if failed else []
    steps, examples = (sum(run.made(p) for run in found.runs) for p in ('step', 'examples'))
    if steps:
        said.append(f'They made {steps:,} updates over {examples:,} examples.')
    if found.probes:
        names = _counts([probe.name for probe in found.probes])
        done = sum(probe.status == 'done' for probe in found.probes)
        said.append(f'Probes of trained runs: {names}' + ('.' if done == len(found.probes) else f'; {done} finished.'))
    dates = made.dates(found)
    return ' '.join([*said, *([f'Made {dates}.'] if dates else [])])


def _runs_sentence(found: Found) -> str:
    """How many, of what, how they ended."""
    studies = f'{"study" if len(found.studies) == 1 else "studies"} {", ".join(found.studies)}'
    tasks = sorted({f'{r.resolved.get("model.name", "?")} on {r.resolved.get("data.name", "?")}' for r in found.runs})
    varied = []
    for field, noun in (('batch_size', 'B'), ('learning_rate', 'learning rate'), ('seed', 'seed')):
        values = sorted({run.resolved[field] for run in found.runs if run.resolved.get(field) is not None})
        if len(values) > 8:
            varied.append(f'{len(values)} values of {noun} from {grid.value(values[0])} to {grid.value(values[-1])}')
        elif values:
            varied.append(f'{noun} {", ".join(grid.value(v) for v in values)}')
    ended = _counts([run.status for run in found.runs])
    return f'{counted(len(found.runs), "run")} of {studies} ({ended}), {", ".join(tasks)}: {"; ".join(varied)}.'


def _diverged(run: Run, found: Found) -> str:
    """Its id, where it diverged, and what tells it from the other runs of its study."""
    telling = [f for f in ('batch_size', 'learning_rate', 'momentum', 'weight_decay', 'optimizer.name', 'schedule.name',
                           'seed') if len(found.values(run.study, f)) > 1]  # fmt: skip
    named = ', '.join(f'{f.removesuffix(".name").replace("_", " ")} {grid.value(run.resolved.get(f))}' for f in telling)
    step = run.meta.get('diverged_step')
    return f'{run.id}{"" if step is None else f" at update {step:,}"}' + (f' ({named})' if named else '')


def _counts(names: Sequence[str]) -> str:
    return ', '.join(f'{names.count(n)} {n}' for n in sorted(set(names)))


def _facts(found: Found) -> tuple[tuple[str, str], ...]:
    """Shown large at the top."""
    total = made.spent(found)
    whole = total['wall'] + total['probes']
    facts = [
        ('runs', f'{len(found.runs):,}' if found.runs else ''),
        ('probes', f'{len(found.probes):,}' if found.probes else ''),
        ('updates', f'{sum(run.made("step") for run in found.runs):,}' if found.runs else ''),
        ('examples', f'{sum(run.made("examples") for run in found.runs):,}' if found.runs else ''),
        ('time', made.duration(whole) if whole else ''),
        ('device', made.common(found, 'device')),
        ('jax', made.common(found, 'jax')),
        ('commit', made.common(found, 'commit')),
    ]
    return tuple((name, shown) for name, shown in facts if shown)
