"""Laws of squared gradient norms against the batch size B, by least squares, every batch size counting the same.

Fitted to means over trials: a + b/B (sampling noise; McCandlish et al. 2018, arXiv:1812.06162, appendix A.1), a + b·B
and a + b·√B (readings of the walking norm in Shen 2018). a and b are means over trials of each trial's own fit, with
Student's interval; that of R² leaves trials out (jackknife.py). Simulated, they cover 94 to 95 % from 20 trials on,
that of R² from 50; below there is none.
"""

import numpy as np
import pandas as pd

from bsresearch.analysis import jackknife, summary

LAWS = {'b/B': lambda b: 1 / b, 'b·B': lambda b: b, 'b·√B': np.sqrt}
FEWEST_R2 = 50  # trials


def least_squares(basis: np.ndarray, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """a, b and R² of a + b·basis; squares: (n, batch sizes), fitted row by row."""
    x = basis - basis.mean()
    centred = squares - squares.mean(axis=1, keepdims=True)
    b = centred @ x / (x @ x)
    residual = ((centred - b[:, None] * x) ** 2).sum(axis=1)
    with np.errstate(invalid='ignore', divide='ignore'):
        r2 = 1 - residual / (centred**2).sum(axis=1)
    return squares.mean(axis=1) - b * basis.mean(), b, r2


def fits(batch_sizes: np.ndarray, squares: np.ndarray) -> pd.DataFrame:
    """One row per law: a, b, R² and their 95 % intervals. batch_sizes: (k,). squares: (trials, k).

    Raises:
      ValueError: fewer than 3 batch sizes.
    """
    if len(batch_sizes) < 3:
        raise ValueError(f'{len(batch_sizes)} batch sizes: a law needs at least 3')
    n, rows = len(squares), []
    for law, basis in LAWS.items():
        x = basis(batch_sizes.astype(np.float64))
        row: dict[str, object] = {'law': f'a + {law}'}
        for name, each in zip(('a', 'b'), least_squares(x, squares)[:2], strict=True):
            ends = np.full((2, 1), np.nan)
            if n >= jackknife.FEWEST:
                ends = summary.interval(np.array([n]), each.mean(keepdims=True), each.std(ddof=1, keepdims=True))
            row |= {name: float(each.mean()), f'{name}_low': float(ends[0][0]), f'{name}_high': float(ends[1][0])}
        r2, half = _r2(x, squares)
        rows.append(row | {'r2': r2, 'r2_low': r2 - half, 'r2_high': min(r2 + half, 1.0) if half == half else np.nan})
    return pd.DataFrame(rows)


def _r2(basis: np.ndarray, squares: np.ndarray) -> tuple[float, float]:
    """R² of the fit to the mean of (trials, batch sizes) squares, and half of its interval."""
    of_mean = lambda trials: float(least_squares(basis, trials.mean(axis=0, keepdims=True))[2][0])
    if len(squares) < FEWEST_R2:
        return of_mean(squares), np.nan
    groups = jackknife.groups(len(squares))
    without = np.array([of_mean(np.delete(squares, group, axis=0)) for group in groups])
    error = jackknife.error(of_mean(squares), without, groups)
    return of_mean(squares), float(summary.half_width(error, len(groups) - 1))
