"""Which section of a config records a column of the records, and how to have one that runs were not asked for.

Layers of a measurement have columns of their own behind a slash: `distance/dense`.
"""

import pandas as pd

from bsresearch.core import when
from bsresearch.store import records

_EVALUATED = (
    *(f'{split}_{what}' for split in ('train', 'validation', 'test')
      for what in ('loss', 'objective', 'accuracy', 'auc', 'calibration_error')),
    'generalization_gap', 'generalization_gap_loss', 'generalization_gap_objective',
)  # fmt: skip
_AVERAGED = ('average', 'negative_fraction')
# Section of a config → the columns that it records.
SECTIONS: dict[str, tuple[str, ...]] = {
    '': records.POSITION,
    'evaluate': tuple(f'{at}{column}' for at in ('', 'ema_', 'estimated_', 'estimated_ema_') for column in _EVALUATED),
    'record': ('batch_loss', 'learning_rate_used', 'momentum_used', 'weight_decay_used', 'batch_size_used'),
    'norms': ('gradient_norm', 'clipped_gradient_norm', 'update_norm'),
    'snapshots': ('ensemble_size', *(f'ensemble_{split}_{what}' for split in ('train', 'validation', 'test')
                                     for what in ('accuracy', 'nll'))),
    'measure.alpha': ('alpha',),
    'measure.angular_distance': ('angular_distance',),
    'measure.branch_distance': ('branch_distance',),
    'measure.curvature_noise_scale': (
        'curvature_noise_scale', 'curvature_noise_gradient_curvature', 'curvature_noise_gradient_curvature_average',
        'curvature_noise_trace', 'curvature_noise_trace_average', 'curvature_noise_negative_fraction',
    ),
    'measure.distance': ('distance',),
    'measure.gradient_cosine': ('gradient_cosine', 'full_gradient_norm'),
    'measure.gradient_norm': ('single_batch_gradient_norm',),
    'measure.hessian_eigenvalues': ('hessian_eigenvalue', 'hessian_residual', 'hessian_products', 'stability_limit'),
    'measure.hessian_trace': ('hessian_trace', 'hessian_trace_standard_error'),
    'measure.individual_gradients': (
        'individual_noise_scale', 'individual_gradient_square', 'individual_gradient_square_average',
        'individual_trace', 'individual_trace_average', 'individual_negative_fraction', 'individual_norm_test',
        'individual_inner_product_test', 'individual_orthogonality_test', 'individual_cabs_batch_size',
        'individual_early_stopping', 'individual_mean_gsnr', 'individual_diversity',
    ),
    'measure.initial_cosine': ('initial_cosine',),
    'measure.noise_scale': (
        'noise_scale', 'noise_gradient_square', 'noise_gradient_square_average', 'noise_trace', 'noise_trace_average',
        'noise_negative_fraction',
    ),
    'measure.parameter_norm': ('parameter_norm',),
    'measure.path_length': ('path_length', 'path_straightness'),
    'measure.relative_distance': ('relative_distance',),
    'measure.sharpness': (
        'sharpness', 'sharpness_loss', 'sharpness_maximum_loss', 'sharpness_evaluations',
    ),
    'measure.update_ratio': ('update_ratio',),
}  # fmt: skip
COLUMNS = {column: section for section, columns in SECTIONS.items() for column in columns}


def section_of(column: str) -> str | None:
    """The section that records a column, '' of what every row has; None of what no part of the package records."""
    return COLUMNS.get(column.partition('/')[0])


def own_measurements(runs: pd.DataFrame) -> bool:
    """Whether any run has a measurement of a user's own, whose columns are not known here; `runs` as of `asked`."""
    functions = [c for c in runs if str(c).startswith('recording.measure.') and str(c).endswith('.function')]
    return any(isinstance(value, str) for column in functions for value in runs[column])


def asked(runs: pd.DataFrame, section: str) -> pd.Series:
    """Which runs have any point of a section.

    Args:
      runs: a row per run, a column per resolved field (store/records.py).
    """
    points = pd.Series(False, runs.index)  # a NaN, which is unequal to itself: older runs without the field
    for field, off in when.OFF.items():
        if (column := f'recording.{section}.{field}') in runs:
            points |= pd.Series([value not in (off, None) and value == value for value in runs[column]], runs.index)
    return points


def cure(runs: pd.DataFrame, column: str) -> str:
    """What to set so that a known column is recorded: 'config.measure.distance.every_epochs=1'; '' where some run is.

    Args:
      runs: as of `asked`.
    """
    section = section_of(column)
    if not section:
        return ''
    if not asked(runs, section).any():
        return f'config.{section}.every_epochs=1'
    # Older runs, which do not tell, all evaluated the test set.
    has = lambda field: (
        any(value == value and value for value in runs[field]) if field in runs else field == 'recording.evaluate.test'
    )
    for part, field, setting in (
        ('validation', 'data.validation', 'config.data.validation=0.1'),
        ('ema', 'ema.half_life_examples', 'config.ema.half_life_epochs=1'),
        ('estimated', 'recording.evaluate.estimated_statistics', 'config.evaluate.estimated_statistics=True'),
        ('objective', 'loss.label_smoothing', 'config.loss.label_smoothing=0.1'),
        ('train', 'recording.evaluate.train', 'config.evaluate.train=True'),
        ('test', 'recording.evaluate.test', 'config.evaluate.test=True'),
    ):
        if section in ('evaluate', 'snapshots') and part in column.split('_') and not has(field):
            return setting
    for metric in ('auc', 'calibration_error'):
        of_runs = runs.get('recording.evaluate.metrics', ())
        if column.partition('/')[0].endswith(f'_{metric}') and not any(metric in str(asked) for asked in of_runs):
            return f"config.evaluate.metrics=('{metric}',)"
    return ''
