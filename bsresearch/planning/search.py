"""Ranges that hyperparameters are searched in, and quasi-random points (Bousquet et al. 2017, arXiv:1706.03200).

Positive fields are log-uniform, a momentum by its complement 1 − m, lengths uniform.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import qmc

from bsresearch.core import lookup

DIGITS = 4  # of a searched value: what a person can type, and what another machine comes to as well
SEQUENCES = ('sobol', 'halton')
# Of `config.tune`: what is searched → the field of a run.
FIELDS = {
    'learning_rate': 'learning_rate', 'momentum': 'momentum', 'weight_decay': 'weight_decay',
    'warmup_epochs': 'warmup.epochs',
}  # fmt: skip
Values = Mapping[str, float]  # dotted field of a run → value


@dataclasses.dataclass(frozen=True)
class Range:
    """Of a field, `low` to `high`, on the scale on which it is uniform."""

    field: str
    low: float
    high: float

    def value(self, place: float) -> float:
        """At a place in [0, 1], to DIGITS digits."""
        return float(f'{self._out(self.low + place * (self.high - self.low)):.{DIGITS}g}')

    def place(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return (self._in(value) - self.low) / (self.high - self.low)

    def around(self, value: float) -> 'Range':
        """As wide, with a value in its middle; of a field that has a least value, no further than that."""
        half = (self.high - self.low) / 2
        middle = self._in(value)
        # At the ends of what there is: momentum 0, a length of 0.
        low = max(middle - half, 0.0) if self.field in ('momentum', 'warmup.epochs') else middle - half
        return Range(self.field, low, low + 2 * half)

    def _in(self, value: float) -> float:
        return of_scale(self.field)[0](value)

    def _out(self, number: float) -> float:
        return of_scale(self.field)[1](number)


def of_scale(field: str) -> tuple[Callable[[float], float], Callable[[float], float]]:
    """A field's value → the number that is uniform, and back."""
    if field == 'momentum':
        return (lambda m: -math.log1p(-m)), (lambda x: -math.expm1(-x))
    return (float, float) if field == 'warmup.epochs' else (math.log, math.exp)


def ranges(section: Mapping[str, Any]) -> list[Range]:
    """Those that `config.tune` gives.

    Raises:
      ValueError: none, or one that cannot be.
    """
    searched = []
    for name, field in FIELDS.items():
        if given := tuple(section[name]):
            searched.append(_range(name, field, given))
    if not searched:
        raise ValueError(
            f'config.study=tune needs a range to search: one of {", ".join(f"config.tune.{name}" for name in FIELDS)}, '
            'such as config.tune.learning_rate=(0.001,1.0)'
        )
    return searched


def _range(name: str, field: str, given: Sequence[float]) -> Range:
    least, most = (0.0, 1.0) if field == 'momentum' else (0.0, math.inf)
    open_below = field not in ('momentum', 'warmup.epochs')
    inside = all(math.isfinite(v) and least <= v < most and not (open_below and v == 0) for v in given)
    if len(given) != 2 or not inside or given[0] >= given[1]:
        bounds = 'in [0, 1)' if field == 'momentum' else 'above 0' if open_below else 'of at least 0'
        raise ValueError(
            f'config.tune.{name}={given}: two rising numbers {bounds} are needed, the lowest and the highest'
        )
    change = of_scale(field)[0]
    return Range(field, change(given[0]), change(given[1]))


def points(sequence: str, dimensions: int, count: int, seed: int) -> np.ndarray:
    """(count, dimensions) of a scrambled sequence in [0, 1): the first of them are those of a shorter one.

    Raises:
      ValueError: an unknown sequence.
    """
    if sequence == 'sobol':
        power = max(0, math.ceil(math.log2(max(count, 1))))
        return qmc.Sobol(dimensions, rng=np.random.default_rng(seed)).random_base2(power)[:count]
    if sequence == 'halton':
        return qmc.Halton(dimensions, rng=np.random.default_rng(seed)).random(count)
    raise ValueError(f'config.tune.sequence={sequence!r}: {lookup.nearest(sequence, SEQUENCES)}')


def at(inside: Sequence[Range], place: np.ndarray) -> dict[str, float]:
    """The values at a point of [0, 1)ᵈ."""
    return {one.field: one.value(float(x)) for one, x in zip(inside, place, strict=True)}


def moved(inside: Sequence[Range], best: Values, tried: Sequence[Values]) -> list[Range]:
    """The ranges for what follows: one of which the best value is the smallest or largest tried is moved around it."""
    ends = {one.field: {end(values[one.field] for values in tried) for end in (min, max)} for one in inside if best}
    return [one.around(best[one.field]) if best.get(one.field) in ends.get(one.field, ()) else one for one in inside]
