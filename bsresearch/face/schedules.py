"""`schedules`: the engine's shapes as callables of optax, learning rate and momentum together.

    lr, momentum = bs.schedules.one_cycle(peak=0.1, steps=1000)
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=lr, momentum=momentum)

Every shape of bsresearch/optim/schedules by its name, `dir(bs.schedules)`; the fields of its section of the config are
keywords. The values of all updates are made at once in float64; a call looks its update up, past the last one that of
the last.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bsresearch.core import lookup, units
from bsresearch.face import own_loop
from bsresearch.optim import policy
from bsresearch.optim import schedules as shapes

__all__ = ['Schedule', 'one_cycle']


class Schedule(NamedTuple):
    """Callables from the integer update t to its value, as optax takes them.

    learning_rate: peak · shape. momentum: μ, or β₁ for Adam; None where the shape leaves it alone.
    """

    learning_rate: Callable[[Any], jax.Array]
    momentum: Callable[[Any], jax.Array] | None


def one_cycle(
    *,
    peak: float,
    steps: int,
    pct_start: float = 0.3,
    anneal_strategy: str = 'cos',
    three_phase: bool = False,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
) -> Schedule:
    """OneCycleLR of torch; optim/schedules/one_cycles.py has formula and fields; peak: the largest learning rate.

    Raises:
      ValueError: a field that cannot be.
    """
    fields = {
        'pct_start': pct_start, 'anneal_strategy': anneal_strategy, 'three_phase': three_phase,
        'div_factor': div_factor, 'final_div_factor': final_div_factor, 'cycle_momentum': cycle_momentum,
        'base_momentum': base_momentum, 'max_momentum': max_momentum,
    }  # fmt: skip
    return _made('one_cycle', peak, steps, 1, None, fields)


def _made(
    name: str, peak: float, steps: int, batch_size: int, epoch_size: int | None, fields: dict[str, Any]
) -> Schedule:
    """A shape over `steps` updates; lengths in examples and epochs need batch_size and epoch_size."""
    updates = own_loop.whole(steps)
    if updates is None or updates < 1:
        raise ValueError(f'schedules.{name}: steps={steps!r}; allowed: a whole number of updates, at least 1')
    if not 0 < peak < np.inf:
        raise ValueError(f'schedules.{name}: peak={peak!r}; allowed: a positive learning rate')
    given = lookup.check_keywords(shapes.member(name), fields, f'schedules.{name}')
    if epoch_size is None and (lengths := _in_examples(given)):
        raise ValueError(f'schedules.{name}: {lengths[0]} needs batch_size=… and epoch_size=… too, in examples')
    length = units.length(epoch_size or updates * batch_size, batch_size, total_steps=updates)
    span = units.Span(length, 0, updates)
    course = policy.shape({'name': name, **given}, np.arange(updates, dtype=np.int64), span)
    momentum = None if course.momentum is None else _looked_up(course.momentum)
    return Schedule(_looked_up(peak * course.factor), momentum)


def _in_examples(fields: Mapping[str, Any]) -> list[str]:
    """The fields, those of parts too, that give a length in epochs or examples."""
    of_parts = [field for part in fields.get('parts', ()) for field in _in_examples(part)]
    return [f for f, value in fields.items() if f.endswith(('_epochs', '_examples')) and value] + of_parts


def _looked_up(values: np.ndarray) -> Callable[[Any], jax.Array]:
    def at(count: Any) -> jax.Array:
        return jnp.asarray(values, jnp.result_type(float))[jnp.clip(count, 0, len(values) - 1)]

    return at


def __getattr__(name: str) -> Callable[..., Schedule]:
    """Any other shape: (*, peak, steps, batch_size=1, epoch_size=None, fields of the shape) → Schedule."""
    if name.startswith('_') or name not in shapes.members():
        raise AttributeError(f'no schedule {name!r}; {lookup.nearest(name, shapes.members())}')

    def schedule(
        *, peak: float, steps: int, batch_size: int = 1, epoch_size: int | None = None, **fields: Any
    ) -> Schedule:
        return _made(name, peak, steps, batch_size, epoch_size, fields)

    schedule.__name__ = schedule.__qualname__ = name
    schedule.__doc__ = shapes.member(name).__doc__
    return schedule


def __dir__() -> list[str]:
    return sorted({*__all__, *shapes.members()})
