"""B_simple = tr Σ/|G|² and B_noise = tr(HΣ)/(GᵀHG) of the parents near the points that they are branched at.

Both are ratios of means over the measurements within NEAR of a window around the point, with their intervals
(analysis/ratio.py). H is indefinite: where the mean of GᵀHG is not positive B_noise is ∞, larger than can be told.
"""

import pandas as pd

from bsresearch.analysis import ratio
from bsresearch.analysis.quantities import noise_scale
from bsresearch.analysis.study import Study

NEAR = 0.1
CURVATURE, CURVED_TRACE = 'curvature_noise_gradient_curvature', 'curvature_noise_trace'
# Its columns in the tables → (numerator, denominator) of the records.
SCALES = {'noise_scale': (noise_scale.TRACE, noise_scale.SQUARE), 'curvature_noise_scale': (CURVED_TRACE, CURVATURE)}


def near_points(study: Study, losses: pd.DataFrame) -> pd.DataFrame:
    """Both at every run and step of `losses`.

    Returns:
      one row per run and step: of either scale its value (named so), …_low, …_high and …_measurements, NaN where it was
      not measured (ends: fewer than 20 times), …_above and …_below, the two means; population (B_simple of the
      population that the training set is of).
    """
    rows = []
    for (run, step), branches in losses.groupby(['run', 'step'], sort=False):
        point, of_run = branches.iloc[0], study.rows[str(run)]
        near = of_run[(of_run['examples'] - point['examples']).abs() <= NEAR * point['window']].sort_values('step')
        row = {'run': run, 'step': step}
        for name, columns in SCALES.items():
            row |= _scale(near, name, *columns, int(point['epoch_size']))
        rows.append(row)
    return pd.DataFrame(rows)


def _scale(near: pd.DataFrame, name: str, numerator: str, denominator: str, epoch_size: int) -> dict[str, float]:
    ends = dict.fromkeys((f'{name}{end}' for end in ('', '_low', '_high', '_above', '_below')), float('nan'))
    nothing = {**ends, f'{name}_measurements': 0}
    known = near.dropna(subset=[numerator, denominator]) if {numerator, denominator} <= set(near) else near[:0]
    simple = name == 'noise_scale'
    if not len(known):
        return nothing | ({'population': float('nan')} if simple else {})
    above, below = known[numerator].to_numpy(float), known[denominator].to_numpy(float)
    average = ratio.along_run(above, below)
    columns = {
        name: average.value,
        f'{name}_low': average.low,
        f'{name}_high': average.high,
        f'{name}_measurements': len(known),
    }
    columns |= {f'{name}_above': above.mean(), f'{name}_below': below.mean()}
    if simple:
        columns['population'] = ratio.of_means(above.mean(), below.mean() - above.mean() / epoch_size)
    return columns
