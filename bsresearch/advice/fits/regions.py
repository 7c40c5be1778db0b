"""The three regions of ln steps against ln B: perfect scaling, diminishing returns, none (Shallue et al. 2019).

The rule, on the slope of ln steps between neighbours that were tried: perfect scaling up to −0.8, no returns from −0.2,
diminishing between. On the hyperbola S_min(1 + B_crit/B) the slope is −B_crit/(B + B_crit), so these are B_crit/4 and
4·B_crit. Two names are for what is none of the three, as far beyond their ends: below −1.2 smaller batches need more
examples, above 0.2 larger ones need more steps. A stretch is in the region that holds 95 % of its draws, and undecided
where none does.
Reference: arXiv:1811.03600, figure 1 (the three; the bounds are ours).
"""

from typing import NamedTuple

import numpy as np

BOUNDS = (-1.2, -0.8, -0.2, 0.2)
NAMES = ('fewer examples with a larger batch', 'perfect scaling', 'diminishing returns', 'no returns', 'more steps')
UNDECIDED = 'undecided'
LEVEL = 0.95


class Stretch(NamedTuple):
    """Between two batch sizes. slope, low, high: of ln steps, with its 95 % interval. region: one of NAMES."""

    smaller: float
    larger: float
    slope: float
    low: float
    high: float
    region: str


def stretches(batch_size: np.ndarray, growth: np.ndarray) -> list[Stretch]:
    """Of (d, k) draws of ln examples at (k,) batch sizes, rising."""
    slopes = np.diff(growth, axis=1) / np.diff(np.log(batch_size)) - 1
    regions = []
    for smaller, larger, slope in zip(batch_size, batch_size[1:], slopes.T, strict=False):
        share = np.bincount(np.digitize(slope, BOUNDS), minlength=len(NAMES)) / len(slope)
        region = NAMES[int(share.argmax())] if share.max() >= LEVEL else UNDECIDED
        low, middle, high = np.quantile(slope, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
        regions.append(Stretch(float(smaller), float(larger), float(middle), float(low), float(high), region))
    return regions


def text(found: list[Stretch]) -> str:
    """Neighbours of one region together."""
    parts: list[list[Stretch]] = []
    for stretch in found:
        if parts and parts[-1][-1].region == stretch.region:
            parts[-1].append(stretch)
        else:
            parts.append([stretch])
    return '; '.join(f'{part[0].smaller:g} to {part[-1].larger:g} {part[0].region}' for part in parts)
