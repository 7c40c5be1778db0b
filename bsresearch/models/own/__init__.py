"""Networks of a user's own: flax modules (linen or nnx) and (init, apply) pairs, which keep the engine's contract here.

A user's function `network(num_outputs, *, …)` returns one of these, or is given `rngs` and makes an nnx module. Its
keyword-only arguments are the fields of `config.model`; what it may also take, and then gets, is in FROM_ELSEWHERE.

What plain networks do not have is put into them: padding has no weight in batch norm, a dropout mask follows its
example, a batch is normalized in ghost groups. What cannot be put in is refused by name.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from flax import linen as nn

from bsresearch.core import own_part
from bsresearch.models import convolutions, layers
from bsresearch.models.own import noise, of_linen, of_nnx, of_pair
from bsresearch.models.own.noise import BATCH_NORM

PyTree = Any
# What a function gets where its signature asks for it: no fields of the config.
FROM_ELSEWHERE = ('ghost_batch_size', 'dtype', 'batch_axis', 'example_shape', 'rngs')
CONTRACT = ('train', 'weights', 'keys')  # a linen module that takes these keeps the contract by itself


class Network(Protocol):
    """One kind of network, as pure functions of its weights."""

    @property
    def draws(self) -> bool:
        """Whether it has dropout."""
        ...

    @property
    def couples(self) -> str:
        """What of it lets examples of a batch see each other: BATCH_NORM, OWN_STATISTICS, or '' for nothing."""
        ...

    @property
    def keeps_groups(self) -> bool:
        """Whether ghost groups, also over several devices, are its own affair."""
        ...

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[PyTree, PyTree]:
        """Weights and model statistics."""
        ...

    def apply(
        self, params: PyTree, stats: PyTree, inputs: jax.Array, train: bool, beside: noise.Beside
    ) -> tuple[jax.Array, PyTree]:
        """Outputs and new statistics, which are the old ones in evaluation."""
        ...


class OfContract(NamedTuple):
    """A linen module that takes `train`, `weights` and `keys`, as those of bsresearch/models."""

    module: nn.Module
    draws: bool
    couples: str
    keeps_groups: bool

    def init(self, key: jax.Array, inputs: jax.Array) -> tuple[PyTree, PyTree]:
        """As Network."""
        variables = self.module.init(key, inputs, train=False, weights=None, keys=None)
        return variables['params'], variables.get('stats', {})

    def apply(
        self, params: PyTree, stats: PyTree, inputs: jax.Array, train: bool, beside: noise.Beside
    ) -> tuple[jax.Array, PyTree]:
        """As Network."""
        variables = {'params': params} | ({'stats': stats} if stats else {})
        with nn.intercept_methods(_without_dropout) if beside.quiet else contextlib.nullcontext():
            outputs: Any = self.module.apply(
                variables, inputs, train=train, weights=beside.weights, keys=beside.keys, mutable=['stats']
            )
        return outputs[0], outputs[1].get('stats', stats) if train else stats


def _without_dropout(call: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
    return args[0] if isinstance(context.module, layers.Dropout | nn.Dropout) else call(*args, **kwargs)


class Tried(NamedTuple):
    """A network that was tried on examples of a shape, and its convolutions."""

    network: Network
    convolutions: convolutions.Convolutions


@dataclass(frozen=True)
class Own:
    """A user's network with the `init` and `apply` that the engine calls of a linen module of the contract.

    settings: of the function, by name, sorted. quiet: dropout is off in training mode too. group: examples that are
      normalized together in training, where the network does not see to it itself; None: all that it is given.
    """

    name: str
    num_outputs: int
    settings: tuple[tuple[str, Any], ...]
    quiet: bool = False
    group: int | None = None

    def of(self, example_shape: tuple[int, ...]) -> Tried:
        """The network for examples of a shape; returned and tried once.

        Raises:
          ValueError: the function fails, returns no network, or one that does not fit the examples or outputs.
        """
        return _tried(self.name, self.num_outputs, self.settings, example_shape)

    def clone(self, *, dropout: float) -> 'Own':
        """Without dropout: the engine asks for no other rate."""
        assert dropout == 0
        return replace(self, quiet=True)

    def init(self, key: jax.Array, inputs: jax.Array, *, train: bool) -> dict[str, PyTree]:
        """Weights and model statistics."""
        del train
        params, stats = self.of(inputs.shape[1:]).network.init(key, inputs)
        return {'params': params, 'stats': stats}

    def apply(
        self,
        variables: Mapping[str, PyTree],
        inputs: jax.Array,
        *,
        train: bool,
        weights: jax.Array | None = None,
        keys: jax.Array | None = None,
        mutable: Any = (),
    ) -> Any:
        """Outputs; with `mutable` also {'stats': …}."""
        network, of_network = self.of(inputs.shape[1:])
        call = functools.partial(_apply, network, train, self.quiet)
        call = convolutions.fast(call) if of_network.products else call
        if train and self.group is not None and self.group < len(inputs):
            call = functools.partial(_in_groups, call, self.group)
        outputs, stats = call(variables['params'], variables.get('stats', {}), inputs, weights, keys)
        return (outputs, {'stats': stats}) if mutable else outputs


def _apply(
    network: Network, train: bool, quiet: bool, params: PyTree, stats: PyTree, inputs: Any, weights: Any, keys: Any
) -> tuple[jax.Array, PyTree]:
    return network.apply(params, stats, inputs, train, noise.Beside(weights, keys, quiet))


def _in_groups(
    call: Callable[..., tuple[jax.Array, PyTree]], group: int, params: PyTree, stats: PyTree, *of_examples: Any
) -> tuple[jax.Array, PyTree]:
    """`call` for each group of examples by itself; statistics are averaged by how many of a group are real.

    Args:
      of_examples: inputs (B, …), weights (B,) and keys (B,) of the examples, or None.
    """
    inputs, weights, _ = of_examples
    if len(inputs) % group:
        raise ValueError(f'{len(inputs)} examples are not a whole number of ghost groups of {group}')
    cut: list[Any] = [None if x is None else x.reshape(-1, group, *x.shape[1:]) for x in of_examples]
    axes = [None if x is None else 0 for x in cut]
    outputs, after = jax.vmap(lambda *parts: call(params, stats, *parts), axes)(*cut)
    real = jnp.ones(len(outputs)) if weights is None else cut[1].sum(1)
    share = real / jnp.maximum(real.sum(), 1)
    average = lambda x: (share.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1)) * x).sum(0)
    return outputs.reshape(-1, *outputs.shape[2:]), jax.tree.map(average, after)


@functools.cache
def builder(name: str) -> Callable[..., Own]:
    """The `build` of a network of one's own, with its function's signature.

    Raises:
      ValueError: as own_part.function.
    """
    function = own_part.function(name, 'model', ('num_outputs',))
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def build(num_outputs: int, **settings: Any) -> Own:
        given = {key: value for key, value in settings.items() if key in known or key not in FROM_ELSEWHERE}
        return Own(name, num_outputs, tuple(sorted(given.items())))

    return build


_TRIED: dict[tuple[Any, ...], Tried] = {}


def _tried(name: str, num_outputs: int, settings: tuple[tuple[str, Any], ...], shape: tuple[int, ...]) -> Tried:
    key = name, num_outputs, repr(settings), shape
    if key not in _TRIED:
        network = _in_words(name, lambda: _made(name, num_outputs, dict(settings), shape))
        of_network = _in_words(name, lambda: _try(name, network, num_outputs, shape))
        if isinstance(network, of_pair.OfPair):
            _in_words(name, lambda: of_pair.check(name, network, shape))
        _TRIED[key] = Tried(network, of_network)
    return _TRIED[key]


def _in_words(name: str, call: Callable[[], Any]) -> Any:
    """`call()`; what goes wrong in a user's network is one line."""
    try:
        return call()
    except Exception as error:
        raise own_part.failure(error, name, 'model') from error


def _made(name: str, num_outputs: int, settings: dict[str, Any], shape: tuple[int, ...]) -> Network:
    function = own_part.function(name, 'model', ('num_outputs',))
    known = inspect.signature(function).parameters
    if 'example_shape' in known:
        settings['example_shape'] = shape
    if 'rngs' in known:
        return of_nnx.network(name, functools.partial(function, num_outputs, **settings))
    returned = function(num_outputs, **settings)
    if isinstance(returned, nn.Module):
        takes = inspect.signature(type(returned).__call__).parameters
        if all(word in takes for word in CONTRACT):
            return _of_contract(returned, {'ghost_batch_size', 'batch_axis'} <= known.keys(), shape)
        return of_linen.network(name, returned, shape)
    if isinstance(returned, tuple) and len(returned) == 2 and all(map(callable, returned)):
        return of_pair.network(name, *returned)
    raise ValueError(
        f'model {name} returned {type(returned).__name__}; allowed: a flax linen module, an (init, apply) pair, or an '
        'nnx module from a function that takes `rngs`'
    )


def _of_contract(module: nn.Module, keeps_groups: bool, shape: tuple[int, ...]) -> OfContract:
    """`keeps_groups`: whether its function takes ghost groups and the axis that they lie over."""
    network, key = OfContract(module, False, '', keeps_groups), jax.eval_shape(lambda: jax.random.key(0))
    inputs = jax.ShapeDtypeStruct((2, *shape), jnp.float32)
    params, stats = jax.eval_shape(network.init, key, inputs)
    try:
        jax.eval_shape(
            lambda p, s, x: network.apply(p, s, x, True, noise.Beside(None, None, False)), params, stats, inputs
        )
        draws = False
    except ValueError:  # dropout without keys
        draws = True
    return network._replace(draws=draws, couples=BATCH_NORM if jax.tree.leaves(stats) else '')


def _try(name: str, network: Network, num_outputs: int, shape: tuple[int, ...]) -> convolutions.Convolutions:
    """Traces the network on two examples, in training and in evaluation; its convolutions.

    Raises:
      ValueError: outputs of another shape than (B, num_outputs).
    """
    inputs, key = jax.ShapeDtypeStruct((2, *shape), jnp.float32), jax.eval_shape(lambda: jax.random.key(0))
    params, stats = jax.eval_shape(network.init, key, inputs)
    if not jax.tree.leaves(params):
        raise ValueError(f'model {name} has no weights')
    for tree, what in ((params, 'weights'), (stats, 'statistics')):
        kinds = {str(getattr(x, 'dtype', type(x).__name__)) for x in jax.tree.leaves(tree)}
        if strange := {kind for kind in kinds if not kind.startswith(('float', 'bfloat'))}:
            raise ValueError(f'model {name} has {what} that are {", ".join(sorted(strange))}; allowed: floats')
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
    weights = jax.ShapeDtypeStruct((2,), jnp.float32)
    given = params, stats, inputs, weights, keys
    for train in (True, False):
        outputs, after = jax.eval_shape(functools.partial(_apply, network, train, False), *given)
        if getattr(outputs, 'shape', None) != (2, num_outputs):
            raise ValueError(
                f'model {name}: of 2 examples of shape {shape} it makes {getattr(outputs, "shape", type(outputs))}, '
                f'not (2, {num_outputs}): a row for each example, with num_outputs={num_outputs} numbers'
            )
        alike = lambda tree: jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)
        if alike(after) != alike(stats):
            raise ValueError(f'model {name}: its statistics change their structure, shapes or types in a call')
    return convolutions.count(functools.partial(_apply, network, True, False), *given)
