"""Any schedule of optax as a shape, evaluated in float64 at integer updates."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bsresearch.core import lookup
from bsresearch.core.units import Span

# Updates are evaluated in blocks of one size: one compilation for every chunk, and no remainder computed otherwise.
BLOCK = 1024


def _evaluate(schedule: Callable[..., Any], t: np.ndarray) -> np.ndarray:
    """schedule(t), float64.

    Raises:
      ValueError: a value is no scalar or not finite.
    """
    import jax
    import jax.numpy as jnp

    padded = np.concatenate([t, np.zeros(-len(t) % BLOCK, np.int64)]).reshape(-1, BLOCK)
    rates = np.zeros(padded.shape)
    # On the host: accelerators have other functions in double precision, or none.
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend='cpu')[0]):
        for i, block in enumerate(padded):
            values = np.asarray(jax.vmap(schedule)(jnp.asarray(block)), np.float64)
            if values.shape != (BLOCK,):
                raise ValueError(f'schedule.name=optax: its value has shape {values.shape[1:]}; a scalar is needed')
            rates[i] = values
    rates = rates.ravel()[: len(t)]
    if not np.isfinite(rates).all():
        first = int(np.argmin(np.isfinite(rates)))
        raise ValueError(
            f'schedule.name=optax: its value at update {t[first]} is {rates[first]}; a run this short may leave its '
            'phases without updates'
        )
    return rates


def from_optax(schedule: Callable[..., Any]) -> Callable[[np.ndarray, Span], np.ndarray]:
    """The shape of an optax.Schedule, a function of the update; its values are factors of the peak.

    It sees int64 counts in double precision. Arrays that it was made with keep their dtype: make it in
    `jax.enable_x64(True)`, or from Python's numbers, for values in float64.
    """

    def shape(t: np.ndarray, span: Span) -> np.ndarray:
        del span
        return _evaluate(schedule, t)

    return shape


def _names(package: Any) -> list[str]:
    """Schedules that plain values describe."""
    return [n for n in dir(package) if n.endswith(('_schedule', '_decay'))]


def optax(t: np.ndarray, span: Span, *, function: str = '', arguments: Mapping[str, Any] = {}) -> np.ndarray:
    """optax.schedules.<function>(**arguments) at t in float64, as factors of the peak.

    Steps among the arguments are updates from the schedule's start and follow no batch size. optax itself computes in
    float32, where it cannot tell updates 2²⁴ and 2²⁴ + 1 apart.

    Args:
      function: name of a schedule, as cosine_decay_schedule.
      arguments: its keyword arguments.
    """
    import jax
    import optax as library

    names = _names(library.schedules)
    if function not in names:
        raise ValueError(f'schedule.function={function!r}: no schedule of optax; {lookup.nearest(function, names)}')
    make = getattr(library.schedules, function)
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError as error:
        allowed = ', '.join(inspect.signature(make).parameters)
        raise ValueError(f'schedule.arguments={dict(arguments)}: {error}; {function} takes {allowed}') from error
    try:
        with jax.enable_x64(True):
            schedule = make(**arguments)
        return from_optax(schedule)(t, span)
    except (TypeError, ArithmeticError, AttributeError, LookupError) as error:
        # optax checks few of its arguments, and JAX's own words are many.
        words = (str(error).strip().splitlines() or [''])[0]
        raise ValueError(f'schedule.arguments={dict(arguments)}: {type(error).__name__}, {words}') from error
