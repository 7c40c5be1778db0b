"""A workdir's report: the figures of what was asked, then report.html and report.md."""

import pathlib
from collections.abc import Sequence

from bsresearch.analysis.figures import forest
from bsresearch.report import asked as questions
from bsresearch.report import content, found, page
from bsresearch.report.asked import Asked
from bsresearch.report.figures import Drawn, refusal
from bsresearch.report.figures import drawing as kinds
from bsresearch.report.markdown import Piece
from bsresearch.store import paths, records


def draw(asked: Sequence[Asked], out: pathlib.Path) -> list[Drawn]:
    """Draws what findings declare, and what a sweep gets; a refusal is kept with its reason."""
    return [one for question in asked for one in _of_question(question, out)]


def _of_question(asked: Asked, out: pathlib.Path) -> list[Drawn]:
    """Its figures, and the forest of its claims where any was measured."""
    if asked.study is None:
        return []
    measured = any(one.interval.n for verdicts in asked.verdicts for one in verdicts.judged)
    every = [*asked.named, *([forest(*asked.verdicts, name=asked.forest)] if measured else [])]
    drawn = kinds.each(asked.study, every, out)
    return [one._replace(study=asked.of, question=asked.key) for one in drawn]


def write(workdir: pathlib.Path, out: pathlib.Path, title: str = '', *, drawing: bool = True) -> list[pathlib.Path]:
    """Draws and writes; the paths of report.html and report.md.

    Raises:
      FileNotFoundError: the workdir holds nothing. ValueError: a damaged record.
    """
    everything = found.load(workdir)
    asked = questions.each(workdir, everything, records.read(workdir) if everything.runs else None)
    drawn = draw(asked, out / 'figures') if drawing else None
    pieces = content.collect(workdir, everything, asked, out, title, drawn)
    out.mkdir(parents=True, exist_ok=True)
    page_title = title or workdir.resolve().name
    texts = {'report.html': page.render(page_title, pieces), 'report.md': as_markdown(pieces)}
    for name, text in texts.items():
        paths.write_text(out / name, text)
    for one in drawn or []:
        if one.refused:
            print(refusal(one))
    return [out / name for name in texts]


def as_markdown(pieces: Sequence[Piece]) -> str:
    """The whole file."""
    texts = [piece if isinstance(piece, str) else piece.markdown for piece in pieces]
    return '\n\n'.join(text for text in texts if text) + '\n'
