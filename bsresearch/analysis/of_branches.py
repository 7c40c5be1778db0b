"""Quantities at points that a run was branched at (studies/critical_batch_size.py): B* and B_simple of each parent.

A cell is an arm at a declared point: `at('all', point=2.0)`. B* = k*·B is known between two of the k tried: it lies at
k*·B at least and below the next one, is not bounded from above at the largest, nor from below at k = 1.
"""

import pandas as pd

from bsresearch.analysis.quantities import branch_losses, noise_scale
from bsresearch.analysis.quantities import critical_batch_size as branched
from bsresearch.analysis.quantity import EXAMPLES, Array, Quantity, exact
from bsresearch.analysis.study import Study


def critical_batch_size(tolerance: float = branched.TOLERANCE) -> Quantity:
    """B*, the largest batch whose branch ends within a tolerance (in nats) of all smaller ones; between two ends."""

    def of(study: Study) -> Array:
        points = _points(study, tolerance)
        low = points['critical'].mask(points['bound'] == 'at most', 0.0)
        high = _table(study, points.assign(value=points['upper']))
        return exact(_table(study, points.assign(value=low)))._replace(high=high)

    return Quantity(of, f'B* at {tolerance:g} nats', EXAMPLES, (branch_losses.LOSS,), diverged=True)


def noise_scale_near() -> Quantity:
    """B_simple of the parent's measurements around the point; ∞ where the mean of |G|² is not positive."""

    def of(study: Study) -> Array:
        points = _points(study, branched.TOLERANCE)
        return exact(_table(study, points.assign(value=points['noise_scale'])))

    return Quantity(of, 'B_simple', EXAMPLES, (noise_scale.SQUARE, noise_scale.TRACE))


def _points(study: Study, tolerance: float) -> pd.DataFrame:
    """As of quantities/critical_batch_size.py.

    Raises:
      LookupError: the runs have no branches.
    """
    if 'parent.run' not in study.runs or not study.runs['parent.run'].notna().any():
        raise LookupError('the runs have no branches')
    return branched.find(study, tolerance).points


def _table(study: Study, points: pd.DataFrame) -> pd.DataFrame:
    """(cells, replicates) of the column `value`; NaN where a parent has no such point."""
    parents = study.members[study.members['kind'] == 'run']
    rows = parents.merge(points[['run', 'point', 'value']], left_on='id', right_on='run', suffixes=('', '_declared'))
    rows = rows.assign(point=rows['point_declared'].astype(float))
    rows = rows.assign(cell=list(rows[study.parts].itertuples(index=False, name=None)))
    return study.by_cell(rows, rows['value'])
