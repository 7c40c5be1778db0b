"""`gradient_norm_vs_batch_size`: the gradient-norm probe (measure/probes/gradient_norm.py) of a user's own loss."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import pandas as pd

from bsresearch.analysis.quantities import gradient_norm as quantity
from bsresearch.face import own_loop
from bsresearch.measure.probes import Place
from bsresearch.measure.probes import gradient_norm as probe

PyTree = Any
STATISTICS = ('walking', 'frozen', 'single', 'displacement')
FACTS = ('mean', 'std', 'sem', 'rms')


def gradient_norm_vs_batch_size(
    loss_fn: own_loop.LossFn,
    params: PyTree,
    data: Any,
    batch_sizes: Sequence[int],
    *,
    learning_rate: float = 0.01,
    trials: int = 100,
    samples: int | None = None,
    with_replacement: bool = True,
    parameters: Sequence[str] = ('all',),
    population: bool = False,
    seed: int = 0,
) -> pd.DataFrame:
    """Norms of gradients at θ against the batch size B, over trials that draw n examples each, the same for every B.

    walking: of the mean of the K = n/B gradients along K steps of plain SGD from θ. frozen: of their mean at θ.
    single: of one batch's gradient at θ, E single² = |G|² + tr Σ/B. displacement: how far the walk came.

    Args:
      loss_fn: (params, batch) → () mean loss; it draws nothing at random.
      params: θ, any pytree of float arrays. data: N training examples along the first axis of any pytree, on the host.
      batch_sizes: the B, in examples. learning_rate: η of the walk; walking norms and displacements depend on it.
      trials: R. samples: n; None: the largest B. with_replacement: how a trial draws its examples.
      parameters: whose gradient it is: 'all', or glob patterns of paths, names joined by '/'; the walk moves all.
      population: also what single should be, from the gradient of each of the N examples; not with batch norm.
      seed: of the draws.

    Returns:
      a row per B: `batch_size`, `trials`, `non_finite` trials, and of each statistic mean, std (R − 1), sem and rms, as
      `walking_mean`; `single_rms_predicted`, NaN without `population`.

    Raises:
      ValueError: what is given cannot be; before anything is compiled.
    """
    own_loop.check_concrete('gradient_norm_vs_batch_size', params, data)
    own_loop.check_params(params)
    if not isinstance(batch_sizes, Iterable):
        raise ValueError(f'batch_sizes={batch_sizes!r}; allowed: several whole numbers, as (1, 8, 64)')
    total = own_loop.size_of(data)
    own_loop.check_loss(loss_fn, params, data)
    settings = {'with_replacement': with_replacement, 'parameters': tuple(parameters), 'seed': seed}
    sizes = tuple(int(size) for size in batch_sizes)
    try:
        kind = probe.build(
            trials=trials, samples=max(1, *sizes) if samples is None else samples, batch_sizes=sizes,
            population=population, **settings,
        )  # fmt: skip
        kind.check(jax.eval_shape(lambda: params), total, None)
    except ValueError as error:
        raise ValueError(str(error).replace('config.probe.', '')) from None
    own_loop.check_mean(loss_fn, params, data)
    place = _place(loss_fn, params, data)
    blocks = [kind.run(place, learning_rate, block) for block in range(kind.blocks)]
    stored = {
        'arrays': kind.finish(place, blocks), 'points': [{'run': '', 'step': 0, 'epoch': 0.0}], 'probe': settings,
        'meta': {'id': '', 'identity': {'probe': {}}}, 'learning_rate': learning_rate,
    }  # fmt: skip
    table = quantity.table(quantity.of_probes([stored]))
    columns = [f'{name}_{fact}' for name in STATISTICS for fact in FACTS]
    return table[['batch_size', 'trials', 'non_finite', *columns, 'single_rms_predicted']]


def _place(loss_fn: own_loop.LossFn, params: PyTree, data: Any) -> Place:
    """The weights, as a probe wants them."""
    compiled: dict[str, Callable[..., Any]] = {}

    def call(name: str, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        return compiled.setdefault(name, jax.jit(function))(*arguments)

    def absent(*_: Any) -> Any:
        raise NotImplementedError('the gradient-norm probe evaluates nothing')

    return Place(
        params=[params],
        stats=[()],
        # The mean of a batch stands for its losses: their mean is all that is asked for.
        losses=lambda params, stats, batch: loss_fn(params, batch)[None],
        evaluate=absent,
        batch_statistics=absent,
        call=call,
        one_by_one=jax.default_backend() == 'cpu',
        train=data,
        ghost_batch_size=None,
    )
