"""One option out of several by what each costs, all that are as good, and what to try next: from draws of a posterior.

Costs are compared by differences: those of times are in ln. Named is the option of the least expected cost; one that
was not tried only where it is expected to be better than all that were by more than the margin. As good are the options
that hold the best one in 95 % of the draws, the likeliest first; those that are expected to cost at most the margin
more; and all between.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

LEVEL = 0.95
# Of what a new run would show, the middles of so many equally likely parts.
PARTS = 64


class Choice(NamedTuple):
    """named, low, high: indices of options. dearer: (k,) expected cost over that of the named one. as_good: (k,)."""

    named: int
    low: int
    high: int
    dearer: np.ndarray
    as_good: np.ndarray


def choose(cost: np.ndarray, allowed: np.ndarray, margin: float, tried: np.ndarray | None = None) -> Choice:
    """Of (d, k) draws of the costs of k options in their order; only `allowed` ones, (k,), are named.

    `tried`: (k,) whether there were runs; None: no matter.
    """
    expected = cost.mean(axis=0)
    handicap = np.zeros(len(expected)) if tried is None else np.where(tried, 0.0, margin)
    named = int(np.argmin(np.where(allowed, expected + handicap, np.inf)))
    dearer = expected - expected[named]
    best = np.bincount(np.where(allowed, cost, np.inf).argmin(axis=1), minlength=len(allowed)) / len(cost)
    order = np.argsort(-best, kind='stable')
    likely = np.zeros(len(allowed), bool)
    likely[order[: np.searchsorted(best[order].cumsum(), LEVEL) + 1]] = True
    as_good = allowed & (likely | (dearer <= margin))
    places = np.flatnonzero(as_good)
    return Choice(named, int(places[0]), int(places[-1]), dearer, as_good)


def settled(chosen: Choice, cost: np.ndarray, allowed: np.ndarray) -> Choice:
    """The same where only `allowed` options, (k,), may be named; what is as good reaches to the one that is."""
    expected = cost.mean(axis=0)
    named = int(np.argmin(np.where(allowed, expected, np.inf)))
    ends = min(chosen.low, named), max(chosen.high, named)
    return chosen._replace(named=named, low=ends[0], high=ends[1], dearer=expected - expected[named])


def gains(cost: np.ndarray, run: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(k,) by how much one more run at each option is expected to lower the cost of what is named then.

    The knowledge gradient with correlated beliefs: a run that shows z standard deviations more than expected at option
    i moves the expected cost of j by z·Cov(cost_j, run_i)/σ(run_i), and the least expected cost is named then.
    Reference: Frazier, Powell & Dayanik 2009, INFORMS Journal on Computing 21(4), equations 11 to 13.

    Args:
      cost, run: (d, k) draws of mean costs, and of a single run's. allowed: (k,) as of `choose`.
    """
    z = special.ndtri((np.arange(PARTS) + 0.5) / PARTS)
    expected = cost[:, allowed].mean(axis=0)
    spread = run.std(axis=0)
    shown = (run - run.mean(axis=0)) / np.where(spread > 0, spread, 1.0)  # of one that is known nothing is shown
    moves = (cost[:, allowed] - expected).T @ shown / len(run)  # (options, k)
    after = (expected[:, None, None] + moves[..., None] * z).min(axis=0).mean(axis=-1)
    return expected.min() - after
