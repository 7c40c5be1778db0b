"""How a run ends before its length: it diverges, or comes to the target at which it is to stop.

Divergence is a result: the first update whose loss is not finite or has stayed too large, or that cannot be made.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bsresearch.core.target import Target, better, first_as_good
from bsresearch.planning.plan import Plan


class Watch:
    """Follows one run, chunk after chunk. `state` is checkpointed, so a resumed run decides alike.

    Args:
      loss_factor: loss above factor × the first loss counts as too large; None: only non-finite losses count.
      patience: updates in a row that must be too large.
      target: at which it stops; None: it goes on to its length.
    """

    def __init__(self, loss_factor: float | None, patience: int, target: Target | None = None):
        self.loss_factor, self.patience, self.target = loss_factor, patience, target
        self.state: dict[str, Any] = {'first_loss': None, 'streak': 0, 'step': None, 'reason': None}

    @classmethod
    def of(cls, plan: Plan) -> 'Watch':
        """As a run's config says."""
        target = Target.of(plan.stop_at_target) if plan.stop_at_target else None
        return cls(plan.divergence['loss_factor'], plan.divergence['patience'], target)

    @property
    def diverged(self) -> bool:
        """Whether it has."""
        return self.state['step'] is not None

    @property
    def stopped(self) -> int | None:
        """The update at whose θ_t it came to its target; None while it has not."""
        return self.state.get('stopped')

    @property
    def alive(self) -> bool:
        """Whether the run goes on."""
        return not self.diverged and self.stopped is None

    def evaluated(self, step: int, metrics: Mapping[str, float]) -> None:
        """Stops it at θ_step if it has come to its target there."""
        if self.target is not None and self.target.metric in metrics:
            higher = better(self.target.metric) is True
            if first_as_good([metrics[self.target.metric]], self.target.value, higher) is not None:
                self.state['stopped'] = step

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
