"""Records of measure.sharpness and measure.hessian_eigenvalues → how sharp the points are that runs come to."""

import pandas as pd

from bsresearch.analysis import cells, unreached
from bsresearch.analysis.once import once
from bsresearch.analysis.study import Study

SHARPNESS, EIGENVALUE, LIMIT = 'sharpness', 'hessian_eigenvalue/0', 'stability_limit'
RESIDUAL = 'hessian_residual'


@once
def measured(study: Study) -> pd.DataFrame:
    """One row per run and measurement: run, the parts of its cell, replicate, step, epoch, loss, and what was measured.

    The loss is the training objective, as the sharpness's own: of the whole training set where it was evaluated at the
    same update, otherwise the one the sharpness started from.

    Raises:
      ValueError: no run measured the sharpness.
    """
    parts = [part for member in cells.members(study) if len(part := _of_run(study, member))]
    if not parts:
        raise unreached.lacking(study, SHARPNESS)
    return pd.concat(parts, ignore_index=True)


def _of_run(study: Study, member: cells.Member) -> pd.DataFrame:
    rows = study.rows[member.run]
    if SHARPNESS not in rows:
        return pd.DataFrame()
    loss = rows['sharpness_loss']
    for evaluated in ('train_loss', 'train_objective'):  # where there is no other objective, it is the loss
        loss = rows[evaluated].fillna(loss) if evaluated in rows else loss
    recorded = [m for m in (SHARPNESS, EIGENVALUE, LIMIT, RESIDUAL) if m in rows]
    rows = rows.assign(loss=loss)[rows[recorded].notna().any(axis=1)].reset_index(drop=True)
    names = {'run': member.run} | cells.parts(study, member.key) | {'replicate': member.replicate}
    return cells.behind(names, rows[['step', 'epoch', 'loss', *recorded]])


def unconverged(points: pd.DataFrame, tolerance: float = 1e-3) -> float:
    """Fraction of the eigenvalues whose residual exceeds the tolerance."""
    residuals = points[RESIDUAL].dropna() if RESIDUAL in points else pd.Series(dtype=float)
    # It stops at the tolerance, up to rounding.
    return float((residuals > tolerance * (1 + 1e-5)).mean()) if len(residuals) else 0.0
