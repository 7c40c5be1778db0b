"""Quantities at points that a run was branched at (studies/critical_batch_size.py): B*, B_simple, B_noise of parents.

A cell is an arm at a declared point: `at('all', point=2.0)`. B* = k*·B is known between two of the k tried: it lies at
k*·B at least and below the next one, is not bounded from above at the largest, nor from below at k = 1.
"""

import pandas as pd

from bsresearch.analysis.quantities.branched import critical, losses, noise, rates
from bsresearch.analysis.quantity import EXAMPLES, Array, Quantity, exact
from bsresearch.analysis.study import Study


def critical_batch_size(rate: str = rates.RULE, tolerance: float = critical.TOLERANCE, raised: bool = True) -> Quantity:
    """B*, the largest batch whose branch ends within a tolerance (in nats) of all smaller ones; between two ends.

    Args:
      rate: `rule`, `held` or `tuned` at each k (quantities/branched/rates.py). raised: the tolerance, to what
        scatter makes of free batches (tolerance.py).
    """

    def of(study: Study) -> Array:
        points = _points(study, rate, tolerance, raised)
        low, high = critical.ends_of(points)
        return exact(_table(study, points.assign(value=low)))._replace(high=_table(study, points.assign(value=high)))

    name = f'B* with {rates.MEANINGS[rate]}, at {tolerance:g} nats{" or more" if raised else ""}'
    return Quantity(of, name, EXAMPLES, (losses.LOSS,), diverged=True)


def noise_scale_near() -> Quantity:
    """B_simple of the parent's measurements around the point; ∞ where the mean of |G|² is not positive."""
    return _near('noise_scale', 'B_simple')


def curvature_noise_scale_near() -> Quantity:
    """B_noise of the parent's measurements around the point; ∞ where the mean of GᵀHG is not positive."""
    return _near('curvature_noise_scale', 'B_noise')


def _near(column: str, name: str) -> Quantity:
    def of(study: Study) -> Array:
        points = _points(study)
        return exact(_table(study, points.assign(value=points[column])))

    return Quantity(of, name, EXAMPLES, noise.SCALES[column])


def _points(study: Study, rate: str = '', tolerance: float = critical.TOLERANCE, raised: bool = True) -> pd.DataFrame:
    """As of quantities/branched/critical.py; without a rate of the first that was tried.

    Raises:
      LookupError: the runs have no branches, or none with this rate.
    """
    if 'parent.run' not in study.runs or not study.runs['parent.run'].notna().any():
        raise LookupError('the runs have no branches')
    if not rate:
        return critical.of_rates(study, tolerance)[0].points
    return critical.find(study, tolerance, rate=rate, raised=raised).points


def _table(study: Study, points: pd.DataFrame) -> pd.DataFrame:
    """(cells, replicates) of the column `value`; NaN where a parent has no such point."""
    parents = study.members[study.members['kind'] == 'run']
    rows = parents.merge(points[['run', 'point', 'value']], left_on='id', right_on='run', suffixes=('', '_declared'))
    rows = rows.assign(point=rows['point_declared'].astype(float))
    rows = rows.assign(cell=list(rows[study.parts].itertuples(index=False, name=None)))
    return study.by_cell(rows, rows['value'])
