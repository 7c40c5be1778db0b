"""Probes, one per file: what is made of a run's weights at chosen points, apart from its training.

A file has `build(*, settings) -> Kind`; the signature is the schema of `config.probe` for that name. A probe is cut
into blocks, each stored when it is done: one that was stopped goes on with the next.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

PyTree = Any
Arrays = Mapping[str, np.ndarray]
# Shared fields of `config.probe`, that are no settings of a kind.
POINTS = ('at_steps', 'at_epochs')


class Place(NamedTuple):
    """Where a probe is made: weights at one or more points of runs, and what may be done with them.

    params, stats: of each point, NumPy leaves.
    losses: (params, stats, (inputs, labels)) → (n,) losses in training mode, no augmentation, no dropout.
    evaluate: (params, stats) → {train_loss, test_accuracy, …} in evaluation mode, over all examples of each split.
    batch_statistics: (params, (inputs, labels)) → the model statistics that these examples have in training mode.
    call: (name, function, arguments) → result, compiled once per name and shapes.
    one_by_one: whether the device maps trials one after another (a CPU) or all at once.
    train: the training set, arrays of the host.
    ghost_batch_size: examples in a batch-norm group, None where the model has none.
    """

    params: Sequence[PyTree]
    stats: Sequence[PyTree]
    losses: Callable[[PyTree, PyTree, Any], Any]
    evaluate: Callable[[PyTree, PyTree], Mapping[str, float]]
    batch_statistics: Callable[[PyTree, Any], PyTree]
    call: Callable[..., Any]
    one_by_one: bool
    train: Any
    ghost_batch_size: int | None


class Kind(NamedTuple):
    """A probe with its settings.

    check: (shapes of the weights, training examples, batch-norm group) → None; raises ValueError for what cannot be.
    blocks: how many.
    run: (place, learning rate, block) → its arrays.
    finish: (place, all blocks in order) → the arrays that are kept.
    points: of how many runs each probe holds the weights.
    brief: settings of a short one, and how many times as long as its first block all blocks take; for estimates.
    calls: training examples → batch size → how many gradients of so many examples it comes to; for estimates.
    """

    check: Callable[[PyTree, int, int | None], None]
    blocks: int
    run: Callable[[Place, float, int], Arrays]
    finish: Callable[[Place, Sequence[Arrays]], Arrays]
    points: int = 1
    brief: tuple[Mapping[str, Any], float] = ({}, 1.0)
    calls: Callable[[int], Mapping[int, float]] = lambda examples: {examples: 1.0}
