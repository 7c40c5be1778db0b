"""How long a launch still takes: from what was timed, by hand."""

import pathlib
from types import SimpleNamespace
from typing import Any

import pytest
import toy

from bsresearch.launching import outlook
from bsresearch.launching.outlook import Outlook, work
from bsresearch.measure import probes
from bsresearch.planning import probe as planned
from bsresearch.planning.plan import Plan
from bsresearch.train.observing.record import PHASES


class Time:
    """A clock that stands still but for `pass_by`; seconds of phases beside."""

    def __init__(self, patching: pytest.MonkeyPatch):
        self.now, self.spent = 100.0, dict[str, float](dict.fromkeys(PHASES, 0.0))
        patching.setattr(outlook.time, 'monotonic', lambda: self.now)

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


def trained(ahead: Outlook, clock: Time, plans: list[Plan], each: float, updates: int = 50) -> None:
    """A group that compiled for 3 s, began after 4 and made so many updates of `each` seconds."""
    ahead.start(plans)
    clock.pass_by(4.0, compile=3.0)
    ahead.train(clock, {}, 0, each)  # pyright: ignore[reportArgumentType]
    ahead.left(4)
    clock.pass_by(updates * each, updates=updates * each)


def test_a_group_takes_its_pace_for_what_is_left(clock: Time, tmp_path: pathlib.Path):
    """Half of it is done; the start is over."""
    plans = bare()
    ahead = Outlook(tmp_path, plans)
    assert ahead.left(0) is None
    trained(ahead, clock, plans, 0.2)
    assert ahead.left(50) == pytest.approx((10.0, 10.0), rel=0.1)


def test_a_like_group_is_not_compiled_again(clock: Time, tmp_path: pathlib.Path):
    """Another schedule's group of the same programs: 100 updates and the second before them; others compile."""
    plans = bare(max_replicas=1, sweep__seed=(0, 1))
    ahead = Outlook(tmp_path, plans)
    trained(ahead, clock, plans[:1], 0.2)
    own, everything = ahead.left(50) or (0.0, 0.0)
    assert everything - own == pytest.approx(100 * 0.2 + 1.0, rel=0.1)
    others = [*bare(), *bare(model__widths=(17,))]
    ahead = Outlook(tmp_path, others)
    trained(ahead, clock, others[:1], 0.2)
    own, everything = ahead.left(50) or (0.0, 0.0)
    assert everything - own == pytest.approx(100 * 0.2 + 1.0 + 3.0, rel=0.1)


def test_other_batch_sizes_follow_the_arithmetic_and_then_a_line(clock: Time, tmp_path: pathlib.Path):
    """Of one size timed: by `work`; of two: the line through both."""
    plans = bare(sweep__batch_size=(8, 16, 32))
    ahead = Outlook(tmp_path, plans)
    trained(ahead, clock, plans[:1], 0.2)
    own, everything = ahead.left(50) or (0.0, 0.0)
    by_work = sum(100 * 0.2 * work(p, p.batch_size) / work(p, 8) for p in plans[1:])
    assert work(plans[0], 8) < work(plans[0], 16) < 2 * work(plans[0], 8)
    assert everything - own == pytest.approx(by_work + 2 * (1.0 + 3.0), rel=0.1)
    clock.pass_by(10.0, updates=10.0)
    ahead.left(100)
    ahead.end()
    clock.spent = dict[str, float](dict.fromkeys(PHASES, 0.0))
    trained(ahead, clock, plans[1:2], 0.3)
    own, everything = ahead.left(50) or (0.0, 0.0)
    assert everything - own == pytest.approx(100 * 0.5 + 1.0 + 3.0, rel=0.1)


def test_probes_are_counted_until_they_are_made(clock: Time, tmp_path: pathlib.Path):
    """Before the first: by its gradients; then each takes what that one took."""
    (plan,) = bare()
    section = {'name': 'gradient_norm', 'at_steps': (), 'at_epochs': (), 'trials': 3, 'samples': 16,
               'batch_sizes': (8,), 'population': False}  # fmt: skip
    made = [planned.Probe('train', section | {'learning_rates': ()}, ((plan, step),), 0.1) for step in (50, 100)]
    assert isinstance(made[0].kind, probes.Kind)
    assert made[0].kind.calls(1000) == {8: 6.0}
    ahead = Outlook(tmp_path, [plan], made)
    trained(ahead, clock, [plan], 0.2)
    own, everything = ahead.left(50) or (0.0, 0.0)
    assert everything - own == pytest.approx(2 * 6 * 0.2 + 3.0, rel=0.1)
    ahead.probed(made[0], 7.0)
    assert ahead.later() == pytest.approx(7.0)


def test_nothing_is_told_before_anything_is_known(tmp_path: pathlib.Path):
    """No group has begun."""
    ahead = Outlook(tmp_path, bare())
    assert ahead.left(10) is None
    assert ahead.later() == 0.0
    ahead.probed(SimpleNamespace(id='x', section={}), 1.0)  # pyright: ignore[reportArgumentType]
    assert ahead.later() == 0.0
