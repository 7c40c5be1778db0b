"""Every findings module keeps its contract, statement by statement, on planted arrays; files with faults are told.

Planted is what the contrasts of a statement read: a table for each of its quantities (of sums of cells by a linear
program, so that every one lies inside its bounds, or beyond one), courses of a metric, or the parts of a probe.
"""

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import planted
import pytest
from scipy import optimize
from test_every_config import ROOT, toy_grid
from test_figures_of_findings import made_up

from bsresearch import findings
from bsresearch.analysis import equal_terms, names, verdicts
from bsresearch.analysis.contrasts import Contrast, Numbers
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.selectors import Selector
from bsresearch.analysis.statements import Statement, judge
from bsresearch.analysis.study import ABSENT, Study
from bsresearch.analysis.verdicts import Part

MODULES = {name: findings.load(name) for name in findings.members()}
TESTED = [
    pytest.param(claim, id=f'{name}: {claim.key}')
    for name, module in MODULES.items()
    for claim in module.CLAIMS
    if not claim.untested
]
N = 8
PLACES = tuple(2.0**i for i in range(10))  # of an axis that a statement reads along
WAVES = np.sin(np.outer(np.arange(1, 60), np.arange(1, N + 1)))  # a spread of each cell's own


class Plant(NamedTuple):
    """A statement that reads planted tables, and the study of their cells. tables: by the id of a quantity."""

    statement: Statement
    study: Study
    tables: dict[int, pd.DataFrame]


def quantity_of(statement: Statement, contrast: Contrast) -> Quantity:
    quantity = contrast.quantity or statement.quantity
    assert quantity is not None
    return quantity


@functools.cache
def index_of(statement: Statement) -> pd.MultiIndex:
    """All cells that the statement reads; all places of an axis that it reads along, unless arms set it."""
    cells = dict.fromkeys(cell for contrast in statement.contrasts for cell in contrast.cells)
    along = {c.along for c in statement.contrasts if c.along and len(c.cells) < 3}
    axes = list(dict.fromkeys([axis for cell in cells for axis, _ in cell.axes] + sorted(along)))
    keys = []
    for cell in cells:
        choices = [PLACES if axis in along else (dict(cell.axes).get(axis, ABSENT),) for axis in axes]
        keys += [(cell.arm, cell.branch, cell.point, *values) for values in itertools.product(*choices)]
    return planted.index(keys or [('all', '', '')], axes)


def key_of(cell: Selector, index: pd.MultiIndex) -> tuple[Any, ...]:
    return (cell.arm, cell.branch, cell.point, *(dict(cell.axes).get(axis, ABSENT) for axis in index.names[3:]))


def study_of(statement: Statement, index: pd.MultiIndex) -> Study:
    """With the fields that trends over arms read: rising in the order of the cells."""
    fields: dict[str, dict[str, Any]] = {}
    for contrast in statement.contrasts:
        for place, cell in enumerate(contrast.cells if contrast.along and len(contrast.cells) > 2 else ()):
            fields.setdefault(cell.arm, {})[contrast.along] = 2.0**place
    return planted.study(index, N, fields=fields)


@functools.cache
def plant(statement: Statement, *, inside: bool) -> Plant:
    """Every contrast inside its bounds, or beyond one; of `differs_from` above it, or on it. Only to be read."""
    index = index_of(statement)
    study = study_of(statement, index)
    of_contrasts: dict[int, list[Contrast]] = {}
    for contrast in statement.contrasts:
        of_contrasts.setdefault(id(quantity_of(statement, contrast)), []).append(contrast)
    tables = {key: _table(statement, contrasts, study, index, inside) for key, contrasts in of_contrasts.items()}
    courses = next((c.reads for c in statement.contrasts if c.reads), '')
    if courses:
        rows = dict(study.rows)
        for table in tables.values():
            rows |= _courses(study, table, courses)
        study = dataclasses.replace(study, rows=rows)
    return Plant(statement, study, tables)


def reading(plant: Plant, *, without: Selector | None = None) -> Statement:
    """The statement, its quantities planted; `without`: a cell that has no runs."""

    def planted_quantity(quantity: Quantity) -> Quantity:
        table = plant.tables[id(quantity)]
        if without is not None:
            table = table[[(key[0], key[1], key[2]) != without[:3] for key in table.index]]
        return dataclasses.replace(quantity, of=planted.quantity(table).of)

    def contrast(one: Contrast) -> Contrast:
        own = planted_quantity(quantity_of(plant.statement, one))
        return one._replace(quantity=own, of=one.of if one.cells else _probe(plant, one))

    made = tuple(contrast(one) for one in plant.statement.contrasts)
    return dataclasses.replace(plant.statement, contrasts=made, held_fixed=())


def _probe(plant: Plant, contrast: Contrast) -> Callable[[Numbers], Part]:
    """A contrast of probes, which are no cells of a table: its part is planted."""
    return lambda numbers: verdicts.of(contrast.label, numbers.array.low.iloc[0])


def _courses(study: Study, table: pd.DataFrame, metric: str) -> dict[str, pd.DataFrame]:
    """A power law for each run whose logarithm has the planted number as its offset."""
    t = np.array([1.0, 10.0, 100.0])
    level = {(cell, r): table.loc[cell, r] for cell in table.index for r in table.columns}
    members = zip(study.members['id'], study.members['cell'], study.members['replicate'], strict=True)
    return {run: pd.DataFrame({'step': t, metric: np.exp(level[cell, r]) * t**0.5}) for run, cell, r in members}


def _table(
    statement: Statement, contrasts: list[Contrast], study: Study, index: pd.MultiIndex, inside: bool
) -> pd.DataFrame:
    if any(c.along for c in contrasts):
        return _searched(statement, contrasts, study, index, inside)
    zero = planted.table(np.zeros((len(index), N)), index)
    keys, rows, offsets = list(index), [], []
    for contrast in contrasts:
        row = np.zeros(len(keys))
        for cell, sign in zip(contrast.cells, contrast.signs or (1, -1), strict=False):
            row[keys.index(key_of(cell, index))] += sign
        row[0] += not contrast.cells  # a part of a probe is planted as it is
        rows.append(row)
        plain = contrast.cells and not contrast.reads
        part = contrast.of(Numbers(planted.quantity(zero).of(study), study)) if plain else None
        offsets.append(part.low[0] if isinstance(part, Part) else 0.0)
    if (equal := statement.differs_from) is not None and not inside:
        values = np.linalg.lstsq(np.array(rows), equal - np.array(offsets))[0]
        return planted.table(values[:, None] + (WAVES - WAVES.mean(axis=1, keepdims=True))[: len(index)], index)
    low, high = (statement.low, statement.high) if equal is None else (equal, np.inf)
    values, margin = _solved(np.array(rows), np.array(offsets), low, high, inside)
    return planted.table(values[:, None] + 0.02 * margin * WAVES[: len(index)], index)


def _solved(rows: np.ndarray, offsets: np.ndarray, low: float, high: float, inside: bool) -> tuple[np.ndarray, float]:
    """x with every rows·x + offset inside its bounds by a margin, or beyond one; the margin is as large as can be."""
    ends = [(1.0, high), (-1.0, -low)] if inside else [(1.0, low)] if np.isfinite(low) else [(-1.0, -high)]
    A = np.vstack([np.column_stack([sign * rows, np.ones(len(rows))]) for sign, end in ends if np.isfinite(end)])
    b = np.concatenate([end - sign * offsets for sign, end in ends if np.isfinite(end)])
    limits = [(-50.0, 50.0)] * rows.shape[1] + [(1e-9, 1.0)]
    found = optimize.linprog(np.r_[np.zeros(rows.shape[1]), -1.0], A, b, bounds=limits)
    assert found.success, 'no numbers can be planted'
    return found.x[:-1], found.x[-1]


def _searched(
    statement: Statement, contrasts: list[Contrast], study: Study, index: pd.MultiIndex, inside: bool
) -> pd.DataFrame:
    """Along an axis: the first of some shapes whose contrasts alone come out so."""
    wanted = 'holds' if inside else 'does not hold'
    quantity = quantity_of(statement, contrasts[0])
    better = -1.0 if quantity.higher_is_better is False else 1.0
    for values in (better * shape for shape in _shapes(index)):
        table = planted.table(values[:, None] + 0.01 * WAVES[: len(index)], index)
        numbers = Numbers(planted.quantity(table).of(study), study, quantity.few, quantity.higher_is_better)
        parts = [part for c in contrasts if isinstance(part := c.of(numbers), Part)]
        if all(verdicts.of_part(part, statement.low, statement.high) == wanted for part in parts):
            return table
    raise AssertionError(f'{statement.key}: no shape {wanted}')


def _shapes(index: pd.MultiIndex) -> Iterator[np.ndarray]:
    """Rising and falling in the order of the cells; a peak within the places of each cell."""
    yield np.arange(len(index), dtype=float)
    yield -np.arange(len(index), dtype=float)
    cells, place = list(dict.fromkeys(key[:3] for key in index)), len(PLACES)
    if len(index) == len(cells) * place:
        for peaks in itertools.product(range(1, place - 1), repeat=len(cells)):
            yield np.concatenate([-np.abs(np.arange(place) - peak).astype(float) for peak in peaks])


@pytest.mark.parametrize('claim', TESTED)
def test_it_holds_where_every_contrast_lies_inside_its_bounds(claim: Statement):
    plant_ = plant(claim, inside=True)
    assert judge(reading(plant_), plant_.study).verdict == 'holds'


@pytest.mark.parametrize('claim', TESTED)
def test_it_does_not_hold_where_they_lie_beyond(claim: Statement):
    """That two things differ is undecided where they are alike: nothing shows equality without a margin."""
    plant_ = plant(claim, inside=False)
    expected = 'does not hold' if claim.differs_from is None else 'undecided'
    assert judge(reading(plant_), plant_.study).verdict == expected


def ends(cells: Iterable[Selector]) -> set[Selector]:
    """The first and the last: any other is treated alike (test_statements.py)."""
    listed = list(cells)
    return {*listed[:1], *listed[-1:]}


@pytest.mark.parametrize('claim', TESTED)
def test_it_is_not_measured_without_one_of_its_arms(claim: Statement):
    plant_ = plant(claim, inside=True)
    for cell in ends(cell for contrast in claim.contrasts for cell in contrast.cells):
        assert judge(reading(plant_, without=cell), plant_.study).verdict == 'not measured'


@pytest.mark.parametrize('claim', TESTED)
def test_it_never_holds_on_the_survivors(claim: Statement):
    """One run of one cell diverged; but where a quantity says what that counts as, and where such a cell is no best."""
    plant_ = plant(claim, inside=True)
    cells = (
        cell
        for contrast in claim.contrasts
        for cell in contrast.cells
        if not quantity_of(claim, contrast).diverged and (not contrast.along or len(contrast.cells) > 2)
    )
    for cell in ends(cells):
        key = key_of(cell, index_of(claim))
        tables = {q: table.copy() for q, table in plant_.tables.items()}
        for table in tables.values():
            table.iloc[list(table.index).index(key), 0] = np.nan
        runs = plant_.study.runs.copy()
        runs.loc[plant_.study.runs_of(key)[0], 'status'] = 'diverged'
        found = judge(reading(plant_._replace(tables=tables)), dataclasses.replace(plant_.study, runs=runs))
        assert found.verdict == 'undecided'
        assert any('diverged' in remark for remark in found.remarks)


@pytest.mark.parametrize('name', MODULES)
def test_the_headline_names_a_claim_that_is_put_to_the_test(name: str):
    module = MODULES[name]
    (headline,) = [claim for claim in module.CLAIMS if claim.key == module.HEADLINE[0]]
    assert not headline.untested
    assert module.QUESTION.endswith('?')
    assert len({figure.name for figure in module.FIGURES if figure.name}) == sum(bool(f.name) for f in module.FIGURES)


def findings_of(path: pathlib.Path) -> str:
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(), path, 'exec'), scope)
    return scope['get_config']().findings


# Every config that names its findings; shen_digits has fewer arms than they tell of.
CONFIGS = {
    path.stem: findings_of(path) for path in sorted((ROOT / 'configs').glob('*.py')) if path.stem != 'shen_digits'
}
CONFIGS = {config: named for config, named in CONFIGS.items() if named}


@pytest.mark.parametrize('config', CONFIGS)
def test_every_cell_of_a_claim_is_one_of_its_config(config: str):
    question = toy_grid(config).question
    assert question is not None
    assert question.findings == CONFIGS[config]
    axes = {axis for row in toy_grid(config).rows for axis in row.axes}
    known = names.Known(question.arms, question.branch_arms, axes)
    assert names.check(MODULES[CONFIGS[config]], known) == []


@pytest.mark.parametrize('config', ['distance', 'grow_batch', 'one_cycle', 'simulated_workers'])
def test_what_a_claim_compares_has_in_common_what_its_config_holds_fixed(config: str, tmp_path: pathlib.Path):
    study = made_up(tmp_path, config)
    assert study.held_fixed
    for claim in MODULES[CONFIGS[config]].CLAIMS:
        assert equal_terms.differing(claim.held_fixed or study.held_fixed, claim.contrasts, study) == ''
