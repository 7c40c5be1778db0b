"""Why records lack a quantity: it was never asked for, or the runs have not come to it yet."""

import pandas as pd

from bsresearch.analysis.study import FINISHED, Study
from bsresearch.core import when

# How columns begin that are not called after the measurement which records them.
RECORDED_BY = {'noise_': 'noise_scale', 'hessian_': 'hessian_eigenvalues', 'stability_limit': 'hessian_eigenvalues'}


def lacking(study: Study, metric: str) -> ValueError:
    """The error of a quantity whose metric no run has, with where the runs stand and the cure."""
    if metric.startswith('validation_'):
        cure = 'have one held out, --config.data.validation=0.1'
        return ValueError(f'the runs have no validation set: none has {metric}; {cure}')
    of_measure = next((section for start, section in RECORDED_BY.items() if metric.startswith(start)), metric)
    evaluated = metric.startswith(('train_', 'test_'))
    section, kind = ('evaluate', 'evaluation') if evaluated else (f'measure.{of_measure}', of_measure.replace('_', ' '))
    asked = _asked(study.runs, section)
    late = study.runs[asked & ~study.runs['status'].isin(FINISHED)]
    where = '' if study.workdir is None else f' in {study.workdir}'
    if len(late):
        return ValueError(
            f'none of the {len(study.runs)} runs{where} has come to its first {kind} yet: {_standing(study)}; give the '
            'command that makes them again: it goes on from there'
        )
    cure = f'see config.{section}' if asked.any() else f'ask for it: --config.{section}.every_epochs=1'
    return ValueError(f'the runs{where} were recorded without {kind}: none has {metric}; {cure}')


def _asked(runs: pd.DataFrame, section: str) -> pd.Series:
    """Which runs have any point of a section."""
    asked = pd.Series(False, runs.index)  # a NaN, which is unequal to itself: older runs without the field
    for field, off in when.OFF.items():
        if (column := f'recording.{section}.{field}') in runs:
            asked |= pd.Series([value not in (off, None) and value == value for value in runs[column]], runs.index)
    return asked


def _standing(study: Study) -> str:
    """How many runs are in which state, and how far those with any record are."""
    parts = []
    for status, members in study.runs.groupby('status'):
        steps = pd.concat([study.rows[str(run)] for run in members.index])['step'].max()
        far = '' if pd.isna(steps) else f', recorded up to update {int(steps)} of {members["total_updates"].max()}'
        parts.append(f'{len(members)} {status}{far}')
    return '; '.join(parts)
