"""`noise_scale`: B_simple of a loss at given weights, from one batch, with its interval."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bsresearch.analysis import ratio
from bsresearch.face import own_loop
from bsresearch.measure import dot
from bsresearch.measure import noise_scale as measurement

PyTree = Any
AT_RANDOM = 'draw its examples at random, with replacement'
UNBOUNDED = 'this batch does not tell |G|² from 0; a larger one may'
NO_INTERVAL = 'it takes 20 small batches, none of which stands out; give a larger batch, cut into larger small ones'


class NoiseScale(NamedTuple):
    """The gradient's noise at given weights; print() says in a line what can be told, and what to do for more.

    noise_scale: B_simple = tr Σ/|G|², in examples; ∞ where the estimate of |G|² is not positive, as it may be at a low
      loss: B_simple is then larger than this batch can tell. NaN where gradients are not finite.
    low, high: its 95 % interval. high = ∞: it has no upper end, B_simple is `low` at least; a larger batch is the cure.
      low = ∞ too: |G|² is below 0 by more than chance; the examples were not drawn at random. Both NaN where there is
      no interval: below 20 small batches, or where few of them carry the variance (analysis/ratio.py); the cure is a
      larger batch, cut into larger small ones.
    gradient_square, trace: estimates of |G|² and tr Σ, without bias; that of |G|² may be negative.
    """

    noise_scale: float
    low: float
    high: float
    gradient_square: float
    trace: float

    def __str__(self) -> str:
        scale = '∞' if np.isinf(self.noise_scale) else f'{self.noise_scale:.4g}'
        if np.isnan(self.noise_scale):
            return 'B_simple: none, as gradients are not finite at these weights'
        if np.isnan(self.low):
            return f'B_simple = {scale}, without an interval: {NO_INTERVAL}'
        if np.isinf(self.low):
            return f'B_simple = {scale}: |G|² = {self.gradient_square:.2g} is below 0 by more than chance; {AT_RANDOM}'
        if np.isinf(self.high):
            return f'B_simple is at least {self.low:.4g} (95 %), estimated as {scale}: {UNBOUNDED}'
        return f'B_simple = {scale} ({self.low:.4g} to {self.high:.4g}, 95 %)'


def noise_scale(loss_fn: own_loop.LossFn, params: PyTree, batch: Any, *, small: int = 32) -> NoiseScale:
    """B_simple = tr Σ/|G|² from the gradients of a batch and of the small ones it is cut into (measure/noise_scale.py).

    The examples should be drawn at random: B_simple is that of the distribution they come from. That of a training set
    of N takes a draw with replacement, which may be larger than the set; of one without, B comes out as
    1/(1/B_simple − 1/N). For loops of your own; under jit, and averaged along a run,
    `Monitor(…, noise_scale=dict(every=…))` does the same.

    Args:
      loss_fn: (params, batch) → () mean loss. It should draw nothing at random (dropout): that would count as noise.
      params: θ, any pytree of float arrays. batch: any pytree of n examples along the first axis.
      small: B_small, which divides n into at least two; an interval needs 20. With batch norm the gradients are those
        of losses that B_small examples normalize.

    Raises:
      ValueError: what is given cannot be; told before anything is compiled.

    Reference: McCandlish, Kaplan et al. 2018 (arXiv:1812.06162), appendix A.1; the interval is Fieller's (1954), of the
      jackknife over small batches (analysis/ratio.py).
    """
    own_loop.check_concrete('noise_scale', params, batch)
    own_loop.check_params(params)
    small, count = _cut(own_loop.size_of(batch), small)
    own_loop.check_loss(loss_fn, params, batch)
    own_loop.check_mean(loss_fn, params, batch)

    def gradients(params: PyTree, batch: Any) -> tuple[jax.Array, jax.Array, jax.Array]:
        """|g_small|² and g_smallᵀg of each small batch, |g|²."""
        context = own_loop.context(loss_fn, params, batch)
        parts = measurement.small_batches(context, count)
        dots = measurement.along(context, parts.gradient, count) if count >= ratio.FEWEST_PARTS else jnp.zeros(count)
        return parts.squares.sum(1), dots, dot(parts.gradient, parts.gradient)

    compiled = jax.jit(functools.partial(own_loop.on_any_mesh, gradients, None))
    squares, dots, square = (np.asarray(x, np.float64) for x in compiled(params, batch))
    gradient_square, trace = measurement.estimates(squares.mean(), float(square), small, small * count)
    low, high = np.nan, np.nan
    if count >= ratio.FEWEST_PARTS:
        of_squares, of_traces = measurement.pseudo_values(squares, dots, float(square), small)
        _, low, high = ratio.of_parts(of_traces, of_squares, squares - 2 * dots + square)
    simple = ratio.of_means(trace, gradient_square)
    return NoiseScale(simple, float(low), float(high), float(gradient_square), float(trace))


def _cut(size: int, small: Any) -> tuple[int, int]:
    """(B_small, how many of them there are)."""
    whole = own_loop.whole(small)
    if whole is None or whole < 1 or size % whole or size < 2 * whole:
        allowed = (
            ', '.join(str(b) for b in range(1, size // 2 + 1) if size % b == 0) or 'none, as it needs two examples'
        )
        raise ValueError(f'small={small!r}: must divide the batch of {size} into at least two; allowed: {allowed}')
    return whole, size // whole
