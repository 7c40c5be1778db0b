"""Measurements of a user's own, tried on shapes while a run is planned: nothing is compiled, nothing of it is kept."""

import functools
from collections.abc import Sequence
from typing import Any

import jax

from bsresearch.core import own_part
from bsresearch.data.select import Dataset
from bsresearch.planning.plan import Plan
from bsresearch.train import program
from bsresearch.train.devices import layout
from bsresearch.train.observing import metrics
from bsresearch.train.sizing import memory

PyTree = Any


def check(plans: Sequence[Plan], dataset: Dataset) -> set[str] | None:
    """Tries each of them.

    What calls SciPy or the like cannot be tried on shapes: Measuring looks at what it gives.

    Args:
      plans: of one size; the first is looked at. dataset: theirs.

    Returns:
      the columns that the user's own record; None where that is not known of one.

    Raises:
      ValueError: one fails, gives what cannot be recorded, or does not carry its state on.
    """
    own = metrics.own_functions(plans[0])
    shapes = memory.Shapes(plans[:1], dataset, 'sequential', layout.ALONE)
    given: dict[str, str] = {}
    # Those of the package first: it is the user's that must have other names.
    for name, quantity in sorted(shapes.parts.measures.items(), key=lambda item: item[0] in own):
        if quantity.host:
            continue
        arguments = shapes.of_measurement(name, quantity)
        try:
            result = jax.eval_shape(functools.partial(program.measure, shapes.parts.task, quantity), *arguments)
        except Exception as error:
            if name not in own:
                raise
            raise own_part.failure(error, own[name], 'measurement') from error
        if name in own:
            _check(name, result, arguments[0], given)
        given |= dict.fromkeys(result[1], name)
    untried = any(shapes.parts.measures[name].host for name in own if name in shapes.parts.measures)
    return None if untried else {metric for metric, name in given.items() if name in own}


def _check(name: str, result: Any, before: PyTree, given: dict[str, str]) -> None:
    if not isinstance(result, tuple) or len(result) != 2:
        raise ValueError(
            f'config.measure.{name}: its update returns {type(result).__name__}; allowed: (state, metrics)'
        )
    after, gives = result
    metrics.check(name, gives, given)
    like = lambda tree: jax.tree.map(lambda x: (x.shape, x.dtype), tree)
    if like(before) != like(after):
        raise ValueError(
            f'config.measure.{name}: its update returns a state of other shapes or types than its init makes; they '
            'must be alike'
        )
