"""Quantities of a search (studies/tune.py): what the trial that won came to with other seeds, and the best of k trials.

A search makes its trials with the first replicate, and the one that won with the others too. Chosen by the first, told
of the others, a number has no luck of the choice in it.
"""

from collections.abc import Mapping, Sequence
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

USUAL = 'the usual values'  # of an arm, where a search tries nothing else
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
        whole = quantity.of(study)
        names, axes = whole.names, _reduced(whole.names, also)
        scores, finished = _first(study, by.of(study), sign), _finished(study, whole)
        winners, edges, remarks = {}, set(), {}
        for key, trials in _cells(whole.low.index, axes).items():
            of_trials = finished.reindex(trials).to_numpy()
            winners[key] = winner = _winner(scores.reindex(trials).to_numpy(float), of_trials, trials)
            if winner is None:
                continue
            at = {axis: winner[names.index(axis)] for axis in axes if axis in SEARCHED}
            outermost = [a for a, value in at.items() if _on_edge([trial[names.index(a)] for trial in trials], value)]
            edges |= {key} if outermost else set()
            again = finished[winner] > 1 or of_trials.max() <= 1
            remarks[key] = _remark(key, at, outermost, '' if again else by.name)
        low, high = (_picked(table, winners, axes) for table in whole[:2])
        rounding = [0.0 if winner is None else float(whole.rounding.loc[winner]) for winner in winners.values()]
        return Array(low, high, pd.Series(rounding, low.index), edges=frozenset(edges), remarks=remarks)

    return replace(
        quantity, of=of, name=f'{quantity.name}, tuned', metrics=tuple(dict.fromkeys((*quantity.metrics, *by.metrics)))
    )


def _remark(key: tuple[Any, ...], at: Mapping[str, Any], outermost: Sequence[str], other: str) -> str:
    """What won in a cell. other: the metric by which it did, where the search has chosen by another; '' else."""
    values = ', '.join(f'{words(axis)} {axis_labels.text(value)}' for axis, value in at.items() if value != ABSENT)
    on_edge = f', {" and ".join(map(words, outermost))} on the edge' if outermost else ''
    not_again = f', which was not made again: the search did not choose by {other}' if other else ''
    return f'{" ".join(str(part) for part in key if part != ABSENT)}: won by {values or USUAL}{on_edge}{not_again}'


def best_of_trials(k: int, quantity: Quantity, *, also: Sequence[str] = ()) -> Quantity:
    """What the best of k trials comes to, in the middle (median) of all choices of k among those made (best_of.py).

    One number of a cell, of the first replicate: budgets of 5 and 50 trials are compared as if each had been the whole
    (Dodge et al. 2019, arXiv:1909.03004).
    """
    sign = _sign(quantity)

    def of(study: Study) -> Array:
        names = quantity.of(study).names
        trials = scores_of(study, quantity, also=also)
        best = {key: [sign * best_of.quantile(sign * values, k, 0.5)] for key, values in trials.items()}
        return exact(_frame(best, _reduced(names, also), names, study.replicates[:1]))

    return replace(quantity, of=of, name=f'{quantity.name}, best of {k} trials')


def scores_of(study: Study, quantity: Quantity, *, also: Sequence[str] = ()) -> dict[tuple[Any, ...], np.ndarray]:
    """The trials' values in each cell of a search, at the first replicate; the worst there is where one failed."""
    sign = _sign(quantity)
    scores = _first(study, quantity.of(study), sign)
    trials_of = _cells(scores.index, _reduced(list(scores.index.names), also))
    return {key: sign * scores.reindex(trials).dropna().to_numpy(float) for key, trials in trials_of.items()}


def _reduced(names: Sequence[str], also: Sequence[str]) -> list[str]:
    """The axes of a search among the names of cells."""
    return [axis for axis in (*SEARCHED, *also) if axis in names]


def _sign(by: Quantity) -> float:
    if by.higher_is_better is None:
        raise ValueError(f'{by.name}: whether more is better is not known; say it: .named(…, higher_is_better=True)')
    return 1.0 if by.higher_is_better else -1.0


def _first(study: Study, judged: Array, sign: float) -> pd.Series:
    """(cells,) the scores of the first replicate, best when highest; −∞ of what diverged or never came there."""
    worse = judged.low if sign > 0 else judged.high  # of a censored number the end that is certain to be no better
    return without_diverged(study, worse * sign)[study.replicates[0]]


def _finished(study: Study, whole: Array) -> pd.Series:
    """(cells,) how many replicates came to their end; 1 of what was reduced before, whose runs are not its own."""
    counts = [
        sum(study.status(run) in FINISHED for run in study.runs_of(cell)) if whole.names == study.parts else 1
        for cell in whole.low.index
    ]
    return pd.Series(counts, whole.low.index)


def _cells(index: pd.MultiIndex, axes: Sequence[str]) -> dict[tuple[Any, ...], list[tuple[Any, ...]]]:
    """A cell without the axes → its trials."""
    places = [list(index.names).index(axis) for axis in axes]
    trials: dict[tuple[Any, ...], list[tuple[Any, ...]]] = {}
    for cell in index:
        trials.setdefault(tuple(part for i, part in enumerate(cell) if i not in places), []).append(cell)
    return trials


def _winner(scores: np.ndarray, finished: np.ndarray, trials: Sequence[tuple[Any, ...]]) -> tuple[Any, ...] | None:
    """The best; of equal ones the one that was made again, which the search took. None where all failed."""
    known = np.where(np.isnan(scores), -np.inf, scores)
    place = max(range(len(trials)), key=lambda i: (known[i], finished[i]))
    return None if np.isneginf(known[place]) else trials[place]


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
