"""The table that advice is given on: a row per run, whatever it was read from."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

# Units of a run's length. Steps are counted in examples: in a unit that does not depend on the batch size.
STEPS, EPOCHS, EXAMPLES = 'steps', 'epochs', 'examples'
# Distinct lengths that show how often runs were evaluated, as their greatest common divisor.
SHOWING = 8


class Refusal(ValueError):
    """Advice that cannot be given: the reason and the cure, in one line."""


class Runs(NamedTuple):
    """n runs.

    Attributes:
      batch_size: (n,) examples per update. learning_rate: (n,); None where the table has none.
      length: (n,) how far each went, to its target or to its end, in `unit`; NaN where it is not known.
      reached: (n,) whether it came to its target; a run that did not is censored there.
      granularity: (n,) lengths are multiples of that, rounded up; 0: exact.
      unit: of `length`: epochs, or examples (steps times B). told: the unit of the table.
      seconds, joules: (n,) per unit of length; NaN where not known.
      loss: (n,) what is best when lowest (an accuracy with its sign turned); NaN: not known; ∞: it diverged.
      metric: its name; '' without one. falling: whether the metric itself is best when lowest.
      held: what was alike in all runs, `column=value`. notes: what else to know of the table, a sentence each.
      possible: the least and the greatest loss that there can be. searched: whether the runs of each batch size are
        those of the setting that won a search there.
    """

    batch_size: np.ndarray
    learning_rate: np.ndarray | None
    length: np.ndarray
    reached: np.ndarray
    granularity: np.ndarray
    unit: str
    told: str
    seconds: np.ndarray
    joules: np.ndarray
    loss: np.ndarray
    metric: str = ''
    falling: bool = True
    held: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    possible: tuple[float, float] = (-math.inf, math.inf)
    searched: bool = False

    @property
    def sizes(self) -> np.ndarray:
        """The batch sizes that were tried, rising."""
        return np.unique(self.batch_size)

    @property
    def timed(self) -> bool:
        """Whether there is a length to a target, and not only a loss at the end."""
        return bool(self.reached.any())

    @property
    def several_rates(self) -> bool:
        """Whether some batch size was tried with more than one learning rate."""
        rate = self.learning_rate
        return rate is not None and any(len(np.unique(rate[self.batch_size == size])) > 1 for size in self.sizes)

    def where(self, kept: np.ndarray) -> 'Runs':
        """Some of them, by a mask or places, (n,)."""
        columns = {name: value[kept] for name, value in self._asdict().items() if isinstance(value, np.ndarray)}
        return self._replace(**columns)

    @property
    def low(self) -> np.ndarray:
        """(n,) ln of the length that a run needed more than, in `unit`; -∞ where nothing is known.

        Of a run that stopped at an unknown length without its target: the longest that reached it at its own batch
        size, or without any there at all.
        """
        with np.errstate(divide='ignore', invalid='ignore'):
            known = np.log(np.where(self.reached, self.length - self.granularity, self.length))
        known = np.where(np.isnan(self.length), self.longest, known)
        return np.where(np.isnan(known), -np.inf, known)

    @property
    def high(self) -> np.ndarray:
        """(n,) ln of the length that was enough; ∞ of a run that did not reach its target."""
        with np.errstate(divide='ignore', invalid='ignore'):
            return np.where(self.reached, np.log(self.length), np.inf)

    @property
    def longest(self) -> np.ndarray:
        """(n,) ln of the longest that reached its target at a run's batch size; without any there, of all; or NaN."""
        lengths = np.where(self.reached, self.length, -np.inf)
        longest = np.full(len(lengths), lengths.max())
        for size in self.sizes:
            own = self.batch_size == size
            if self.reached[own].any():
                longest[own] = lengths[own].max()
        with np.errstate(invalid='ignore', divide='ignore'):
            return np.log(np.where(np.isfinite(longest), longest, np.nan))


def granularity(lengths: Iterable[float]) -> float:
    """What all lengths are multiples of, where they are whole numbers and enough of them differ; 0: they are exact."""
    known = np.unique(np.array([x for x in lengths if np.isfinite(x)]))
    if len(known) < SHOWING or (known != np.round(known)).any() or known[-1] >= 2**53:
        return 0.0
    divisor = float(np.gcd.reduce(known.astype(np.int64)))
    return divisor if divisor > 1 else 0.0
