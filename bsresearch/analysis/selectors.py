"""Which cell of a study is meant: `'large'`, `'large/switch_small@2'`, `at('all', batch_size=64)`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bsresearch.analysis import axis_labels
from bsresearch.analysis.study import ABSENT, ALL, PARTS


class Selector(NamedTuple):
    """Which cell: an arm, a branch with its declared point, values of axes."""

    arm: str = ALL
    branch: str = ''
    point: float | str = ABSENT
    axes: tuple[tuple[str, Any], ...] = ()

    @property
    def parts(self) -> dict[str, Any]:
        """What it asks of a cell: arm, branch, point and the axes that it names."""
        return dict(zip(PARTS, self[:3], strict=True)) | dict(self.axes)

    def is_of(self, key: Sequence[Any], names: Sequence[str]) -> bool:
        """Whether it may mean the cell with this key; what `names` lacks is left open."""
        of_cell = dict(zip(names, key, strict=True))
        return all(of_cell.get(name, value) == value for name, value in self.parts.items())

    def __str__(self) -> str:
        """'large/switch_small@2, batch size 64'."""
        point = self.point if isinstance(self.point, str) else f'{self.point:g}'
        at = '' if self.point == ABSENT else f'@{point}'
        unnamed = self.arm == ALL and self.axes and not at
        name = f'{self.arm}/{self.branch}{at}' if self.branch else '' if unnamed else f'{self.arm}{at}'
        values = [f'{axis_labels.words(axis)} {axis_labels.text(value)}' for axis, value in self.axes]
        return ', '.join([*([name] if name else []), *values])


def at(arm: str = ALL, *, branch: str = ABSENT, point: float | str = ABSENT, **axes: Any) -> Selector:
    """A cell by its parts; the name of an arm may hold branch and point: 'large/switch_small@2'."""
    if '/' in arm:
        arm, _, branch = arm.partition('/')
        branch, _, epoch = branch.partition('@')
        point = float(epoch) if epoch else point
    return Selector(arm, branch, point, tuple(axes.items()))


Cell = str | Selector


def to_selector(cell: Cell) -> Selector:
    """The cell that a name or a selector names."""
    return at(cell) if isinstance(cell, str) else cell
