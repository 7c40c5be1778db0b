"""Networks: a file per family with `build(num_outputs, …) -> flax module`, reached through init and apply alone.

A user's own are named by an import path and may be any flax module or a pair of functions (models/own).
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from bsresearch.core import lookup, own_part
from bsresearch.models import convolutions, own
from bsresearch.models.convolutions import Convolutions
from bsresearch.models.own import FROM_ELSEWHERE, Own
from bsresearch.models.own.noise import BATCH_NORM, OWN_STATISTICS, Beside

__all__ = ['FROM_ELSEWHERE', 'OWN_STATISTICS']
PyTree = Any
Network = nn.Module | Own


def builder(name: str) -> Callable[..., Any]:
    """The `build` of a network; of an import path one with its function's signature.

    Raises:
      ValueError: there is none of that name, or as own_part.function.
    """
    if own_part.is_path(name):
        return own.builder(name)
    return lookup.module(__name__, 'build', name, 'model').build


def check_dtype(
    name: str, settings: Mapping[str, Any], dtype: str, num_outputs: int, example_shape: tuple[int, ...]
) -> None:
    """Raises ValueError for a computation in a dtype that a user's own network does not take, or has not throughout."""
    build = builder(name)
    if dtype != 'float32' and 'dtype' not in lookup.keywords(build):
        raise ValueError(f'config.dtype={dtype}: model {name} takes no `dtype`; give its function one, keyword-only')
    if own_part.is_path(name):
        build(num_outputs, **settings, dtype=dtype).of(example_shape)


def init(module: Network, key: jax.Array, example_shape: tuple[int, ...]) -> tuple[PyTree, PyTree]:
    """Initial weights and model statistics (batch-norm averages; empty without).

    Args:
      key: () typed key of the `init` stream.
      example_shape: shape of one example, without the batch axis.
    """
    variables = module.init(key, jnp.zeros((1, *example_shape), jnp.float32), train=False)
    return variables['params'], variables.get('stats', {})


def apply(
    module: Network,
    params: PyTree,
    stats: PyTree,
    inputs: jax.Array,
    *,
    train: bool,
    weights: jax.Array | None = None,
    keys: jax.Array | None = None,
) -> tuple[jax.Array, PyTree]:
    """Outputs and new model statistics, as a pure function.

    Args:
      inputs: (B, *example_shape).
      train: batch statistics and dropout on. The new statistics are one update from the batch's; with weights summing
        to n they may be averaged over micro-batches with weight n, which gives one update from the whole batch.
      weights: (B,), 1 for a real example, 0 for padding; None: all real.
      keys: (B,) typed keys, one per example, for dropout.

    Returns:
      (B, num_outputs) in the weights' dtype, and the statistics (unchanged unless `train`).
    """
    variables = {'params': params} | ({'stats': stats} if stats else {})
    kwargs: dict[str, Any] = dict(train=train, weights=weights, keys=keys)
    outputs: Any
    if train and stats:
        outputs, updated = module.apply(variables, inputs, mutable=['stats'], **kwargs)
        stats = updated['stats']
    else:
        outputs = module.apply(variables, inputs, **kwargs)
    return outputs.astype(jax.tree.leaves(params)[0].dtype), stats


def couples(module: Network, settings: Mapping[str, Any], example_shape: tuple[int, ...]) -> str:
    """What lets examples of a batch see each other: 'batch norm', a user's own statistics, or '' for nothing.

    Args:
      settings: of the network's section.
    """
    if isinstance(module, Own):
        return module.of(example_shape).network.couples
    return BATCH_NORM if settings.get('batch_norm') else ''


def draws(module: Network, settings: Mapping[str, Any], example_shape: tuple[int, ...]) -> bool:
    """Whether the network draws noise for each example."""
    return module.of(example_shape).network.draws if isinstance(module, Own) else bool(settings.get('dropout'))


def keeps_groups(module: Network, example_shape: tuple[int, ...]) -> bool:
    """Whether ghost groups, also over several devices, are the network's own affair."""
    return module.of(example_shape).network.keeps_groups if isinstance(module, Own) else True


def in_groups(module: Network, group: int | None, example_shape: tuple[int, ...]) -> Network:
    """A network that normalizes over groups of so many examples in training, where it does not see to it itself."""
    if isinstance(module, Own) and not keeps_groups(module, example_shape):
        return dataclasses.replace(module, group=group)
    return module


def outputs_of_layers(module: Network, variables: PyTree, inputs: Any) -> PyTree:
    """Shapes of what layers make of `inputs` in evaluation; of a user's own network, of its products and the like."""
    if isinstance(module, Own):
        network = module.of(inputs.shape[1:]).network
        beside = Beside(None, None, True)
        call = lambda v, x: network.apply(v['params'], v.get('stats', {}), x, False, beside)[0]
        kinds = ('dot_general', 'conv_general_dilated', 'reduce_window_max', 'custom_jvp_call', 'jit', 'pjit')
        eqns = jax.make_jaxpr(call)(variables, inputs).jaxpr.eqns
        return [out.aval for eqn in eqns if eqn.primitive.name in kinds for out in eqn.outvars]
    capturing = functools.partial(module.apply, train=False, capture_intermediates=True, mutable=['intermediates'])
    return jax.eval_shape(capturing, variables, inputs)[1]


def seen_by_layer(module: Network) -> bool:
    """Whether what dense layers see may tell the gradient's norm (measure/dense_norms.py): of the package's own."""
    return not isinstance(module, Own)


def convolutions_of(module: Network, example_shape: tuple[int, ...]) -> Convolutions:
    """Which convolutions of a network become products on a CPU."""
    return module.of(example_shape).convolutions if isinstance(module, Own) else _counted(module, example_shape)


@functools.cache
def _counted(module: nn.Module, example_shape: tuple[int, ...]) -> Convolutions:
    inputs = jnp.zeros((1, *example_shape), jnp.float32)
    variables = jax.eval_shape(functools.partial(module.init, train=False), jax.random.key(0), inputs)
    return convolutions.count(jax.make_jaxpr(functools.partial(module.apply, train=False))(variables, inputs))
