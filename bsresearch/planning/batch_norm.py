"""The batch-norm group of a declared config: how many examples are normalized together; simulated workers.

`config.workers` = W cuts every batch of B (`batch_size`, which stays global) into W equal shards: worker w holds the
consecutive examples [w·B/W, (w + 1)·B/W). The mean of the shards' mean gradients is the mean over the batch, so the
update of W workers is that of one large batch, and a model without batch norm has the same run, with the same id, for
every W. With batch norm each worker normalizes by its own shard: ghost_batch_size = B/W. That is all W becomes, so
W = 1 is the plain run, and a run that names the group itself is the same run.

Where real workers differ, this is what is done here:
  a last short batch (epoch_boundary=partial): workers that average their means count each shard alike, however few
    examples it has. Here each example counts alike, in the gradient and in the statistics: later shards are short or
    empty, and weigh as much as they hold.
  running statistics: Horovod's workers each keep their own, and rank 0's are saved. Here there is one set; an update
    moves it once, by the mean of the workers' moments, weighted by examples (models/norms.py).
  clipping acts on the averaged gradient, once; augmentation and dropout follow the example, whoever holds it.
  shards are cut from one shuffled stream anew for every batch; no worker keeps a part of the set to itself.

Reference: A. Sergeev & M. Del Balso, "Horovod" (2018, arXiv:1802.05799), section 3; P. Goyal et al. (2017,
arXiv:1706.02677), section 3 (batch norm per worker).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from bsresearch import models
from bsresearch.core import rng, units
from bsresearch.planning import sections


def _check_spread(module: Any, shape: tuple[int, ...]) -> None:
    """Raises ValueError where batch norm over single examples would have one value of each feature."""

    def train(key: jax.Array) -> Any:
        params, stats = models.init(module, key, shape)
        return models.apply(module, params, stats, jnp.zeros((1, *shape)), train=True, keys=key[None])

    jax.eval_shape(train, rng.key(0, 'init'))


def ghost_batch_size(
    config: Mapping[str, Any],
    model: Mapping[str, Any],
    length: units.Length,
    num_outputs: int,
    shape: tuple[int, ...],
    start: int = 0,
) -> int | None:
    """The batch-norm group resolved, and every batch and the micro-batch checked against it; None without batch norm.

    Args:
      config: the completed config. model: its section, completed. length: of the run. shape: of an example.
      start: the update at which it begins, a branch's after its parent's, which had groups of their own.

    Raises:
      ValueError: a batch or micro-batch that is no whole number of groups, or groups without spread.
    """
    sizes = [segment.batch_size for segment in length.segments if segment.stop > start]
    module = sections.built('model', model, num_outputs)
    couples = models.couples(module, model, shape)
    given, micro = _asked_for(config, sizes, bool(couples)), config['micro_batch_size']
    if not couples:
        return None
    if couples == models.OWN_STATISTICS and not _are_full(length):
        raise ValueError(
            f"model {model['name']} has {couples} and not flax's BatchNorm, so that the padding of a short last batch "
            f'would count in them: choose a length that is a whole number of batches of {sizes[0]}'
        )
    ghost = given or config['batch_size']
    for size in sizes:
        if size % ghost:
            raise ValueError(
                f'batch_size={size} is not a whole number of batch-norm groups of ghost_batch_size={ghost}; choose one '
                'that divides it (a growing batch: cap it with max_batch_size at a multiple)'
            )
    if micro is not None and micro % ghost:
        raise ValueError(
            f'micro_batch_size={micro} is not a whole number of batch-norm groups of ghost_batch_size={ghost}; '
            f'use a multiple of {ghost}, or set ghost_batch_size'
        )
    if config['reduction'] == 'ordered' and ghost > 1 and any(s.batch_size == ghost for s in length.segments):
        raise ValueError(
            f'config.reduction=ordered cannot cut a batch that is one batch-norm group of {ghost}; set '
            'ghost_batch_size to a part of it, or config.reduction=psum'
        )
    if ghost == 1:
        _check_spread(module, shape)
    return ghost


def _asked_for(config: Mapping[str, Any], sizes: Sequence[int], batch_norm: bool) -> int | None:
    """The batch-norm group that the config asks for, by `ghost_batch_size` or by `workers`; None if by neither.

    Args:
      config: the completed config. sizes: batch sizes of the run's updates, in order. batch_norm: whether the model has
        it.

    Raises:
      ValueError: a batch that W workers cannot share equally; another group given beside it; or one that would grow.
    """
    workers, given = config['workers'], config['ghost_batch_size']
    if workers is None or workers == 1:
        return given
    for size in (config['batch_size'], *sizes):
        if size % workers:
            raise ValueError(
                f'config.workers={workers} cannot share a batch of {size} equally; choose a batch_size that is a '
                f'multiple of {workers} (a growing batch: also all it comes to), or another number of workers'
            )
    share = config['batch_size'] // workers
    if given is not None and given != share:
        raise ValueError(
            f'config.workers={workers} with batch_size={config["batch_size"]} makes batch-norm groups of {share}, but '
            f'ghost_batch_size={given}; give one of the two, and leave the other None'
        )
    if batch_norm and len(set(sizes)) > 1:
        shares = ', '.join(str(size // workers) for size in sizes)
        raise ValueError(
            f'config.workers={workers} with batch norm while the batch size changes ({", ".join(map(str, sizes))}): '
            f'each worker would normalize over {shares} examples in turn, and a run has one group; set workers=None '
            f'and ghost_batch_size={share} for workers that join while each keeps {share}, or leave out batch norm'
        )
    return share


def _are_full(length: units.Length) -> bool:
    """Whether each batch of a run holds as many examples as it may."""
    return all(
        (length.batches(segment.start, segment.stop)[2] == segment.batch_size).all() for segment in length.segments
    )
