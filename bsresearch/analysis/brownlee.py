"""The runs of config.study=brownlee and the parts they play, read from their configs.

Source: J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size" (2019).
"""

import pathlib
from typing import NamedTuple

import pandas as pd

from bsresearch.analysis import arms

STUDY = 'brownlee'
# His mini-batch, "a widely adopted default".
MINI_BATCH = 32

Arm = tuple[int, float]


class Roles(NamedTuple):
    """Arms, each by its (batch size, learning rate); None where the workdir has none.

    Attributes:
      rate: the learning rate at which most batch sizes were trained (of equally many, the largest).
      full: batch gradient descent, B ≥ the training set, at `rate`. online: B = 1 at `rate`. slow: B = 1 at the largest
        learning rate below. mini: B = 32 at `rate`.
      panel: the batch sizes above 1 at `rate`, rising.
    """

    rate: float
    full: Arm | None
    online: Arm | None
    slow: Arm | None
    mini: Arm | None
    panel: list[int]

    def flavours(self) -> dict[str, Arm]:
        """The source's flavours of gradient descent that were trained, by name."""
        named = {'batch': self.full, 'stochastic': self.online, 'stochastic, smaller rate': self.slow}
        named |= {'mini-batch': self.mini}
        return {name: arm for name, arm in named.items() if arm is not None}


def load(workdir: pathlib.Path) -> arms.Arms:
    """The runs of the study.

    Raises:
      FileNotFoundError: none. ValueError: more than batch size, learning rate and seeds varies.
    """
    loaded = arms.load(workdir, STUDY)
    others = [c for c in loaded.panels if c != 'learning_rate']
    if others:
        raise ValueError(
            f'the runs in {workdir} differ in {", ".join(others)} too; this study compares batch sizes and learning '
            'rates: use a workdir of its own for each value'
        )
    return loaded


def roles(runs: pd.DataFrame) -> Roles:
    """The parts that the arms of `Arms.runs` play."""
    tried = runs.groupby('learning_rate')['batch_size'].nunique()
    rate = float(tried[tried == tried.max()].index.max())
    sizes = sorted(int(b) for b in runs.loc[runs['learning_rate'] == rate, 'batch_size'].unique())
    whole = [b for b in sizes if b >= runs['epoch_size'].min()]
    slower = runs.loc[(runs['batch_size'] == 1) & (runs['learning_rate'] < rate), 'learning_rate']
    return Roles(
        rate,
        full=(whole[0], rate) if whole else None,
        online=(1, rate) if 1 in sizes else None,
        slow=(1, float(slower.max())) if len(slower) else None,
        mini=(MINI_BATCH, rate) if MINI_BATCH in sizes else None,
        panel=[b for b in sizes if b > 1],
    )
