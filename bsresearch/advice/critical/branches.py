"""The branches of a workdir at one point: where their parents are nearest to a target that other runs came to."""

import pathlib
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.advice.table import Refusal
from bsresearch.analysis import of_runs
from bsresearch.analysis import study as studies
from bsresearch.analysis.quantities.branched import critical, losses
from bsresearch.analysis.quantities.branched.critical import CriticalBatchSizes
from bsresearch.analysis.study import Study
from bsresearch.store import kept, records

# Fields in which runs of one task may differ, or that follow from those.
OWN = ('run', 'study', 'status', 'diverged_step', 'seed', *records.SPLIT_SEEDS, 'batch_size', 'learning_rate',
       'declared_learning_rate', 'ghost_batch_size')  # fmt: skip
ALIKE = ('data.', 'model.', 'loss.', 'optimizer.', 'schedule.', 'momentum', 'weight_decay')


class Branches(NamedTuple):
    """What branches tell at one point of their parents.

    Attributes:
      sizes: of each rate that was tried, all of the arm's points. step, epoch: of the point. value: of the target's
        metric there, the mean over parents. differing: fields in which the parents differ from the runs beside them.
    """

    sizes: list[CriticalBatchSizes]
    step: int
    epoch: float
    metric: str
    value: float
    differing: tuple[str, ...]

    @property
    def window(self) -> float:
        """Examples that each branch saw."""
        return float(self.sizes[0].losses['window'].iloc[0])

    def points(self, sizes: CriticalBatchSizes) -> pd.DataFrame:
        """The rows of this point, one per parent."""
        return sizes.points[sizes.points['step'] == self.step]

    def row(self, sizes: CriticalBatchSizes) -> dict[Any, Any]:
        """Over seeds."""
        return sizes.seeds[sizes.seeds['step'] == self.step].iloc[0].to_dict()


def read(workdir: pathlib.Path, metric: str, value: float, beside: pd.DataFrame) -> Branches | None:
    """The branches of a workdir; None where it has none.

    Args:
      metric, value: the target of the runs `beside`, whose resolved fields these are.

    Raises:
      Refusal: branches of which no point can be chosen. Damaged: records that are not what was written.
    """
    readable = kept.readable(workdir)
    if not any(run.parent.name == losses.STUDY for run in records.run_dirs(readable)):
        return None
    study = studies.launched(readable, losses.STUDY)
    try:
        sizes = critical.of_rates(study)
    except ValueError:  # parents without branches yet
        return None
    arms = sizes[0].points[sizes[0].by].drop_duplicates()
    if len(arms) > 1:
        raise Refusal(f'the branches in {workdir} are of {len(arms)} arms, which differ in {", ".join(sizes[0].by)}')
    points = sizes[0].points.assign(value=_values(study, sizes[0].points, metric))
    means = points.groupby('step')[['value', 'epoch']].mean().dropna()
    if not len(means):
        raise Refusal(f'the branched runs in {workdir} did not record {metric}: their target cannot be found in them')
    nearest = (means['value'] - value).abs().idxmin()
    parents = study.runs.loc[points['run'].unique()]
    return Branches(sizes, int(str(nearest)), float(means.at[nearest, 'epoch']), metric,
                    float(means.at[nearest, 'value']), _differing(parents, beside))  # fmt: skip


def _values(study: Study, points: pd.DataFrame, metric: str) -> list[float]:
    """The metric at each point, between the evaluations around it; NaN outside of them."""
    values = []
    for run, examples in zip(points['run'], points['examples'], strict=True):
        rows = of_runs.evaluations(study, run, metric) if metric in study.recorded else study.rows[run].iloc[:0]
        known = rows.dropna(subset=[metric]) if metric in rows else rows.iloc[:0]
        inside = len(known) and known['examples'].min() <= examples <= known['examples'].max()
        values.append(float(np.interp(examples, known['examples'], known[metric])) if inside else np.nan)
    return values


def _differing(parents: pd.DataFrame, beside: pd.DataFrame) -> tuple[str, ...]:
    """Fields of task and optimizer that have other values in one than in the other: `data.fraction (0.2, here 1)`."""
    words = []
    for field in sorted(parents.columns.intersection(beside.columns)):
        if field in OWN or not field.startswith(ALIKE):
            continue
        here, there = ({str(value) for value in table[field]} for table in (parents, beside))
        if here != there:
            words.append(f'{field} ({", ".join(sorted(there)[:3])}; of the branches {", ".join(sorted(here)[:3])})')
    return tuple(words)
