"""Figures as they are declared: what is drawn, by names alone. report/figures/ draws them, a file per kind.

FIGURES = (curves('test_accuracy', 'train_accuracy'), versus(TEST, x='batch_size'))
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bsresearch.analysis.contrasts import Cell
from bsresearch.analysis.quantity import Quantity

POSITIONS = ('epochs', 'updates', 'examples', 'seconds')


class Figure(NamedTuple):
    """One figure.

    kind: the file of report/figures that draws it. about: metrics or quantities. options: the kind's own.
    title: what it shows, as a caption. name: of its files; '' for one from kind and number.
    """

    kind: str
    about: tuple[str | Quantity, ...]
    options: dict[str, Any]
    title: str = ''
    name: str = ''


def curves(
    *metrics: str,
    cells: Sequence[Cell] = (),
    x: str = 'epochs',
    since_branch: bool = False,
    title: str = '',
    name: str = '',
) -> Figure:
    """Metrics in training: a panel per metric, a colour per cell, mean and 95 % interval over replicates.

    cells: which, in order; all without. x: one of POSITIONS. since_branch: a branch begins at 0.
    """
    return Figure('curves', metrics, {'cells': tuple(cells), 'x': x, 'since_branch': since_branch}, title, name)


def versus(
    *quantities: Quantity, x: str, by: str = '', cells: Sequence[Cell] = (), title: str = '', name: str = ''
) -> Figure:
    """Quantities against an axis, or a field that arms set, with intervals; by: an axis with a colour per value."""
    return Figure('versus', quantities, {'x': x, 'by': by, 'cells': tuple(cells)}, title, name)


def heat(quantity: Quantity, x: str, y: str, *, title: str = '', name: str = '') -> Figure:
    """A quantity over two axes: the best of each column ringed, edges flagged, diverged cells marked."""
    return Figure('heat', (quantity,), {'x': x, 'y': y}, title, name)


def pareto(across: Quantity, up: Quantity, *, title: str = '', name: str = '') -> Figure:
    """Every replicate as a point of two quantities, a colour per cell; what no other cell beats in both joined."""
    return Figure('pareto', (across, up), {}, title, name)


def schedule(*fields: str, title: str = '', name: str = '') -> Figure:
    """What each cell used at every update: learning_rate_used, momentum_used, batch_size_used."""
    return Figure('schedule', fields or ('learning_rate_used', 'momentum_used', 'batch_size_used'), {}, title, name)


def special(kind: str, *, title: str = '', name: str = '', **options: Any) -> Figure:
    """One that no general kind can draw: `kind` is its file in report/figures."""
    return Figure(kind, (), options, title, name)
