"""LR range test → where to train: fastai's four rules on the smoothed loss, Smith's reading of the accuracy (smith.py).

Every rule is a convention.  fastai's were made for about 100 updates: they drop the first tenth of those planned and
the last 5, smooth over 1/(1 − β) = 50 and compare slopes 15 apart, whatever the batch size.  A rule that finds nothing
gives None and a note; one whose answer hangs on where the tested range begins or ends is named in `edge`.

Reference: fastai 2.8, callback/schedule.py (`LRFinder`, `Learner.lr_find`).
"""

from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import cells
from bsresearch.analysis.once import once
from bsresearch.analysis.quantities import smith
from bsresearch.analysis.study import FINISHED, Study

BETA, BLOWN_UP, SKIP_END = 0.98, 4.0, 5  # fastai's
ACCURACIES = ('validation_accuracy', 'test_accuracy')  # Smith's bounds are read off the first that was recorded
SMITHS = ('smith_base', 'smith_slows', 'smith_max')
EVALUATED = (*ACCURACIES, 'validation_loss', 'test_loss')


def smooth(losses: np.ndarray, beta: float = BETA) -> np.ndarray:
    """Debiased exponential average, as fastai's: s_k = Σ_{j≤k} (1 − β) β^{k−j} L_j / (1 − β^{k+1}).  (n,) → (n,).

    A loss that is not finite spoils all that follow, as it does there.
    """
    average, smoothed = 0.0, np.empty(len(losses))
    for k, loss in enumerate(np.asarray(losses, float)):
        average = loss + beta * (average - loss)
        smoothed[k] = average / (1 - beta ** (k + 1))
    return smoothed


def cut(smoothed: np.ndarray, factor: float = BLOWN_UP) -> int:
    """How many points fastai would have: up to and with the first above factor × the best so far; all if none is."""
    above = np.flatnonzero(smoothed > factor * np.fmin.accumulate(smoothed)) if len(smoothed) else []
    return int(above[0]) + 1 if len(above) else len(smoothed)


class Pick(NamedTuple):
    """A rule's answer among points: the index of the learning rate or None, whether it hangs on an end, why none."""

    index: int | None
    edge: bool = False
    note: str = ''


def steep(lrs: np.ndarray, losses: np.ndarray) -> Pick:
    """Where the loss falls fastest per log learning rate: arg min ΔL/Δ ln lr, the interval's left end."""
    if lrs[0] <= 0 or not np.diff(lrs).all():
        return Pick(None, note='a learning rate is 0, or the same at two updates in a row')
    slopes = np.diff(losses) / np.diff(np.log(lrs))
    index = int(slopes.argmin())
    return Pick(index, index in (0, len(slopes) - 1)) if slopes[index] < 0 else Pick(None, note='the loss never falls')


def valley(lrs: np.ndarray, losses: np.ndarray) -> Pick:
    """Half way through the longest valley: its longest strictly falling subsequence, ℓ losses that end at point e.

    fastai lets the valley begin at e − ℓ, as if its points were neighbours, and goes ⌊ℓ/3⌋ + ⌊ℓ/6⌋ points from there.
    On the edge where the valley goes on to the last point.
    """
    tails: list[float] = []  # the negated highest possible last loss of falling subsequences of length 1, 2, …
    length = end = 0
    for i, loss in enumerate(losses):
        place = bisect_left(tails, -loss)
        tails[place : place + 1] = [-loss]
        if place + 1 > length:
            length, end = place + 1, i
    if length < 3:
        return Pick(None, note='the loss has no valley')
    return Pick(end - length + int(length / 3) + int(length / 3 / 2), end == len(losses) - 1)


def minimum(lrs: np.ndarray, losses: np.ndarray) -> Pick:
    """Where the loss is lowest; the suggestion is a tenth of that learning rate."""
    index = int(losses.argmin())
    return Pick(index, index in (0, len(losses) - 1))


def slide(lrs: np.ndarray, losses: np.ndarray, apart: int = 15, threshold: float = 0.005) -> Pick:
    """From the end back while the slopes (per update) of points `apart` apart differ by more than the threshold.

    On the edge where they do not at the end (fastai then gives the 16th point from it), or do so up to the first point.
    """
    slopes = np.gradient(losses)
    alike = np.flatnonzero(np.abs(slopes[apart:] - slopes[:-apart]) <= threshold)  # of the left point
    first, last = int(alike[-1]) + 1 if len(alike) else 0, len(slopes) - apart - 1
    return Pick(min(first, last), first == 0 or first > last)


# fastai's: the rule, the points it needs, and what the learning rate it picks is divided by.
RULES: dict[str, tuple[Callable[[np.ndarray, np.ndarray], Pick], int, float]] = {
    'valley': (valley, 3, 1.0),
    'slide': (slide, 16, 1.0),
    'minimum': (minimum, 3, 10.0),
    'steep': (steep, 3, 1.0),
}


class Suggestions(NamedTuple):
    """By rule a learning rate, or None and a note; `accuracy` is the column that Smith's are read off."""

    valley: float | None
    slide: float | None
    minimum: float | None
    steep: float | None
    smith_base: float | None
    smith_slows: float | None
    smith_max: float | None
    smith_max_by: str
    accuracy: str
    edge: tuple[str, ...]
    notes: tuple[str, ...]


def updates(rows: pd.DataFrame, dense: Mapping[str, np.ndarray] | None = None, beta: float = BETA) -> pd.DataFrame:
    """Recorded updates of a run, by its `records.load` or `records.dense`: step, learning_rate, batch_, smoothed_loss.

    Raises:
      ValueError: there are none, or the learning rate falls: no range test.
    """
    if dense:
        recorded = pd.DataFrame({k: dense[k] for k in ('learning_rate_used', 'batch_loss')}, dtype=float)
        recorded.insert(0, 'step', range(len(recorded)))
    elif 'learning_rate_used' in rows and rows['learning_rate_used'].notna().any():
        kept = ['step', 'learning_rate_used', 'batch_loss']
        recorded = (
            rows.loc[rows['learning_rate_used'].notna(), kept].astype(float).sort_values('step', ignore_index=True)
        )
    else:
        raise ValueError(f'run {rows["run"].iloc[0]} has no recorded updates; a range test needs learning_rate_used')
    falls = np.flatnonzero(np.diff(recorded['learning_rate_used']) < 0)
    if len(falls):
        step = int(recorded['step'].iloc[falls[0] + 1])
        raise ValueError(f'run {rows["run"].iloc[0]}: its learning rate falls at update {step}; that is no range test')
    recorded = recorded.rename(columns={'learning_rate_used': 'learning_rate'}).astype({'step': int})
    return recorded.assign(smoothed_loss=smooth(recorded['batch_loss'].to_numpy(), beta))


def evaluations(rows: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    """Where the run was evaluated: step, learning_rate (of update t at θ_t, the last one at the end), the measured."""
    measured = [c for c in EVALUATED if c in rows and rows[c].notna().any()]
    evaluated = rows.loc[rows[measured].notna().any(axis=1), ['step', *measured]].astype({'step': int})
    return pd.merge_asof(evaluated.sort_values('step'), points[['step', 'learning_rate']], on='step')


def exponential(lrs: np.ndarray) -> bool:
    """Whether the learning rate grows by a factor per update rather than by a summand."""
    if len(lrs) < 3 or lrs[0] <= 0 or lrs[-1] <= lrs[0]:
        return False
    by_factor, by_summand = np.diff(np.log(lrs)), np.diff(lrs)
    return bool(by_factor.std() / by_factor.mean() < by_summand.std() / by_summand.mean())


def suggest(
    points: pd.DataFrame, evaluated: pd.DataFrame, planned: int | None = None, diverged: bool = False
) -> Suggestions:
    """All rules on one run's `updates` and `evaluations`.

    planned: updates the run was to have, those it has without; fastai's first tenth is of these.
    """
    rates: dict[str, Any] = {}
    edge, notes = [], []
    lrs, losses = _seen_by_fastai(points, planned)
    for name, (rule, fewest, divisor) in RULES.items():
        few = Pick(None, note=f'{len(lrs)} points are left after trimming, {fewest} are needed')
        pick = rule(lrs, losses) if len(lrs) >= fewest else few
        rates[name] = None if pick.index is None else float(lrs[pick.index]) / divisor
        outside = rates[name] is not None and rates[name] < points['learning_rate'].iloc[0]
        edge += [name] if pick.edge or outside else []
        notes += [f'{name}: {pick.note}'] if pick.note else []
    column = next((c for c in ACCURACIES if c in evaluated), '')
    bounds = smith.Bounds(note='no accuracy was recorded')
    if column:
        # Of evaluations at one learning rate (a staircase), the last tells what it led to.
        seen = evaluated[['learning_rate', column]].dropna().drop_duplicates('learning_rate', keep='last')
        tried, accuracy = seen.to_numpy(float).T
        bounds = smith.bounds(tried, accuracy, exponential(points['learning_rate'].to_numpy()), diverged)
    edge += ['smith_base'] if bounds.edge else []
    notes += [f'smith: {bounds.note}'] if bounds.note else []
    rates |= {name: getattr(bounds, name.removeprefix('smith_')) for name in SMITHS}
    return Suggestions(**rates, smith_max_by=bounds.by, accuracy=column, edge=tuple(edge), notes=tuple(notes))


def _seen_by_fastai(points: pd.DataFrame, planned: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates and smoothed losses as `lr_find` gives them to its rules: [num_it//10:-5], up to the first NaN."""
    steps = points['step'].to_numpy()
    every = (steps[-1] - steps[0] + 1) / len(steps)  # updates per recorded one
    first = int((planned or steps[-1] - steps[0] + 1) / every) // 10
    used = points[: cut(points['smoothed_loss'].to_numpy())][first:-SKIP_END]
    used = used[used['smoothed_loss'].notna().cummin()]
    return used['learning_rate'].to_numpy(), used['smoothed_loss'].to_numpy()


class RangeTest(NamedTuple):
    """One run: its id, cell and replicate, its `updates`, its `evaluations`, and what they suggest."""

    run: str
    cell: tuple[Any, ...]
    replicate: str
    points: pd.DataFrame
    evaluated: pd.DataFrame
    suggestions: Suggestions


def has_updates(study: Study, run: str) -> bool:
    """Whether any update of a run is on record."""
    rows = study.rows[run]
    return bool(study.dense(run)) or ('learning_rate_used' in rows and bool(rows['learning_rate_used'].notna().any()))


def of_run(study: Study, run: str) -> tuple[pd.DataFrame, pd.DataFrame, Suggestions]:
    """Its `updates`, its `evaluations`, and what they suggest."""
    points = updates(study.rows[run], study.dense(run))
    evaluated, planned = evaluations(study.rows[run], points), int(study.runs.at[run, 'total_updates'])
    return points, evaluated, suggest(points, evaluated, planned, study.status(run) == 'diverged')


@once
def load(study: Study) -> list[RangeTest]:
    """The range tests of a study, but those that have no updates on record yet.

    Raises:
      ValueError: none has.
    """
    tests = []
    for cell, replicate, run in cells.members(study):
        if study.status(run) in FINISHED or has_updates(study, run):
            tests.append(RangeTest(run, cell, replicate, *of_run(study, run)))
    if not tests:
        raise ValueError(f'the range tests in {study.workdir} have no records yet')
    return tests


def table(study: Study) -> pd.DataFrame:
    """One row per run: run, axes, replicate, status, points, lr_min, lr_max, diverged_at, cut_at, suggestions.

    lr_max: the highest used. diverged_at: of the update that diverged, else the last on record. cut_at: where the
    smoothed loss exceeded 4 × its best.
    """
    rows = []
    for run, cell, replicate, points, _, suggestions in load(study):
        lrs, n, status = points['learning_rate'].to_numpy(), cut(points['smoothed_loss'].to_numpy()), study.status(run)
        until = lrs[points['step'] <= study.runs.at[run, 'diverged_step']] if status == 'diverged' else []
        gone, blown = until[-1] if len(until) else None, lrs[n - 1] if n < len(lrs) else None
        reached = {'points': len(lrs), 'lr_min': lrs[0], 'lr_max': lrs[-1], 'diverged_at': gone, 'cut_at': blown}
        said = suggestions._asdict() | {'edge': ', '.join(suggestions.edge), 'notes': '; '.join(suggestions.notes)}
        names = {'run': run} | cells.fields(study, cell) | {'replicate': replicate}
        rows.append(names | {'status': status} | reached | said)
    return pd.DataFrame(rows).astype(dict.fromkeys(('diverged_at', 'cut_at', *RULES, *SMITHS), float))


def text(table: pd.DataFrame) -> str:
    """The table for a reader, the notes below it."""
    numbers = table.drop(columns=['accuracy', 'notes']).to_string(index=False, float_format='{:.3g}'.format, na_rep='–')
    return '\n'.join([numbers, *(f'{row.run}: {row.notes}' for row in table.itertuples() if row.notes)])
