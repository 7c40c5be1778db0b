"""Seconds per update of a batch size, as training went: for readings at equal seconds.

Of a run it is what the updates of its group took, over its updates and replicas: minutes, where the records' `seconds`
are updates times a calibration of a third of a second, which other programs on the machine may have had. Replicas that
are mapped together count as a share each; runs without that time have the calibrated one.
"""

import numpy as np
import pandas as pd

from bsresearch.analysis.once import once
from bsresearch.analysis.study import Study
from bsresearch.store import paths


@once
def of_kinds(study: Study) -> dict[tuple[float, str], float]:
    """Batch size and optimizer → seconds per update, the median over their runs.

    Runs that share a group have one time, so that n is the number of groups.
    """
    every: dict[tuple[float, str], list[float]] = {}
    for run in study.trained['id'].unique():
        if np.isfinite(seconds := _seconds_per_update(study, run)):
            every.setdefault(kind(study, run), []).append(seconds)
    return {of: float(np.median(values)) for of, values in every.items()}


def kind(study: Study, run: str) -> tuple[float, str]:
    """Batch size and optimizer of a run."""
    facts = study.runs.loc[run]
    return float(facts['batch_size']), str(facts.get('optimizer.name'))


def _seconds_per_update(study: Study, run: str) -> float:
    facts = study.runs.loc[run]
    start = facts.get('parent.step', 0.0)
    updates = float(facts['total_updates']) - (0.0 if pd.isna(start) else float(start))
    file = study.workdir and paths.run_dir(study.workdir, str(facts['study']), run) / 'meta.json'
    meta = (paths.read_json(file) if file else None) or {}
    whole = meta.get('status') == 'done' and meta.get('stopped_step') is None
    if whole and 'updates' in meta.get('seconds', {}):
        return meta['seconds']['updates'] / (updates * meta['replicas'])
    return calibrated(study, run)


def calibrated(study: Study, run: str) -> float:
    """Seconds per update that a run's records count with; NaN without any."""
    rows = study.rows.get(run, pd.DataFrame())
    last = rows.iloc[-1] if len(rows) and 'seconds' in rows else {'step': 0}
    return float(last['seconds'] / last['step']) if last['step'] else np.nan


def of_run(study: Study, run: str) -> float:
    """Seconds per update of the kind of a run."""
    return of_kinds(study)[kind(study, run)]


def places(study: Study, run: str, rows: pd.DataFrame, column: str) -> np.ndarray:
    """(rows,) of a run in a column of positions; in seconds, updates times its pace."""
    return rows['step'].to_numpy(float) * of_run(study, run) if column == 'seconds' else rows[column].to_numpy(float)
