"""The critical batch size of steps to a target: (S/S_min − 1)(E/E_min − 1) = 1, fitted in logarithms, or refused.

The law says E(B) = E_min(1 + B/B_crit), S = E/B and B_crit = E_min/S_min (McCandlish, Kaplan et al. 2018,
arXiv:1812.06162, section 2.3). ln E at each batch size is that plus a quirk as of curve.py, by levels.draw: whole
and censored lengths count for what is known of them. B_crit is on a grid by factors of 1.5, evenly in its logarithm,
from 1/32 of the smallest to 32 times the largest batch size tried; beyond, the law can hardly be told from E or S
constant.

In E (McCandlish's examples, epochs) the law only rises with B, and in S it only falls. Runs that do otherwise are not
described by it, and no B_crit is told: whether that is so is decided by the smooth curve, which may do anything.
"""

import math
from typing import NamedTuple

import numpy as np

from bsresearch.advice.fits import levels
from bsresearch.advice.fits.curve import ANYWHERE, FACTORS, QUIRK, doubt
from bsresearch.advice.fits.levels import Sample, Shape

FEWEST_SIZES = 4
STEP, REACH = 1.5, 32.0
# A rise or fall that counts: runs of one batch size differ by as much.
NOTABLE = 1.1
LEVEL = 0.95


class Hyperbola(NamedTuple):
    """B_crit in examples, with its 95 % interval: low 0, high ∞ where that end cannot be told.

    critical, low, high; examples: E_min in the unit of the lengths; steps: S_min = E_min/B_crit. residuals: (k,) ln of
    what was found over what the law says, at each batch size. largest: tried. refusal: why there is no law, else ''.
    """

    critical: float
    low: float
    high: float
    examples: float
    steps: float
    residuals: np.ndarray
    largest: float
    refusal: str = ''

    @property
    def text(self) -> str:
        """In words."""
        if self.refusal:
            return f'no critical batch size: {self.refusal}'
        if self.low >= self.largest:
            return f'B_crit > {self.largest:,.0f}, the largest tried: the length to the target does not grow yet'
        if math.isinf(self.high):
            return f'B_crit > {self.low:,.0f}: its upper end cannot be told from batch sizes up to {self.largest:,.0f}'
        if self.low == 0:
            return f'B_crit < {self.high:,.0f}: its lower end cannot be told from these batch sizes'
        return f'B_crit = {self.critical:,.0f} ({self.low:,.0f} to {self.high:,.0f})'


def shape(batch_size: np.ndarray, centre: float) -> Shape:
    """The law at (k,) batch sizes, with E around exp(centre); the parameter is ln B_crit."""
    first, last = batch_size.min() / REACH, batch_size.max() * REACH
    grid = np.log(np.geomspace(first, last, math.ceil(math.log(last / first, STEP)) + 1))
    critical, factors = (each.ravel() for each in np.meshgrid(grid, FACTORS[::2]))
    rise = np.log1p(batch_size / np.exp(critical)[:, None])
    covariance = ANYWHERE**2 + (QUIRK * factors[:, None, None]) ** 2 * np.eye(len(batch_size))
    mean = centre + rise - rise.mean(axis=1, keepdims=True)
    return Shape(critical, doubt(factors), mean, covariance)


def fit(batch_size: np.ndarray, sample: Sample, growth: np.ndarray, spread: float) -> Hyperbola:
    """The law through the runs.

    Args:
      batch_size: (k,) tried, rising. sample: the runs, their places among those. growth: (d, k) draws of ln length by
        the smooth curve. spread: as of levels.draw.
    """
    nothing = np.full(len(batch_size), np.nan)
    reason, largest = refusal(batch_size, growth), float(batch_size[-1])
    if reason:
        return Hyperbola(math.nan, math.nan, math.nan, math.nan, math.nan, nothing, largest, reason)
    draws = levels.draw(shape(batch_size, float(sample.middle.mean())), sample, spread, seed=3)
    grid = np.unique(draws.parameter)
    step = math.log(STEP) if len(grid) < 2 else float(np.diff(grid).min())
    critical = draws.parameter + step * (np.random.default_rng(4).random(len(draws.parameter)) - 0.5)
    low, middle, high = np.exp(np.quantile(critical, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2]))
    law = np.log1p(batch_size / np.exp(critical)[:, None])
    examples = float(np.exp(np.median((draws.level - law).mean(axis=1))))
    # As far from the tried ones as that, ends are those of the grid.
    low = 0.0 if low < batch_size[0] / (REACH / 2) else float(low)
    high = math.inf if high > batch_size[-1] * (REACH / 2) else float(high)
    mean_growth = growth.mean(axis=0)
    residuals = mean_growth - (math.log(examples) + np.log1p(batch_size / middle))
    return Hyperbola(float(middle), low, high, examples, examples / float(middle), residuals, largest)


def refusal(batch_size: np.ndarray, growth: np.ndarray) -> str:
    """Why the law does not hold for the smooth curve's draws of ln length, (d, k); '' where it may."""
    if len(batch_size) < FEWEST_SIZES:
        return f'{len(batch_size)} batch sizes reached the target, and a law of two numbers needs {FEWEST_SIZES}'
    for i in range(len(batch_size)):
        for j in range(i + 1, len(batch_size)):
            small, large, rise = f'{batch_size[i]:,.0f}', f'{batch_size[j]:,.0f}', growth[:, j] - growth[:, i]
            if _told(-rise):
                shown = f'falls by {100 * -np.expm1(np.median(rise)):.0f} % from B = {small} to {large}'
                shape = 'U-shaped' if _told(growth[:, j:] - growth[:, [j]]) else 'falling'
                return f'the length to the target is {shape} in B ({shown}), and the law only rises'
            if _told(rise - math.log(batch_size[j] / batch_size[i])):
                return f'more steps are needed at B = {large} than at {small}, and the law only falls in steps'
    return ''


def _told(rise: np.ndarray) -> bool:
    """Whether a rise, (d,) or any of (d, m), is told from none by more than what counts."""
    return bool(((rise > math.log(NOTABLE)).mean(axis=0) > (1 + LEVEL) / 2).any())
