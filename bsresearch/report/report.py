"""A workdir's report: the figures of what was asked, then report.html and report.md."""

import pathlib
from collections.abc import Callable, Sequence

from bsresearch.analysis import figures
from bsresearch.report import inventory as inventories
from bsresearch.report import page, pictures, questions, rendering, sections
from bsresearch.report.figures import drawing
from bsresearch.report.figures.drawing import Drawn
from bsresearch.report.markdown import Piece
from bsresearch.report.questions import Question
from bsresearch.report.rendering import Submit
from bsresearch.store import paths, records

MOST_ROWS, FIRST_ROWS = 200, 30  # lines of a folded table in the Markdown; of a longer one those that stay


def write(
    workdir: pathlib.Path,
    out: pathlib.Path,
    title: str = '',
    *,
    drawing: bool = True,
    submit: Submit = rendering.here,
    fault: Callable[[str], None] = print,
) -> list[pathlib.Path]:
    """Draws and writes; the paths of report.html and report.md.

    Args:
      submit: where figures are rendered (rendering.py). fault: told in a line of each that the findings have, or the
        code; what is only not measured is printed.

    Raises:
      FileNotFoundError: the workdir holds nothing. ValueError: a damaged record.
    """
    inventory = inventories.load(workdir)
    every = questions.each(workdir, inventory, records.read(workdir) if inventory.runs else None)
    drawn = [draw(question, out / pictures.FOLDER, submit) for question in every] if drawing else None
    title = title or workdir.resolve().name
    pieces = sections.collect(workdir, inventory, every, title, drawn)
    out.mkdir(parents=True, exist_ok=True)
    texts = {'report.html': page.render(title, pieces), 'report.md': as_markdown(pieces)}
    for name, text in texts.items():
        paths.write_text(out / name, text)
    for question in every:
        for line in question.faults:
            fault(line)
        for line in question.notes:
            print(line)
    for one in (one for of_question in drawn or [] for one in of_question if one.refused):
        (fault if one.failed else print)(one.refusal)
    return [out / name for name in texts]


def draw(question: Question, out: pathlib.Path, submit: Submit = rendering.here) -> list[Drawn]:
    """What its findings declare, or a sweep gets, and the forest of its claims where any was measured."""
    if question.study is None:
        return []
    measured = any(one.interval.n for verdicts in question.verdicts for one in verdicts.judged)
    forest = [figures.forest(*question.verdicts, name=question.forest)] if measured else []
    return drawing.each(question.study, [*forest, *question.named], out, submit)  # the forest takes the longest


def as_markdown(pieces: Sequence[Piece]) -> str:
    """The whole file."""
    texts = [_short(piece) if isinstance(piece, str) else piece.markdown for piece in pieces]
    return '\n\n'.join(text for text in texts if text) + '\n'


def _short(piece: str) -> str:
    """A folded table of very many rows is told by its first ones: all stand in the HTML."""
    lines = piece.split('\n')
    if not piece.startswith('<details>') or len(lines) <= MOST_ROWS:
        return piece
    last = max(i for i, line in enumerate(lines) if line.startswith('|'))
    left_out = f'… {last + 1 - FIRST_ROWS:,} rows more in report.html, which `bsresearch report` makes of the records.'
    return '\n'.join([*lines[:FIRST_ROWS], '', left_out, *lines[last + 1 :]])
