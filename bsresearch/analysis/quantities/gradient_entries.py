"""Entries x of a gradient from the records of a walk (measure/probes/walk.py): how heavy their tails are.

counts: (2 × bins,) of x, or (batch sizes, 2 × bins); edges: (bins + 1,) of |x|, each a constant factor above the last.
"""

import numpy as np


def kurtosis(fourth: np.ndarray | float, square: np.ndarray | float, entries: np.ndarray | float) -> np.ndarray:
    """E x⁴/(E x²)² of a gradient's entries from means over trials of Σ x⁴ and of Σ x²; NaN for a gradient of zeros."""
    with np.errstate(invalid='ignore', divide='ignore', over='ignore'):
        return np.asarray(fourth / entries / (square / entries) ** 2)


def quantiles(counts: np.ndarray, edges: np.ndarray) -> dict[str, float]:
    """Quantiles of |x|, as exact as its bins, and the ratio of the 99.9 % one to the median."""
    half = len(counts) // 2
    sizes = (counts[half:] + counts[:half][::-1]).astype(np.float64)
    share = np.cumsum(sizes) / sizes.sum()
    # The geometric middle of the bin in which that part of the entries is reached.
    place = np.searchsorted(share, (0.5, 0.999))
    median, high = np.sqrt(edges[place] * edges[place + 1]).tolist()
    return {'q50': median, 'q999': high, 'tail_ratio': high / median}


def densities(
    counts: np.ndarray, edges: np.ndarray, largest: np.ndarray, bins: int = 121
) -> tuple[np.ndarray, list[np.ndarray]]:
    """(edges, densities per batch size) on an even grid up to the largest of max |x|, any shape, that is finite.

    The logarithmic bins of the records are spread evenly over the even ones that they cover.
    """
    top = float(largest[np.isfinite(largest)].max(initial=edges[1]))
    grid = np.linspace(-top, top, bins + 1)
    signed = np.concatenate([-edges[::-1], edges[1:]])
    signed[len(edges) - 1] = 0  # the innermost bins hold zero too
    heights = []
    for of_size in counts:
        below = np.concatenate([[0.0], np.cumsum(of_size)]) / max(int(of_size.sum()), 1)
        heights.append(np.diff(np.interp(grid, signed, below)) / np.diff(grid))
    return grid, heights
