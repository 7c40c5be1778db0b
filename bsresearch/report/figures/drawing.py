"""Draws the figures that findings declare: each by the file of its kind, and one that cannot be costs itself alone."""

import pathlib
from collections.abc import Sequence
from types import ModuleType

from bsresearch.analysis.figures import Figure
from bsresearch.analysis.study import Study
from bsresearch.core import lookup
from bsresearch.report.figures import Drawn, FiguresFailed, fault

PACKAGE = 'bsresearch.report.figures'


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


def one(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws one that has a name: its PDF, PNG and CSV.

    Raises:
      ValueError: an unknown kind, or the records lack what it is about.
    """
    return _kind(figure.kind).draw(study, figure, out)


def special() -> tuple[str, ...]:
    """The kinds that need no more than their name: their files have OPTIONS, name → default."""
    members = lookup.members(PACKAGE, 'draw')
    return tuple(kind for kind in members if hasattr(_kind(kind), 'OPTIONS'))


def text(study: Study, figure: Figure) -> str:
    """What a figure reports in words, tables among them; '' where its kind reports nothing."""
    report = getattr(_kind(figure.kind), 'text', None)
    return report(study) if report else ''


def _kind(kind: str) -> ModuleType:
    return lookup.module(PACKAGE, 'draw', kind, 'kind of figure')


def each(study: Study, figures: Sequence[Figure], out: pathlib.Path) -> list[Drawn]:
    """Draws all; what cannot be drawn says why."""
    drawn = []
    for figure in named(figures):
        try:
            files, told = tuple(one(study, figure, out)), text(study, figure)
        except FiguresFailed as e:
            drawn.append(Drawn(figure.name, figure.title, tuple(e.files), refused=fault(e), failed=True))
        except ValueError as e:
            drawn.append(Drawn(figure.name, figure.title, refused=str(e)))
        except Exception as e:  # a fault of its code must not cost the others
            drawn.append(Drawn(figure.name, figure.title, refused=fault(e), failed=True))
        else:
            drawn.append(Drawn(figure.name, figure.title, files, told))
    return drawn
