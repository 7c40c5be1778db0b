"""Which runs of a workdir can be compared: those that differ in batch size, rate and seed alone."""

from collections.abc import Sequence

import pandas as pd

from bsresearch.advice.table import Refusal
from bsresearch.analysis.axes import SEEDS, independent
from bsresearch.store import records

LENGTHS = ('total_epochs', 'total_updates', 'total_examples', 'total_seconds')


def others(table: pd.DataFrame, *, to_target: bool) -> list[str]:
    """In what the runs differ beside batch size, rate and seed; what follows from the batch size alone is none.

    `to_target`: they may differ in their length where it changes nothing before the target: at a constant rate.
    """
    left_out = (*SEEDS, 'batch_size', 'learning_rate', 'declared_learning_rate', 'arm')
    if to_target and (table['schedule.name'] == 'constant').all():
        left_out += LENGTHS
    fields = [field for field in records.varying(table) if field not in left_out]
    return [field for field in independent(table, fields) if field != 'batch_size']


def winners(table: pd.DataFrame, searched: Sequence[str], ends: pd.Series) -> pd.DataFrame:
    """Of each batch size one setting's runs: of those with most seeds the one that ended best.

    ends: (n,) of the runs, best when highest.
    """
    setting = table[['batch_size', *searched]].map(str).agg('/'.join, axis=1)
    of_setting = ends.groupby([table['batch_size'], setting]).agg(['count', 'mean']).sort_values(['count', 'mean'])
    won = of_setting.groupby(level=0).tail(1).index.get_level_values(1)
    return table[setting.isin(won)]


def check(table: pd.DataFrame, found: Sequence[str]) -> None:
    """Raises Refusal for runs that differ in what `others` found, or whose batch size changes."""
    schedules = table.get('batch_schedule.name')
    if schedules is not None and (schedules != 'constant').any():
        raise Refusal(
            'the batch size of some runs changes as they go (batch_schedule): an advice is on one that stays; '
            '--where=batch_schedule.name=constant leaves them out'
        )
    if found:
        name = found[0]
        values = [str(value) for value in table[name].unique()]
        raise Refusal(
            f'the runs differ in {", ".join(found)}: --where={name}={values[0]} keeps some; {name} is '
            f'{", ".join(values[:8])}'
        )
