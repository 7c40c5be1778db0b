"""A sweep without findings: its question, cells and intervals by hand, what is named the best, edges, what is open."""

import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from fake_records import write_run
from scipy import stats

from bsresearch.analysis import best_sets, study
from bsresearch.findings import sweep
from bsresearch.findings.sweep import Cell, Sweep
from bsresearch.report import forest, questions, tables

SIZES, RATES, SEEDS = (8, 16, 32), (0.1, 0.2), (0, 1, 2)


def accuracy(size: int, rate: float, seed: int) -> float:
    """Highest at B = 16, lr 0.2; multiples of 1/100, with a spread that is not the same in every cell."""
    return round(0.9 - 0.05 * abs(np.log2(size / 16)) + 0.3 * (rate - 0.1) + 0.01 * ((seed * size) % 3 - 1), 2)


def of_cell(cell: Cell, seeds: Sequence[int] = SEEDS) -> np.ndarray:
    """Its planted values."""
    size, rate = cell.key[3:]
    return np.array([accuracy(size, rate, seed) for seed in seeds])


def write(workdir: pathlib.Path, seeds: tuple[int, ...] = SEEDS, changed: Mapping[Any, Any] | None = None) -> None:
    """All cells; `changed`: (B, lr, seed) → fields of that run, 'skip' for none."""
    for size in SIZES:
        for rate in RATES:
            for seed in seeds:
                changes = (changed or {}).get((size, rate, seed), {})
                if changes != 'skip':
                    values = {'test_accuracy': [0.1, accuracy(size, rate, seed)]} | changes.get('values', {})
                    rest = {k: v for k, v in changes.items() if k != 'values'}
                    write_run(workdir, batch_size=size, learning_rate=rate, seed=seed, values=values, **rest)


def of(workdir: pathlib.Path) -> Sweep:
    return sweep.of(study.load(workdir, 'train'))


def test_cells_are_students_intervals(tmp_path: pathlib.Path) -> None:
    """Half width t_{0.975, 2}·√((s² + 1/(12·100²))/3), s by NumPy, t by SciPy; in the order of the axes."""
    write(tmp_path)
    outcome = of(tmp_path)
    assert [cell.key[3:] for cell in outcome.cells] == [(size, rate) for size in SIZES for rate in RATES]
    for cell in outcome.cells:
        values = of_cell(cell)
        half = stats.t.ppf(0.975, 2) * np.sqrt((values.var(ddof=1) + 1 / (12 * 100**2)) / 3)
        assert cell.interval[:4] == pytest.approx((values.mean(), values.mean() - half, values.mean() + half, 3))
    assert outcome.question == 'How does test accuracy depend on batch size and learning rate?'


def test_highest_on_test_and_its_edges(tmp_path: pathlib.Path) -> None:
    """Without a validation set no best is claimed; B = 16 lies inside, lr 0.2 on the edge."""
    write(tmp_path)
    outcome = of(tmp_path)
    assert outcome.best is not None
    assert (outcome.chosen, outcome.best.key[3:], outcome.best.edges) == (
        'highest on test',
        (16, 0.2),
        ('largest learning rate',),
    )
    assert outcome.level == pytest.approx(np.mean([accuracy(16, 0.2, seed) for seed in SEEDS]))
    values = np.array([of_cell(cell) for cell in outcome.cells])
    expected = best_sets.not_told_from_best(values)
    assert [cell.alike for cell in outcome.cells] == expected.tolist()
    assert 0 < expected.sum() < len(expected)


@pytest.mark.parametrize(
    ('others', 'alike', 'told'),
    [(14, 12, '12 of the 14 others may be the best as well'), (7, 1, '1 of the 7 others may be the best as well'),
     (7, 7, 'Each of the 7 others may be the best as well'), (7, 0, 'Each of the 7 others is ruled out as the best'),
     (1, 1, 'The other one may be the best as well'), (1, 0, 'The other one is ruled out as the best')],
)  # fmt: skip
def test_how_many_may_be_the_best_as_well(others: int, alike: int, told: str) -> None:
    assert questions.compared(others, alike) == f'{told} (multiple comparisons with the best, 95 %).'


@pytest.mark.parametrize(
    ('values', 'told', 'dots'),
    [((0.45, 0.5333), '45.00 and 53.33 %, n = 2', (0.45, 0.5333)), ((0.5, 0.5), '50.00 %, n = 2', ()),
     ((0.5, 0.52, 0.54), '52.00 % (47.03 to 56.97), n = 3', ()), ((1.0, 1.0, 1.0), '100.00 %, n = 3', ())],
)  # fmt: skip
def test_a_row_of_two_seeds_has_both(tmp_path: pathlib.Path, values: Any, told: str, dots: Any) -> None:
    """Student's interval of three: t = 4.3027, s = 0.02. Where nothing varies the value stands alone."""
    for seed, value in enumerate(values):
        write_run(tmp_path, seed=seed, values={'test_accuracy': [0.1234, value]})
    outcome = of(tmp_path)
    row = forest.of_cell(outcome.cells[0], outcome)
    assert (row.numbers, row.lines[0].places) == ((told,), dots)
    (cell,) = re.findall(r'(?m)^\| .*digits.*$|^\| train .*$', tables.of_cells(study.load(tmp_path, 'train')))
    assert told.partition(',')[0].replace(' %', '') in cell


def test_validation_chooses_with_five_seeds(tmp_path: pathlib.Path) -> None:
    """The level is told by the half of the seeds that did not choose: validation is highest at B = 8 for the first two
    seeds, at B = 32 for the others, and there on average."""
    seeds = (0, 1, 2, 3, 4)
    validated = lambda size, seed: {8: 0.9 if seed < 2 else 0.1, 16: 0.3, 32: 0.2 if seed < 2 else 0.95}[size]
    changed = {
        (size, rate, seed): {'values': {'validation_accuracy': [0.1, validated(size, seed) - 0.01 * (rate == 0.1)]}}
        for size in SIZES for rate in RATES for seed in seeds
    }  # fmt: skip
    write(tmp_path, seeds, changed)
    outcome = of(tmp_path)
    assert outcome.best is not None
    assert (outcome.chosen, outcome.best.key[3:]) == ('best by validation', (32, 0.2))
    of_others = [accuracy(32, 0.2, seed) for seed in (0, 1)] + [accuracy(8, 0.2, seed) for seed in (2, 3, 4)]
    assert outcome.level == pytest.approx(np.mean(of_others))


def test_four_seeds_are_too_few_for_validation(tmp_path: pathlib.Path) -> None:
    changed = {
        (s, r, seed): {'values': {'validation_accuracy': [0.1, 0.5]}} for s in SIZES for r in RATES for seed in range(4)
    }
    write(tmp_path, (0, 1, 2, 3), changed)
    assert of(tmp_path).chosen == 'highest on test'


def test_a_diverged_run_is_never_the_best(tmp_path: pathlib.Path) -> None:
    """Its cell is left out, named as lost, and the next one is the highest."""
    write(tmp_path, changed={(16, 0.2, 1): {'status': 'diverged', 'diverged_step': 1}})
    outcome = of(tmp_path)
    assert outcome.best is not None
    assert outcome.best.key[3:] != (16, 0.2)
    (lost,) = [cell for cell in outcome.cells if cell.lost]
    assert (lost.key[3:], lost.lost, lost.alike) == ((16, 0.2), '1 of 3 runs diverged', False)


@pytest.mark.parametrize(
    ('changed', 'why'),
    [({(8, 0.1, 0): {'status': 'running'}}, 'not all runs are finished'),
     ({(8, 0.1, 0): 'skip'}, 'the cells have unequal numbers of replicates')],
)  # fmt: skip
def test_nothing_is_the_best_of_what_is_not_whole(tmp_path: pathlib.Path, changed: Any, why: str) -> None:
    write(tmp_path, changed=changed)
    outcome = of(tmp_path)
    assert (outcome.best, outcome.open) == (None, why)


def test_losses_are_lowest(tmp_path: pathlib.Path) -> None:
    for size, loss in ((8, 0.5), (16, 0.2), (32, 0.4)):
        for seed in SEEDS:
            write_run(tmp_path, batch_size=size, seed=seed, values={'test_loss': [2.0, loss + 0.01 * seed]})
    outcome = of(tmp_path)
    assert outcome.best is not None
    assert (outcome.chosen, outcome.best.key[3:], outcome.best.edges) == ('lowest on test', (16,), ())
    assert [figure.kind for figure in outcome.figures] == ['curves']


def test_one_seed_tells_no_cell_from_another(tmp_path: pathlib.Path) -> None:
    write(tmp_path, (0,))
    outcome = of(tmp_path)
    assert all(np.isnan(cell.interval.low) for cell in outcome.cells)
    assert sum(cell.alike for cell in outcome.cells) == 1


def test_nothing_was_evaluated(tmp_path: pathlib.Path) -> None:
    write_run(tmp_path, values={'distance': [0.0, 1.0]})
    assert (of(tmp_path).cells, of(tmp_path).open) == ((), 'nothing was evaluated')
