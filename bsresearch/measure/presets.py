"""Measurements by what they cost: `config.measure_preset` switches a set of them on.

economy: passes over the weights alone. standard: also gradients of a few batches. full: also single examples'
gradients, curvature and the whole training set; not sharpness, a search that takes a minute. What the config says of a
measurement itself comes first.
"""

from collections.abc import Mapping
from typing import Any

from bsresearch.core import lookup, when

ECONOMY = ('distance', 'relative_distance', 'initial_cosine', 'parameter_norm', 'path_length')
STANDARD = (*ECONOMY, 'gradient_norm', 'update_ratio', 'noise_scale')
FULL = (
    *STANDARD, 'individual_gradients', 'alpha', 'gradient_cosine', 'curvature_noise_scale', 'hessian_eigenvalues',
    'hessian_trace',
)  # fmt: skip
PRESETS: dict[str, tuple[str, ...]] = {'none': (), 'economy': ECONOMY, 'standard': STANDARD, 'full': FULL}
EVERY_EPOCHS = 1.0


def apply(name: str, measure: Mapping[str, Mapping[str, Any]], ghost: int | None) -> dict[str, Mapping[str, Any]]:
    """The `measure` section with the preset's measurements every epoch, where it gives no points of their own.

    Args:
      ghost: examples in a batch-norm group, None without batch norm. Defaults that do not suit it give way (`_suited`).

    Raises:
      ValueError: no such preset.
    """
    if name not in PRESETS:
        raise ValueError(f'config.measure_preset={name!r}; {lookup.nearest(name, PRESETS)}')
    filled = dict(measure)
    for member in PRESETS[name]:
        given = filled[member]
        if not any(given[field] for field in when.FIELDS):
            filled[member] = (_suited(member, given, ghost) if ghost else {}) | {**given, 'every_epochs': EVERY_EPOCHS}
    return filled


def _suited(member: str, given: Mapping[str, Any], ghost: int) -> dict[str, Any]:
    """Settings for batch norm: examples apart, or all at once, by running statistics; batches of whole groups."""
    build = lookup.module('bsresearch.measure', 'build', member, 'measurement').build
    quantity, known = build(**when.rest(given)), lookup.keywords(build)
    if (quantity.per_example or quantity.whole) and 'statistics' in known:
        return {'statistics': 'running'}
    up = lambda size: -(-size // ghost) * ghost
    if 'small_batch_size' in known:
        small = up(quantity.unit)
        return {'small_batch_size': small, 'batch_size': max(2, quantity.batch_size // small) * small}
    return {'batch_size': up(quantity.batch_size)} if quantity.batch_size and 'batch_size' in known else {}
