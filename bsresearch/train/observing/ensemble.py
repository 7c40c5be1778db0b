"""Snapshot ensembling (Huang et al. 2017, arXiv:1704.00109): the mean prediction of weights along one run.

At each snapshot the softmax outputs on the test and validation sets are added to running sums, which are checkpointed
with the run; the ensemble of all snapshots so far is evaluated there and then.
"""

import functools
from typing import Any

import numpy as np

from bsresearch.planning.plan import Plan
from bsresearch.train.devices import compiling, parallel
from bsresearch.train.observing import evaluate
from bsresearch.train.state import Data
from bsresearch.train.step import Task


class Ensemble:
    """Sums of predictions for the replicas of a group; `items` is checkpointed.

    Args:
      evaluator: whose splits are used, but for the training set. snapshots: whether the run has any.
    """

    def __init__(
        self, task: Task, plan: Plan, evaluator: evaluate.Evaluator, group: parallel.DeviceGroup, snapshots: bool
    ):
        self.group, self._evaluator = group, evaluator
        splits = {k: v for k, v in evaluator.splits.items() if k != 'train'} if snapshots else {}
        self._labels = {k: np.asarray(v.labels) for k, v in splits.items()}
        shape = lambda labels: (group.count, len(labels), plan.num_outputs)
        self.items: dict[str, np.ndarray] = {k: np.zeros(shape(v), np.float32) for k, v in self._labels.items()}
        if snapshots:
            self.items['size'] = np.zeros(group.count, np.int32)
        self._fn = functools.partial(
            evaluate.probabilities, task, evaluate.batch_size(plan, compiling.platform()), group.layout.batch
        )

    def add(self, states: Any, alive: list[bool]) -> list[dict[str, float]]:
        """Takes in a snapshot; the metrics of each living replica's ensemble.

        `ensemble_size`; `ensemble_<split>_accuracy`; `ensemble_<split>_nll`, the mean of −log of the mean probability.
        """
        rows: list[dict[str, float]] = [{} for _ in alive]
        self.items = {k: v.copy() for k, v in self.items.items()}
        for split, labels in self._labels.items():
            parts = [
                self._probabilities(states, block, alive)
                for block in evaluate.blocks(self._evaluator.splits[split], self.group)
            ]
            for r, row in enumerate(rows):
                if alive[r]:
                    self.items[split][r] += np.concatenate([p[r] for p in parts])
                    mean = self.items[split][r].astype(np.float64) / (self.items['size'][r] + 1)
                    row[f'ensemble_{split}_accuracy'] = float((mean.argmax(-1) == labels).sum() / len(labels))
                    with np.errstate(divide='ignore'):
                        nll = -np.log(mean[np.arange(len(labels)), labels])
                    row[f'ensemble_{split}_nll'] = float(nll.sum() / len(labels))
        for r, row in enumerate(rows):
            if alive[r]:
                self.items['size'][r] += 1
                row['ensemble_size'] = int(self.items['size'][r])
        return rows

    def _probabilities(self, states: Any, data: Data, alive: list[bool]) -> list[Any]:
        parts = self.group.map('probabilities', self._fn, (states, data), evaluate.OF_EXAMPLES, alive=alive)
        return [p if p is None else p[: len(data.labels)] for p in self.group.whole(parts)]
