"""Records of measure.sharpness and measure.hessian_eigenvalues → how sharp the minima of each batch size are."""

import pathlib
from typing import NamedTuple

import pandas as pd

from bsresearch.analysis import arms, summary, unreached

SHARPNESS, EIGENVALUE, LIMIT = 'sharpness', 'hessian_eigenvalue/0', 'stability_limit'
RESIDUAL = 'hessian_residual'


class Sharpness(NamedTuple):
    """loaded: the arms. points: one row per run and measurement, with `loss`, the training loss there.

    shown: what was measured of SHARPNESS and EIGENVALUE. final: `summary.final` of these, LIMIT and the loss.
    """

    loaded: arms.Arms
    points: pd.DataFrame
    shown: list[str]
    final: pd.DataFrame


def measured(workdir: pathlib.Path) -> Sharpness:
    """The sharpness of all runs.

    The loss is the training objective, as the sharpness's own: of the whole training set where it was evaluated at the
    same update, otherwise the one the sharpness started from.

    Raises:
      FileNotFoundError: no runs. ValueError: none measured the sharpness, or the arms differ in more than batch size.
    """
    loaded = arms.load(workdir)
    rows = loaded.rows
    if SHARPNESS not in rows or not rows[SHARPNESS].notna().any():
        raise unreached.lacking(loaded, 'measure.sharpness', [SHARPNESS], workdir)
    if loaded.panels:
        raise ValueError(
            f'the runs in {workdir} differ in {", ".join(loaded.panels)} beside the batch size; use a workdir for each'
        )
    loss = rows['sharpness_loss']
    for evaluated in ('train_loss', 'train_objective'):  # where there is no other objective, it is the loss
        loss = rows[evaluated].fillna(loss) if evaluated in rows else loss
    rows = rows.assign(loss=loss)
    shown = [m for m in (SHARPNESS, EIGENVALUE) if m in rows and rows[m].notna().any()]
    points = rows[rows[shown].notna().any(axis=1)]
    metrics = [m for m in (*shown, LIMIT, 'loss') if m in rows and points[m].notna().any()]
    return Sharpness(loaded, points, shown, summary.final(points, metrics, loaded.by))


def unconverged(points: pd.DataFrame, tolerance: float = 1e-3) -> float:
    """Fraction of the eigenvalues whose residual exceeds the tolerance."""
    residuals = points[RESIDUAL].dropna() if RESIDUAL in points else pd.Series(dtype=float)
    # It stops at the tolerance, up to rounding.
    return float((residuals > tolerance * (1 + 1e-5)).mean()) if len(residuals) else 0.0
