"""How long a launch still takes: what was forecast, and what groups took of theirs so far, by hand."""

import pathlib
from types import SimpleNamespace
from typing import Any

import pytest
import toy

from bsresearch.launching import console, outlook
from bsresearch.launching.console import Console
from bsresearch.launching.outlook import Ahead, Outlook
from bsresearch.launching.rates import Course, Rates
from bsresearch.planning import probe as planned
from bsresearch.planning.plan import Plan
from bsresearch.train.observing.record import PHASES


class Time:
    """A clock that stands still but for `pass_by`; seconds of phases beside."""

    def __init__(self, patching: pytest.MonkeyPatch):
        self.now, self.spent = 100.0, dict[str, float](dict.fromkeys(PHASES, 0.0))
        for module in (outlook, console):
            patching.setattr(module, 'time', SimpleNamespace(monotonic=lambda: self.now))

    def pass_by(self, seconds: float, **phases: float) -> None:
        self.now += seconds
        for phase, part in phases.items():
            self.spent[phase] += part


@pytest.fixture
def clock(patching: pytest.MonkeyPatch) -> Time:
    return Time(patching)


def bare(**changes: Any) -> list[Plan]:
    """Runs of 100 updates with nothing between them."""
    return toy.plans(total_steps=100, **toy.BARE, **changes)


def ahead(plan: Plan, each: float = 0.2) -> Ahead:
    """A group of one run, which takes a second before its first update."""
    return Ahead([plan], Course(plan, Rates({plan.batch_size: each}, start=1.0), 0))


def trained(launch: Outlook, clock: Time, plan: Plan, each: float, updates: int = 50) -> None:
    """A group that compiled for 3 s, began after 4 and made so many updates of `each` seconds."""
    launch.start([plan])
    clock.pass_by(4.0, compile=3.0)
    launch.train(clock, 0, each)  # pyright: ignore[reportArgumentType]
    clock.pass_by(updates * each, updates=updates * each)


def test_a_group_that_keeps_to_its_forecast_takes_the_rest_of_it(clock: Time):
    """Half of it is done; the start is over."""
    (plan,) = bare()
    launch = Outlook([ahead(plan)])
    assert launch.left(0) is None
    assert launch.later() == pytest.approx(21)
    trained(launch, clock, plan, 0.2)
    assert launch.left(50) == pytest.approx((10.0, 10.0))


def test_what_is_slower_than_forecast_makes_all_that_follows_longer(clock: Time):
    """Twice as slow, of which nearly all is believed; the next group the more the longer this one went on."""
    first, second = bare(max_replicas=1, sweep__seed=(0, 1))
    launch = Outlook([ahead(first), ahead(second)])
    trained(launch, clock, first, 0.4)
    own, everything = launch.left(50) or (0.0, None)
    assert own == pytest.approx(10 * (20 + 2) / (10 + 2))
    assert everything is not None
    half = everything - own
    assert 21 < half < 2 * 21
    clock.pass_by(20.0, updates=20.0)
    launch.end()
    later = launch.later()
    assert later is not None
    assert half < later < 2 * 21


def test_each_group_counts_by_its_own_rates(clock: Time):
    """The second of two takes five times as long for an update, whatever the first one shows."""
    first, second = bare(sweep__batch_size=(8, 64))
    launch = Outlook([ahead(first), ahead(second, 1.0)])
    assert launch.parts == {'updates': 20.0 + 100.0, 'the rest': 2.0, 'probes': 0}
    trained(launch, clock, first, 0.2)
    assert launch.left(50) == pytest.approx((10.0, 10.0 + 100.0 + 1.0))


def test_what_was_not_measured_is_told_by_its_pace_alone(clock: Time):
    """Of a group; of a launch nothing while others are unknown."""
    first, second = bare(max_replicas=1, sweep__seed=(0, 1))
    launch = Outlook([Ahead([first], None), Ahead([second], None)])
    assert (launch.later(), launch.parts) == (None, {})
    trained(launch, clock, first, 0.2)
    own, everything = launch.left(50) or (0.0, 0.0)
    assert (own, everything) == (pytest.approx(10.0), None)


def test_probes_are_counted_until_they_are_made(clock: Time):
    """Each as was forecast, and once one is made as long as that took."""
    (plan,) = bare()
    section = {'name': 'gradient_norm', 'at_steps': (), 'at_epochs': (), 'trials': 3, 'samples': 16,
               'batch_sizes': (8,), 'population': False}  # fmt: skip
    made = [planned.Probe('train', section | {'learning_rates': ()}, ((plan, step),), 0.1) for step in (50, 100)]
    launch = Outlook([ahead(plan)], [(probe, 4.0) for probe in made])
    assert launch.later() == pytest.approx(21 + 8)
    launch.start([plan])
    launch.probed(made[0], 7.0)
    assert launch.later() == pytest.approx(7.0)


def test_the_cost_is_said_first_and_again_where_it_moves(clock: Time):
    """Of the launch from its beginning on, with what was measured; a tenth more is not said."""
    lines: list[str] = []

    class Told(Console):
        def say(self, text: str) -> None:
            lines.append(text)

    plan, shown = bare()[0], Told(quiet=True)
    clock.pass_by(9.0)
    shown.expect(Outlook([ahead(plan)]))
    assert shown.expected == pytest.approx(30.0)
    assert lines == ['expected: 0:30 for all (updates 0:20, the rest 0:10)']
    for left, said in ((24.0, 1), (60.0, 2), (61.0, 2)):
        shown._expect_anew(left)
        assert len(lines) == said
    assert '1:09' in lines[1]
    assert shown.expected == pytest.approx(30.0)


def test_nothing_is_said_of_nothing(tmp_path: pathlib.Path):
    """All is finished, or no group has begun."""
    launch = Outlook()
    assert (launch.left(10), launch.later()) == (None, 0.0)
    launch.probed(SimpleNamespace(id='x', section={}), 1.0)  # pyright: ignore[reportArgumentType]
    assert launch.later() == 0.0
