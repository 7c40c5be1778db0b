"""Which splits a run evaluates: outside what the run is, and nothing else changes."""

import pathlib

import pytest
import toy


def test_without_the_test_set_all_else_is_as_it_was(tmp_path: pathlib.Path):
    settings = {'data__validation': 0.2, 'evaluate__every_steps': 10, 'evaluate__every_epochs': 0.0}
    (whole,), (without,) = toy.plans(**settings), toy.plans(**settings, evaluate__test=False)
    assert whole.id == without.id
    rows = []
    for name, plan in (('whole', whole), ('without', without)):
        toy.train(tmp_path / name, [plan])
        rows.append(list(toy.rows(tmp_path / name, plan)))
    gone = [key for row in rows[0] for key in row if key.startswith(('test_', 'generalization_gap'))]
    assert gone
    assert [{k: v for k, v in row.items() if k not in gone and k != 'wall_seconds'} for row in rows[0]] == [
        {k: v for k, v in row.items() if k != 'wall_seconds'} for row in rows[1]
    ]
    toy.assert_equal(toy.final(tmp_path / 'whole', whole), toy.final(tmp_path / 'without', without))


def test_a_run_that_evaluates_nothing_is_refused():
    with pytest.raises(
        ValueError, match=r'config\.evaluate\.train=False and config\.evaluate\.test=False leave nothing'
    ):
        toy.plans(evaluate__train=False, evaluate__test=False)
    toy.plans(evaluate__train=False, evaluate__test=False, data__validation=0.2)
