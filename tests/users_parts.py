"""Parts as a user writes them, named by `tests/users_parts.py:<function>`; and some that are wrong."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax import nnx

GLOROT = nn.initializers.glorot_normal()


class Mlp(nn.Module):
    """As models/mlp.py with one layer of 16, whose layers have the same names."""

    num_outputs: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(16, kernel_init=GLOROT, name='dense_0')(x))
        return nn.Dense(self.num_outputs, kernel_init=GLOROT, name='output')(x)


def mlp(num_outputs: int) -> nn.Module:
    return Mlp(num_outputs)


class NnxMlp(nnx.Module):
    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(inputs, 16, rngs=rngs), nnx.Linear(16, outputs, rngs=rngs)])

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layers[1](nnx.relu(self.layers[0](x.reshape(x.shape[0], -1))))


def given(weights: str) -> list[tuple[jax.Array, jax.Array]]:
    """Kernel and bias of each layer from a file."""
    with np.load(weights) as arrays:
        return [(jnp.asarray(arrays[f'kernel_{i}']), jnp.asarray(arrays[f'bias_{i}'])) for i in range(2)]


def nnx_mlp(num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs, weights: str = '') -> nnx.Module:
    made = NnxMlp(math.prod(example_shape), num_outputs, rngs)
    for layer, (kernel, bias) in zip(made.layers, given(weights) if weights else (), strict=bool(weights)):
        assert layer.bias is not None
        layer.kernel.set_value(kernel)
        layer.bias.set_value(bias)
    return made


def pair(num_outputs: int, *, example_shape: tuple[int, ...], weights: str = '') -> Any:
    sizes = (math.prod(example_shape), 16, num_outputs)

    def init(key: jax.Array, inputs: jax.Array) -> Any:
        if weights:
            return given(weights)
        keys = jax.random.split(key, 2)
        return [(GLOROT(k, (m, n)), jnp.zeros(n)) for k, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)]

    def apply(params: Any, inputs: jax.Array) -> jax.Array:
        (w, b), (v, c) = params
        return jax.nn.relu(inputs.reshape(len(inputs), -1) @ w + b[None]) @ v + c[None]

    return init, apply


def mean_of_the_batch(num_outputs: int, *, example_shape: tuple[int, ...]) -> Any:
    init, apply = pair(num_outputs, example_shape=example_shape)
    return init, lambda params, inputs: apply(params, inputs - inputs.mean(0, keepdims=True))


class Noisy(nnx.Module):
    def __init__(self, inputs: int, outputs: int, rngs: nnx.Rngs):
        self.layer, self.rngs = nnx.Linear(inputs, outputs, rngs=rngs), rngs

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x.reshape(x.shape[0], -1)
        return self.layer(x + jax.random.normal(self.rngs.noise(), x.shape))


def noisy(num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs) -> nnx.Module:
    return Noisy(math.prod(example_shape), num_outputs, rngs)


class Scanned(nn.Module):
    num_outputs: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        step = lambda cell, carry, _: (nn.Dropout(0.5, deterministic=not train)(carry), None)
        scan = nn.scan(step, variable_broadcast='params', split_rngs={'params': False, 'dropout': True}, length=3)
        x, _ = scan(self, x.reshape(x.shape[0], -1), None)
        return nn.Dense(self.num_outputs)(x)


def scanned(num_outputs: int) -> nn.Module:
    return Scanned(num_outputs)


def no_default(num_outputs: int, *, width: int) -> nn.Module:
    return Mlp(num_outputs)


def averaged(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    return cross_entropy(outputs, labels).mean()


def whole_batch(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    return 0.5 * (outputs.max(1, keepdims=True) - labels[:, None]) ** 2


def not_of_hyper() -> Any:
    return optax.sgd(0.1)


class Normalized(nn.Module):
    """Convolution, batch norm, dropout."""

    num_outputs: int
    dropout: float

    @nn.compact
    def __call__(self, x: jax.Array, deterministic: bool = True) -> jax.Array:
        x = nn.Conv(4, (3, 3), (2, 2))(x)
        x = nn.BatchNorm(use_running_average=deterministic)(x)
        x = nn.Dropout(self.dropout)(nn.relu(x), deterministic=deterministic)
        return nn.Dense(self.num_outputs)(x.mean((1, 2)))


def normalized(num_outputs: int, *, dropout: float = 0.0) -> nn.Module:
    return Normalized(num_outputs, dropout)


class NnxNormalized(nnx.Module):
    def __init__(self, channels: int, outputs: int, dropout: float, rngs: nnx.Rngs):
        self.conv = nnx.Conv(channels, 4, (3, 3), (2, 2), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(dropout, rngs=rngs)
        self.output = nnx.Linear(4, outputs, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.output(self.drop(nnx.relu(self.norm(self.conv(x)))).mean((1, 2)))


def nnx_normalized(
    num_outputs: int, *, example_shape: tuple[int, ...], rngs: nnx.Rngs, dropout: float = 0.0
) -> nnx.Module:
    return NnxNormalized(example_shape[-1], num_outputs, dropout, rngs)


class Counting(nn.Module):
    """Normalizes by a mean of its own making."""

    num_outputs: int

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        mean = self.variable('batch_stats', 'mean', jnp.zeros, ())
        if train:
            mean.value = 0.9 * mean.value + 0.1 * x.mean()
        return nn.Dense(self.num_outputs)((x - mean.value).reshape(x.shape[0], -1))


def counting(num_outputs: int) -> nn.Module:
    return Counting(num_outputs)


def cross_entropy(outputs: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(outputs, labels)


def descent(*, factor: float = 1.0) -> Any:
    return lambda hyper: optax.scale(-factor * hyper.learning_rate)


def straight(t: np.ndarray, span: Any, *, last: float = 0.0) -> np.ndarray:
    return 1 + (last - 1) * t / max(span.steps - 1, 1)


def largest_weight(*, power: float = 1.0, whole: bool = False) -> Any:
    from bsresearch.measure import Measure

    def update(state: Any, context: Any) -> Any:
        top = jnp.stack([jnp.abs(x).max() for x in jax.tree.leaves(context.params)]).max()
        return state, {'largest_weight': top**power}

    return Measure(lambda params: (), update, whole=whole)


def misnamed(*, metric: str = 'step', host: bool = False, size: int = 0) -> Any:
    """Gives a metric under any name, of any shape."""
    from bsresearch.measure import Measure

    def update(state: Any, context: Any) -> Any:
        return state, {metric: jnp.zeros((size,) if size else ())}

    return Measure(lambda params: (), update, host=host)


def forgetful(*, counts: bool = True) -> Any:
    """Its state becomes another; or it fails."""
    from bsresearch.measure import Measure

    def update(state: Any, context: Any) -> Any:
        return ((state + 1, state) if counts else state + context.nothing), {'count': state}

    return Measure(lambda params: jnp.zeros(()), update)


def no_measure() -> Any:
    return None


def points(*, examples: int = 40) -> Any:
    inputs = np.random.default_rng(0).standard_normal((examples, 3))
    labels = np.where(inputs[:, 0] > 0, 'right', 'left')
    return (inputs[10:], labels[10:]), (inputs[:10], labels[:10])


def wrong_outputs(num_outputs: int) -> nn.Module:
    return Mlp(num_outputs + 1)


def wrong_shape(num_outputs: int, *, rngs: nnx.Rngs) -> nnx.Module:
    return NnxMlp(7, num_outputs, rngs)


def no_network(num_outputs: int) -> int:
    return num_outputs


def settings_first(width: int, num_outputs: int) -> nn.Module:
    return Mlp(num_outputs)


class Untold(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Dense(10)(nn.Dropout(0.5, deterministic=False)(x.reshape(len(x), -1)))


def untold(num_outputs: int) -> nn.Module:
    return Untold()


def missing_values() -> Any:
    (inputs, labels), test = points()
    return (np.where(inputs > 2, np.nan, inputs), labels), test


def counted() -> Any:
    """Whole numbers that may be classes or targets."""
    inputs = np.random.default_rng(0).standard_normal((40, 3))
    return (inputs[10:], np.arange(10, 40)), (inputs[:10], np.arange(10))


def ragged() -> Any:
    (inputs, labels), test = points()
    return ([*inputs[:29], inputs[29][:2]], labels), test


def half() -> Any:
    (inputs, labels), test = points()
    return (inputs, labels[:-1]), test


def infinite(*, shift: float = math.inf) -> Any:
    return points()


def no_data() -> int:
    return 3


def doubled(plans: list[Any]) -> Any:
    """A study: the config's runs, then each at twice the learning rate."""
    from bsresearch.planning.stages import variant

    yield plans
    yield [variant(plan, learning_rate=2 * plan.policy.learning_rate) for plan in plans]


def in_words(outputs: jax.Array, labels: jax.Array) -> str:
    return 'much'


def leaving(num_outputs: int) -> nn.Module:
    raise SystemExit(3)


def failing(plans: list[Any]) -> Any:
    """A study whose second stage cannot be made."""
    yield plans
    yield [plans[0].nothing]


def of_numbers(plans: list[Any]) -> Any:
    """A study of what cannot be made."""
    yield [1, 2]


def short(t: np.ndarray, span: Any) -> np.ndarray:
    return np.ones(3)


def undefined(t: np.ndarray, span: Any) -> np.ndarray:
    return np.where(t > 2, np.nan, 1.0)


def no_probe() -> int:
    return 3


def few_trials(*, trials: int = 2) -> Any:
    """A probe."""
    from bsresearch.measure.probes import gradient_norm

    return gradient_norm.build(trials=trials, samples=8, batch_sizes=(1, 8))


def check(at_once: int | None, **options: Any) -> None:
    """Of the engine: takes anything."""


def platform(**options: Any) -> str:
    """Of the engine."""
    return 'cpu'


def run_none(jobs: Any, at_once: int | None, should_stop: Any, *, patience: int = 3) -> Any:
    """An engine that starts nothing."""
    return iter(())


def run_nowhere(jobs: Any, at_once: int | None, should_stop: Any) -> Any:
    """An engine that returns nothing."""


def run_numbers(jobs: Any, at_once: int | None, should_stop: Any) -> Any:
    """An engine that tells numbers."""
    yield from (3, 4)


def run_late(jobs: Any, at_once: int | None, should_stop: Any) -> Any:
    """An engine that fails when it is asked for the first job's end."""
    yield {}['job']


# Findings, of `users_parts` as a module.
QUESTION = 'Does it learn?'
SOURCE = 'a user'
