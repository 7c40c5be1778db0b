"""What was held fixed across batch sizes, in words: it decides what a comparison of batch sizes means."""

from numbers import Integral

import pandas as pd

from bsresearch.analysis.arms import Arms, follows
from bsresearch.store import records

LENGTHS = {'total_epochs': 'epochs', 'total_updates': 'updates', 'total_examples': 'examples'}
# Named by lines of their own, or following from what is named.
_TOLD = {'batch_size', 'learning_rate', 'base_learning_rate', *LENGTHS}


def text(value: object) -> str:
    """A config value for a reader: 43,110; 0.1; mlp."""
    if isinstance(value, float):
        return f'{value:,.0f}' if value.is_integer() and abs(value) < 1e15 else f'{value:.6g}'
    return f'{value:,}' if isinstance(value, Integral) and not isinstance(value, bool) else str(value)


def panels(arms: Arms) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each combination of values that gets panels of its own, in order, with the values as title."""
    if not arms.panels:
        return [('', arms.rows)]
    named = lambda values: (f'{f.replace("_", " ")} {text(v)}' for f, v in zip(arms.panels, values, strict=True))
    return [(', '.join(named(values)), rows) for values, rows in arms.rows.groupby(arms.panels, dropna=False)]


def describe(arms: Arms) -> list[str]:
    """Phrases for the figure; a field that has panels of its own is left to their titles."""
    runs = arms.runs
    named = {*_TOLD, 'seed', *records.SPLIT_SEEDS}
    followers = [c for c in records.varying(runs) if c not in named and not follows(runs, c, arms.panels)]
    phrases = [_length(arms), _learning_rate(arms), *_training(arms), _task(arms), _seeds(arms)]
    return [*phrases, *([f'differs with B: {", ".join(followers)}'] if followers else [])]


def _values(runs: pd.DataFrame, column: str) -> str:
    return ', '.join(text(v) for v in sorted(runs[column].unique().tolist()))


def _compares(arms: Arms) -> bool:
    return arms.runs['batch_size'].nunique() > 1


def _length(arms: Arms) -> str:
    for column, unit in LENGTHS.items():
        if follows(arms.runs, column, arms.panels):
            values = _values(arms.runs, column)
            return f'equal {unit} ({values})' if _compares(arms) else f'{values} {unit}'
    epochs = arms.runs['total_epochs']
    return f'unequal lengths ({text(epochs.min())} to {text(epochs.max())} epochs)'


def _learning_rate(arms: Arms) -> str:
    runs = arms.runs
    rules = runs['scaling.name'].unique().tolist()
    base = 'base_learning_rate' if 'base_learning_rate' in runs else 'learning_rate'
    value = '' if base in arms.panels else f' {_values(runs, base)}'
    if 'scaling.name' in arms.panels:
        return f'learning rate{value}, scaled with B by the rule of each column'
    if len(rules) == 1 and rules != ['none']:
        reference = _values(runs, 'scaling.reference_batch_size')
        name = 'learning rate' if value else 'base learning rate'
        return f'{name}{value} at B = {reference}, scaled with B by rule {rules[0]}'
    if rules == ['none'] and follows(runs, 'learning_rate', arms.panels):
        return f'learning rate{value}{" fixed across B" if _compares(arms) else ""} (no scaling)'
    return f'learning rate set per B ({_values(runs, "learning_rate")})'


def _fact(arms: Arms, column: str, form: str = '{}') -> list[str]:
    """The one value of a column; nothing where it varies (a panel's title or the last line tells) or is None."""
    if column not in arms.runs or arms.runs[column].nunique() != 1 or arms.runs[column].isna().any():
        return []
    return [form.format(text(arms.runs[column].iloc[0]))]


def _training(arms: Arms) -> list[str]:
    rule = [*_fact(arms, 'optimizer.name', 'optimizer {}'), *_fact(arms, 'momentum', 'momentum {}')]
    rule += ['momentum by the schedule'] if arms.runs['momentum'].isna().all() else []
    rule += _fact(arms, 'weight_decay', 'weight decay {}')
    schedule = _fact(arms, 'schedule.name', '{} schedule')
    if arms.runs['warmup.examples'].any():
        schedule += _fact(arms, 'warmup.examples', 'warmup {} examples')
    else:
        schedule.append('no warmup')
    return [', '.join(part) for part in (rule, schedule) if part]


def _task(arms: Arms) -> str:
    model = ' '.join([*_fact(arms, 'model.name'), *_fact(arms, 'model.widths')])
    data = ' '.join([*_fact(arms, 'data.name'), *_fact(arms, 'epoch_size', '({} examples)')])
    return ' on '.join(part for part in (model, data) if part)


def _seeds(arms: Arms) -> str:
    counts = arms.runs.groupby(arms.by, dropna=False).size()
    fewest, most = int(counts.min()), int(counts.max())
    if most == 1:
        return 'n = 1 seed, no interval'
    return (
        f'mean and 95 % interval over n = {most if fewest == most else f"{fewest} to {most}"} seeds, on this test set'
    )
