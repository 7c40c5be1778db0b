"""Figures as they are declared: what is drawn, by names alone. report/figures/ draws them, a file per kind.

FIGURES = (curves('test_accuracy', 'train_accuracy'), versus(TEST, x='batch_size'))
"""

import ast
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from bsresearch.analysis.contrasts import Cell
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.statements import Statement, Verdicts
from bsresearch.core import lookup


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
    by: str = '',
    panel: str = '',
    since_branch: bool = False,
    relative: bool = False,
    log: bool = False,
    ends_of: Sequence[Cell] = (),
    title: str = '',
    name: str = '',
) -> Figure:
    """Metrics in training: a panel per metric, a colour per cell, mean and 95 % interval over replicates.

    Args:
      cells: which; all without. x: one of courses.POSITIONS. by: a field with a colour per value. panel: one with a
        panel per value; of a sweep the axis beside the one that has the colours. since_branch: a branch begins at 0.
      relative: over the first value. log: the y axis; that of losses is anyway. ends_of: cells whose end is dotted.
    """
    options = {'cells': tuple(cells), 'x': x, 'by': by, 'panel': panel, 'since_branch': since_branch,
               'relative': relative, 'log': log, 'ends_of': tuple(ends_of)}  # fmt: skip
    return Figure('curves', metrics, options, title, name)


def versus(
    *quantities: Quantity,
    x: str,
    by: str = '',
    panel: str = '',
    cells: Sequence[Cell] = (),
    title: str = '',
    name: str = '',
) -> Figure:
    """Quantities against an axis or a field that arms set, with intervals; by: a field with a colour per value."""
    return Figure('versus', quantities, {'x': x, 'by': by, 'panel': panel, 'cells': tuple(cells)}, title, name)


def heat(quantity: Quantity, x: str, y: str, *, title: str = '', name: str = '') -> Figure:
    """A quantity over two axes: the best of each column ringed, edges flagged, diverged cells marked."""
    return Figure('heat', (quantity,), {'x': x, 'y': y}, title, name)


def pareto(across: Quantity, up: Quantity, *, by: str = '', title: str = '', name: str = '') -> Figure:
    """Every replicate as a point of two quantities, a colour per cell; what no other cell beats in both joined."""
    return Figure('pareto', (across, up), {'by': by}, title, name)


def best_of(
    *quantities: Quantity,
    by: str = 'batch_size',
    also: Sequence[str] = (),
    arms: Sequence[str] = (),
    title: str = '',
    name: str = '',
) -> Figure:
    """What the best of k trials of a search comes to against k, a line per value of `by` (analysis/searched.py).

    also: axes that follow from others. arms: which; all without.
    """
    return Figure('best_of', quantities, {'by': by, 'also': tuple(also), 'arms': tuple(arms)}, title, name)


def schedule(*fields: str, title: str = '', name: str = '') -> Figure:
    """What each cell used at every update: learning_rate_used, momentum_used, batch_size_used."""
    return Figure('schedule', fields or ('learning_rate_used', 'momentum_used', 'batch_size_used'), {}, title, name)


def ridge(metric: str, by: str, *, title: str = '', name: str = '') -> Figure:
    """How the evaluations of the last quarter of a run are distributed, a ridge per value of `by`."""
    return Figure('ridge', (metric,), {'by': by}, title, name)


def forest(*claims: Statement | Verdicts, title: str = '', name: str = '') -> Figure:
    """Every interval of every claim against its bounds, with the verdict."""
    return Figure('forest', (), {'claims': claims}, title, name)


Rule = Quantity | Statement | str


def multiverse(claim: Statement, rules: Mapping[str, Rule], *, title: str = '', name: str = '') -> Figure:
    """One claim under each rule of what is held fixed.

    multiverse(CLAIM, {'equal epochs': final(m), 'equal updates': at_common('updates', m, 'small', 'large'),
                       'longer': replace(CLAIM, contrasts=minus('longer', 'small')), 'tuned': 'one rate was tried'})

    Args:
      rules: rule → the statement's quantity under it; or the statement, where it compares other cells; or why the
        records do not tell, in words.
    """
    return Figure('multiverse', (), {'claim': claim, 'rules': dict(rules)}, title, name)


def under(claim: Statement, rule: Rule) -> Statement:
    """A claim as a rule of a multiverse reads it."""
    if isinstance(rule, Statement):
        return rule
    return replace(claim, untested=rule) if isinstance(rule, str) else replace(claim, quantity=rule)


def special(kind: str, *, title: str = '', name: str = '', **options: Any) -> Figure:
    """One that no general kind can draw: `kind` is its file in report/figures."""
    return Figure(kind, (), options, title, name)


def options(figure: Figure, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a special figure over the defaults of its kind; text, as a command line has it, is read.

    Raises:
      ValueError: its kind has no such option, or a value is of another type than the default.
    """
    read = dict(defaults)
    for name, value in figure.options.items():
        if name not in defaults:
            cure = lookup.nearest(name, defaults) if defaults else 'it has none'
            raise ValueError(f'figure {figure.kind} has no option {name!r}; {cure}')
        wanted = type(defaults[name])
        with contextlib.suppress(ValueError, SyntaxError):
            value = ast.literal_eval(value.capitalize()) if isinstance(value, str) and wanted is not str else value
        value = float(value) if wanted is float and type(value) is int else value
        if type(value) is not wanted:
            raise ValueError(f'figure {figure.kind}: {name}={value!r} is no {wanted.__name__} as {defaults[name]!r} is')
        read[name] = value
    return read
