"""Estimates of the time a study takes: each part counted as often as it happens, finished parts not at all."""

import pathlib

import pytest
import toy

from bsresearch.launching import forecast
from bsresearch.planning import sweep
from bsresearch.planning.branch import branch
from bsresearch.store import paths

RATES = forecast.Rates(
    update=2.0, evaluate=10.0, measures={'distance': 3.0, 'parameter_norm': 5.0}, checkpoint=0.5, start=7.0
)


@pytest.fixture
def rates(patching: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Known rates instead of measured ones; (batch size, runs) of each kind that was timed."""
    timed: list[tuple[int, int]] = []

    def known(plans: list[forecast.Plan], strategy: str) -> forecast.Rates:
        assert strategy == 'vmap' or len(plans) == 1
        timed.append((plans[0].batch_size, len(plans)))
        return RATES

    patching.setattr(forecast, '_rates', known)
    return timed


def test_every_event_is_counted(rates: list[tuple[int, int]], tmp_path: pathlib.Path):
    """Updates, evaluations and measurements at both ends too, saves; the start of each group."""
    plans = toy.plans(
        total_steps=None, total_epochs=2.0, batch_size=100, sweep__seed=(0, 1), checkpoint__every_epochs=0.0
    )
    (group,) = sweep.groups(plans)
    updates, times = plans[0].length.total_steps, 3  # 0, 1 and 2 epochs
    each = updates * 2.0 + times * (10.0 + 3.0 + 5.0) + 0.5
    assert forecast.study(tmp_path, [group]) == pytest.approx(2 * each + 7.0)
    assert rates == [(100, 1)]


def test_of_a_branch_only_its_own_part_is_counted(rates: list[tuple[int, int]], tmp_path: pathlib.Path):
    """At its own batch size, from the branch point on."""
    (plan,) = toy.plans(total_steps=None, total_epochs=2.0, batch_size=50)
    found = branch(plan, 'x', 10, {'batch_size': 200})
    seconds = forecast.study(tmp_path, [[found]])
    assert rates == [(200, 1)]
    updates, points = found.length.total_steps - 10, found.events.evaluate
    assert min(points) == 10
    assert seconds == pytest.approx(updates * 2.0 + len(points) * 18.0 + 7.0, rel=0.02)


def test_what_is_finished_costs_nothing(rates: list[tuple[int, int]], tmp_path: pathlib.Path):
    """Runs as well as probes."""
    (plan,) = toy.plans()
    toy.train(tmp_path, [plan])
    assert forecast.study(tmp_path, [[plan]]) == 0
    assert not rates


def test_rates_are_measured_apart(tmp_path: pathlib.Path):
    """On a run of the same kind: all rates positive, nothing left in the workdir, the estimate of the right size."""
    (plan,) = toy.plans(total_steps=2000)
    seconds = forecast.study(tmp_path, [[plan]])
    assert not list(tmp_path.iterdir())
    toy.train(tmp_path, [plan])
    spent = paths.read_json(paths.run_dir(tmp_path, plan.study, plan.id) / 'meta.json')['seconds']
    # Not a test of speed: a forgotten part, or a unit, would be off by far more.
    assert spent['updates'] / 20 < seconds < 20 * spent['wall']
