"""What came of a launch, as rows of a table: a line for each arm, or for each run."""

import pathlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bsresearch.analysis import summary
from bsresearch.planning import resolve, schema, sections
from bsresearch.planning.plan import Plan, canonical
from bsresearch.store import paths, records, standing
from bsresearch.store.records import SPLIT_SEEDS, flatten_varying
from bsresearch.train.observing import evaluate

METRICS = ('test_accuracy', 'test_loss', 'train_accuracy', 'distance')  # beside those of a user's own
SEEDS = ('seed', *SPLIT_SEEDS)
Row = dict[str, Any]


def what_varies(plans: Sequence[Plan]) -> list[Row]:
    """Of each run the fields that differ between them, a schedule in one; what follows from others is left out."""
    return flatten_varying([_brief(plan) for plan in plans])


def _brief(plan: Plan) -> Row:
    fields = plan.resolved()
    del fields['batch_changes']
    if (begun := plan.init_from) is not None:
        fields['init_from'] = f'{begun["run"]}@{begun["step"]}'
    brief = [name for name in schema.NAMED if name.endswith('schedule') or name in ('optimizer', 'scaling')]
    return fields | {name: sections.describe(name, fields[name]) for name in brief}


def named(plan: Plan, arms: Mapping[str, str] | None) -> Row:
    """The column of a run's arm; none without arms. arms: id → the names that the run has."""
    return {'arm': arms.get(plan.id)} if arms else {}


def of_runs(
    workdir: pathlib.Path,
    plans: Sequence[Plan],
    last_rows: Sequence[Mapping[str, Any]],
    arms: Mapping[str, str] | None = None,
) -> list[Row]:
    """A row for each run. last_rows: the newest value of each of its metrics. arms: as in `named`."""
    rows, directories = [], [paths.run_dir(workdir, plan.study, plan.id) for plan in plans]
    metas = [paths.read_json(directory / 'meta.json') or {} for directory in directories]
    metrics = (*METRICS, *records.own_metrics(metas))
    for plan, fields, last, directory, meta in zip(
        plans, what_varies(plans), last_rows, directories, metas, strict=True
    ):
        status = standing.name(directory, meta)
        at = f' at {meta["diverged_step"]:,}' if status == 'diverged' else ''
        facts = {'status': f'{status}{at}', 'updates': meta.get('step')}
        rows.append({'run': plan.id} | named(plan, arms) | fields | facts | {name: last.get(name) for name in metrics})
    return rows


def of_arms(
    workdir: pathlib.Path,
    plans: Sequence[Plan],
    last_rows: Sequence[Mapping[str, Any]],
    arms: Mapping[str, str] | None = None,
) -> list[Row]:
    """A row for each arm, runs that differ in their seeds alone: mean ± half of Student's 95 % interval; both of two.

    Of runs that came to their end; one that diverged has no values there.
    """
    members: dict[str, list[Row]] = {}
    plan_of = {plan.id: plan for plan in plans}
    of_each = of_runs(workdir, plans, last_rows, arms)
    metrics = _metrics(of_each)
    for row in of_each:
        fixed = {k: v for k, v in row.items() if k not in (*SEEDS, 'run', 'status', 'updates', *metrics)}
        members.setdefault(canonical(fixed), []).append(row)
    rows = []
    for arm in members.values():
        fixed = {k: v for k, v in arm[0].items() if k not in (*SEEDS, 'run', *metrics)}
        states = Counter(row['status'].partition(' at ')[0] for row in arm)
        status = 'done' if set(states) == {'done'} else ', '.join(f'{n} {state}' for state, n in states.items())
        updates = {row['updates'] for row in arm}
        facts = {'status': status, 'updates': updates.pop() if len(updates) == 1 else None, 'runs': len(arm)}
        done = [row for row in arm if row['status'] == 'done']
        plan = plan_of[arm[0]['run']]
        estimates = {name: estimate((row[name] for row in done), _rounding(plan, name)) for name in metrics}
        rows.append(fixed | facts | estimates)
    return rows


def _metrics(rows: Sequence[Row]) -> list[str]:
    """Of rows of runs: the columns behind that of the updates."""
    return [*rows[0]][[*rows[0]].index('updates') + 1 :] if rows else []


def _rounding(plan: Plan, metric: str) -> float:
    """Variance that rounding adds to a metric: an accuracy counts the examples of its split."""
    split, _, quantity = metric.partition('_')
    splits = evaluate.wanted(plan, resolve.dataset(plan.data).named())
    counted = quantity == 'accuracy' and split in splits
    return 1 / (12 * len(splits[split].labels) ** 2) if counted else 0.0


def estimate(values: Iterable[float | None], rounding: float) -> float | str | None:
    """Mean ± half of its interval; of two both, of equal ones one, of none nothing. rounding: its variance in each."""
    known = np.array([value for value in values if value is not None], float)
    if not len(known) or not np.ptp(known) > 0:
        return float(known.mean()) if len(known) else None
    if len(known) < summary.TO_TELL:
        return summary.each(known.tolist(), '{:.4g}'.format)
    counts, mean, std = np.array([len(known)]), np.array([known.mean()]), np.array([known.std(ddof=1)])
    _, high = summary.interval(counts, mean, std, rounding)
    half = float(high[0] - mean[0])
    return f'{mean[0]:.4g} ± {half:.2g}' if np.isfinite(half) else float(mean[0])
