"""Why records lack a quantity: it was never asked for, or the runs have not come to it yet."""

import pandas as pd

from bsresearch.analysis import recorded
from bsresearch.analysis.study import FINISHED, Study
from bsresearch.core import lookup


def lacking(study: Study, metric: str) -> ValueError:
    """The error of a quantity whose metric no run has, with where the runs stand and the cure."""
    if metric.startswith('validation_'):
        cure = 'have one held out, --config.data.validation=0.1'
        return ValueError(f'the runs have no validation set: none has {metric}; {cure}')
    section = recorded.section_of(metric)
    if section is None and not recorded.own_measurements(study.runs):
        known = [*recorded.COLUMNS, *study.recorded]
        return ValueError(f'no run records {metric!r}; {lookup.nearest_of(metric, known, sorted(study.recorded))}')
    section = section or f'measure.{metric}'
    kind = 'evaluation' if section == 'evaluate' else section.removeprefix('measure.').replace('_', ' ')
    asked = recorded.asked(study.runs, section)
    late = study.runs[asked & ~study.runs['status'].isin(FINISHED)]
    where = '' if study.workdir is None else f' in {study.workdir}'
    if len(late):
        return ValueError(
            f'none of the {len(study.runs)} runs{where} has come to its first {kind} yet: {_standing(study)}; give the '
            'command that makes them again: it goes on from there'
        )
    cure = f'see config.{section}' if asked.any() else f'ask for it: --config.{section}.every_epochs=1'
    return ValueError(f'the runs{where} were recorded without {kind}: none has {metric}; {cure}')


def _standing(study: Study) -> str:
    """How many runs are in which state, and how far those with any record are."""
    parts = []
    for status, members in study.runs.groupby('status'):
        steps = pd.concat([study.rows[str(run)] for run in members.index])['step'].max()
        far = '' if pd.isna(steps) else f', recorded up to update {int(steps)} of {members["total_updates"].max()}'
        parts.append(f'{len(members)} {status}{far}')
    return '; '.join(parts)
