"""A smooth curve over the batch size: levels of ln(examples to a target), ln(seconds per example), … at any B.

Prior. f over x = ln B is an integrated Wiener process (a cubic smoothing spline, Wahba 1990): a level, a slope at the
smallest B, and a slope that wanders by τ per √(unit of x). Beside it every batch size has a quirk of its own, N(0, q²):
neighbours differ by more than their seeds do, as a rate that suits one of them shows.

Constants, from what is known of such curves rather than from tables. Between "examples do not grow with B" and "steps
do not fall" the slope of ln(examples) is from 0 to 1, and on the hyperbola 1 + B/B_crit its derivative is B_crit·B/
(B + B_crit)² ≤ 1/4; the same bounds hold for time per example c₀ + c₁/B. So the slope is N(0, 1), and ln τ is around
ln 1/4. Quirks are around 4 %. Both are uncertain by a factor of 2 (one standard deviation), on a grid.
"""

import numpy as np

from bsresearch.advice.fits.levels import Shape

SLOPE = 1.0
ROUGHNESS, QUIRK = 0.25, 0.04
FACTORS = 2.0 ** np.arange(-2, 3)
# Of the level itself, in ln: no opinion.
ANYWHERE = 10.0


def smooth(batch_size: np.ndarray, centre: float) -> Shape:
    """Curves over the batch sizes, (k,), with levels around `centre`; the parameter is τ."""
    x = np.log(batch_size)
    x = x - x.min()
    straight = ANYWHERE**2 + SLOPE**2 * np.outer(x, x)
    shorter, longer = np.minimum.outer(x, x), np.maximum.outer(x, x)
    wander = shorter**2 * (3 * longer - shorter) / 6
    rough, own = (grid.ravel() for grid in np.meshgrid(FACTORS, FACTORS))
    roughness, quirk = ROUGHNESS * rough, QUIRK * own
    covariance = straight + roughness[:, None, None] ** 2 * wander + quirk[:, None, None] ** 2 * np.eye(len(x))
    weight = doubt(rough) + doubt(own)
    return Shape(roughness, weight, np.full((len(rough), len(x)), centre), covariance)


def doubt(factors: np.ndarray) -> np.ndarray:
    """Log weight of factors by which something that is uncertain by a factor of 2 is not what is expected."""
    return -(np.log2(factors) ** 2) / 2
