"""Measurements by what they cost: `config.measure_preset` switches a set of them on.

economy: passes over the weights alone. standard: also gradients of a few batches. full: also single examples'
gradients, curvature and the whole training set; not sharpness, a search that takes a minute. What the config says of a
measurement itself comes first.
"""

from collections.abc import Mapping
from typing import Any

from bsresearch import lookup
from bsresearch.measure import when

ECONOMY = ('distance', 'relative_distance', 'initial_cosine', 'parameter_norm', 'path_length')
STANDARD = (*ECONOMY, 'gradient_norm', 'update_ratio', 'noise_scale')
FULL = (
    *STANDARD, 'individual_gradients', 'alpha', 'gradient_cosine', 'curvature_noise_scale', 'hessian_eigenvalues',
    'hessian_trace',
)  # fmt: skip
PRESETS: dict[str, tuple[str, ...]] = {'none': (), 'economy': ECONOMY, 'standard': STANDARD, 'full': FULL}
EVERY_EPOCHS = 1.0


def apply(name: str, measure: Mapping[str, Mapping[str, Any]], coupled: bool) -> dict[str, Mapping[str, Any]]:
    """The `measure` section with the preset's measurements every epoch, where it gives no points of their own.

    Args:
      coupled: whether batch norm couples the examples; measurements that take them apart, or all at once, then use
        running statistics.

    Raises:
      ValueError: no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f'config.measure_preset={name!r}; {lookup.nearest(name, PRESETS)}')
    found = dict(measure)
    for member in PRESETS[name]:
        given = found[member]
        if any(given[field] for field in when.FIELDS):
            continue
        found[member] = {**given, 'every_epochs': EVERY_EPOCHS}
        build = lookup.module('bsresearch.measure', 'build', member, 'measurement').build
        quantity = build(**when.rest(given))
        if coupled and (quantity.per_example or quantity.whole) and 'statistics' in lookup.keywords(build):
            found[member] = {'statistics': 'running', **found[member]}
    return found
