"""Presets of measurements, and what measuring costs: said before, recorded after."""

import pathlib

import numpy as np
import pytest
import toy

from bsresearch.core import lookup, when
from bsresearch.launching.forecast import Forecast
from bsresearch.measure import presets
from bsresearch.store import paths, records


def on(plan: toy.Plan) -> set[str]:
    """The measurements that a plan makes."""
    return {n for n, spec in plan.recording['measure'].items() if when.points(spec, plan.length)}


def test_presets_contain_one_another_and_exist():
    """Every member is a measurement; a costlier preset has all of a cheaper one."""
    known = set(lookup.members('bsresearch.measure', 'build'))
    economy, standard, full = (set(presets.PRESETS[n]) for n in ('economy', 'standard', 'full'))
    assert economy < standard < full <= known


def test_a_preset_switches_on_what_has_no_points_of_its_own():
    """Own points and settings stay; nothing else is switched on; the id is the same."""
    (plan,) = toy.plans(
        measure_preset='standard', measure__noise_scale__at_steps=(7,), measure__update_ratio__batch_size=16,
        measure__distance__every_epochs=0.0, measure__parameter_norm__every_epochs=0.0,
    )  # fmt: skip
    assert on(plan) == set(presets.STANDARD)
    measure = plan.recording['measure']
    assert when.points(measure['noise_scale'], plan.length) == [7]
    assert measure['update_ratio']['batch_size'] == 16
    assert measure['distance']['every_epochs'] == 1
    assert plan.id == toy.plans()[0].id


def test_a_preset_on_batch_norm_takes_examples_apart_by_running_statistics():
    """Where training mode would be refused."""
    model = {'name': 'mlp', 'widths': (8,), 'batch_norm': True}
    (plan,) = toy.plans(model=model, measure_preset='full')
    assert plan.recording['measure']['individual_gradients']['statistics'] == 'running'
    assert 'statistics' not in plan.recording['measure']['distance']


def test_a_preset_suits_large_batch_norm_groups():
    """Batches of whole groups, also where the default is smaller than one."""
    (plan,) = toy.plans(
        model={'name': 'mlp', 'widths': (8,), 'batch_norm': True}, batch_size=320, measure_preset='standard'
    )
    measure = plan.recording['measure']
    assert measure['gradient_norm']['batch_size'] == 320
    assert (measure['noise_scale']['small_batch_size'], measure['noise_scale']['batch_size']) == (320, 960)
    assert measure['update_ratio']['batch_size'] % 320 == 0


def test_an_unknown_preset_is_refused():
    """With the nearest one named."""
    with pytest.raises(ValueError, match=r"measure_preset='economic'; did you mean 'economy'"):
        toy.plans(measure_preset='economic')


@pytest.mark.slow
def test_the_full_preset_runs(tmp_path: pathlib.Path):
    """Every measurement of it, in one small run."""
    (plan,) = toy.plans(
        model={'name': 'linear'}, measure_preset='full', total_steps=4, measure__noise_scale__batch_size=64,
        measure__individual_gradients__batch_size=16, measure__hessian_trace__probes=2,
    )  # fmt: skip
    toy.train(tmp_path, [plan])
    found = records.last_row(paths.run_dir(tmp_path, plan.study, plan.id))
    metrics = {'path_length', 'initial_cosine', 'update_ratio', 'individual_norm_test', 'alpha', 'gradient_cosine'}
    assert metrics | {'hessian_eigenvalue/0', 'curvature_noise_scale', 'hessian_trace'} <= found.keys()
    assert all(np.isfinite(found[m]) for m in metrics)


def test_the_cost_is_forecast_and_recorded(tmp_path: pathlib.Path):
    """How often each was made is exact, also over a resume; seconds are positive; nothing measured is kept of the
    forecast: states that carry averages start anew."""
    changes = {'measure__noise_scale__every_steps': 10, 'measure__noise_scale__batch_size': 64, 'sweep__seed': (0, 1)}
    plans = toy.plans(**changes)
    assert Forecast().outlook(None, plans).parts['noise_scale'] > 0
    toy.train(tmp_path, plans)
    meta = paths.read_json(paths.run_dir(tmp_path, plans[0].study, plans[0].id) / 'meta.json')
    assert meta['measuring']['noise_scale']['count'] == 5
    assert meta['measuring']['noise_scale']['seconds'] > 0
    first = next(r for r in toy.rows(tmp_path, plans[0]) if 'noise_trace' in r)
    assert first['noise_trace'] == pytest.approx(first['noise_trace_average'], rel=1e-6)
