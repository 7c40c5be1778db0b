"""What rules for the learning rate cost against the rate that is advised at each batch size: none, √B, linear in B.

A rule starts from the rate advised at the smallest batch size tried, where it costs nothing: ε·(B/B₀)^p. Values at its
rates and at the advised ones are interpolated in ln rate between the cells of the batch size, diverged ones included.
Adam's rule of a half-life in examples changes β, not the rate: runs that hold β fixed do not tell its price.
"""

from typing import NamedTuple

import numpy as np

from bsresearch.advice.rates import Rates

POWERS = {'none': 0.0, '√': 0.5, 'linear': 1.0}


class Price(NamedTuple):
    """Of a rule, in the unit of the values: the mean over batch sizes, the worst, and at which that is.

    untold: at how many batch sizes its rate lies outside of those tried.
    """

    rule: str
    mean: float
    worst: float
    worst_at: float
    untold: int


def prices(rates: Rates) -> list[Price]:
    """Of all rules, over the batch sizes tried above the smallest; of those that can be told at one at least."""
    sizes = np.unique(rates.cells.batch_size)
    named = rates.choice[np.searchsorted(rates.batch_size, sizes)]
    judged = []
    for rule, power in POWERS.items():
        by_rule = named[0] * (sizes / sizes[0]) ** power
        costs = [
            _value(rates, b, rate) - _value(rates, b, best) for b, rate, best in zip(sizes, by_rule, named, strict=True)
        ]
        known = ~np.isnan(costs[1:])
        if known.any():
            worst = int(np.nanargmax(costs[1:])) + 1
            judged.append(
                Price(rule, float(np.nanmean(costs[1:])), costs[worst], float(sizes[worst]), int((~known).sum()))
            )
    return judged


def _value(rates: Rates, size: float, rate: float) -> float:
    """Interpolated; NaN outside of the rates tried at a batch size."""
    own = rates.cells.batch_size == size
    x, y = np.log(rates.cells.learning_rate[own]), rates.cells.value[own]
    return float(np.interp(np.log(rate), x, y, left=np.nan, right=np.nan))
