"""Network, loss and optimizer of a config, tried on shapes: what cannot be trained is refused before it is begun."""

import functools
from collections.abc import Mapping
from typing import Any

import jax

from bsresearch import models, optim
from bsresearch.core import kinds, own_part, rng
from bsresearch.data import select
from bsresearch.models import losses
from bsresearch.optim import layer_rates
from bsresearch.planning import sections

_SHAPES: dict[tuple[Any, ...], Any] = {}  # of the weights, and losses that fit: traced once for all runs of a grid


def parameters(model: Mapping[str, Any], num_outputs: int, shape: tuple[int, ...]) -> Any:
    """Shapes of the weights: the model is built to be refused before anything is written; training builds its own."""
    settings = sections.settings(model)
    kinds.check_units(settings)
    build = sections.part('model', model['name'])
    key = build, num_outputs, shape, repr(settings)
    if key not in _SHAPES:
        module = build(num_outputs, **settings)
        _SHAPES[key] = jax.eval_shape(lambda k: models.init(module, k, shape), rng.key(0, 'init'))[0]
    return _SHAPES[key]


def check_loss(parts: Mapping[str, Any], data: select.Dataset, snapshots: bool) -> None:
    """Raises ValueError where the loss does not fit the labels, or snapshots would vote on targets."""
    loss = functools.partial(sections.part('loss', parts['loss']['name']), **sections.settings(parts['loss']))
    labels = jax.ShapeDtypeStruct((2, *data.train.labels.shape[1:]), data.train.labels.dtype)
    key = repr(parts['loss']), data.num_outputs, labels.shape, labels.dtype
    if key not in _SHAPES:
        outputs = jax.ShapeDtypeStruct((2, data.num_outputs), 'float32')
        try:
            per_example = jax.eval_shape(loss, outputs, labels)
        except Exception as error:
            if not own_part.is_path(parts['loss']['name']):
                raise
            raise own_part.failure(error, parts['loss']['name'], 'loss') from error
        if getattr(per_example, 'shape', None) != (2,) or per_example.dtype != 'float32':
            raise ValueError(
                f'loss {parts["loss"]["name"]} makes {getattr(per_example, "shape", type(per_example).__name__)} of 2 '
                'examples; allowed: (2,), a float for each example, not averaged'
            )
        _SHAPES[key] = per_example
    if snapshots and not losses.classifies(parts['loss']['name'], data.num_outputs):
        raise ValueError(
            f'config.snapshots average class probabilities, which data.name={parts["data"]["name"]!r} has none of; '
            'leave them out'
        )


def check_optimizer(config: Mapping[str, Any], optimizer: Mapping[str, Any], params: Any) -> None:
    """Raises ValueError for settings that it refuses, and for groups of parameters that there are none of."""
    groups = {'no_decay': config['no_decay'], 'optimizer.not_adapted': optimizer.get('not_adapted', ())}
    for field, patterns in groups.items():
        optim.check_groups(params, tuple(patterns), f'config.{field}')
    layer_rates.check(params, tuple(config['layer_rates']))
    transform = optim.built(optimizer['name'], sections.settings(optimizer), tuple(config['no_decay']))
    if own_part.is_path(optimizer['name']):
        _try_step(optimizer['name'], transform, config, params)


def _try_step(name: str, transform: optim.Transform, config: Mapping[str, Any], params: Any) -> None:
    """Raises ValueError for an optimizer of a user's own that makes no update of these weights."""
    number = jax.ShapeDtypeStruct((), 'float32')

    def step(rate: jax.Array, momentum: jax.Array, decay: jax.Array | None, gradient: Any) -> Any:
        one = transform(optim.Hyper(rate, momentum, decay))
        return one.update(gradient, one.init(gradient), gradient)[0]

    try:
        updates = jax.eval_shape(step, number, number, number if config['weight_decay'] else None, params)
    except Exception as error:
        raise own_part.failure(error, name, 'optimizer') from error
    if jax.tree.map(lambda x: (x.shape, x.dtype), updates) != jax.tree.map(lambda x: (x.shape, x.dtype), params):
        raise ValueError(f'optimizer {name}: its updates have not the shapes and types of the weights')
