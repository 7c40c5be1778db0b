"""Runs of the noisy quadratic model beside what its recurrence predicts (theory/noisy_quadratic.py).

For constant learning rate and momentum, and runs of at most one pass over a set of their own, whose draws are
independent. Zhang et al. 2019 (arXiv:1907.04164), section 3.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import cells, summary
from bsresearch.analysis.once import once
from bsresearch.analysis.study import Study
from bsresearch.theory import noisy_quadratic

SET = 'data.random_state'  # each run has a set of its own: its replicate


@once
def compare(study: Study) -> pd.DataFrame:
    """Mean losses of the runs of each cell beside the recurrence.

    Returns:
      one row per cell and evaluated update: the parts of the cell but the set's, batch_size, setting (the cell but its
      batch size, in words), step, n, mean, standard_error, expected, limit, deviation in standard errors.

    Raises:
      ValueError: runs of another model, a schedule, or of more than an epoch; runs that diverged or are unfinished.
    """
    members = cells.members(study)
    open_ = [member for member in members if study.status(member.run) != 'done']
    if open_:
        raise ValueError(
            f'{len(open_)} of {len(members)} runs diverged or are not finished; the mean of the others is another'
        )
    names = [part for part in study.parts if part != SET]
    settings = cells.labels(study, [SET, 'batch_size'])
    groups: dict[tuple[Any, ...], list[cells.Member]] = {}
    for member in members:
        groups.setdefault(tuple(cells.value(study, member.key, name) for name in names), []).append(member)
    return pd.concat([_of_group(study, dict(zip(names, key, strict=True)), group, settings[group[0].key])
                      for key, group in groups.items()], ignore_index=True)  # fmt: skip


def _of_group(study: Study, names: dict[str, Any], members: list[cells.Member], setting: str) -> pd.DataFrame:
    facts = study.runs.loc[members[0].run].to_dict()
    expected, limit = predicted(facts)
    losses = pd.concat([study.rows[member.run][['step', 'test_loss']].dropna() for member in members])
    table = losses.groupby('step')['test_loss'].agg(n='count', mean='mean', standard_error='sem').reset_index()
    # At the start all runs are the same: their losses differ by rounding at most.
    known = [summary.varies(row.standard_error**2, row.mean) for row in table.itertuples()]
    table['expected'], table['limit'] = expected[table['step'].astype(int)], limit
    deviation = (table['mean'] - table['expected']) / table['standard_error']
    names = names | {'batch_size': int(facts['batch_size']), 'setting': setting}
    return cells.behind(names, table.assign(deviation=deviation.where(known)))


def predicted(run: Mapping[Hashable, Any]) -> tuple[np.ndarray, float]:
    """(T + 1,) expected losses of a run with these config fields, and their limit.

    Raises:
      ValueError: another model, a schedule, or more than one pass over the set.
    """
    _check(run)
    dimension, size = int(run['data.dimension']), int(run['batch_size'])
    h = noisy_quadratic.spectrum(dimension, float(run['model.exponent']))
    c = float(run['data.noise']) * noisy_quadratic.spectrum(dimension, float(run['data.noise_exponent']))
    sizes = np.full(-(-int(run['total_examples']) // size), size)
    sizes[-1] = int(run['total_examples']) - size * (len(sizes) - 1)
    rate, momentum = float(run['learning_rate']), float(run['momentum'])
    constant = lambda x: np.full(len(sizes), x)
    start = np.full(dimension, float(run['model.start']))
    moments = noisy_quadratic.moments(h, c, start, constant(rate), constant(momentum), sizes)
    return noisy_quadratic.expected_loss(h, moments), noisy_quadratic.steady_loss(h, c, rate, momentum, size)


def _check(run: Mapping[Hashable, Any]) -> None:
    plain = {'model.name': 'quadratic', 'data.name': 'noisy_quadratic', 'schedule.name': 'constant',
             'momentum_schedule.name': 'constant', 'batch_schedule.name': 'constant', 'warmup.examples': 0,
             'weight_decay': 0}  # fmt: skip
    for field, value in plain.items():
        if run[field] != value:
            raise ValueError(f'{field} is {run[field]!r}; {value!r} is needed for the recurrence')
    if run['total_examples'] > run['epoch_size']:
        raise ValueError('a run passes over its set more than once: its draws are not independent')
