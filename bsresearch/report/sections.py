"""All of a report: for each question its first screen, figures and tables; then how it all was made."""

import pathlib
from collections import Counter
from collections.abc import Sequence
from html import escape

from bsresearch.analysis import axis_labels
from bsresearch.report import markdown, opening, pictures, provenance, tables
from bsresearch.report.figures.drawing import Drawn
from bsresearch.report.inventory import Inventory, Run
from bsresearch.report.markdown import Block, Piece, counted
from bsresearch.report.questions import Question
from bsresearch.store import lineage

NAMED = 4  # diverged runs named in the summary
LONG_TREE = 30  # lines
# What tells a run from others.
TELLING = ('batch_size', 'learning_rate', 'momentum', 'weight_decay', 'optimizer.name', 'schedule.name', 'seed')


def collect(
    workdir: pathlib.Path,
    inventory: Inventory,
    questions: Sequence[Question],
    title: str,
    drawn: Sequence[Sequence[Drawn]] | None,
) -> list[Piece]:
    """The whole content.

    Args:
      questions: in their order. drawn: the figures of each of them; None where none was to be drawn.
    """
    figures = drawn or [()] * len(questions)
    every = [one for of_question in figures for one in of_question]
    incomplete = _incomplete(inventory, every)
    first = [*(fault for question in questions for fault in question.faults), *([incomplete] if incomplete else [])]
    pieces: list[Piece] = [
        Block(f'**{markdown.escape(line)}**', f'<p class="incomplete">{escape(line)}</p>') for line in first
    ]
    # Above the question: a report is known by what it asks.
    pieces.append(Block(f'*{markdown.escape(title)}*', f'<p class="title">{escape(title)}</p>'))
    for i, (question, of_question) in enumerate(zip(questions, figures, strict=True)):
        pieces += _question(question, inventory.of(question.of), of_question)
        if not any(other.of == question.of for other in questions[:i]):
            pieces += _results(inventory, question)
    if not every:
        nothing = 'Nothing in this workdir can be drawn.'
        pieces.append('Figures were not drawn (--draw=false).' if drawn is None else nothing)
    return [*pieces, *_making(workdir, inventory)]


def _question(question: Question, inventory: Inventory, drawn: Sequence[Drawn]) -> list[Piece]:
    """All of one question but the study's tables. Small figures of a sweep, heat maps, stand beside its cells."""
    by_name = {one.name: one for one in drawn if one.files}
    headline = by_name.get(question.opening.name) if question.opening else None
    forest = by_name.pop(question.forest, None)
    small = {figure.name for figure in question.named if figure.kind == 'heat' and not question.verdicts}
    beside = [one for name, one in by_name.items() if name in small and one != headline]
    further = [one for one in by_name.values() if one != headline and one not in beside]
    pieces = opening.pieces(question, inventory, headline, forest, beside)
    figures: list[Piece] = [markdown.division('figures', [pictures.block(one) for one in further])] if further else []
    figures += [piece for one in drawn for piece in pictures.reported(one)]
    figures += [markdown.escape(one.refusal) for one in drawn if one.refused]
    return [*pieces, *(['## Figures', *figures] if figures else [])]


def _results(inventory: Inventory, question: Question) -> list[Piece]:
    own_metrics = inventory.of(question.of).own_metrics
    of_cells = tables.of_cells(question.study, own_metrics) if question.study else ''
    runs = tables.of_runs_of(inventory, question.of, question.study)
    return ['## Results', *([of_cells] if of_cells else []), runs]


def _making(workdir: pathlib.Path, inventory: Inventory) -> list[Piece]:
    """What is the same for all questions."""
    configs = [tables.of_config(runs, name) for name in inventory.studies if (runs := inventory.of(name).runs)]
    tree = _lineage(workdir, inventory)
    return [
        *(['## Probes', tables.of_probes(inventory.probes)] if inventory.probes else []),
        *(['## Lineage', tree] if tree else []),
        *(['## Config', *configs] if configs else []),
        '## Hardware and versions',
        provenance.hardware(inventory),
        '## Time',
        markdown.escape(' '.join(_summary(inventory))),
        *provenance.times(inventory),
    ]


def _incomplete(inventory: Inventory, drawn: Sequence[Drawn]) -> str:
    """What is not finished, and which figures failed; '' where all is well."""
    parts = []
    for noun, members in (('run', inventory.runs), ('probe', inventory.probes)):
        pending = Counter(member.status for member in members if member.status not in provenance.FINISHED)
        parts += [f'{counted(count, noun)} {status}' for status, count in sorted(pending.items())]
    parts += [f'{one.name} failed' for one in drawn if one.failed]
    return f'Incomplete: {", ".join(parts)}.' if parts else ''


def _lineage(workdir: pathlib.Path, inventory: Inventory) -> str:
    """The tree; '' where there is none."""
    branches = sum(run.parent is not None for run in inventory.runs)
    if not branches:
        return ''
    text = lineage.text(workdir)
    caption = f'{counted(branches, "branch", "branches")}, each below the run it began from'
    return markdown.fold(caption, markdown.fenced(text), text.count('\n') >= LONG_TREE)


def _summary(inventory: Inventory) -> list[str]:
    """Sentences on what was run."""
    runs, probes = inventory.runs, inventory.probes
    sentences = [_runs(inventory)] if runs else ['No runs, only what was probed.']
    if runs and not any(run.status == 'done' for run in runs):
        sentences.append('No run is finished.')
    diverged = [run for run in runs if run.status == 'diverged']
    if diverged:
        named = [_diverged(run, inventory.of(run.study).runs) for run in diverged[:NAMED]]
        more = [f'{len(diverged) - NAMED} more in the table of runs'] if len(diverged) > NAMED else []
        sentences.append(f'Diverged: {"; ".join([*named, *more])}.')
    failed = [f'{run.id} ({run.meta.get("error")})' for run in runs if run.status == 'failed']
    sentences += [f'Failed: {"; ".join(failed)}.'] if failed else []
    steps, examples = (sum(run.own(position) for run in runs) for position in ('step', 'examples'))
    if steps:
        sentences.append(f'They made {counted(steps, "update")} over {counted(examples, "example")}.')
    if probes:
        done = sum(probe.status == 'done' for probe in probes)
        rest = '.' if done == len(probes) else f'; {done} finished.'
        sentences.append(f'Probes of trained runs: {_counts([probe.name for probe in probes])}{rest}')
    dates = provenance.dates(inventory)
    return [*sentences, *([f'Made {dates}.'] if dates else [])]


def _runs(inventory: Inventory) -> str:
    """How many, of what, how they ended."""
    runs, studies = inventory.runs, inventory.studies
    tasks = sorted({f'{r.resolved.get("model.name", "?")} on {r.resolved.get("data.name", "?")}' for r in runs})
    varied = []
    for field, noun in (('batch_size', 'B'), ('learning_rate', 'learning rate'), ('seed', 'seed')):
        values = sorted({run.resolved[field] for run in runs if run.resolved.get(field) is not None})
        written = [tables.value(v) for v in values]
        if len(values) > 8:
            varied.append(f'{len(values)} values of {noun} from {written[0]} to {written[-1]}')
        elif values:
            varied.append(f'{noun} {", ".join(written)}')
    of_studies = f'{"study" if len(studies) == 1 else "studies"} {", ".join(studies)}'
    ended = _counts([run.status for run in runs])
    return f'{counted(len(runs), "run")} of {of_studies} ({ended}), {", ".join(tasks)}: {"; ".join(varied)}.'


def _diverged(run: Run, runs: Sequence[Run]) -> str:
    """Its id, where it diverged, and what tells it from the other runs of its study."""
    telling = [field for field in TELLING if len({repr(other.resolved.get(field)) for other in runs}) > 1]
    named = ', '.join(f'{axis_labels.of_field(f)} {tables.value(run.resolved.get(f))}' for f in telling)
    step = run.meta.get('diverged_step')
    return f'{run.id}{"" if step is None else f" at update {step:,}"}' + (f' ({named})' if named else '')


def _counts(names: Sequence[str]) -> str:
    return ', '.join(f'{count} {name}' for name, count in sorted(Counter(names).items()))
