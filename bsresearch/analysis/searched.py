"""Quantities of a search (studies/tune.py): what the trial that won came to with other seeds, and the best of k trials.

A search makes its trials with the first replicate, and the one that won with the others too. Chosen by the first, told
of the others, a number has no luck of the choice in it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.analysis import axis_labels
from bsresearch.analysis.axis_labels import words
from bsresearch.analysis.over import without_diverged
from bsresearch.analysis.quantities import best_of
from bsresearch.analysis.quantity import Array, Quantity, exact
from bsresearch.analysis.study import ABSENT, FINISHED, Study

SEARCHED = ('learning_rate', 'momentum', 'weight_decay', 'warmup.epochs')


def won(quantity: Quantity, by: Quantity, *, also: Sequence[str] = ()) -> Quantity:
    """A quantity of the trial that was best by another one at the first replicate; its numbers of the others.

    Args:
      by: what the search chose by; better is known of it. also: axes that follow from others, as zipped ones, and are
        not to be left.

    Raises:
      ValueError: whether more of `by` is better is not known.
    """
    sign = _sign(by)

    def of(study: Study) -> Array:
        whole, judged = quantity.of(study), by.of(study)
        scores = _first(study, judged, sign)
        axes = [axis for axis in (*SEARCHED, *also) if axis in whole.names]
        rows, edges, remarks = {}, [], {}
        for key, trials in _cells(whole.low.index, axes).items():
            place = _best(scores.reindex(trials).to_numpy(float))
            rows[key] = None if place is None else trials[place]
            if place is not None:
                at = dict(zip(whole.names, trials[place], strict=True))
                of_axis = {axis: [trial[whole.names.index(axis)] for trial in trials] for axis in axes}
                outermost = [axis for axis in axes if axis in SEARCHED and _on_edge(of_axis[axis], at[axis])]
                edges += [key] if outermost else []
                told = [axis for axis in axes if axis in SEARCHED and at[axis] != ABSENT]
                values = ', '.join(f'{words(axis)} {axis_labels.text(at[axis])}' for axis in told)
                on_edge = f', {" and ".join(map(words, outermost))} on the edge' if outermost else ''
                of_cell = ' '.join(str(k) for k in key if k != ABSENT)
                remarks[key] = f'{of_cell}: won by {values}{on_edge}{_again(study, whole, trials, place, by)}'
        pick = lambda table: _picked(table, rows, axes)
        rounding = pd.Series([0.0 if r is None else float(whole.rounding.loc[r]) for r in rows.values()])
        low, high = pick(whole.low), pick(whole.high)
        return Array(low, high, rounding.set_axis(low.index), edges=frozenset(edges), remarks=remarks)

    return replace(
        quantity, of=of, name=f'{quantity.name}, tuned', metrics=tuple(dict.fromkeys((*quantity.metrics, *by.metrics)))
    )


def _again(study: Study, whole: Array, trials: Sequence[tuple[Any, ...]], place: int, by: Quantity) -> str:
    """What is wrong with a winner of which no other replicate was made, though another trial has some; '' else."""
    made = [sum(study.status(run) in FINISHED for run in study.runs_of(trial)) for trial in trials]
    if list(whole.names) != study.parts or made[place] > 1 or max(made) <= 1:
        return ''
    return f', which was not made again: the search did not choose by {by.name}'


def best_of_trials(k: int, quantity: Quantity, *, also: Sequence[str] = ()) -> Quantity:
    """What the best of k trials comes to, in the middle (median) of all choices of k among those made (best_of.py).

    One number of a cell, of the first replicate: budgets of 5 and 50 trials are compared as if each had been the whole
    (Dodge et al. 2019, arXiv:1909.03004).
    """
    return _of_trials(quantity, lambda scores: best_of.quantile(scores, k, 0.5), f'best of {k} trials', also)


def _of_trials(quantity: Quantity, of_scores: Callable[[np.ndarray], float], how: str, also: Sequence[str]) -> Quantity:
    sign = _sign(quantity)

    def of(study: Study) -> Array:
        scores = _first(study, quantity.of(study), sign)
        axes = [axis for axis in (*SEARCHED, *also) if axis in scores.index.names]
        trials = {key: scores.reindex(rows).dropna() for key, rows in _cells(scores.index, axes).items()}
        rows = {key: [sign * of_scores(of_cell.to_numpy(float))] for key, of_cell in trials.items()}
        return exact(_frame(rows, axes, list(scores.index.names), study.replicates[:1]))

    return replace(quantity, of=of, name=f'{quantity.name}, {how}')


def scores_of(study: Study, quantity: Quantity, *, also: Sequence[str] = ()) -> dict[tuple[Any, ...], np.ndarray]:
    """The trials' values in each cell of a search, at the first replicate; the worst there is where one failed."""
    sign = _sign(quantity)
    scores = _first(study, quantity.of(study), sign)
    axes = [axis for axis in (*SEARCHED, *also) if axis in scores.index.names]
    return {
        key: sign * scores.reindex(trials).dropna().to_numpy(float)
        for key, trials in _cells(scores.index, axes).items()
    }


def _sign(by: Quantity) -> float:
    if by.higher_is_better is None:
        raise ValueError(f'{by.name}: whether more is better is not known; say it: .named(…, higher_is_better=True)')
    return 1.0 if by.higher_is_better else -1.0


def _first(study: Study, judged: Array, sign: float) -> pd.Series:
    """(cells,) the scores of the first replicate, best when highest; −∞ of what diverged or never came there."""
    worse = judged.low if sign > 0 else judged.high  # of a censored number the end that is certain to be no better
    return without_diverged(study, worse * sign)[study.replicates[0]]


def _cells(index: pd.MultiIndex, axes: Sequence[str]) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    """A cell without the axes → its trials."""
    places = [list(index.names).index(axis) for axis in axes]
    found: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for cell in index:
        found.setdefault(tuple(part for i, part in enumerate(cell) if i not in places), []).append(cell)
    return found


def _best(scores: np.ndarray) -> int | None:
    """The first of the best; None where none has a number or all are the worst there is."""
    known = np.where(np.isnan(scores), -np.inf, scores)
    place = int(known.argmax())
    return None if np.isneginf(known[place]) else place


def _on_edge(tried: Sequence[Any], value: Any) -> bool:
    numbers = sorted({float(v) for v in tried if isinstance(v, int | float)})
    return len(numbers) > 2 and value in (numbers[0], numbers[-1])


def _picked(table: pd.DataFrame, rows: dict[tuple[Any, ...], Any], axes: Sequence[str]) -> pd.DataFrame:
    """The rows that won, without the first replicate."""
    others = table.iloc[:, 1:]
    nothing = np.full(others.shape[1], np.nan)
    picked = {key: nothing if row is None else others.loc[row].to_numpy(float) for key, row in rows.items()}
    return _frame(picked, axes, list(table.index.names), list(others.columns))


def _frame(
    rows: dict[tuple[Any, ...], Any], axes: Sequence[str], names: Sequence[str], columns: Sequence[str]
) -> pd.DataFrame:
    index = pd.MultiIndex.from_tuples(list(rows), names=[name for name in names if name not in axes])
    return pd.DataFrame(np.array(list(rows.values()), float).reshape(len(rows), len(columns)), index, list(columns))
