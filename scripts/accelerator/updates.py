"""Updates per second of each family, batch size and precision, in turns with PyTorch loops."""

import functools
import statistics
from collections.abc import Iterator
from typing import Any, NamedTuple

from bsresearch.planning import resolve
from bsresearch.train.sizing import flops

from .. import turns
from . import machine
from .work import Row, Work


class Case(NamedTuple):
    """One comparison. compiled: with torch.compile, else with eager PyTorch."""

    family: str
    batch_size: int
    precision: str
    compiled: bool

    def __str__(self) -> str:
        return f'{self.family}, B = {self.batch_size}, {self.precision}{", torch.compile" if self.compiled else ""}'


def cases(work: Work, precisions: list[str], against: str) -> list[Case]:
    """All, in the order in which they are worth their time: the first batch size and the first precision first,
    torch.compile, which takes many times as long to prepare, at the first batch size before all else that is left.
    """
    every = [
        Case(family, size, precision, compiled)
        for compiled in ((False, True) if against else (False,))
        for size in work.batch_sizes
        for precision in precisions
        for family in work.families
    ]

    def rank(case: Case) -> int:
        first = case.batch_size == work.batch_sizes[0]
        if case.compiled:
            return 1 if first else 3
        return 0 if first or case.precision == precisions[0] else 2

    return sorted(every, key=rank)


def compared(work: Work, against: str, case: Case) -> Iterator[Row]:
    """One case: all sides in turns, each in its process. `against`: PyTorch's device."""
    plan = turns.plan(case.family, case.batch_size, machine.FIELDS[case.precision])
    ours, compile_seconds = turns.of_run(plan)
    settings, loops = {'device': against, 'precision': case.precision}, dict[str, dict[str, Any]]()
    if against and case.compiled:
        loops['torch.compile'] = settings | {'compiled': True}
    elif against:
        loops['eager'] = settings
        if case.family != 'mlp':
            loops['channels last'] = settings | {'channels_last': True}
    with turns.beside_torch({'ours': ours}, plan, turns.FAMILIES[case.family], loops) as sides:
        rates = turns.rates(sides, turns.lengths(sides, work.seconds), work.rounds)
    middle = {name: statistics.median(of_side) for name, of_side in rates.items()}
    operations = flops.of_update([plan], resolve.dataset(plan.data), case.batch_size)
    row: Row = {
        'network': case.family, 'B': case.batch_size, 'precision': case.precision, 'ours, updates/s': middle['ours'],
        'share': middle['ours'] * operations / machine.product_rate(case.precision),
    }  # fmt: skip
    if not case.compiled:  # else it is compiled already
        row['compiling, s'] = compile_seconds
    for name in loops:
        row |= {f'{name}, updates/s': middle[name], f'ours / {name}': turns.Ratio.of(rates['ours'], rates[name])}
    yield row | {'turns': work.rounds}


def rows(work: Work) -> Iterator[Row]:
    """A row for each case."""
    against, lacking = machine.torch_device()
    yield from lacking
    precisions, lacking = machine.precisions(work)
    yield from lacking
    yield from work.in_time(cases(work, precisions, against), functools.partial(compared, work, against))
