"""The runs of config.study=brownlee and the parts they play, read from their configs.

Source: J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size" (2019).
"""

import pathlib
from typing import NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import arms
from bsresearch.analysis.quantities import volatility
from bsresearch.store import records

STUDY = 'brownlee'
THRESHOLD = 0.8  # of the test accuracy, that epochs are counted to
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
    told = {*records.ALWAYS, *records.SPLIT_SEEDS, 'base_learning_rate', 'total_updates'}
    others = [c for c in records.varying(loaded.runs) if c not in told]
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


def of_arm(table: pd.DataFrame, arm: Arm | None) -> pd.DataFrame:
    """The rows of an arm; none of None."""
    size, rate = arm or (None, None)
    return table[(table['batch_size'] == size) & (table['learning_rate'] == rate)]


class Found(NamedTuple):
    """The runs, the parts they play, and what each came to on each split (`volatility.of_runs`).

    A diverged run is a result: its accuracy counts as chance, its volatility as larger than any, and it reaches no
    threshold.
    """

    loaded: arms.Arms
    roles: Roles
    splits: dict[str, pd.DataFrame]

    def of(self, arm: Arm | None, quantity: str, split: str = 'test') -> pd.Series:
        """A quantity of an arm's runs by seed, those not ended left out; empty without an arm."""
        mine = of_arm(self.splits[split], arm).set_index([s for s in arms.SEEDS if s in self.splits[split]])
        gone = mine['outcome'] == 'diverged'
        if quantity in ('final', 'level'):
            return mine[quantity].mask(gone, 1 / self.loaded.runs['num_outputs'].iloc[0]).dropna()
        return mine[quantity].mask(gone & (quantity != 'epochs_to'), np.inf).dropna()

    def rounding(self, quantity: str, *arms: Arm | None, split: str = 'test') -> float:
        """The variance that counting adds to the difference of a final value or a level between these arms."""
        each = (of_arm(self.splits[split], arm)[f'rounding_{quantity}'].mean() for arm in arms if arm is not None)
        return float(np.nan_to_num(sum(each)))

    def epochs(self, arm: Arm | None) -> pd.Series:
        """Epochs to the threshold by seed; censored runs with their whole length, so that a difference is too small."""
        return self.of(arm, 'epochs_to').clip(upper=self.splits['test']['until'].max())

    def late(self) -> float:
        """Epochs between evaluations: by so much an arrival is told too late at most."""
        rows = self.loaded.rows[self.loaded.rows['test_accuracy'].notna()].sort_values('epoch')
        return float(rows.groupby('run')['epoch'].diff().max())

    def remark(self, *shown: Arm | None) -> str:
        """Which of the arms are missing, or have runs that diverged or have not ended."""
        table, parts = self.splits['test'], []
        if None in shown:
            parts.append('an arm of the comparison was not trained')
        for size, rate in (a for a in dict.fromkeys(shown) if a is not None):
            mine = of_arm(table, (size, rate))
            for outcome in ('diverged', 'unfinished'):
                if count := int((mine['outcome'] == outcome).sum()):
                    parts.append(f'{count} of {len(mine)} runs of B = {size}, lr {rate:g} {outcome}')
        return '; '.join(parts)


def found(workdir: pathlib.Path, last: float | None = None) -> Found:
    """What the claims and the figures are made of; `last`: as for `volatility.of_runs`.

    Raises:
      FileNotFoundError, ValueError: as `load` and `volatility.of_runs`.
    """
    loaded = load(workdir)
    of = lambda split: volatility.of_runs(loaded, f'{split}_accuracy', THRESHOLD, last)
    return Found(loaded, roles(loaded.runs), {split: of(split) for split in ('train', 'test')})
