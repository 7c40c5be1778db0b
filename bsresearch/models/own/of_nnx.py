"""An nnx module: its function is given `rngs`; batch norm and dropout by flax's own layers."""

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from bsresearch.models.own import noise
from bsresearch.models.own.network import needed

PyTree = Any
_BESIDE: contextvars.ContextVar[tuple[noise.Beside, dict[str, int]]] = contextvars.ContextVar('beside')


class CountingBatchNorm(nnx.BatchNorm):
    """Batch norm that does not count padding."""

    def __call__(self, x: Any, use_running_average: bool | None = None, *, mask: Any = None) -> jax.Array:
        """As nnx.BatchNorm."""
        running = self.use_running_average if use_running_average is None else use_running_average
        if running or mask is not None:
            return super().__call__(x, use_running_average, mask=mask)
        beside, before = _BESIDE.get()[0], (self.mean[...], self.var[...])
        outputs = super().__call__(x, use_running_average, mask=noise.mask(beside, x, self.axis))
        after = noise.moved(beside, x, self.axis, before, (self.mean[...], self.var[...]))
        self.mean[...], self.var[...] = after
        return outputs


class ExampleDropout(nnx.Dropout):
    """Dropout whose mask follows the example."""

    place: str = ''

    def __call__(self, inputs: Any, *, deterministic: bool | None = None, rngs: Any = None) -> jax.Array:
        """As nnx.Dropout."""
        del rngs
        if self.deterministic if deterministic is None else deterministic:
            return inputs
        beside, calls = _BESIDE.get()
        calls[self.place] = calls.get(self.place, 0) + 1
        name = self.place if calls[self.place] == 1 else f'{self.place}:{calls[self.place]}'
        return noise.drop(beside, name, inputs, self.rate, tuple(self.broadcast_dims))


class RefusedStream(nnx.RngStream):
    """Noise but that of dropout: it would be one for all examples of a batch, and the same at each update."""

    def __call__(self, *args: Any, **kwargs: Any) -> jax.Array:
        """As nnx.RngStream."""
        raise ValueError(
            f'noise of the stream {self.tag!r} is drawn outside of nnx.Dropout, which alone knows examples'
        )


@contextlib.contextmanager
def _given(beside: noise.Beside) -> Iterator[None]:
    token = _BESIDE.set((beside, {}))
    try:
        yield
    finally:
        _BESIDE.reset(token)


class OfNnx(NamedTuple):
    """make: rngs → module. All variables but weights and random streams are model statistics."""

    make: Callable[..., nnx.Module]
    draws: bool
    couples: str
    keeps_groups: bool = False

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[PyTree, PyTree]:
        """As Network."""
        del inputs
        _, params, stats, _ = _split(_counting(self.make(rngs=nnx.Rngs(key))))
        return _nested(params), _nested(stats)

    def apply(
        self, params: PyTree, stats: PyTree, inputs: jax.Array, train: bool, beside: noise.Beside
    ) -> tuple[jax.Array, PyTree]:
        """As Network."""
        abstract = nnx.eval_shape(lambda: _counting(self.make(rngs=nnx.Rngs(0))))
        graph, weights, others, noise_state = _split(abstract)
        unused = jax.tree.map(_unused, noise_state)
        module: Any = nnx.merge(graph, _filled(weights, params), _filled(others, stats), unused)
        module.train() if train else module.eval()
        with _given(beside):
            outputs = module(inputs)
        kept = {path for path, _ in nnx.to_flat_state(others)}  # not what a call notes beside
        return outputs, _nested(_split(module)[2], kept) if train else stats


def network(name: str, make: Callable[..., nnx.Module]) -> OfNnx:
    """Of a function that is given rngs.

    Raises:
      ValueError: it makes no nnx module, one whose call needs more than inputs, or one that holds plain arrays.
    """
    module = nnx.eval_shape(lambda: _checked(name, make(rngs=nnx.Rngs(0))))
    layers = [layer for _, layer in nnx.iter_modules(module)]
    draws = any(isinstance(layer, nnx.Dropout) and layer.rate > 0 for layer in layers)
    of_stats = noise.OWN_STATISTICS if nnx.to_flat_state(_split(module)[2]) else ''
    normalizes = any(isinstance(layer, nnx.BatchNorm) for layer in layers)
    return OfNnx(make, draws, noise.BATCH_NORM if normalizes else of_stats)


def _checked(name: str, module: Any) -> nnx.Module:
    """The module, unless `network` refuses it."""
    if not isinstance(module, nnx.Module):
        raise ValueError(f'model {name} takes rngs and returned {type(module).__name__}; an nnx module is needed')
    if others := needed(type(module).__call__)[2:]:
        raise ValueError(
            f'model {name}: the call of {type(module).__name__} needs {", ".join(others)} too; an nnx module is given '
            'the inputs alone, after train() or eval()'
        )
    # While it is traced nnx takes arrays for static values, so that no state has them.
    nodes = [node for _, node in nnx.iter_graph(module) if not isinstance(node, nnx.Variable)]
    for attribute, value in (pair for node in nodes for pair in getattr(node, '__dict__', {}).items()):
        if isinstance(value, jax.Array | np.ndarray):
            raise ValueError(
                f'model {name}: its attribute {attribute} is a plain array, neither weights nor statistics; make it '
                'nnx.Param(…) to train it; a constant is made in __call__, or outside of the module'
            )
    return module


def _counting(module: nnx.Module) -> nnx.Module:
    """With layers that know padding and examples in the place of flax's."""
    for path, layer in nnx.iter_graph(module):
        place = '/'.join(map(str, path))
        if isinstance(layer, nnx.BatchNorm):
            layer.__class__ = _put_into(CountingBatchNorm, type(layer))
        elif isinstance(layer, nnx.Dropout):
            layer.__class__ = _put_into(ExampleDropout, type(layer))
            vars(layer)['place'] = place
        elif isinstance(layer, nnx.RngStream):
            layer.__class__ = RefusedStream
    return module


@functools.cache
def _put_into(known: type, layer: type) -> type:
    """A user's layer that is one of flax's, with what ours knows."""
    return known if layer in known.__bases__ else type(layer.__name__, (known, layer), {})


def _split(module: nnx.Module) -> tuple[Any, Any, Any, Any]:
    """Graph, weights, model statistics, and the states of random streams, which are not used."""
    graph, weights, others, noise_state = nnx.split(module, nnx.Param, nnx.Not(nnx.RngState), ...)
    return graph, weights, others, noise_state


def _unused(shape: Any) -> jax.Array:
    keyed = jnp.issubdtype(shape.dtype, jax.dtypes.prng_key)
    return jax.random.key(0) if keyed else jnp.zeros((), shape.dtype)


def _nested(state: Any, kept: set[Any] | None = None) -> dict[str, Any]:
    """Values by name, as linen nests them, those of `kept` paths alone; a list's places are names too."""
    tree: dict[str, Any] = {}
    for path, variable in nnx.to_flat_state(state):
        if kept is not None and path not in kept:
            continue
        node = tree
        for part in path[:-1]:
            node = node.setdefault(str(part), {})
        node[str(path[-1])] = variable[...]
    return tree


def _filled(state: Any, values: PyTree) -> Any:
    """The state with values of `_nested`."""
    flat = []
    for path, variable in nnx.to_flat_state(state):
        node = values
        for part in path:
            node = node[str(part)]
        flat.append((path, variable.replace(node)))
    return nnx.from_flat_state(flat)
