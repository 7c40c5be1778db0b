"""One trial of the gradient-norm probe at one batch size: a walk from w*, and the same examples at w*.

Symbols as in measure/probes/gradient_norm.py. Everything here is pure and compiled once per batch size.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from bsresearch import optim
from bsresearch.measure import num_examples, squared_norm

PyTree = Any
# Gradient entries are counted in bins even in log |x|: BINS_PER_OCTAVE from 2^LOWEST on, both signs.
BINS_PER_OCTAVE, LOWEST, OCTAVES = 8, -40, 48
Loss = Callable[..., jax.Array]


class Trial(NamedTuple):
    """What trials give at one batch size, () or (trials,) each; `counts`: (2 × bins,), of entries of walking gradients.

    walking, frozen, single, displacement, displacement_selected: norms. fourth: Σ x⁴ of the walking gradient's entries
    x, whose Σ x² is walking². largest: max |x|.
    """

    walking: Float[Array, '*trials']
    frozen: Float[Array, '*trials']
    single: Float[Array, '*trials']
    displacement: Float[Array, '*trials']
    displacement_selected: Float[Array, '*trials']
    fourth: Float[Array, '*trials']
    largest: Float[Array, '*trials']
    counts: Int[Array, 'bins']


def edges() -> np.ndarray:
    """Edges of the bins of |x|, ascending, (bins + 1,); what lies outside is counted in the outermost."""
    return 2.0 ** (LOWEST + np.arange(BINS_PER_OCTAVE * OCTAVES + 1) / BINS_PER_OCTAVE)


def count(x: Float[Array, 'n']) -> Int[Array, 'bins']:
    """Numbers of entries by signed bin: negative ones from the largest |x| down, then positive ones up."""
    bins = BINS_PER_OCTAVE * OCTAVES
    size = jnp.log2(jnp.maximum(jnp.abs(x), 2.0**LOWEST)) - LOWEST
    place = jnp.clip(jnp.floor(size * BINS_PER_OCTAVE), 0, bins - 1).astype(jnp.int32)
    return jnp.zeros(2 * bins, jnp.int32).at[jnp.where(x < 0, bins - 1 - place, bins + place)].add(1)


def pick(tree: PyTree, patterns: tuple[str, ...]) -> list[jax.Array]:
    """The leaves that the patterns select, in the tree's order."""
    chosen = jax.tree.leaves(optim.matches(tree, patterns))
    return [leaf for leaf, taken in zip(jax.tree.leaves(tree), chosen, strict=True) if taken]


def put(tree: PyTree, patterns: tuple[str, ...], leaves: Sequence[jax.Array]) -> PyTree:
    """`tree` with its selected leaves exchanged: the inverse of `pick`."""
    flat, structure = jax.tree.flatten(tree)
    new = iter(leaves)
    chosen = jax.tree.leaves(optim.matches(tree, patterns))
    return structure.unflatten([next(new) if taken else leaf for leaf, taken in zip(flat, chosen, strict=True)])


def cut(data: Any, size: int) -> Any:
    """(n, …) examples → (⌊n/B⌋, B, …) batches; what is left over is dropped."""
    n = num_examples(data)
    return jax.tree.map(lambda x: x[: n // size * size].reshape(n // size, size, *x.shape[1:]), data)


def walk(
    loss: Loss, patterns: tuple[str, ...], start: PyTree, batches: Any, learning_rate: jax.Array
) -> tuple[PyTree, list[jax.Array]]:
    """Plain SGD from w* over the batches; (w_{K+1}, Σ_k g_P(w_k; b_k))."""

    def step(k: jax.Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
        params, total = carry
        gradient = jax.grad(lambda w: loss(w, jax.tree.map(lambda x: x[k], batches)).mean())(params)
        total = jax.tree.map(jnp.add, total, pick(gradient, patterns))
        return jax.tree.map(lambda w, g: w - learning_rate * g, params, gradient), total

    zero = jax.tree.map(jnp.zeros_like, pick(start, patterns))
    return jax.lax.fori_loop(0, num_examples(batches), step, (start, zero))


def trial(
    loss: Loss, patterns: tuple[str, ...], size: int, start: PyTree, data: Any, learning_rate: jax.Array
) -> Trial:
    """One trial at batch size B = `size`.

    Args:
      loss: (params, (inputs, labels)) → (B,) losses.
      start: w*. data: (inputs, labels) of the n examples.
    """
    share, batches = size / num_examples(data), cut(data, size)
    selected = functools.partial(pick, patterns=patterns)
    end, total = walk(loss, patterns, start, batches, learning_rate)
    batch_loss = lambda leaves, batch: loss(put(start, patterns, leaves), batch).mean()
    # The batches' forward passes side by side, each with its own batch: their gradients' sum is that of the sum.
    all_batches = lambda leaves: jax.vmap(batch_loss, in_axes=(None, 0))(leaves, batches).sum()
    frozen = jax.grad(all_batches)(selected(start))
    single = jax.grad(batch_loss)(selected(start), jax.tree.map(lambda x: x[0], batches))
    moved = jax.tree.map(jnp.subtract, end, start)
    norm = lambda tree: jnp.sqrt(squared_norm(tree))
    entries = jnp.concatenate([share * x.ravel() for x in total])
    return Trial(
        walking=norm(entries),
        frozen=share * norm(frozen),
        single=norm(single),
        displacement=norm(moved),
        displacement_selected=norm(selected(moved)),
        fourth=jnp.sum(entries**4),
        largest=jnp.abs(entries).max(),
        counts=count(entries),
    )


def trials(
    loss: Loss,
    patterns: tuple[str, ...],
    size: int,
    one_by_one: bool,
    start: PyTree,
    stats: PyTree,
    data: Any,
    learning_rate: jax.Array,
    number: jax.Array,
) -> Trial:
    """The first `number` trials of a block, leaves with a first axis of trials, but for counts, which are added up.

    Args:
      loss: (params, stats, (inputs, labels)) → losses. data: with a first axis of trials.
    """
    one_trial = functools.partial(trial, lambda p, batch: loss(p, stats, batch), patterns, size, start)
    block = num_examples(data)
    if not one_by_one:
        block_of_trials = jax.vmap(one_trial, in_axes=(0, None))(data, learning_rate)
        real = jnp.arange(block) < number
        return block_of_trials._replace(counts=jnp.where(real[:, None], block_of_trials.counts, 0).sum(0))
    shapes = jax.eval_shape(one_trial, jax.tree.map(lambda x: x[0], data), learning_rate)
    empty = jax.tree.map(lambda x: jnp.zeros((block, *x.shape), x.dtype), shapes)
    empty = empty._replace(counts=jnp.zeros_like(shapes.counts))

    def body(i: jax.Array, out: Trial) -> Trial:
        new = one_trial(jax.tree.map(lambda x: x[i], data), learning_rate)
        stored = jax.tree.map(lambda buffer, value: buffer.at[i].set(value) if value.ndim == 0 else buffer, out, new)
        return stored._replace(counts=out.counts + new.counts)

    return jax.lax.fori_loop(0, number, body, empty)


def population(
    loss: Loss, patterns: tuple[str, ...], chunk: int, start: PyTree, stats: PyTree, data: Any, number: jax.Array
) -> tuple[PyTree, jax.Array]:
    """(Σ g_i, Σ |g_i|²) over the first `number` of `data`'s examples, restricted to P, `chunk` at once."""

    def one(example: Any) -> PyTree:
        single = jax.tree.map(lambda x: x[None], example)
        value = lambda leaves: loss(put(start, patterns, leaves), stats, single)[0]
        return jax.grad(value)(pick(start, patterns))

    def add(i: jax.Array, sums: tuple[PyTree, jax.Array]) -> tuple[PyTree, jax.Array]:
        rows = i * chunk + jnp.arange(chunk)
        gradients = jax.vmap(one)(jax.tree.map(lambda x: x[jnp.minimum(rows, num_examples(data) - 1)], data))
        real = rows < number
        gradients = jax.tree.map(lambda g: jnp.where(real.reshape(-1, *(1,) * (g.ndim - 1)), g, 0), gradients)
        return jax.tree.map(lambda s, g: s + g.sum(0), sums[0], gradients), sums[1] + squared_norm(gradients)

    zero = jax.tree.map(jnp.zeros_like, pick(start, patterns))
    return jax.lax.fori_loop(0, -(-number // chunk), add, (zero, jnp.zeros_like(squared_norm(zero))))
