"""Contrasts of whole courses of training, which no single number of a run tells."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from bsresearch.analysis import verdicts
from bsresearch.analysis.contrasts import Contrast, Contrasts, Numbers
from bsresearch.analysis.selectors import Cell, Selector, to_selector
from bsresearch.analysis.verdicts import Part


def at_equal_updates(metric: str, a: Cell, b: Cell) -> Contrasts:
    """Ln of a metric of a over that of b at the first and at the last number of updates that both were measured at.

    Linear in the logarithms between measurements; of positive metrics, and of runs that came to their end.
    """
    first, second = to_selector(a), to_selector(b)

    def of(end: int) -> Callable[[Numbers], Part]:
        def part(numbers: Numbers) -> Part:
            courses = [_courses(numbers, selector, metric) for selector in (first, second)]
            steps = [[c['step'] for c in of_cell.values()] for of_cell in courses]
            span = max(s.min() for c in steps for s in c), min(s.max() for c in steps for s in c)
            if span[0] > span[1]:
                raise LookupError(f'{first} and {second} have no equal updates')
            logs = [{r: np.interp(np.log(span[end]), np.log(c['step']), np.log(c[metric])) for r, c in of_cell.items()}
                    for of_cell in courses]  # fmt: skip
            values = pd.Series(logs[0]) - pd.Series(logs[1])
            values = values.reindex(numbers.study.replicates)
            return verdicts.of(f'{first} over {second} at {span[end]:,.0f} updates', values)

        return part

    return tuple(Contrast(f'{first} over {second}', (first, second), of(end), reads=metric) for end in (0, 1))


def _courses(numbers: Numbers, selector: Selector, metric: str) -> dict[str, pd.DataFrame]:
    """Replicate → the measurements of its run after update 0."""
    study = numbers.study
    members = study.members[study.members['cell'] == numbers.cell(selector)]
    done = members[[study.status(run) == 'done' for run in members['id']]]
    rows = {r: study.rows[run] for run, r in zip(done['id'], done['replicate'], strict=True)}
    courses = {r: c[c[metric].notna() & (c['step'] > 0)] for r, c in rows.items() if metric in c}
    if not courses:
        raise LookupError(f'{selector} has no run with {metric} that came to its end')
    return courses
