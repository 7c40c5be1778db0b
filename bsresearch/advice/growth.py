"""How the length to the target grows with the batch size: the law, its refusal, and the three regions."""

from typing import NamedTuple

import numpy as np

from bsresearch.advice import estimates
from bsresearch.advice.estimates import Estimates
from bsresearch.advice.fits import hyperbola, regions
from bsresearch.advice.fits.hyperbola import Hyperbola
from bsresearch.advice.fits.levels import Sample
from bsresearch.advice.table import Runs


class Growth(NamedTuple):
    """law: with its refusal. sizes: (k,) batch sizes at which some run reached the target. stretches: between those."""

    law: Hyperbola
    sizes: np.ndarray
    stretches: list[regions.Stretch]


def of(runs: Runs, found: Estimates) -> Growth:
    """From runs that are alike but for the batch size, and the smooth curve through them.

    Batch sizes at which no run reached the target bound the law from one side; the regions leave them out.
    """
    sizes = runs.sizes
    sample = Sample(np.searchsorted(sizes, runs.batch_size), runs.low, runs.high)
    levels = found.growth[:, np.searchsorted(found.batch_size, sizes)]
    law = hyperbola.fit(sizes, sample, levels, estimates.LENGTH_SPREAD)
    reached = np.isin(sizes, runs.batch_size[runs.reached])
    return Growth(law, sizes, regions.stretches(sizes[reached], levels[:, reached]))
