"""Collects a report: for each question its first screen, figures and tables; then how it all was made."""

import pathlib
from collections.abc import Sequence
from html import escape

import pandas as pd

from bsresearch.report import config, figures, grid, made, markdown, pictures, screen
from bsresearch.report.asked import Asked
from bsresearch.report.figures import Drawn
from bsresearch.report.found import Found, Run
from bsresearch.report.markdown import NONE, Piece, counted
from bsresearch.report.pictures import Picture
from bsresearch.store import lineage

NAMED = 4  # diverged runs named in the summary
LONG_TREE = 30  # lines


def collect(
    workdir: pathlib.Path, found: Found, asked: Sequence[Asked], out: pathlib.Path, title: str,
    drawn: Sequence[Drawn] | None,
) -> list[Piece]:  # fmt: skip
    """The whole content.

    Args:
      asked: the questions, in their order. out: directory of the report, above the figures'. title: '' for the
        workdir's name. drawn: figures of all questions; None where none was to be drawn.
    """
    incomplete = _incomplete(found, drawn or ())
    pieces: list[Piece] = [_banner(incomplete)] if incomplete else []
    pieces.append(_title(title or workdir.resolve().name))
    for i, one in enumerate(asked):
        first = not any(other.of == one.of for other in asked[:i])
        pieces += _question(one, found, [d for d in drawn or [] if d.question == one.key], out)
        pieces += ['## Results', *_results(found, one)] if first else []
    if not any(d.files or d.refused for d in drawn or []):
        nothing = 'Nothing in this workdir can be drawn.'
        pieces.append('Figures were not drawn (--draw=false).' if drawn is None else nothing)
    return [*pieces, *_making(workdir, found)]


def _title(text: str) -> markdown.Block:
    """Above the question: a report is known by what it asks."""
    return markdown.Block(f'*{markdown.escape(text)}*', f'<p class="title">{escape(text)}</p>')


def _banner(text: str) -> markdown.Block:
    return markdown.Block(f'**{markdown.escape(text)}**', f'<p class="incomplete">{escape(text)}</p>')


def _question(one: Asked, found: Found, drawn: Sequence[Drawn], out: pathlib.Path) -> list[Piece]:
    """All of one question but the study's tables; drawn: its figures."""
    name = one.named[one.headline].name if one.headline < len(one.figures) else ''
    by_name = {p.name: p for d in drawn for p in pictures.of_figure(d)}
    headline = by_name.get(name)
    forest = by_name.get(one.forest)
    rest = [d for d in drawn if d.name != one.forest]
    others = [p for d in rest for p in pictures.of_figure(d) if p != headline]
    small = {figure.name for figure in one.named if figure.kind == 'heat'} if not one.verdicts else set()
    beside = [p for d in rest if d.name in small for p in pictures.of_figure(d)]
    pieces = screen.pieces(one, found, headline, forest, beside, out)
    return [*pieces, *_figures(rest, [p for p in others if p not in beside], out)]


def _making(workdir: pathlib.Path, found: Found) -> list[Piece]:
    """What is the same for all questions."""
    configs = [config.table(found.of(s), s) for s in found.studies if found.of(s)]
    tree, probes = _lineage(workdir, found), _probes(found)
    return [
        *(['## Probes', *probes] if probes else []), *(['## Lineage', *tree] if tree else []),
        *(['## Config', *configs] if configs else []), '## Hardware and versions', made.hardware(found),
        '## Time', _summary(found), *made.times(found),
    ]  # fmt: skip


def _incomplete(found: Found, drawn: Sequence[Drawn]) -> str:
    """What is not finished, and which figures failed; '' where all is well."""
    parts = []
    for noun, statuses in (('run', [r.status for r in found.runs]), ('probe', [p.status for p in found.probes])):
        pending = [s for s in statuses if s not in made.FINISHED]
        parts += [f'{counted(pending.count(s), noun)} {s}' for s in sorted(set(pending))]
    parts += [f'{one.name} failed' for one in drawn if one.failed]
    return f'Incomplete: {", ".join(parts)}.' if parts else ''


def _figures(drawn: Sequence[Drawn], further: Sequence[Picture], out: pathlib.Path) -> list[Piece]:
    """Pictures side by side, what each figure reports, and those that refused; further: not shown yet."""
    blocks = [pictures.block(p, out) for p in further]
    pieces: list[Piece] = [pictures.side_by_side(blocks)] if blocks else []
    pieces += [piece for one in drawn for piece in pictures.reported(one)]
    refused = [markdown.escape(figures.refusal(one)) for one in drawn if one.refused]
    return ['## Figures', *pieces, *refused] if pieces or refused else []


def _results(found: Found, one: Asked) -> list[str]:
    table, study = grid.frame(found, one.of), one.of
    by = grid.fields(table)
    rows = pd.concat(list(one.study.rows.values())) if one.study else None
    try:
        arms = grid.arms_table(table, by, study, rows)
    except ValueError as e:
        arms = [markdown.escape(f'No table of the arms of study {study}: {e}.')]
    return [*arms, grid.runs_table(found, table, by, study)]


def _probes(found: Found) -> list[str]:
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
    return [
        markdown.table(f'{counted(len(rows), "probe")} of trained runs.', columns, rows, folded=len(rows) > grid.LONG)
    ]


def _lineage(workdir: pathlib.Path, found: Found) -> list[str]:
    """The tree, where there is one."""
    branches = sum(run.parent is not None for run in found.runs)
    if not branches:
        return []
    text = lineage.text(workdir)
    caption = f'{counted(branches, "branch", "branches")}, each below the run it began from'
    return [markdown.fold(caption, markdown.fenced(text), text.count('\n') >= LONG_TREE)]


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
    return markdown.escape(' '.join([*said, *([f'Made {dates}.'] if dates else [])]))


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
