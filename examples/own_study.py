"""A probe and a study of one's own: how coarsely can trained weights be rounded?

    bsresearch run --config=quickstart --config.study=examples/own_study.py:stages \
        --config.probe.name=examples/own_study.py:rounding --workdir=runs/rounding

Weights that bear coarse rounding lie in a flat region: another way to ask whether small batches find those.
"""

from collections.abc import Sequence

import jax
import numpy as np

from bsresearch.measure.probes import Arrays, Kind, Place
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.planning.recording import probe_points
from bsresearch.planning.stages import Stages

SECTIONS = {'probe': None}  # of the config, what the study uses: all fields of `config.probe`


def stages(plans: list[Plan]) -> Stages:
    """The runs of the config; then a probe of each, at its points or, where none are given, at its end."""
    yield plans
    of_run = lambda run: [(run, step) for step in probe_points(run.recording['probe'], run.length)]
    yield [Probe(run.study, run.recording['probe'], (point,), 0.0) for run in plans for point in of_run(run)]


def rounding(*, bits: tuple[int, ...] = (8, 6, 4, 3, 2)) -> Kind:
    """The probe: losses and accuracies of the weights rounded to so many bits, each array by its largest entry."""
    if min(bits) < 2:
        raise ValueError(f'bits={bits}: at least 2 each')

    def run(place: Place, learning_rate: float, block: int) -> Arrays:
        coarse = jax.tree.map(lambda w: rounded(w, bits[block]), place.params[0])
        return {name: np.array(value) for name, value in place.evaluate(coarse, place.stats[0]).items()}

    def finish(place: Place, blocks: Sequence[Arrays]) -> Arrays:
        return {'bits': np.array(bits)} | {name: np.stack([b[name] for b in blocks]) for name in blocks[0]}

    return Kind(lambda shapes, examples, ghost: None, len(bits), run, finish)


def rounded(weights: np.ndarray, bits: int) -> np.ndarray:
    """To the nearest of 2ᵇⁱᵗˢ − 1 evenly spaced values, 0 among them."""
    step = np.abs(weights).max() / (2 ** (bits - 1) - 1) or 1.0
    return (np.round(weights / step) * step).astype(weights.dtype)
