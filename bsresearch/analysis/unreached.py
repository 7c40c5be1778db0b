"""Why records lack a quantity: it was never asked for, or the runs have not come to it yet."""

import pathlib
from collections.abc import Collection

import pandas as pd

from bsresearch.analysis import arms
from bsresearch.analysis.arms import Arms
from bsresearch.analysis.study import Study
from bsresearch.core import when

FINISHED = ('done', 'diverged')
# How columns begin that are not called after the measurement which records them.
RECORDED_BY = {'noise_': 'noise_scale', 'hessian_': 'hessian_eigenvalues', 'stability_limit': 'hessian_eigenvalues'}


def lacking(
    loaded: arms.Arms,
    section: str,
    metrics: Collection[str],
    workdir: pathlib.Path | None = None,
    runs: Collection[str] = (),
) -> ValueError:
    """The error of a figure that no run has anything for, with where the runs stand and the cure.

    Args:
      section: of the config, that says when it is recorded: `evaluate`, `measure.distance`.
      metrics: columns of which none was recorded.
      runs: which are meant; all that are loaded.
    """
    meant = loaded.runs[loaded.runs['run'].isin(runs)] if len(runs) else loaded.runs
    asked = _asked(meant, section)
    late = meant[asked & ~meant['status'].isin(FINISHED)]
    where = '' if workdir is None else f' in {workdir}'
    kind = 'evaluation' if section == 'evaluate' else section.rpartition('.')[2].replace('_', ' ')
    if len(late):
        return ValueError(
            f'none of the {len(meant)} runs{where} has come to its first {kind} yet: {_standing(meant, loaded.rows)}; '
            'give the command that makes them again: it goes on from there'
        )
    cure = f'see config.{section}' if asked.any() else f'ask for it: --config.{section}.every_epochs=1'
    return ValueError(f'the runs{where} were recorded without {kind}: none has {", ".join(metrics)}; {cure}')


def _asked(runs: pd.DataFrame, section: str) -> pd.Series:
    """Which runs have any point of a section."""
    asked = pd.Series(False, runs.index)  # a NaN, which is unequal to itself: older runs without the field
    for field, off in when.OFF.items():
        if (column := f'recording.{section}.{field}') in runs:
            asked |= pd.Series([value not in (off, None) and value == value for value in runs[column]], runs.index)
    return asked


def _standing(runs: pd.DataFrame, rows: pd.DataFrame) -> str:
    """How many runs are in which state, and how far those with any record are."""
    parts = []
    for status, members in runs.groupby('status'):
        steps = rows[rows['run'].isin(members['run'])]['step'].max()
        far = '' if pd.isna(steps) else f', recorded up to update {int(steps)} of {members["total_updates"].max()}'
        parts.append(f'{len(members)} {status}{far}')
    return '; '.join(parts)


def lacking_in(study: Study, metric: str) -> ValueError:
    """The error of a quantity of a study: no run has its metric."""
    if metric.startswith('validation_'):
        cure = 'have one held out, --config.data.validation=0.1'
        return ValueError(f'the runs have no validation set: none has {metric}; {cure}')
    of_measure = next((section for start, section in RECORDED_BY.items() if metric.startswith(start)), metric)
    section = 'evaluate' if metric.startswith(('train_', 'test_')) else f'measure.{of_measure}'
    loaded = Arms(study.runs.copy().rename_axis('run').reset_index(), pd.concat(list(study.rows.values())), [], [])
    return lacking(loaded, section, [metric], study.workdir)
