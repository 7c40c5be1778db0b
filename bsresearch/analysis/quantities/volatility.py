"""How unsteady training stays.

Volatility: the sample standard deviation √(Σ(a − ā)²/(n − 1)) of a metric over the n evaluations in the last k epochs,
T − k < epoch ≤ T. A trend counts as volatility; without it, √(Σr²/(n − 2)) of the residuals r of the least-squares line
in the epoch. Both in the metric's unit.
"""

import numpy as np


def deviation(epochs: np.ndarray, values: np.ndarray, *, detrend: bool = False) -> float:
    """Standard deviation of `values` (n,), about their line in `epochs` (n,) with `detrend`; NaN where n is too small.

    The smallest n is 2, or 3 with `detrend`.
    """
    parameters = 2 if detrend else 1
    if len(values) <= parameters:
        return float('nan')
    rest = values - values.mean()
    if detrend:
        t = epochs - epochs.mean()
        rest = rest - t * (t @ rest) / (t @ t)
    return float(np.sqrt(rest @ rest / (len(values) - parameters)))


def window(total_epochs: float, last: float | None) -> float:
    """k, the last epochs of a run that count: `last`, or a quarter of the run.

    Raises:
      ValueError: `last` is not positive, or longer than the run.
    """
    if last is None:
        return total_epochs / 4
    if not 0 < last <= total_epochs:
        raise ValueError(
            f'volatility over the last {last:g} epochs of a run of {total_epochs:g}: allowed are more than 0 and at '
            f'most {total_epochs:g}; give fewer'
        )
    return last
