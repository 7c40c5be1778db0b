"""The learning rate at each k: by the rule, held, or tuned → one branch per replicate, point and k.

  rule   f(k) times the parent's, f the optimizer's rule;
  held   the parent's;
  tuned  of the factors tried at a k that with the lowest mean loss over the other replicates: the loss that counts is
         of a branch that had no part in the choice. A single replicate chooses by its own loss, which is then too low
         by chance (`alone`).
The smallest or largest factor tried is no optimum (`edge`): with others tried the loss could be lower.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

RULE, HELD, TUNED = RATES = ('rule', 'held', 'tuned')
FEWEST_FACTORS = 3  # a best one, and one on each side
MEANINGS = {RULE: 'the rate by the rule', HELD: 'the rate held', TUNED: 'the rate tuned at each k'}


def of_rate(losses: pd.DataFrame, rate: str, by: Sequence[str]) -> pd.DataFrame:
    """Those of the branches that have this rate.

    Args:
      losses: as of losses.load. rate: one of RATES. by: what names an arm.

    Returns:
      a row per run, step and k, in their order, with edge and alone; of points at which all k were tried so.

    Raises:
      ValueError: another rate. LookupError: it was tried at no point.
    """
    if rate not in RATES:
        raise ValueError(f'rate={rate!r}: allowed are {", ".join(RATES)}')
    if rate == TUNED:
        chosen = _tuned(losses, by)
    else:
        meant = losses['by_rule'] if rate == RULE else np.isclose(losses['factor'], 1.0)
        chosen = losses[meant].assign(edge=False, alone=False)
    points = ['run', 'step']
    tried = losses.groupby(points)['k'].nunique().rename('all_k')
    counted = chosen.groupby(points)['k'].transform('nunique')
    chosen = chosen[(counted == chosen.join(tried, on=points)['all_k']) & (counted > 1)]
    if not len(chosen):
        raise LookupError(f'no branches with {MEANINGS[rate]}: config.branch.rates names what is tried')
    return chosen.sort_values([*points, 'k'], ignore_index=True)


def _tuned(losses: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    cells = [_best(rows) for _, rows in losses.groupby([*by, 'step', 'k'], dropna=False, sort=False)]
    return pd.concat(cells, ignore_index=True)


def _best(rows: pd.DataFrame) -> pd.DataFrame:
    """A branch per run, of one arm, point and k; none of runs of which too few factors were tried."""
    rows = rows[rows.groupby('run')['factor'].transform('nunique') >= FEWEST_FACTORS]
    table = rows.pivot(index='run', columns='factor', values='loss')
    tried = rows.pivot(index='run', columns='factor', values='branch').notna().all()
    table = table.loc[:, tried]
    if table.shape[1] < FEWEST_FACTORS:
        return rows[:0].assign(edge=False, alone=False)
    alone = len(table) == 1
    known = table.fillna(np.inf).to_numpy()
    others = [known if alone else np.delete(known, row, axis=0) for row in range(len(table))]
    chosen = dict(zip(table.index, (table.columns[np.argmin(losses.mean(axis=0))] for losses in others), strict=True))
    mine = rows[np.isclose(rows['factor'], rows['run'].map(chosen))]
    # What is not finished could still be chosen.
    loss = mine['loss'] if table.notna().all(axis=None) else np.nan
    return mine.assign(loss=loss, edge=mine['factor'].isin([table.columns[0], table.columns[-1]]), alone=alone)
