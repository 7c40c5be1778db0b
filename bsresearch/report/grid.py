"""The grid of a study: the fields that tell its runs apart, a table of its arms, and one of its runs."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from bsresearch.analysis import arms, axis_labels, of_runs, summary
from bsresearch.report import markdown
from bsresearch.report.found import Found, Run
from bsresearch.report.markdown import NONE, counted
from bsresearch.store import records

# Told where an older version recorded them in place of the loss.
OBJECTIVES = ('test_objective', 'train_objective')
METRICS = ('test_accuracy', 'validation_accuracy', 'train_accuracy', 'test_loss', 'train_loss')
LONG = 15  # rows beyond which a table is folded


def value(given: Any) -> str:
    """A config value or number for a reader."""
    if given is None or (isinstance(given, float) and pd.isna(given)):
        return NONE
    if isinstance(given, list | tuple):
        return ', '.join(value(v) for v in given) or 'none'
    return ('yes' if given else 'no') if isinstance(given, bool) else axis_labels.text(given)


def frame(found: Found, study: str) -> pd.DataFrame:
    """One row per run: run, status, its resolved fields, parent.<field> of a branch, and the last recorded metrics."""
    known = {run.id: run for run in found.runs}
    rows = []
    for run in found.of(study):
        cells = {k: str(tuple(v)) if isinstance(v, list) else v for k, v in run.resolved.items()}
        above = known.get(run.parent['run']) if run.parent else None
        inherited = {f'parent.{k}': v for k, v in above.resolved.items() if _names_arm(k)} if above else {}
        facts = {
            'run': run.id,
            'status': run.status,
            'diverged': run.status == 'diverged',
            'step': run.last.get('step'),
        }
        rows.append(cells | inherited | facts | {m: run.last[m] for m in (*METRICS, *OBJECTIVES) if m in run.last})
    return pd.DataFrame(rows)


def _names_arm(field: str) -> bool:
    """Whether a parent's field may tell two branches apart; lists cannot be grouped by, seeds name no arm."""
    return field in ('batch_size', 'learning_rate', 'momentum', 'weight_decay') or (
        field.endswith('.name') and not field.startswith(('recording.', 'parent.'))
    )


def fields(table: pd.DataFrame) -> list[str]:
    """What names an arm: batch size, learning rate, and what varies but follows from none of those before it."""
    skipped = {*arms.SEEDS, *METRICS, *OBJECTIVES, 'step', 'diverged', 'status', 'run', 'study'}
    given = [c for c in ('batch_size', 'learning_rate') if c in table]
    # `varying` hides the parent's fields but for its point; those added here tell branches apart as well.
    shown = [c for c in table if c.startswith('parent.') and _names_arm(c.removeprefix('parent.'))]
    seeded = table if 'seed' in table else table.assign(seed=0)
    varying = [c for c in [*records.varying(seeded), *shown] if c not in skipped]
    # What a run is made of, where it branches, how long it is; a parent's fields only where these do not tell.
    above = lambda c: c.startswith('parent.') and c != 'parent.epoch'
    order = lambda c: (above(c), not c.endswith('.name'), c != 'parent.epoch', c != 'total_examples', c)
    for column in sorted(set(varying) - set(given), key=order):
        if not arms.follows(table, column, given):
            given.append(column)
    return given


def arms_table(table: pd.DataFrame, by: Sequence[str], study: str, rows: pd.DataFrame | None = None) -> list[str]:
    """Mean and 95 % interval over the finished runs of each arm; nothing where no metric was recorded.

    rows: all that was recorded; how finely an accuracy is counted is read off all evaluations, not the last alone.
    """
    metrics = [m for m in METRICS if m in table and table[m].notna().any()]
    mixed = {m: runs for m in metrics if (runs := summary.objective_only(table, m))}
    metrics = [m for m in metrics if m not in mixed]
    if not metrics:
        return []
    final = summary.final(table if rows is None else _recorded(table, rows), metrics, list(by))
    lines = []
    for arm, mine in final.groupby(list(by), dropna=False, sort=True):
        cells = mine.set_index('metric')
        first = cells.iloc[0]
        count = f'{int(cells["n"].max())} of {int(first["runs"])}'
        gone = [f'{int(first[what])} {what}' for what in ('diverged', 'unfinished') if first[what]]
        lines.append(
            (*(value(v) for v in arm), '; '.join([count, *gone]), *(_interval(m, cells.loc[m]) for m in metrics))
        )
    said = 'mean ± half of the 95 % interval over seeds on this test set (Student’s t), at the end of finished runs'
    caption = f'{study}: {counted(len(lines), "arm")}, {said}.' + ''.join(
        f' {_title(m)} is left out: an older version recorded it with label smoothing in {", ".join(runs)}.'
        for m, runs in mixed.items()
    )
    names = (*(_title(c) for c in by), 'runs', *(_title(m) for m in metrics))
    return [markdown.table(caption, names, lines, folded=len(lines) > 2 * LONG)]


def _recorded(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """The runs' fields with every recorded line in place of the last; a run without any keeps its own."""
    fields = table.drop(columns=[c for c in (*METRICS, *OBJECTIVES, 'step') if c in table])
    kept = [c for c in ('run', 'step', *METRICS, *OBJECTIVES) if c in rows]
    return fields.merge(rows[kept], on='run', how='left').copy()


def _interval(metric: str, cell: Mapping[Hashable, Any] | pd.Series) -> str:
    """In the metric's unit, which stands in its title."""
    if pd.isna(cell['mean']):
        return NONE
    half = (cell['high'] - cell['low']) / 2
    number = lambda v: of_runs.unit_of(metric).show(v, unit=False)
    return number(cell['mean']) + ('' if pd.isna(half) else f' ± {number(half)}')


def runs_table(found: Found, table: pd.DataFrame, by: Sequence[str], study: str) -> str:
    """One row per run; metrics are the last recorded."""
    mine: list[Run] = found.of(study)
    metrics = [m for m in METRICS if m in table and table[m].notna().any()]
    seeds = [s for s in ('seed',) if s in table]
    branches = any(run.parent for run in mine)
    shown = [c for c in by if not c.startswith('parent.')]
    rows = []
    # In the order of the arms: an id says nothing.
    comparable = lambda column: column if pd.api.types.is_numeric_dtype(column) else column.astype(str)
    ordered = table.assign(place=range(len(table))).sort_values(
        [*by, *seeds], key=comparable, na_position='first', kind='stable'
    )
    for _, cells in ordered.iterrows():
        run = mine[int(cells['place'])]
        point = f'{run.parent["run"]} at epoch {run.parent["epoch"]:g}' if run.parent else NONE
        step = run.meta.get('diverged_step')
        status = run.status + (f' at update {step:,}' if run.status == 'diverged' and step is not None else '')
        named = [run.id, status, *([point] if branches else []), *(value(cells[c]) for c in (*shown, *seeds))]
        measured = [NONE if pd.isna(cells[m]) else of_runs.unit_of(m).show(cells[m], unit=False) for m in metrics]
        rows.append((*named, f'{run.made("step"):,}', *measured))
    names = ('run', 'status', *(['branch of'] if branches else []), *(_title(c) for c in (*shown, *seeds)))
    caption = f'{study}: {counted(len(rows), "run")}; metrics are the last recorded, updates those of the run itself.'
    return markdown.table(caption, (*names, 'updates', *(_title(m) for m in metrics)), rows, folded=len(rows) > LONG)


def _title(column: str) -> str:
    """A column's heading, with the unit of a metric."""
    if column in METRICS and (unit := of_runs.unit_of(column).level.strip()):
        return f'{column.replace("_", " ")}, {unit}'
    return column.removesuffix('.name').replace('_', ' ').replace('.', ' · ')
