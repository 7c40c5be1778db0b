"""Schedule shapes: float64 functions of the integer update, as factors of the peak learning rate.

A shape is a function (t, span, …) → (len(t),) factors, or `Paired` factors and momenta. t is an int64 array of updates
counted from the span's start, 0 ≤ t < T = `span.steps`; any chunk of them gives the same bits. Its keyword-only
arguments are its schema; lengths carry their unit in the name and are resolved by `Span.step_of`, so one declaration
serves every batch size. What a short span cannot follow is refused.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

from bsresearch.core import lookup, own_part
from bsresearch.optim.schedules.adapter import from_optax
from bsresearch.optim.schedules.restarts import cycle_ends
from bsresearch.optim.schedules.shape import Paired

__all__ = ['Paired', 'cycle_ends', 'from_optax', 'member', 'members']


@functools.cache
def members() -> dict[str, Callable[..., Any]]:
    """The shapes by name, from every file of the folder. Only to be read."""
    modules = [importlib.import_module(f'{__name__}.{m.name}') for m in pkgutil.iter_modules(__path__)]
    # Leaves shape.py's helpers out: theirs are private to the package, or take other arguments.
    return {name: fn for module in modules for name, fn in lookup.functions(module, ('t', 'span')).items()}


def member(name: str) -> Callable[..., Any]:
    """The shape of a name, or of an import path.

    Raises:
      ValueError: there is none, with the nearest names; or as own_part.function.
    """
    if own_part.is_path(name):
        return own_part.function(name, 'schedule', ('t', 'span'))
    if name not in members():
        raise lookup.unknown('schedule', name, members())
    return members()[name]
