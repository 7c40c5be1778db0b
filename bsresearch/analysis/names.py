"""Whether the names in a findings module are those of its study: arms, branches and axes."""

import difflib
import pathlib
from collections.abc import Collection, Iterator
from types import ModuleType

from bsresearch.analysis.cells import CONTROL
from bsresearch.analysis.selectors import Selector, to_selector
from bsresearch.analysis.study import ABSENT, ALL

SHORTEST = 4


def check(
    module: ModuleType, declared: Collection[str], branch_arms: Collection[str] = (), axes: Collection[str] = ()
) -> list[str]:
    """Checks the cells that claims and figures name.

    Args:
      declared: arms; none for a study without, whose one arm is `all`. branch_arms: but the control. axes: fields.

    Returns:
      which claims and figures name what this study has not got, a line each: it may be a part of a larger one.

    Raises:
      ValueError: a name that is nearly one of the study's; one line.
    """
    missing: dict[str, list[str]] = {}
    for where, cell in _cells(module):
        for what, name, allowed in (
            ('arm', cell.arm, [*declared] or [ALL]),
            ('branch', cell.branch, [ABSENT, CONTROL, *branch_arms]),
            *(('axis', axis, [*axes]) for axis, _ in cell.axes),
        ):
            if name in allowed:
                continue
            if near := next((one for one in allowed if _mistyped(name, one)), None):
                file = pathlib.Path(str(module.__file__)).name
                raise ValueError(f'{file}: {where}: {cell}: no {what} {name!r}; did you mean {near!r}?')
            missing.setdefault(f'{what} {name}', []).append(where)
    return [f'not measured: {", ".join(dict.fromkeys(where))}: no {name} here' for name, where in missing.items()]


def _mistyped(name: str, meant: str) -> bool:
    """Whether they differ in one letter or in the order of letters; of short names and of numbers each is its own."""
    digits = [[c for c in one if c.isdigit()] for one in (name, meant)]
    changes = difflib.SequenceMatcher(None, name, meant, autojunk=False).get_opcodes()
    apart = max(sum(b - a for tag, *ends in changes if tag != 'equal' for a, b in [ends[k : k + 2]]) for k in (0, 2))
    return digits[0] == digits[1] and len(name) >= SHORTEST and (apart <= 1 or sorted(name) == sorted(meant))


def _cells(module: ModuleType) -> Iterator[tuple[str, Selector]]:
    """(where it stands, cell) of everything that names one."""
    for statement in module.CLAIMS:
        for contrast in statement.contrasts:
            for cell in contrast.cells:
                yield f'claim {statement.key!r}', cell
    for number, figure in enumerate(module.FIGURES):
        for option in ('cells', 'ends_of'):
            for cell in figure.options.get(option, ()):
                yield f'figure {figure.name or number}', to_selector(cell)
