"""Critical batch sizes, each by its own definition, in examples, with what its two ends are.

hyperbola: B_crit = E_min/S_min of (S/S_min − 1)(E/E_min − 1) = 1, over whole runs to a target (arXiv:1812.06162).

20 % overhead: the B whose examples exceed those of linear scaling from B_0 by 20 % (arXiv:2410.21676). On the same law
E(B) = E_min(1 + B/B_crit), so that 1 + B*/B_crit = 1.2(1 + B_0/B_crit): B* = B_crit/5 + 1.2·B_0.

branched: the largest batch that costs no loss over a window from one point of a run (arXiv:2505.23971).

B_simple: tr Σ/|G|² at that point. B_noise: tr(HΣ)/GᵀHG there (arXiv:1812.06162).
"""

import math
from typing import NamedTuple

import numpy as np

from bsresearch.advice.critical.branches import Branches
from bsresearch.advice.fits.hyperbola import Hyperbola
from bsresearch.analysis import ratio
from bsresearch.analysis.quantities.branched import rates
from bsresearch.analysis.quantities.branched.critical import CriticalBatchSizes

HYPERBOLA, OVERHEAD, SIMPLE, CURVED = 'hyperbola', '20 % overhead', 'B_simple', 'B_noise'
BRANCHED = {rate: f'branched, {rate}' for rate in rates.RATES}
SCALES = {'noise_scale': (SIMPLE, 'tr Σ/|G|²'), 'curvature_noise_scale': (CURVED, 'tr(HΣ)/GᵀHG')}
EXCESS = 0.2  # of examples, over linear scaling


class Size(NamedTuple):
    """A critical batch size in examples.

    name: of its definition. value, low, high: 0 and ∞ where an end cannot be told, NaN where nothing can. definition:
    in words, with what the ends are. refusal: why there is none, else ''.
    """

    name: str
    value: float
    low: float
    high: float
    definition: str
    refusal: str = ''

    @property
    def told(self) -> str:
        """`412 (280 to 640)`, `≥ 280`, `< 640`."""
        if self.refusal:
            return f'none: {self.refusal}'
        if math.isinf(self.high) and self.low > 0:
            return f'≥ {self.low:,.0f}'
        if self.low == 0 and math.isfinite(self.high):
            return f'< {self.high:,.0f}'
        if not math.isfinite(self.value) or self.low == 0:
            return 'anything: neither end can be told'
        return f'{self.value:,.0f}' + ('' if math.isnan(self.low) else f' ({self.low:,.0f} to {self.high:,.0f})')


def of_law(law: Hyperbola, smallest: float) -> list[Size]:
    """The two of runs to a target.

    Args:
      smallest: B_0, the smallest batch size that was tried.
    """
    overhead = [EXCESS * critical + (1 + EXCESS) * smallest for critical in (law.critical, law.low, law.high)]
    return [
        Size(HYPERBOLA, law.critical, law.low, law.high,
             'E_min/S_min: twice the fewest examples and twice the fewest updates; 95 % interval', law.refusal),
        Size(OVERHEAD, overhead[0], overhead[1], overhead[2],
             f'20 % more examples than by linear scaling from the smallest, B_0 = {smallest:g}: B_crit/5 + 1.2·B_0',
             law.refusal),
    ]  # fmt: skip


def of_branches(branches: Branches) -> list[Size]:
    """Those of one point, of each rate that was tried, and the noise scales there."""
    return [*(_branched(one, branches) for one in branches.sizes), *_scales(branches)]


def _branched(sizes: CriticalBatchSizes, branches: Branches) -> Size:
    points, row = branches.points(sizes), branches.row(sizes)
    holding = f', which holds the median with {100 * (1 - 2.0 ** (1 - row["n"])):.0f} %' if row['n'] > 1 else ''
    spread = f'range of {row["n"]:g} of {len(points)} seeds{holding}'
    definition = (
        f'the largest batch whose branch ends within {row["tolerance"]:.2g} nats of all smaller ones after '
        f'{branches.window:,.0f} examples, {rates.MEANINGS[sizes.rate]}; {spread}'
    )
    if not row['n']:
        return Size(BRANCHED[sizes.rate], math.nan, math.nan, math.nan, definition, 'its branches are not finished')
    return Size(BRANCHED[sizes.rate], row['critical'], row['least'], row['most'], definition)


def _scales(branches: Branches) -> list[Size]:
    """Of five seeds at least with the interval over seeds; of fewer with their ranges."""
    points, scales = branches.points(branches.sizes[0]), []
    for column, (name, formula) in SCALES.items():
        known = points[points[column].notna()]
        if not len(known):
            continue
        of_seeds, kind = (
            ratio.of_pairs(*(known[f'{column}_{part}'].to_numpy() for part in ('above', 'below'))),
            '95 % interval',
        )
        if np.isnan(of_seeds.low):
            lows, highs = known[f'{column}_low'], known[f'{column}_high']
            whole = bool(lows.notna().all() and highs.notna().all())
            ends = (lows.min(), highs.max()) if whole else (known[column].min(), known[column].max())
            of_seeds, kind = (
                ratio.Ratio(of_seeds.value, *map(float, ends)),
                '95 % intervals together' if whole else 'range',
            )
        definition = f'{formula} of the parents near the point; {kind} of {len(known)} seeds'
        scales.append(Size(name, of_seeds.value, of_seeds.low, of_seeds.high, definition))
    return scales
