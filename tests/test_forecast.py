"""Forecasts of the time a study takes: each part counted as often as it happens, finished parts not at all."""

import pathlib
from collections.abc import Sequence

import pytest
import toy

from bsresearch.launching import forecast
from bsresearch.launching.forecast import Forecast
from bsresearch.launching.rates import Rates
from bsresearch.planning import sweep
from bsresearch.planning.branch import branch
from bsresearch.planning.plan import Plan
from bsresearch.store import paths

# Of one run; updates of 100 examples take 2 s, of 200 take 5.
RATES = Rates(
    {100: 2.0, 200: 5.0}, stop=0.25, evaluate=10.0, checkpoint=0.5, measures={'distance': 3.0, 'parameter_norm': 5.0},
    begin=1.5, start=7.0,
)  # fmt: skip


@pytest.fixture
def timed(patching: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Known rates instead of measured ones; (batch size, runs) of each kind that was timed."""
    kinds: list[tuple[int, int]] = []

    def known(plans: list[Plan], strategy: str, _: object) -> Rates:
        assert strategy == 'vmap' or len(plans) == 1
        kinds.append((plans[0].batch_size, len(plans)))
        return RATES._replace(updates={plans[0].batch_size: RATES.updates[plans[0].batch_size]})

    patching.setattr(forecast, 'measured', known)
    return kinds


def seconds(workdir: pathlib.Path, plans: Sequence[Plan]) -> float | None:
    """Of all that is not finished."""
    return Forecast().outlook(workdir, plans).later()


def by_hand(plan: Plan, of_update: float) -> float:
    """Two epochs of one run: updates in two chunks, what is made at 0, 1 and 2 epochs, a checkpoint at the end."""
    return plan.length.total_steps * of_update + 2 * 0.25 + 3 * (10.0 + 3.0 + 5.0) + 0.5 + 1.5


MEASURED = {'total_steps': None, 'total_epochs': 2.0, 'measure__parameter_norm__every_epochs': 1.0}
TWO_EPOCHS = MEASURED | {'checkpoint__every_epochs': 0.0}


def test_every_event_is_counted(timed: list[tuple[int, int]], tmp_path: pathlib.Path):
    """Of both runs, one after another; what a group does once is counted once."""
    plans = toy.plans(**TWO_EPOCHS, batch_size=100, sweep__seed=(0, 1))
    assert len(sweep.groups(plans)) == 1
    assert seconds(tmp_path, plans) == pytest.approx(2 * by_hand(plans[0], 2.0) + 7.0)
    assert timed == [(100, 1)]


def test_each_kind_of_group_is_timed_once_and_counts_by_its_own_rates(
    timed: list[tuple[int, int]], tmp_path: pathlib.Path
):
    """Two batch sizes, twice each: programs do not follow the rate's schedule."""
    schedules = ({'name': 'constant'}, {'name': 'cosine'})
    plans = toy.plans(**TWO_EPOCHS, max_replicas=1, sweep__batch_size=(100, 200), sweep__schedule=schedules)
    each = [by_hand(plan, RATES.updates[plan.batch_size]) + 7.0 for plan in plans]
    assert seconds(tmp_path, plans) == pytest.approx(sum(each))
    assert timed == [(100, 1), (200, 1)]


def test_of_a_branch_only_its_own_part_is_counted(timed: list[tuple[int, int]], tmp_path: pathlib.Path):
    """At its own batch size, from the branch point on."""
    (plan,) = toy.plans(**MEASURED, batch_size=50)
    found = branch(plan, 'x', 10, {'batch_size': 200})
    updates, points = found.length.total_steps - 10, found.events.evaluate
    assert min(points) == 10
    by_hand = updates * 5.0 + len(points) * 18.0 + 8.5
    assert seconds(tmp_path, [found]) == pytest.approx(by_hand, rel=0.02)
    assert timed == [(200, 1)]


def test_what_is_finished_costs_nothing(timed: list[tuple[int, int]], tmp_path: pathlib.Path):
    """Runs as well as probes."""
    (plan,) = toy.plans()
    toy.train(tmp_path, [plan])
    assert seconds(tmp_path, [plan]) == 0
    assert not timed


@pytest.mark.parametrize('strategy', ['sequential', 'vmap'])
def test_groups_are_measured_apart_with_their_own_programs(strategy: str, tmp_path: pathlib.Path):
    """Nothing is left in the workdir, the forecast is of the right size, and all is compiled: groups find it."""
    kind = {'strategy': strategy, 'measure__parameter_norm__every_epochs': 0.0, 'seconds_per_update': None}
    plans = toy.plans(**kind, total_steps=2000, norms__log_spaced=5, sweep__seed=(0, 1))
    outlook = Forecast().outlook(tmp_path, plans)
    assert not list(tmp_path.iterdir())
    assert min(outlook.parts[part] for part in ('updates', 'evaluation', 'distance', 'the rest')) > 0
    assert outlook.parts['parameter_norm'] == 0
    toy.train(tmp_path, plans)
    spent = paths.read_json(paths.run_dir(tmp_path, plans[0].study, plans[0].id) / 'meta.json')['seconds']
    assert spent['compile'] == 0
    # Not a test of speed: a forgotten part, or a unit, would be off by far more.
    assert spent['updates'] / 20 < (outlook.later() or 0.0) < 20 * spent['wall']


def test_what_fails_is_not_forecast(patching: pytest.MonkeyPatch, tmp_path: pathlib.Path):
    """Training itself will tell why."""

    def fails(*_: object) -> None:
        raise OSError('no room')

    patching.setattr(forecast, 'trial', fails)
    assert seconds(tmp_path, toy.plans()) is None
