"""What a measurement gives: numbers, under names that no other column of the records has."""

import re
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from bsresearch.core.flat import flatten
from bsresearch.planning import schema
from bsresearch.planning.plan import Plan
from bsresearch.store import records
from bsresearch.train.state import Info

# What a run is, where a row stands, what an update is recorded with; an evaluation, an ensemble, values used.
COLUMNS = {
    'run', 'study', 'status', 'diverged', 'diverged_step', *records.POSITION, 'batch_loss',
    *(field for field in Info._fields if field.endswith('_norm')),
}  # fmt: skip
FORMS = re.compile(
    r'(estimated_)?(ema_)?((train|validation|test)_(loss|objective|accuracy|auc|calibration_error)|generalization_gap\w*)|ensemble_\w+|\w+_used'
)


def own_functions(plan: Plan) -> dict[str, str]:
    """The measurements of a user's own that a plan declares: section → import path."""
    return {name: spec['function'] for name, spec in plan.recording['measure'].items() if 'function' in spec}


def check(name: str, metrics: Any, others: Mapping[str, str]) -> None:
    """Raises ValueError for metrics that cannot be recorded, or would take another column's place.

    Args:
      name: of the measurement. metrics: what it gave, () each; shapes will do. others: metric → measurement, of those
        that it must not share a name with.
    """
    where = f'config.measure.{name}'
    if not isinstance(metrics, Mapping) or not all(isinstance(metric, str) for metric in metrics):
        raise ValueError(f'{where} gives {type(metrics).__name__}; allowed: a dict of numbers by their names')
    fields = {*flatten(schema.known()), *Plan.__dataclass_fields__}
    for metric, value in metrics.items():
        if metric in COLUMNS or metric in fields or FORMS.fullmatch(metric):
            raise ValueError(f'{where} gives {metric!r}, which is a column of all records; give it another name')
        if metric in others:
            raise ValueError(
                f'{where} gives {metric!r}, and so does config.measure.{others[metric]}; give one of them another name'
            )
        if not _is_number(value):
            kind = f'{value.dtype}{list(value.shape)}' if hasattr(value, 'dtype') else type(value).__name__
            raise ValueError(f'{where} gives {metric!r} as {kind}; allowed: one real number, of shape ()')


def _is_number(value: Any) -> bool:
    if isinstance(value, bool | int | float):
        return True
    if not hasattr(value, 'dtype') or np.shape(value) != ():
        return False
    return any(jnp.issubdtype(value.dtype, kind) for kind in (jnp.bool_, jnp.integer, jnp.floating))
