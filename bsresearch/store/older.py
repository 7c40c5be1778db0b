"""Records that older versions wrote, under the names that their values have now.

Until the losses of whole splits were reported without label smoothing, `<split>_loss` held the training objective. A
row is told from a newer one by itself: a newer one of a run with label smoothing has both. A run begun before and
resumed after has rows of both kinds.
"""

import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

from bsresearch.store import paths

SPLITS = ('train', 'validation', 'test')
# Losses of evaluations, of the weights' average, between two solutions (a path stands before), and the gap.
_ENDS = (*(f'{split}_' for split in SPLITS), 'generalization_gap_')


def objective_of(metric: str) -> str | None:
    """'test_loss' → 'test_objective'; None for what is no loss of a whole split, nor their gap."""
    what = metric.removesuffix('loss')
    return f'{what}objective' if what != metric and what.endswith(_ENDS) else None


def smoothed(directory: pathlib.Path) -> bool:
    """Whether a run's training objective has label smoothing."""
    return has_smoothing(paths.read_json(directory / 'config.json') or {})


def has_smoothing(config: Mapping[str, Any]) -> bool:
    """As `smoothed`, of what config.json holds."""
    return bool(config.get('resolved', {}).get('loss', {}).get('label_smoothing', 0))


def misnamed(names: Iterable[str]) -> dict[str, str]:
    """Of the metrics of one row of a run with label smoothing, those that hold objectives, and what they are now."""
    metrics = set(names)
    pairs = {name: objective for name in metrics if (objective := objective_of(name)) is not None}
    return {name: objective for name, objective in pairs.items() if objective not in metrics}


def renamed(row: Mapping[str, Any], objectives: bool) -> dict[str, Any]:
    """A row under today's names; `objectives`: whether it is of a run with label smoothing."""
    wrong = misnamed(row) if objectives else {}
    return {wrong.get(name, name): value for name, value in row.items()}
