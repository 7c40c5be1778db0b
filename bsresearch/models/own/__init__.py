"""Networks of a user's own: flax modules (linen or nnx) and (init, apply) pairs, which keep the engine's contract here.

A user's function `network(num_outputs, *, …)` returns one of these, or is given `rngs` and makes an nnx module. Its
keyword-only arguments are the fields of `config.model`; what it may also take, and then gets, is in FROM_ELSEWHERE.

What plain networks do not have is put into them: padding has no weight in batch norm, a dropout mask follows its
example, a batch is normalized in ghost groups. What cannot be put in is refused by name.
"""

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import errors, nnx
from flax import linen as nn

from bsresearch.core import own_part
from bsresearch.models import convolutions
from bsresearch.models.layers import weight_dtype
from bsresearch.models.own import of_contract, of_linen, of_nnx, of_pair, trial
from bsresearch.models.own.network import Network, call, initial

PyTree = Any
# What a function gets where its signature asks for it: no fields of the config.
FROM_ELSEWHERE = ('ghost_batch_size', 'dtype', 'batch_axis', 'example_shape', 'rngs')
FLAX_PAGE = r' \(https://flax\S+\)'  # at the end of flax's errors
# What flax does not say of errors that a network of its own kind has here.
CURES = {
    errors.InvalidRngError: 'noise is for nn.Dropout alone, whose masks follow the example',
    errors.ModifyScopeVariableError: 'evaluation changes nothing: BatchNorm(use_running_average=not train)',
}


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

    @property
    def dtype(self) -> str:
        """Of the computation."""
        return dict(self.settings).get('dtype', 'float32')

    def of(self, example_shape: tuple[int, ...]) -> Tried:
        """The network for examples of a shape; returned and tried once.

        Raises:
          ValueError: the function fails, returns no network, or one that does not fit the examples or outputs.
        """
        with jax.enable_x64(self.dtype == 'float64'):
            return _tried(self, example_shape)

    def clone(self, *, dropout: float) -> 'Own':
        """Without dropout: the engine asks for no other rate."""
        assert dropout == 0
        return replace(self, quiet=True)

    def init(self, key: jax.Array, inputs: jax.Array, *, train: bool) -> dict[str, PyTree]:
        """Weights and model statistics."""
        del train
        params, stats = initial(self.of(inputs.shape[1:]).network, self.dtype, key, inputs)
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
        called = functools.partial(call, network, train, self.quiet)
        called = convolutions.fast(called) if of_network.products else called
        if train and self.group is not None and self.group < len(inputs):
            called = functools.partial(_in_groups, called, self.group)
        outputs, stats = called(variables['params'], variables.get('stats', {}), inputs, weights, keys)
        return (outputs, {'stats': stats}) if mutable else outputs


def _in_groups(
    called: Callable[..., tuple[jax.Array, PyTree]], group: int, params: PyTree, stats: PyTree, *of_examples: Any
) -> tuple[jax.Array, PyTree]:
    """`called` for each group of examples by itself; statistics are averaged by how many of a group are real.

    Args:
      of_examples: inputs (B, …), weights (B,) and keys (B,) of the examples, or None.
    """
    inputs, weights, _ = of_examples
    if len(inputs) % group:
        raise ValueError(f'{len(inputs)} examples are not a whole number of ghost groups of {group}')
    cut: list[Any] = [None if x is None else x.reshape(-1, group, *x.shape[1:]) for x in of_examples]
    axes = [None if x is None else 0 for x in cut]
    outputs, after = jax.vmap(lambda *parts: called(params, stats, *parts), axes)(*cut)
    real = jnp.ones(len(outputs)) if weights is None else cut[1].sum(1)
    share = real / jnp.maximum(real.sum(), 1)
    average = lambda x: (share.astype(x.dtype).reshape(-1, *(1,) * (x.ndim - 1)) * x).sum(0)
    return outputs.reshape(-1, *outputs.shape[2:]), jax.tree.map(average, after)


@functools.cache
def builder(name: str) -> Callable[..., Own]:
    """The `build` of a network of one's own, with its function's signature.

    Raises:
      ValueError: it is a network and no function, or as own_part.function.
    """
    attribute = name.partition(':')[2]
    named = getattr(own_part.module(name, 'model'), attribute, None)
    if isinstance(named, nn.Module | nnx.Module):
        raise ValueError(
            f'model {name} is a {type(named).__name__}, a network already; give a function '
            f'{attribute}(num_outputs, *, setting=default, …) that returns it'
        )
    function = own_part.function(name, 'model', ('num_outputs',))
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def build(num_outputs: int, **settings: Any) -> Own:
        given = {key: value for key, value in settings.items() if key in known or key not in FROM_ELSEWHERE}
        given |= {'dtype': given.get('dtype', 'float32')} if 'dtype' in known else {}
        return Own(name, num_outputs, tuple(sorted(given.items())))

    return build


_TRIED: dict[tuple[Any, ...], Tried] = {}


def _tried(own: Own, shape: tuple[int, ...]) -> Tried:
    key = own.name, own.num_outputs, repr(own.settings), shape
    if key not in _TRIED:
        try:
            network = _made(own.name, own.num_outputs, dict(own.settings), shape)
            _TRIED[key] = Tried(network, trial.run(own.name, network, own.num_outputs, own.dtype, shape))
        except Exception as error:
            raise _in_words(own, shape, error) from error
    return _TRIED[key]


def _in_words(own: Own, shape: tuple[int, ...], error: Exception) -> ValueError:
    """What goes wrong in a user's network, in one line: with its inputs, which most errors come of, or a cure."""
    failure = own_part.failure(error, own.name, 'model')
    if failure is error:
        return failure
    cures = [cure for kind, cure in CURES.items() if isinstance(error, kind)]
    kind = f': examples of {shape[0]} features each, not images' if len(shape) == 1 else ''
    cure = cures[0] if cures else f'its inputs are (B, {", ".join(map(str, shape))}), {weight_dtype(own.dtype)}{kind}'
    return ValueError(f'{re.sub(FLAX_PAGE, "", str(failure))}; {cure}')


def _made(name: str, num_outputs: int, settings: dict[str, Any], shape: tuple[int, ...]) -> Network:
    function = own_part.function(name, 'model', ('num_outputs',))
    known = inspect.signature(function).parameters
    if 'example_shape' in known:
        settings['example_shape'] = shape
    if 'rngs' in known:
        return of_nnx.network(name, functools.partial(function, num_outputs, **settings))
    # Where a network is asked for, shapes are being traced: arrays that it is made with must be none of the trace's.
    with jax.ensure_compile_time_eval():
        returned = function(num_outputs, **settings)
    if isinstance(returned, nn.Module):
        takes = inspect.signature(type(returned).__call__).parameters
        if all(word in takes for word in of_contract.CONTRACT):
            return of_contract.network(returned, {'ghost_batch_size', 'batch_axis'} <= known.keys(), shape)
        return of_linen.network(name, returned, shape)
    if isinstance(returned, tuple) and len(returned) == 2 and all(map(callable, returned)):
        return of_pair.network(name, *returned)
    kind = f'the class {returned.__name__} itself' if inspect.isclass(returned) else type(returned).__name__
    raise ValueError(
        f'model {name} returned {kind}; allowed: a flax linen module, an (init, apply) pair, or an nnx module from a '
        'function that takes `rngs`'
    )
