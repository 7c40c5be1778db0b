"""What a sweep without findings of its own gets: a question from its axes, its cells with intervals, and its highest.

The best of many is flattered by having been chosen. So with a validation set and five replicates it is chosen there,
and the test value told is that of the replicates which did not choose; else it is named for what it is, "highest on
test". An optimum on the edge of what was tried is flagged.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels, best_sets, of_runs, over, points
from bsresearch.analysis import cells as order
from bsresearch.analysis.figures import Figure, curves, heat, schedule, special
from bsresearch.analysis.quantities import gradient_norm, interpolation, noise_scale, sharpness
from bsresearch.analysis.quantities.branched import losses
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import ABSENT, FINISHED, PARTS, Study
from bsresearch.analysis.verdicts import Interval
from bsresearch.core.target import better

SCHEDULES = ('schedule', 'momentum_schedule', 'weight_decay_schedule', 'batch_schedule')
METRICS = ('test_accuracy', 'validation_accuracy', 'train_accuracy', 'test_loss', 'validation_loss', 'train_loss')


class Cell(NamedTuple):
    """A cell of the sweep.

    Attributes:
      key: of the study. label: its name. interval: of its replicates.
      edges: what it is at the edge of, in words. lost: runs that diverged or are unfinished, in words.
      alike: it may be the best as well, no other cell beats it. best: it is that which is named so.
      values: of its replicates.
    """

    key: tuple[Any, ...]
    label: str
    interval: Interval
    edges: tuple[str, ...] = ()
    lost: str = ''
    alike: bool = False
    best: bool = False
    values: tuple[float, ...] = ()


class Sweep(NamedTuple):
    """A sweep as it came out.

    Attributes:
      chosen: how the best was: 'best by validation', 'highest on test', 'lowest on test'; '' where there is none.
      level: of the best, to be told: of replicates that did not choose it where it was chosen on a validation set.
      open: why nothing is the best, in words; '' where one is. headline: the figure that the report opens with.
    """

    question: str
    quantity: Quantity | None
    cells: tuple[Cell, ...]
    chosen: str
    level: float
    open: str
    figures: tuple[Figure, ...]
    headline: int = 0

    @property
    def best(self) -> Cell | None:
        """The one that was chosen."""
        return next((cell for cell in self.cells if cell.best), None)


def of(study: Study) -> Sweep:
    """The sweep of all runs of a study, which are no branches."""
    metric = next((m for m in METRICS if m in study.recorded), '')
    starts = [key for key in order.of(study) if key[1] == ABSENT]
    axes = [part for part in order.varying(order.only(study, set(starts).__contains__)) if part not in PARTS[1:]]
    question = _question(study, axes, metric)
    if not metric:
        return Sweep(question, None, (), '', np.nan, 'nothing was evaluated', ())
    quantity = of_runs.final(metric)
    labels, intervals = order.labels(study), points.of(study, quantity)
    cells = [
        Cell(row.key, labels[row.key], Interval(row.centre, row.low, row.high, row.n, row.method),
             _edges(study, starts, row.key), _lost(row.runs, row.diverged, row.unfinished), values=row.values)
        for row in intervals.itertuples() if row.key[1] == ABSENT
    ]  # fmt: skip
    array = quantity.of(study)
    values = array.low.reindex(pd.MultiIndex.from_tuples(starts, names=array.names))
    chosen, place, level, why = _best(study, metric, values)
    if place is not None:
        alike = _alike(values * _sign(metric), place)
        cells = [c._replace(alike=a, best=i == place) for i, (c, a) in enumerate(zip(cells, alike, strict=True))]
    return Sweep(question, quantity, tuple(cells), chosen, level, why, _figures(study, metric, axes))


def _question(study: Study, axes: Sequence[str], metric: str) -> str:
    what = axis_labels.words(metric) or 'training'
    if axes:
        named = [axis_labels.of_field(axis) for axis in axes]
        listed = named[0] if len(named) == 1 else f'{", ".join(named[:-1])} and {named[-1]}'
        return f'How does {what} depend on {listed}?'
    run = study.runs.iloc[0]
    return f'What {what} does {run.get("model.name", "the model")} reach on {run.get("data.name", "its data")}?'


def _edges(study: Study, keys: Sequence[tuple[Any, ...]], key: tuple[Any, ...]) -> tuple[str, ...]:
    """Of each axis of numbers: that the cell has the smallest or largest value of those that differ in it alone."""
    edges = []
    for place, axis in enumerate(study.parts):
        if place < len(PARTS) or not isinstance(key[place], Real) or isinstance(key[place], bool):
            continue
        along = [k[place] for k in keys if k[:place] == key[:place] and k[place + 1 :] == key[place + 1 :]]
        known = [value for value in along if isinstance(value, Real)]
        if len(known) > 1 and key[place] in (min(known), max(known)):
            edges.append(f'{"smallest" if key[place] == min(known) else "largest"} {axis_labels.of_field(axis)}')
    return tuple(edges)


def _lost(runs: int, diverged: int, unfinished: int) -> str:
    counts = {'diverged': diverged, 'unfinished': unfinished}
    return '; '.join(f'{count} of {runs} runs {what}' for what, count in counts.items() if count)


def _sign(metric: str) -> int:
    """Times which more is better."""
    return -1 if better(metric) is False else 1


def _best(study: Study, metric: str, values: pd.DataFrame) -> tuple[str, int | None, float, str]:
    """(how, place, level, why none): a cell that diverged in any replicate is never it."""
    none = lambda why: ('', None, np.nan, why)
    if len(values) < 2:
        return none('there is one cell')
    if not study.runs['status'].isin(FINISHED).all():
        return none('not all runs are finished')
    validated = _validated(study, metric, values)
    judged = over.without_diverged(study, (values if validated is None else validated) * _sign(metric)).to_numpy(float)
    if np.isnan(judged).any():
        return none('the cells have unequal numbers of replicates')
    means = judged.mean(axis=1)
    if not np.isfinite(means).any():
        return none('every cell has a run that diverged')
    place = int(np.argmax(means))
    if validated is None:
        extreme = 'lowest' if _sign(metric) < 0 else 'highest'
        return f'{extreme} on {metric.partition("_")[0]}', place, float(values.iloc[place].mean()), ''
    of_others = values.to_numpy(float)[over.by_other_half(judged), np.arange(values.shape[1])]
    return 'best by validation', place, float(of_others.mean()), ''


def _validated(study: Study, metric: str, values: pd.DataFrame) -> pd.DataFrame | None:
    """The validation values that choose among the cells; None without a validation set or with too few replicates."""
    other = metric.replace('test_', 'validation_')
    if other == metric or other not in study.recorded or values.shape[1] < over.FEWEST_TO_CHOOSE:
        return None
    return of_runs.final(other).of(study).low.reindex(values.index)


def _alike(values: pd.DataFrame, place: int) -> list[bool]:
    """Which cells may be the best, of values of which the highest is (best_sets.py); the named one is among them."""
    numbers, alike = values.to_numpy(float), np.zeros(len(values), bool)
    trained = np.isfinite(numbers).all(axis=1)
    if numbers.shape[1] > 1:
        alike[trained] = best_sets.not_told_from_best(numbers[trained])
    alike[place] = True
    return alike.tolist()


def _figures(study: Study, metric: str, axes: Sequence[str]) -> tuple[Figure, ...]:
    recorded = study.recorded
    # More than four panels are no first look.
    few = all(study.members[axis].nunique() <= 2 for axis in axes if axis in study.axes and axis != 'batch_size')
    both = [m for m in (metric, metric.replace('test_', 'train_')) if m == metric or (few and m in recorded)]
    figures = [curves(*dict.fromkeys(both), title=f'{axis_labels.words(metric).capitalize()} in training')]
    numbers = [axis for axis in axes if all(isinstance(v, Real) for v in study.members[axis] if v != ABSENT)]
    if len(axes) == 2 and len(numbers) == 2:
        figures.append(heat(of_runs.final(metric), *axes, title=f'{axis_labels.words(metric).capitalize()} at the end'))
    if 'distance' in recorded:
        lengths = [m for m in ('distance', 'parameter_norm') if m in recorded]
        figures.append(curves(*lengths, x='updates', title='Distance from the initial weights against updates'))
    if any(axis.partition('.')[0] in SCHEDULES for axis in axes):
        figures.append(schedule(title='What each policy used at every update'))
    return (*figures, *_special(study))


def _special(study: Study) -> list[Figure]:
    """What applies to what was recorded, beside what any sweep gets."""
    recorded = study.recorded
    probed = set(study.members.loc[study.members['id'].isin(list(study.probes)), 'probe'])
    of_all = lambda field, value: field in study.runs and set(study.runs[field]) == {value}
    branched = 'parent.run' in study.runs and study.runs['parent.run'].notna().any()
    titles = {
        'noise_scale': (noise_scale.SQUARE in recorded, 'The gradient noise scale through training'),
        'sharpness': (sharpness.SHARPNESS in recorded, 'Sharpness at the end, against the loss, and through training'),
        'noisy_quadratic': (of_all('model.name', 'quadratic'), 'Loss on the line that the recurrence predicts'),
        'lr_range': (of_all('schedule.name', 'range_test'), 'Range tests, with what each rule suggests'),
        'gradient_norm': (gradient_norm.NAME in probed, 'Gradient norm against batch size'),
        'interpolation': (interpolation.NAME in probed, 'Loss and accuracy between two solutions'),
        'critical_batch_size': (study.name == losses.STUDY and branched, 'B* of the branches, and B_simple'),
    }
    return [special(kind, title=title, name=kind) for kind, (applies, title) in titles.items() if applies]
