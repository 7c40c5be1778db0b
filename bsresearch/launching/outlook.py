"""How long a launch still takes: what was forecast of its groups and probes, times what those so far took of theirs."""

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from bsresearch.launching.rates import Course, Rates
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe
from bsresearch.train.observing.record import Clock

# The forecast counts as much as this share of it that was timed.
ASSUMED = 0.1


class Ahead(NamedTuple):
    """A group that has not begun. course: None where it was not measured."""

    plans: Sequence[Plan]
    course: Course | None


class _Running:
    """The group in training."""

    def __init__(self, plans: Sequence[Plan], course: Course | None):
        self.plans, self.course, self.began = plans, course, time.monotonic()
        self.clock: Clock | None = None

    def train(self, clock: Clock, step: int, pace: float) -> None:
        self.clock, self.trains, self._compiled = clock, time.monotonic(), clock.spent['compile']
        if self.course is None:
            self.course = Course(self.plans[0], Rates({self.plans[0].batch_size: pace}), step)
        self.whole = self.course.left(step)

    def spent(self) -> float:
        """Seconds since the first update, without compiling."""
        assert self.clock is not None
        return time.monotonic() - self.trains - (self.clock.spent['compile'] - self._compiled)


def _ratio(spent: float, expected: float, whole: float) -> float:
    """How many times as long as was expected."""
    return (spent + ASSUMED * whole) / (expected + ASSUMED * whole) if whole else 1.0


class Outlook:
    """Of a launch.

    Args:
      ahead: the groups of all its known stages that are not finished. probes: those, with the seconds of each.
      more: stages follow that are not known yet.

    Attributes:
      whole: what `left` and `later` speak of, in a word of a line.
      parts: seconds of all of it by part, as of a Course; those of probes as 'probes'. Empty where some are not known.
    """

    def __init__(self, ahead: Sequence[Ahead] = (), probes: Sequence[tuple[Probe, float]] = (), more: bool = False):
        self.whole = 'stages known so far' if more else 'all'
        self._ahead, self._probes = list(ahead), {p.id: (canonical(p.section), s) for p, s in probes}
        self.parts = defaultdict[str, float](float)
        if self._known():
            for part, seconds in (item for group in self._ahead if group.course for item in group.course.parts.items()):
                self.parts[part] += seconds
            self.parts['probes'] = sum(seconds for _, seconds in self._probes.values())
        self._running: _Running | None = None
        self._spent = self._expected = 0.0  # by what has ended

    def start(self, plans: Sequence[Plan]) -> None:
        """A group begins."""
        ids = {plan.id for plan in plans}
        alike = [group for group in self._ahead if ids & {plan.id for plan in group.plans}]
        self._ahead = [group for group in self._ahead if group not in alike]
        self._running = _Running(plans, alike[0].course if alike else None)

    def train(self, clock: Clock, step: int, pace: float) -> None:
        """It is about to make its first update, at θ_step. `pace`: seconds of an update of all its runs, calibrated."""
        if self._running is not None:
            self._running.train(clock, step, pace)

    def end(self) -> None:
        """The group has ended."""
        running, self._running = self._running, None
        if running is not None and running.clock is not None and running.course is not None:
            self._spent += running.spent() + running.trains - running.began
            self._expected += running.whole + running.course.start

    def left(self, step: int) -> tuple[float, float | None] | None:
        """Seconds that the group in training, at θ_step, and the whole launch still take; None before it is known."""
        running = self._running
        if running is None or running.clock is None or running.course is None:
            return None
        rest = running.course.left(step)
        seconds = rest * _ratio(running.spent(), running.whole - rest, running.whole)
        later = self.later(running.spent(), running.whole - rest)
        return seconds, None if later is None else seconds + later

    def later(self, spent: float = 0.0, expected: float = 0.0) -> float | None:
        """Seconds of the groups and probes that have not begun; None where some are not known.

        spent, expected: of the group in training.
        """
        if not self._known():
            return None
        groups = sum(group.course.seconds for group in self._ahead if group.course)
        ratio = _ratio(self._spent + spent, self._expected + expected, sum(self.parts.values()))
        return ratio * groups + sum(seconds for _, seconds in self._probes.values())

    def probed(self, probe: Probe, seconds: float) -> None:
        """A probe has ended, after so many seconds without compiling; others of its settings take as long."""
        ended, _ = self._probes.pop(probe.id, ('', 0.0))
        for other, (section, _) in self._probes.items():
            if section == ended:
                self._probes[other] = section, seconds

    def _known(self) -> bool:
        return all(group.course is not None for group in self._ahead)
