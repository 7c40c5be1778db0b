"""Draws and saves figures, each by the file of its kind; one that cannot be drawn costs itself alone."""

import pathlib
import traceback
from collections.abc import Sequence
from concurrent.futures import Future
from types import ModuleType
from typing import NamedTuple

from bsresearch.analysis import figures as declarations
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.study import Study
from bsresearch.core import lookup
from bsresearch.report import plotting, rendering
from bsresearch.report.figures import panels
from bsresearch.report.figures.panels import Sheet
from bsresearch.report.rendering import Submit
from bsresearch.store import paths

PACKAGE = 'bsresearch.report.figures'
PRECISION = '%.9g'  # of plotted numbers: that of float32, in which most were recorded


class Drawn(NamedTuple):
    """One picture as it came out.

    name: of its files. caption: what it shows. files: PDF, PNG and CSV; () where nothing was drawn. text: what its
    figure reports in words. refused: why nothing was drawn. failed: that was a fault of the code.
    """

    name: str
    caption: str
    files: tuple[pathlib.Path, ...] = ()
    text: str = ''
    refused: str = ''
    failed: bool = False

    @property
    def png(self) -> pathlib.Path:
        """The picture in pixels."""
        return self.files[1]

    @property
    def refusal(self) -> str:
        """Why there is no picture, in one line."""
        return f'{self.name} {"failed" if self.failed else "drew nothing"}: {" ".join(self.refused.split())}'


def named(figures: Sequence[Figure]) -> list[Figure]:
    """With the names of their files: their own, or kind and number, curves_1.

    Raises:
      ValueError: two have one name.
    """
    counts: dict[str, int] = {}
    every = []
    for figure in figures:
        counts[figure.kind] = counts.get(figure.kind, 0) + 1
        every.append(figure if figure.name else figure._replace(name=f'{figure.kind}_{counts[figure.kind]}'))
    names = [figure.name for figure in every]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f'two figures are called {twice[0]!r}; give one of them another name=')
    return every


def special() -> tuple[str, ...]:
    """The kinds that need no more than their name: their files have OPTIONS, name → default."""
    members = lookup.members(PACKAGE, 'draw')
    return tuple(kind for kind in members if hasattr(_kind(kind), 'OPTIONS'))


def text(study: Study, figure: Figure) -> str:
    """What a figure reports in words, tables among them; '' where its kind reports nothing."""
    report = getattr(_kind(figure.kind), 'text', None)
    return report(study) if report else ''


def parts(study: Study, figure: Figure) -> list[Figure]:
    """The pictures that a figure is made of, with names and captions of their own; mostly it is one itself."""
    kind = _kind(figure.kind)
    if hasattr(kind, 'OPTIONS'):
        figure = figure._replace(options=declarations.options(figure, kind.OPTIONS))
    return kind.parts(study, figure) if hasattr(kind, 'parts') else [figure]


def _kind(kind: str) -> ModuleType:
    return lookup.module(PACKAGE, 'draw', kind, 'kind of figure')


def one(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws one that has a name: PDF, PNG and CSV of each of its pictures.

    Raises:
      ValueError: an unknown kind or option, or the records lack what it is about.
    """
    return [file for part in parts(study, figure) for file in save(sheet(study, part), out, part.name).result()]


def sheet(study: Study, part: Figure) -> Sheet:
    """A picture (`parts`), not yet saved."""
    with plotting.styled():
        return _kind(part.kind).draw(study, part)


def save(sheet: Sheet, out: pathlib.Path, name: str, submit: Submit = rendering.here) -> Future[list[pathlib.Path]]:
    """`<name>.pdf`, `.png` and `.csv` (the plotted numbers), each whole; equal input gives equal bytes."""
    out.mkdir(parents=True, exist_ok=True)
    panels.label_once(sheet.figure)
    rendered = submit(plotting.render, sheet.figure, out / name)
    paths.write_text(
        out / f'{name}.csv', sheet.numbers.to_csv(index=False, float_format=PRECISION, lineterminator='\n')
    )
    return rendered


def each(study: Study, figures: Sequence[Figure], out: pathlib.Path, submit: Submit = rendering.here) -> list[Drawn]:
    """Draws all; what cannot be drawn says why. submit: where they are rendered."""
    begun = [picture for figure in named(figures) for picture in _begun(study, figure, out, submit)]
    return [_drawn(*picture) for picture in begun]


def _begun(
    study: Study, figure: Figure, out: pathlib.Path, submit: Submit
) -> list[tuple[Figure, str, Future[Future[list[pathlib.Path]]]]]:
    """The pictures of a figure, each with its words, which stand with the first, and with its files or its error."""
    begin = lambda part: save(sheet(study, part), out, part.name, submit)
    words, pictures = rendering.here(text, study, figure), rendering.here(parts, study, figure)
    for failed in (words, pictures):
        if failed.exception():
            return [(figure, '', failed)]
    first, *_ = every = pictures.result()
    return [(part, words.result() if part is first else '', rendering.here(begin, part)) for part in every]


def _drawn(figure: Figure, words: str, begun: Future[Future[list[pathlib.Path]]]) -> Drawn:
    try:
        return Drawn(figure.name, figure.title, tuple(begun.result().result()), words)
    except ValueError as e:
        return Drawn(figure.name, figure.title, refused=str(e))
    except Exception as e:  # a fault of its code must not cost the others
        return Drawn(figure.name, figure.title, refused=fault(e), failed=True)


def fault(error: BaseException) -> str:
    """An error that is a fault of the code, in one line, with the place it came from."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    message = ' '.join(str(error).split())
    return f'{type(error).__name__}: {message} ({pathlib.Path(place.filename).name}, line {place.lineno})'
