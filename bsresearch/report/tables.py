"""Tables of a report: what was declared, the cells of a study, its runs, and probes."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import pandas as pd

from bsresearch.analysis import axis_labels, cells, of_runs, points, summary
from bsresearch.analysis.study import Study
from bsresearch.core.flat import flatten
from bsresearch.planning import schema
from bsresearch.report import markdown
from bsresearch.report.inventory import Inventory, Probe, Run
from bsresearch.report.markdown import NONE, counted
from bsresearch.report.provenance import duration

METRICS = ('test_accuracy', 'validation_accuracy', 'train_accuracy', 'test_loss', 'train_loss')
LONG = 15  # rows beyond which a table is folded
MOST = 12  # distinct values of a field that are written out
# The grid itself is seen in the values; the study in the heading.
SKIPPED = ('sweep', 'study')


def value(given: Any) -> str:
    """A config value or number for a reader."""
    if given is None or (isinstance(given, float) and pd.isna(given)):
        return NONE
    if isinstance(given, list | tuple):
        return ', '.join(value(v) for v in given) or 'none'
    return ('yes' if given else 'no') if isinstance(given, bool) else axis_labels.text(given)


def of_cells(study: Study, own_metrics: Sequence[str] = ()) -> str:
    """Mean and 95 % interval over the finished runs of each cell, both values of two; '' where no metric was recorded.

    own_metrics: those of a user's own measurements, beside METRICS.
    """
    of_metrics, left_out = {}, []
    for metric in (m for m in (*METRICS, *own_metrics) if m in study.recorded):
        try:
            of_metrics[metric] = points.of(study, of_runs.final(metric)).to_dict('records')
        except ValueError as e:  # older rows hold another loss
            left_out.append(f' {axis_labels.words(metric).capitalize()} is left out: {e}.')
    if not of_metrics:
        return ''
    rows = []
    for label, *points_of_cell in zip(cells.labels(study).values(), *of_metrics.values(), strict=True):
        counts = points_of_cell[0]
        lost = [f'{counts[what]} {what}' for what in ('diverged', 'unfinished') if counts[what]]
        finished = f'{max(point["n"] for point in points_of_cell)} of {counts["runs"]}'
        rate = _rates(study, counts['key'])
        rows.append((label, '; '.join([finished, *lost]), rate, *map(_interval, of_metrics, points_of_cell)))
    seeds = {point['n'] for points_of_cell in of_metrics.values() for point in points_of_cell}
    kinds = {'mean and 95 % interval over seeds': max(seeds) >= summary.TO_TELL, 'both values of two seeds': 2 in seeds}
    how = ', or '.join(kind for kind, there in kinds.items() if there) or 'one seed'
    where = 'on this test set, at the end of finished runs'
    caption = f'{study.name}: {counted(len(rows), "cell")}, {how} {where}.{"".join(left_out)}'
    return markdown.table(
        caption, ('cell', 'runs', 'peak learning rate', *map(_title, of_metrics)), rows, folded=len(rows) > 2 * LONG
    )


def _rates(study: Study, key: cells.Key) -> str:
    """What the runs of a cell use at their schedule's peak, after scaling: '0.4', '0.1 to 0.4'."""
    rates = study.runs.loc[study.runs_of(key), 'learning_rate'].dropna()
    return ' to '.join(value(float(v)) for v in dict.fromkeys([rates.min(), rates.max()])) if len(rates) else NONE


def _interval(metric: str, point: Mapping[Hashable, Any]) -> str:
    """In the metric's unit, which stands in its title; both of two values; of equal ones no interval."""
    show = lambda number: of_runs.unit_of(metric).show(number, unit=False)
    if not point['n']:
        return NONE
    if point['n'] < summary.TO_TELL:
        return summary.each(point['values'], show)
    ends = pd.notna(point['low']) and point['method'] == 'mean' and len({*point['values']}) > 1
    return show(point['centre']) + (f' ({show(point["low"])} to {show(point["high"])})' if ends else '')


def of_runs_of(inventory: Inventory, name: str, study: Study | None) -> str:
    """A row per run of a study; metrics are the last recorded."""
    runs = {run.id: run for run in inventory.of(name).runs}
    labels = cells.labels(study) if study else {}
    # In the order of the cells: an id says nothing. Last what is no cell's.
    cell_of = {member.run: labels[member.key] for member in cells.members(study)} if study else {}
    ids = [*(run for run in cell_of if run in runs), *(run for run in runs if run not in cell_of)]
    every = (*METRICS, *inventory.of(name).own_metrics)
    metrics = [m for m in every if any(run.last.get(m) is not None for run in runs.values())]
    branched = any(run.parent for run in runs.values())
    rows = []
    for run in (runs[i] for i in ids):
        point = [f'{run.parent["run"]} at epoch {run.parent["epoch"]:g}' if run.parent else NONE] if branched else []
        cell = [cell_of.get(run.id, NONE), value(run.resolved.get('seed')), f'{run.own("step"):,}']
        numbers = [NONE if (v := run.last.get(m)) is None else of_runs.unit_of(m).show(v, unit=False) for m in metrics]
        rows.append((run.id, _status(run), *point, *cell, *numbers))
    titles = ('run', 'status', *(['branch of'] if branched else []), 'cell', 'seed', 'updates', *map(_title, metrics))
    caption = f'{name}: {counted(len(rows), "run")}; metrics are the last recorded, updates those of the run itself.'
    return markdown.table(caption, titles, rows, folded=len(rows) > LONG)


def _status(run: Run) -> str:
    step = run.meta.get('diverged_step')
    return run.status + (f' at update {step:,}' if run.status == 'diverged' and step is not None else '')


def _title(metric: str) -> str:
    """With its unit."""
    unit = of_runs.unit_of(metric).level.strip()
    return f'{axis_labels.words(metric)}{f", {unit}" if unit else ""}'


def of_probes(probes: Sequence[Probe]) -> str:
    """A row for each."""
    rows = []
    for probe in probes:
        points = '; '.join(f'{p["run"]} at epoch {p["epoch"]:g}' for p in probe.stated.get('points', []))
        seconds, rate = probe.meta.get('seconds'), probe.stated.get('learning_rate')
        spent = duration(seconds) if isinstance(seconds, int | float) else NONE
        rows.append((probe.id, probe.name, probe.study, probe.status, points, f'{rate:g}' if rate else NONE, spent))
    columns = ('probe', 'name', 'study', 'status', 'of', 'learning rate', 'time')
    caption = f'{counted(len(rows), "probe")} of trained runs.'
    return markdown.table(caption, columns, rows, folded=len(rows) > LONG)


def of_config(runs: Sequence[Run], study: str) -> str:
    """A row per declared field that is not at its default (planning/schema.py) in some run."""
    declared = [run.declared for run in runs if run.declared]
    if not declared:
        return markdown.escape(f'{study}: no run stored the config it was declared with.')
    defaults = flatten(schema.defaults().to_dict())
    names = sorted({name for fields in declared for name in fields if name.split('.')[0] not in SKIPPED})
    rows = []
    for name in names:
        default = _plain(defaults.get(name))
        # A run older than a field was made as its default says.
        values = _distinct([fields.get(name, default) for fields in declared])
        if values != [default]:
            written = [_given(v) for v in values[:MOST]]
            more = [f'… {len(values) - MOST} more'] if len(values) > MOST else []
            of_default = _given(default) if name in defaults else 'its part’s own'
            rows.append((name, '; '.join([*written, *more]), of_default))
    caption = (
        f'{study}: declared fields that differ from the defaults in some of its runs, {len(rows)} of {len(names)}.'
    )
    return markdown.table(caption, ('field', 'values', 'default'), rows, folded=len(rows) > 2 * LONG)


def _plain(given: Any) -> Any:
    return [_plain(v) for v in given] if isinstance(given, list | tuple) else given


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Numbers in order, then the rest in that of their text; None last."""
    distinct = {repr(v): v for v in map(_plain, values)}
    rank = lambda v: (v is None, not isinstance(v, int | float), v if isinstance(v, int | float) else 0, repr(v))
    return sorted(distinct.values(), key=rank)


def _given(default: Any) -> str:
    return 'not given' if default is None else value(default)
