"""64-bit mode, which JAX has for a whole process or thread: here it is held for what is done for a run, and only then.

It changes the rounding of expressions with Python's numbers, so a float32 run must never see that of its neighbours.
"""

import contextlib
import functools
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import jax

P = ParamSpec('P')
R = TypeVar('R')
T = TypeVar('T')


def of(runs: Any) -> contextlib.AbstractContextManager[Any]:
    """The mode of a run, of runs of one dtype, or of a group of them: on for float64, off for all others."""
    runs = getattr(runs, 'plans', runs)
    first = runs if hasattr(runs, 'dtype') else runs[0]
    return jax.enable_x64(first.dtype == 'float64')


def held(fn: Callable[Concatenate[R, P], T]) -> Callable[Concatenate[R, P], T]:
    """`fn` in the mode of its first argument, as `of` takes it."""

    @functools.wraps(fn)
    def inside(runs: R, *args: P.args, **kwargs: P.kwargs) -> T:
        with of(runs):
            return fn(runs, *args, **kwargs)

    return inside
