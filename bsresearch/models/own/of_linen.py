"""A plain linen module: any with `train` or the like in its call, batch norm and dropout by flax's own layers."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from bsresearch.models.own import noise
from bsresearch.models.own.network import needed

PyTree = Any
# What a call takes to tell training from evaluation, and its value in training.
SWITCHES = {
    'train': True, 'training': True, 'is_training': True,
    'deterministic': False, 'use_running_average': False, 'eval': False, 'inference': False,
}  # fmt: skip


class OfLinen(NamedTuple):
    """switches: argument of the call → its value in training. draws, couples: as Network."""

    module: nn.Module
    switches: tuple[tuple[str, bool], ...]
    draws: bool
    couples: str
    keeps_groups: bool = False

    def init(self, key: jax.Array, inputs: jax.Array, train: bool = False) -> tuple[PyTree, PyTree]:
        """Weights; all other collections are model statistics."""
        rngs = {'params': key, 'dropout': jax.random.fold_in(key, 1)}
        switched: Any = self._switched(train)
        variables: Any = dict(self.module.init(rngs, inputs, **switched))
        return variables.pop('params', {}), {name: kept for name, kept in variables.items() if name != 'intermediates'}

    def apply(
        self, params: PyTree, stats: PyTree, inputs: jax.Array, train: bool, beside: noise.Beside
    ) -> tuple[jax.Array, PyTree]:
        """As Network."""
        # The stream is there for layers that take it, which would not find it within a scan.
        rngs = {noise.STREAM: jax.random.key(0)}
        switched: Any = self._switched(train)
        call: Any = functools.partial(self.module.apply, {'params': params, **stats}, inputs, rngs=rngs, **switched)
        if not train:
            return call(), stats
        with nn.intercept_methods(_giving(beside)):
            outputs, after = call(mutable=list(stats))
        return outputs, {**stats, **after}

    def _switched(self, train: bool) -> dict[str, bool]:
        return {name: value == train for name, value in self.switches}


def network(name: str, module: nn.Module, shape: tuple[int, ...]) -> OfLinen:
    """Of a module; `shape` is that of an example.

    Raises:
      ValueError: its call needs more than inputs and a switch, or it has batch norm or dropout and takes no switch.
    """
    takes = inspect.signature(type(module).__call__).parameters
    if others := needed(type(module).__call__, tuple(SWITCHES))[2:]:
        raise ValueError(
            f'model {name}: the call of {type(module).__name__} needs {", ".join(others)} too; it is given the inputs, '
            f'and which of {", ".join(SWITCHES)} it takes'
        )
    switches = tuple((word, value) for word, value in SWITCHES.items() if word in takes)
    has = {'batch norm': False, 'dropout': False}

    def note(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        layer: Any = context.module
        has['batch norm'] |= isinstance(layer, nn.BatchNorm)
        has['dropout'] |= isinstance(layer, nn.Dropout) and layer.rate > 0
        return call(*args, **kwargs)

    plain = OfLinen(module, switches, False, '')
    key, inputs = jax.eval_shape(lambda: jax.random.key(0)), jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    with nn.intercept_methods(note):
        for train in (True, False):
            _, stats = jax.eval_shape(functools.partial(plain.init, train=train), key, inputs)
    if not switches and any(has.values()):
        raise ValueError(
            f'model {name} has {" and ".join(part for part in has if has[part])}, and its call takes nothing to tell '
            f'training from evaluation; give it one of {", ".join(SWITCHES)}'
        )
    of_stats = noise.OWN_STATISTICS if jax.tree.leaves(stats) else ''
    return plain._replace(draws=has['dropout'], couples=noise.BATCH_NORM if has['batch norm'] else of_stats)


def _giving(beside: noise.Beside) -> Callable[..., Any]:
    """Gives batch norm the padding, and dropout the keys of the examples."""
    calls: dict[str, int] = {}

    def intercept(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        layer: Any = context.module
        if context.method_name != '__call__':
            return call(*args, **kwargs)
        if isinstance(layer, nn.BatchNorm) and kwargs.get('mask') is None:
            return _counting(beside, call, args, kwargs, layer)
        if isinstance(layer, nn.Dropout):
            inputs = args[0] if args else kwargs['inputs']
            given = kwargs.get('deterministic', args[1] if len(args) > 1 else None)
            if nn.merge_param('deterministic', layer.deterministic, given):
                return inputs
            path = '/'.join(layer.path)
            if not layer.has_rng(noise.STREAM):
                raise ValueError(f'dropout layer {path} lies in a scan, whose steps would have one mask')
            calls[path] = calls.get(path, 0) + 1
            name = path if calls[path] == 1 else f'{path}:{calls[path]}'
            return noise.drop(beside, name, inputs, layer.rate, tuple(layer.broadcast_dims))
        return call(*args, **kwargs)

    return intercept


def _counting(beside: noise.Beside, call: Callable[..., Any], args: Any, kwargs: Any, layer: nn.BatchNorm) -> jax.Array:
    """Batch norm that counts no padding."""
    inputs = args[0] if args else kwargs['x']
    statistics = lambda: {name: layer.get_variable('batch_stats', name) for name in ('mean', 'var')}
    before = statistics()
    outputs = call(*args, **{**kwargs, 'mask': noise.mask(beside, inputs, layer.axis)})
    for name, value in noise.moved(beside, inputs, layer.axis, before, statistics()).items():
        layer.put_variable('batch_stats', name, value)
    return outputs
