"""Gradient norm against batch size at a checkpoint: walking, frozen and single-batch, over R trials.

K. Shen, "Effect of batch size on training dynamics" (2018). w* are the weights of the checkpoint, P the selected
parameters. A trial draws n examples; for every batch size B the same n are cut into K = ⌊n/B⌋ batches b_1 … b_K (the
rest is left out). With the mean-loss gradient g_P(w; b) and the plain SGD step w_{k+1} = w_k − η·g(w_k; b_k) from
w_1 = w*, on all parameters,
  walking       S_walk(B)   = ‖(B/n) Σ_k g_P(w_k; b_k)‖      (Shen's statistic; η matters),
  frozen        S_frozen(B) = ‖(B/n) Σ_k g_P(w*; b_k)‖       (the same for every B that divides n),
  single-batch  S_single(B) = ‖g_P(w*; b_1)‖                 (E S² = ‖G‖² + tr Σ/B, drawn with replacement),
  displacement  ‖w_{K+1} − w*‖ over all parameters, and over P, where it is η·(n/B)·S_walk.
The summed gradient of a batch has norm B·S_single. Training mode without augmentation and dropout.

In float32 a walking norm can differ by 1e-3 between two right implementations: one ReLU that rounding flips changes the
walk from there on. Frozen and single-batch norms agree to rounding.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from bsresearch import optim
from bsresearch.core import rng
from bsresearch.measure import num_examples
from bsresearch.measure.probes import Arrays, Kind, Place, walk

PyTree = Any
BATCH_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 128, 256, 512, 1024)
NAMES = {'all': '*', 'last layer': 'output/*'}
MOST = 10**6  # trials, and samples of each
BLOCK = 10  # trials between two savings
# Examples whose gradients are held at once; on a CPU one, where P has more entries: 256 examples of the MLP took 0.2 s
# one by one and 2.6 s in sixteens.
CHUNK, SMALL = 16, 2**16
SLAB = 4096  # examples of the training set per call; their sums are added in float64


def build(
    *,
    trials: int = 1000,
    samples: int = 1024,
    batch_sizes: tuple[int, ...] = BATCH_SIZES,
    learning_rates: tuple[float, ...] = (),
    with_replacement: bool = True,
    parameters: tuple[str, ...] = ('output/kernel',),
    population: bool = True,
    seed: int = 0,
) -> Kind:
    """The probe.

    Args:
      trials: R. samples: n, examples per trial, the same for every batch size (common random numbers).
      batch_sizes: in examples; those larger than `samples` are left out.
      learning_rates: η of the walk, a probe each; (): the run's own at that point.
      with_replacement: how a trial draws its examples from the training set; trials are independent either way.
      parameters: P: 'all', 'last layer', 'bias', 'norm', or glob patterns of their paths. The walk moves all.
      population: also ‖∇L‖² and tr Σ over P of the whole training set at w*, from which the single-batch curve follows
        without a fit; not with batch norm, whose examples have no gradients of their own.
      seed: of the draws, the same at every checkpoint and η.
    """
    sizes = tuple(batch_sizes)
    _check_settings(trials, samples, sizes, learning_rates, seed)
    patterns = tuple(NAMES.get(p, p) for p in parameters)

    def check(shapes: PyTree, examples: int, ghost: int | None) -> None:
        if not patterns:
            raise ValueError("config.probe.parameters=(): name what to select, e.g. ('all',)")
        optim.check_groups(shapes, patterns, 'config.probe.parameters')
        if not any(jax.tree.leaves(optim.matches(shapes, patterns))):
            raise ValueError(f'config.probe.parameters={parameters}: the network has no such parameters')
        _check_examples(samples, sizes, examples if not with_replacement else None, ghost)

    def run(place: Place, learning_rate: float, block: int) -> Arrays:
        start = block * BLOCK
        number = min(BLOCK, trials - start)
        total = num_examples(place.train)
        rows = [_draw(seed, i, total, samples, with_replacement) for i in range(start, start + BLOCK)]
        data = jax.tree.map(lambda x: np.asarray(x)[np.stack(rows)], place.train)
        return _walked(place, patterns, sizes, data, learning_rate, number)

    def finish(place: Place, blocks: Sequence[Arrays]) -> Arrays:
        joined = {name: np.concatenate([b[name] for b in blocks]) for name in walk.Trial._fields if name != 'counts'}
        counts = np.sum([b['counts'] for b in blocks], axis=0, dtype=np.int64)
        facts = {'batch_sizes': np.array(sizes), 'samples': np.array(samples), 'counts': counts, 'edges': walk.edges()}
        exact = population and not place.ghost_batch_size
        return joined | facts | (_population(place, patterns) if exact else {})

    def calls(examples: int) -> dict[int, float]:
        walks = {size: trials * samples / size for size in sizes}
        return walks | ({1: walks.get(1, 0.0) + examples} if population else {})

    brief = ({'trials': 1}, float(trials))
    return Kind(check=check, blocks=-(-trials // BLOCK), run=run, finish=finish, brief=brief, calls=calls)


def _walked(
    place: Place, patterns: tuple[str, ...], sizes: tuple[int, ...], data: Any, learning_rate: float, number: int
) -> Arrays:
    """The first `number` trials of a block at every batch size, which is the last axis (of `counts` the first)."""
    rate = np.asarray(learning_rate, jax.tree.leaves(place.params[0])[0].dtype)
    by_size = {}
    for size in sizes:
        fn = functools.partial(walk.trials, place.losses, patterns, size, place.one_by_one)
        args = (place.params[0], place.stats[0], data, rate, np.int32(number))
        by_size[size] = jax.tree.map(np.asarray, place.call(f'walk/{size}', fn, args))
    kept = lambda name, x: x if name == 'counts' else x[:number]
    return {name: np.stack([kept(name, getattr(by_size[s], name)) for s in sizes], -1 if name != 'counts' else 0)
            for name in walk.Trial._fields}  # fmt: skip


def _check_settings(
    trials: int, samples: int, sizes: tuple[int, ...], learning_rates: tuple[float, ...], seed: int
) -> None:
    """Raises ValueError for a number that makes no sense in any run."""
    for field, value in (('trials', trials), ('samples', samples)):
        if not 1 <= value <= MOST:
            raise ValueError(f'config.probe.{field}={value}: at least 1, at most {MOST}')
    if not sizes or min(sizes) < 1 or len(set(sizes)) < len(sizes):
        raise ValueError(f'config.probe.batch_sizes={sizes}: distinct numbers of at least 1 are needed')
    if max(sizes) > samples:
        raise ValueError(
            f'config.probe.batch_sizes has {max(sizes)}, more than the samples={samples} of a trial; raise samples or '
            'leave it out'
        )
    if any(not rate > 0 for rate in learning_rates):
        raise ValueError(f'config.probe.learning_rates={learning_rates}: must be positive')
    if not 0 <= seed <= rng.MAX_SEED:
        raise ValueError(f'config.probe.seed={seed}: must lie in [0, {rng.MAX_SEED}]')


def _check_examples(samples: int, sizes: tuple[int, ...], at_most: int | None, ghost: int | None) -> None:
    """Raises ValueError for more samples than there are to draw, or batches that are no whole batch-norm groups."""
    if at_most is not None and samples > at_most:
        raise ValueError(
            f'config.probe.samples={samples}: the training set has {at_most} examples to draw without replacement'
        )
    coupled = [size for size in sizes if ghost and size % ghost]
    if coupled:
        raise ValueError(
            f'config.probe.batch_sizes={sizes}: {coupled[0]} is not a whole number of batch-norm groups of '
            f'{ghost}; use multiples of it, or a run with a smaller ghost_batch_size'
        )


def _draw(seed: int, trial: int, examples: int, samples: int, with_replacement: bool) -> np.ndarray:
    """(n,) rows of the training set for one trial; they depend on nothing else."""
    generator = rng.generator(seed, 'probe/gradient_norm', trial)
    return (
        generator.integers(0, examples, samples)
        if with_replacement
        else generator.choice(examples, samples, replace=False)
    )


def _population(place: Place, patterns: tuple[str, ...]) -> dict[str, np.ndarray]:
    """‖∇L‖² and tr Σ (N in the denominator) of the training set at w*, over P."""
    total = num_examples(place.train)
    gradient, squares = None, 0.0
    leaves, taken = (jax.tree.leaves(x) for x in (place.params[0], optim.matches(place.params[0], patterns)))
    entries = sum(np.size(x) for x, mine in zip(leaves, taken, strict=True) if mine)
    chunk = 1 if place.one_by_one and entries > SMALL else CHUNK
    fn = functools.partial(walk.population, place.losses, patterns, chunk)
    for start in range(0, total, SLAB):
        rows = np.minimum(np.arange(start, start + SLAB), total - 1)
        data = jax.tree.map(lambda x, rows=rows: np.asarray(x)[rows], place.train)
        args = (place.params[0], place.stats[0], data, np.int32(min(SLAB, total - start)))
        sums, square = place.call('population', fn, args)
        wide = [np.asarray(s, np.float64) for s in sums]
        gradient = wide if gradient is None else [a + b for a, b in zip(gradient, wide, strict=True)]
        squares += float(square)
    assert gradient is not None
    square = sum(float((g**2).sum()) for g in gradient) / total**2
    return {
        'population': np.array(total),
        'gradient_square': np.array(square),
        'trace': np.array(squares / total - square),
    }
