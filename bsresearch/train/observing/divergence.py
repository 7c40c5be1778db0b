"""Divergence is a result: the first update whose loss is not finite or has stayed too large, or that cannot be made."""

from collections.abc import Sequence
from typing import Any

import numpy as np


class Watch:
    """Follows one run's losses, chunk after chunk. `state` is checkpointed, so a resumed run decides alike.

    Args:
      loss_factor: loss above factor × the first loss counts as too large; None: only non-finite losses count.
      patience: updates in a row that must be too large.
    """

    def __init__(self, loss_factor: float | None, patience: int):
        self.loss_factor, self.patience = loss_factor, patience
        self.state: dict[str, Any] = {'first_loss': None, 'streak': 0, 'step': None, 'reason': None}

    @property
    def alive(self) -> bool:
        """Whether the run has not diverged."""
        return self.state['step'] is None

    def see(self, start: int, losses: np.ndarray, clip_sizes: np.ndarray, finite: Sequence[bool]) -> None:
        """What updates from `start` on say.

        Args:
          losses: (n,). clip_sizes: (n,) by what gradients were clipped, (0,) without clipping.
          finite: whether the weights after them are, and what the optimizer keeps: a second moment that has overflowed
            would leave its weights where they are for good.
        """
        s = self.state
        losses = losses.astype(np.float64)
        if s['first_loss'] is None:
            s['first_loss'] = float(losses[0]) if np.isfinite(losses[0]) else None
        first = None
        for values, what in ((losses, 'loss'), (clip_sizes, 'norm of the gradient to be clipped')):
            bad = np.flatnonzero(~np.isfinite(values))
            if len(bad) and (first is None or bad[0] < first[0]):
                first = (int(bad[0]), f'{what} is not finite')
        if self.loss_factor is not None and s['first_loss'] is not None:
            large = losses > self.loss_factor * s['first_loss']
            for i in range(len(losses) if first is None else first[0]):
                s['streak'] = s['streak'] + 1 if large[i] else 0
                if s['streak'] >= self.patience:
                    first = (i, f'loss above {self.loss_factor:g} × the first for {self.patience} updates')
                    break
        if first is None and not all(finite):
            first = (len(losses), 'state of the optimizer is not finite' if finite[0] else 'weights are not finite')
        if first:
            s['step'], s['reason'] = start + first[0], first[1]
