"""The figures of every findings are drawn from made-up records of all cells of its config."""

import importlib
import json
import pathlib

import numpy as np
import pandas as pd
import pytest
from fake_records import write_run
from test_every_config import toy_grid

from bsresearch.analysis import cells, study
from bsresearch.analysis.study import Study
from bsresearch.core import lookup
from bsresearch.report import colours
from bsresearch.report.figures import drawing

METRICS = {
    'test_accuracy': 0.9, 'train_accuracy': 0.95, 'validation_accuracy': 0.9, 'test_loss': 0.4, 'train_loss': 0.3,
    'distance': 3.0, 'parameter_norm': 44.0, 'sharpness': 2.0, 'sharpness_loss': 0.3, 'hessian_eigenvalue/0': 5.0,
}  # fmt: skip
# Their configs have grids alone; branches and probes are made on the way.
CONFIGS = ['brownlee', 'distance', 'grow_batch', 'one_cycle', 'sharpness', 'simulated_workers']


def made_up(workdir: pathlib.Path, config: str) -> Study:
    """Two replicates of every cell, with all metrics at the last three epochs."""
    grid = toy_grid(config)
    assert grid.question is not None
    rng = np.random.default_rng(0)
    replicates = sorted({json.dumps(row.replicate, sort_keys=True) for row in grid.rows})[:2]
    rows = [row for row in grid.rows if json.dumps(row.replicate, sort_keys=True) in replicates]
    for plan in grid.plans:
        if plan.id not in {row.id for row in rows}:
            continue
        fields = plan.resolved()
        facts = {name: fields.pop(name) for name in ('batch_size', 'learning_rate', 'seed')}
        values = {metric: (end * (1 + 0.02 * rng.normal(size=3))).tolist() for metric, end in METRICS.items()}
        values |= {f'{name}_used': [facts.get(name, 0.9)] * 3 for name in ('learning_rate', 'batch_size', 'momentum')}
        base = plan.declared['learning_rate']
        first = max(plan.total_examples // plan.epoch_size - 2, 0)
        write_run(workdir, name=plan.id, values=values, base_learning_rate=base, first_epoch=first, **facts, **fields)
    return study.load(workdir, grid.plans[0].study, grid.question.entry(rows), config)


@pytest.mark.parametrize('config', CONFIGS)
def test_all_that_findings_declare_is_drawn(config: str, tmp_path: pathlib.Path, small_pictures: None):
    """Each with the cells of the study in its table; kinds of their own are files of report/figures."""
    findings = importlib.import_module(f'bsresearch.findings.{config}')
    made = made_up(tmp_path, config)
    kinds = lookup.members('bsresearch.report.figures', 'draw')
    assert {figure.kind for figure in findings.FIGURES} <= set(kinds)
    drawn = drawing.each(made, findings.FIGURES, tmp_path / 'out')
    assert [(one.name, one.refused) for one in drawn if one.refused] == []
    keys = set(cells.of(made))
    for figure, one in zip(findings.FIGURES, drawn, strict=True):
        if figure.kind in ('curves', 'versus'):
            table = pd.read_csv(one.files[2], keep_default_na=False)
            left = [i for i, part in enumerate(made.parts) if part in table]  # but what was reduced
            in_table = table[[made.parts[i] for i in left]].astype(str).drop_duplicates()
            chosen = cells.pick(made, figure.options['cells'])
            assert {tuple(row) for row in in_table.to_numpy()} == {tuple(str(key[i]) for i in left) for key in chosen}
    assert len(set(colours.looks(made).values())) == len(keys)
