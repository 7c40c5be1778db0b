"""Whether a run will have the metric of a target, before it is made."""

from collections.abc import Mapping
from typing import Any

from bsresearch.analysis import recorded
from bsresearch.core import lookup
from bsresearch.core.target import Target
from bsresearch.planning import evaluation


def check(target: Target, name: str, config: Mapping[str, Any], *, classes: bool = True) -> None:
    """Refuses a target in a metric that no evaluation of the run will have.

    Args:
      name: of the field, for the error. config: with `evaluate`, `data` and `ema`. classes: whether labels are classes.

    Raises:
      ValueError: an unknown metric, or one of a split that is not evaluated.
    """
    metric, evaluated = target.metric, recorded.SECTIONS['evaluate']
    asked = [f'_{one}' for one in evaluation.METRICS]
    columns = [column for column in evaluated if column.endswith(('_loss', '_accuracy', *asked))]
    if metric not in columns:
        usual = [column for column in columns if not column.startswith('ema_')]
        raise ValueError(f'{name}: no metric {metric!r} of an evaluation; {lookup.nearest(metric, usual)}')
    split = metric.removeprefix('ema_')
    for part in ('train', 'test'):
        if split.startswith(f'{part}_') and not config['evaluate'][part]:
            raise ValueError(f'{name}: {metric} is not evaluated; use config.evaluate.{part}=True or another metric')
    if split.startswith('validation_') and not config['data'].get('validation'):
        raise ValueError(f'{name}: the data have no validation set for {metric}; give config.data.validation=0.1')
    if metric.startswith('ema_') and not any(value is not None for value in config['ema'].values()):
        raise ValueError(f'{name}: no average of the weights for {metric}; give config.ema.half_life_epochs=1.0')
    for one in evaluation.METRICS:
        if metric.endswith(f'_{one}') and one not in config['evaluate']['metrics']:
            raise ValueError(f"{name}: {metric} is not evaluated; use config.evaluate.metrics=('{one}',)")
    if metric.endswith('_accuracy') and not classes:
        raise ValueError(f'{name}: the labels are no classes, and have no {metric}; take a loss')
