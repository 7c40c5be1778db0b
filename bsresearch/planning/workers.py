"""Simulated data parallelism: W workers share each batch, on one device, so that a laptop can ask what 64 would do.

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
    moves it once, by the mean of the workers' moments, weighted by examples (models/layers.py).
  clipping acts on the averaged gradient, once; augmentation and dropout follow the example, whoever holds it.
  shards are cut from one shuffled stream anew for every batch; no worker keeps a part of the set to itself.

Reference: A. Sergeev & M. Del Balso, "Horovod" (2018, arXiv:1802.05799), section 3; P. Goyal et al. (2017,
arXiv:1706.02677), section 3 (batch norm per worker).
"""

from collections.abc import Mapping, Sequence
from typing import Any


def ghost_batch_size(c: Mapping[str, Any], sizes: Sequence[int], batch_norm: bool) -> int | None:
    """The batch-norm group that the config asks for, by `ghost_batch_size` or by `workers`; None if by neither.

    Args:
      c: the completed config. sizes: batch sizes of the run's updates, in order. batch_norm: whether the model has it.

    Raises:
      ValueError: a batch that W workers cannot share equally; another group given beside it; or one that would grow.
    """
    workers, given = c['workers'], c['ghost_batch_size']
    if workers is None or workers == 1:
        return given
    for size in (c['batch_size'], *sizes):
        if size % workers:
            raise ValueError(
                f'config.workers={workers} cannot share a batch of {size} equally; choose a batch_size that is a '
                f'multiple of {workers} (a growing batch: also all it comes to), or another number of workers'
            )
    share = c['batch_size'] // workers
    if given is not None and given != share:
        raise ValueError(
            f'config.workers={workers} with batch_size={c["batch_size"]} makes batch-norm groups of {share}, but '
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
