"""A user's network is tried on a few examples before it is trained: what does not fit is told in one line."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import stages

from bsresearch.models import convolutions, layers
from bsresearch.models.own.network import Network, call, initial
from bsresearch.models.own.noise import BATCH_NORM, OWN_STATISTICS

PyTree = Any
# Seldom another size of a network, so that a shape that comes of another axis is seen.
EXAMPLES = 5
# Repeated, which is faster than to draw each of many weights.
NOISE = np.random.default_rng(0).standard_normal(10007)
# Compiled for two calls alone.
HURRY = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}


def run(name: str, network: Network, num_outputs: int, dtype: str, shape: tuple[int, ...]) -> convolutions.Convolutions:
    """Tries a network in training and in evaluation; its convolutions.

    Args:
      name: its import path. dtype: of the computation. shape: of an example.

    Raises:
      ValueError: weights, statistics or outputs of another kind or shape than the engine takes, or outputs of an
        example that follow the others of its batch where nothing may let them.
    """
    key, inputs = jax.eval_shape(lambda: jax.random.key(0)), _shape((EXAMPLES, *shape), dtype)
    params, stats = jax.eval_shape(functools.partial(initial, network, dtype), key, inputs)
    _check_kinds(name, dtype, params, stats)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), EXAMPLES))
    given = params, stats, inputs, _shape((EXAMPLES,), dtype), keys
    programs = {}
    for train in (True, False):
        programs[train] = jax.jit(functools.partial(call, network, train, False)).trace(*given)
        outputs, after = programs[train].out_info
        _check_outputs(name, dtype, outputs, num_outputs, shape)
        alike = lambda tree: jax.tree.map(lambda x: (x.shape, str(x.dtype)), tree)
        if alike(after) != alike(stats):
            raise ValueError(f'model {name}: its statistics change their structure, shapes or types in a call')
    _check_apart(name, network.couples, programs, params, stats, inputs)
    return convolutions.count(programs[True].jaxpr)


def _shape(shape: tuple[int, ...], dtype: str) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, layers.weight_dtype(dtype))


def _check_kinds(name: str, dtype: str, params: PyTree, stats: PyTree) -> None:
    """Raises ValueError for weights that are not of the run's precision, or statistics that cannot be averaged."""
    if not jax.tree.leaves(params):
        raise ValueError(f'model {name} has no weights')
    kinds = lambda tree: {str(x.dtype) for x in jax.tree.leaves(tree)}
    wide = str(layers.weight_dtype(dtype))
    if others := kinds(params) - {wide}:
        raise ValueError(
            f'model {name} has weights that are {", ".join(sorted(others))}; with config.dtype={dtype} they must be '
            f'{wide}: give its layers param_dtype=jnp.{wide}'
        )
    if others := {kind for kind in kinds(stats) if not kind.startswith(('float', 'bfloat'))}:
        raise ValueError(
            f'model {name} has statistics that are {", ".join(sorted(others))}; allowed: floats, which are averaged '
            'over the parts of a batch'
        )


def _check_outputs(name: str, dtype: str, outputs: Any, num_outputs: int, shape: tuple[int, ...]) -> None:
    """Raises ValueError for outputs that are not (B, num_outputs) floats."""
    out_shape = outputs.shape if hasattr(outputs, 'shape') else f'a {type(outputs).__name__}'
    if out_shape != (EXAMPLES, num_outputs):
        raise ValueError(
            f'model {name}: of {EXAMPLES} examples of shape {shape} it makes {out_shape}, not ({EXAMPLES}, '
            f'{num_outputs}): a row for each example, with num_outputs={num_outputs} numbers'
        )
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise ValueError(f'model {name}: its outputs are {outputs.dtype}; allowed: floats, from which a loss is made')
    if dtype == 'float64' and outputs.dtype != jnp.float64:
        raise ValueError(
            f'model {name}: its outputs are {outputs.dtype}; with config.dtype=float64 give each layer dtype=dtype'
        )


def _check_apart(
    name: str, couples: str, programs: dict[bool, stages.Traced], params: PyTree, stats: PyTree, inputs: Any
) -> None:
    """Raises ValueError where an example's outputs follow another's inputs: the last example is changed, all else kept.

    It is real in evaluation, and in training where nothing may couple examples. Where batch norm does, it is padding in
    training, and the statistics must not follow it either. Statistics of a user's own are free in training.
    """
    alike = str(programs[True].jaxpr) == str(programs[False].jaxpr)
    for train in (False,) if alike or couples == OWN_STATISTICS else (False, True):
        padded = train and couples == BATCH_NORM
        weights = np.array([1.0] * (EXAMPLES - 1) + [float(not padded)], inputs.dtype)
        (outputs, *after), (others, *others_after) = _of_two(programs[train], params, stats, inputs, weights)
        pairs = [(outputs[:-1], others[:-1]), *zip(after, others_after, strict=True)]
        if all(np.array_equal(*pair, equal_nan=True) for pair in pairs):
            continue
        if padded:
            raise ValueError(
                f'model {name}: in training its outputs or statistics follow the padding of a short batch, which '
                "flax's BatchNorm alone leaves out; let nothing else work along the batch axis"
            )
        raise ValueError(
            f'model {name}: in {"training" if train else "evaluation"} the outputs of an example follow the others of '
            "its batch; flax's BatchNorm alone may let them, in training alone: use_running_average=not train"
        )


def _of_two(
    program: stages.Traced, params: PyTree, stats: PyTree, inputs: Any, weights: np.ndarray
) -> list[list[np.ndarray]]:
    """What a program makes of two batches that differ in their last example; on the CPU it is compiled in a hurry."""
    first = np.random.default_rng(1).uniform(0, 2, inputs.shape).astype(inputs.dtype)
    second = first.copy()
    second[-1] = np.random.default_rng(2).uniform(0, 2, inputs.shape[1:])
    state = jax.tree.map(_some_weight, params), jax.tree.map(_some_positive, stats)
    cpu = _cpu()
    with jax.default_device(cpu):
        with jax.ensure_compile_time_eval():  # where a trial is asked for, shapes are being traced
            keys = jax.random.split(jax.random.key(0), EXAMPLES)
        compiled = program.lower().compile(compiler_options=HURRY if cpu else None)
        results = [compiled(*state, batch, weights, keys) for batch in (first, second)]
        return [[np.asarray(x) for x in jax.tree.leaves(result)] for result in results]


def _cpu() -> Any:
    """The host's; None where JAX was told to do without (JAX_PLATFORMS=cuda)."""
    try:
        return jax.local_devices(backend='cpu')[0]
    except RuntimeError:
        return None


def _some_weight(like: jax.ShapeDtypeStruct) -> np.ndarray:
    """Of a shape, so that a layer lets all through; initial ones may be 0 where a layer is to grow into its part."""
    if len(like.shape) < 2:
        return _some_positive(like)
    return np.resize(NOISE / math.sqrt(math.prod(like.shape[:-1]) or 1), like.shape).astype(like.dtype)


def _some_positive(like: jax.ShapeDtypeStruct) -> np.ndarray:
    """Of a shape: scales, biases and variances."""
    return np.resize(0.5 + np.abs(NOISE), like.shape).astype(like.dtype)
