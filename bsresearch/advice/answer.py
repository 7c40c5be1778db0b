"""What an advice consists of."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from bsresearch.advice.growth import Growth
from bsresearch.advice.rules import Price
from bsresearch.advice.table import Runs
from bsresearch.advice.throughput import Throughput


class Quantity(NamedTuple):
    """What is expected, with the ends of its range; refusal: why it cannot be told, else ''."""

    choice: float = math.nan
    low: float = math.nan
    high: float = math.nan
    refusal: str = ''

    def times(self, factor: float) -> 'Quantity':
        """In another unit; a negative factor turns its ends."""
        low, high = sorted((self.low * factor, self.high * factor))
        return Quantity(self.choice * factor, low, high, self.refusal)


class Row(NamedTuple):
    """A batch size.

    Attributes:
      runs, reached: how many there are. as_good: as the one that is named. dearer: expected cost over that of the one
        named, as a share of it (of a loss: in its unit). expected: of a new run, by quantity, with a 95 % interval.
      rate: to train with; edge: whether it is the 'smallest' or 'largest' tried there. pareto: of those tried, none is
        as good in all quantities and better in one. refusal: why nothing is told.
    """

    batch_size: float
    runs: int = 0
    reached: int = 0
    as_good: bool = False
    dearer: float = math.nan
    expected: Mapping[str, Quantity] = {}
    rate: Quantity = Quantity()
    edge: str = ''
    pareto: bool = False
    refusal: str = ''


class NextRun(NamedTuple):
    """One more run.

    gain: by how much less is expected of what is named then, as a share (of a loss: in its unit). expected: as of Row.
    """

    batch_size: float
    rate: float
    gain: float
    expected: Mapping[str, Quantity]


class Advice(NamedTuple):
    """What is advised.

    Attributes:
      goal: one of GOALS. row: of the batch size that is named, one of `rows`. others: what other goals would name, with
        all as good. growth: of the length with B. throughput: against B. prices: of rules for the rate, in ln of the
        length (of a loss: in its unit). rates_refused: why a rate cannot be told where some batch size had several.
    """

    goal: str
    batch_size: Quantity
    row: Row
    rows: list[Row]
    others: Mapping[str, Quantity]
    next_runs: list[NextRun]
    growth: Growth | None
    throughput: Throughput | None
    prices: list[Price]
    rates_refused: str
    runs: Runs
