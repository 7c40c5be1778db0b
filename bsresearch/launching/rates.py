"""Seconds of a group's parts, and what all of them come to from any of its updates on: for estimates of time."""

import contextlib
import pathlib
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bsresearch.launching import groups
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train import feed
from bsresearch.train.devices.layout import Layout, choose
from bsresearch.train.session import Session


class Rates(NamedTuple):
    """Seconds of a group without compiling.

    updates: batch size → of an update. stop: of coming back from the device once, to go on with other updates.
    evaluate, snapshot, checkpoint: of one. measures: of one of each. begin: of its runs before the first update.
    start: of what it does once, however many runs it has.
    """

    updates: Mapping[int, float]
    stop: float = 0.0
    evaluate: float = 0.0
    snapshot: float = 0.0
    checkpoint: float = 0.0
    measures: Mapping[str, float] = {}
    begin: float = 0.0
    start: float = 0.0

    def times(self, factor: float) -> 'Rates':
        """Of so many times as many runs."""
        scaled = {name: factor * seconds for name, seconds in self._asdict().items() if isinstance(seconds, float)}
        of_all = lambda each: {name: factor * seconds for name, seconds in each.items()}
        return Rates(**scaled | {'start': self.start}, updates=of_all(self.updates), measures=of_all(self.measures))


class Course:
    """A group's seconds from θ_begin to its end, and from any update between.

    Attributes:
      parts: seconds of 'updates', 'evaluation', each measurement by its name and 'the rest'.
    """

    def __init__(self, plan: Plan, rates: Rates, begin: int):
        self._segments, self._updates, self.start = plan.length.segments, rates.updates, rates.start + rates.begin
        events, costs = plan.events, defaultdict[int, float](float)
        self.parts = defaultdict[str, float](float, {'updates': self._updating(begin), 'the rest': self.start})

        def add(part: str, points: Iterator[int] | set[int], seconds: float) -> None:
            for t in points:
                if t >= begin and seconds:
                    costs[t] += seconds
                    self.parts[part] += seconds

        add('updates', _stops(plan, begin), rates.stop)
        add('evaluation', events.evaluate, rates.evaluate)
        add('evaluation', events.snapshots, rates.snapshot)
        for name, seconds in rates.measures.items():
            add(name, events.measure[name], seconds)
        add('the rest', events.keep, rates.checkpoint)
        # Those in between come at least so many seconds apart.
        passing = events.checkpoint - events.keep
        most = self.seconds / (plan.recording['checkpoint']['min_seconds'] or np.inf)
        often = min(1.0, most / len(passing)) if passing and most else 1.0
        add('the rest', passing, often * rates.checkpoint)
        self._points = np.array(sorted(costs))
        self._after = np.cumsum([0.0, *(costs[t] for t in reversed(self._points.tolist()))])[::-1]

    @property
    def seconds(self) -> float:
        """In all."""
        return sum(self.parts.values())

    def left(self, step: int) -> float:
        """From θ_step on, with what is due there."""
        return self._updating(step) + float(self._after[np.searchsorted(self._points, step)])

    def _updating(self, step: int) -> float:
        return sum((stop - max(start, step)) * self._each(size) for start, stop, size in self._segments if stop > step)

    def _each(self, size: int) -> float:
        return self._updates[min(self._updates, key=lambda known: abs(known - size))]


def _stops(plan: Plan, begin: int) -> Iterator[int]:
    """Where the device is left, but for chunks that are full: those take long."""
    t = begin
    while t < plan.events.total:
        yield t
        t += plan.events.span(t, feed.UPDATES_PER_CHUNK)[0]


class _Quiet:
    """A Progress that says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, step: int, updates_per_second: float, last: dict[str, Any]) -> None:
        """Nothing."""


@contextlib.contextmanager
def trial(plans: Sequence[Plan], strategy: str, mesh: Layout | None = None) -> Iterator[Session]:
    """A Session of these runs in directories of its own, which are removed."""
    with tempfile.TemporaryDirectory() as folder:
        group, *runs = (pathlib.Path(folder) / name for name in ('group', *(plan.id for plan in plans)))
        for directory in (group, *runs):
            directory.mkdir()
        dataset = resolve.dataset(plans[0].data)
        session = Session(plans, dataset, group, runs, strategy, _Quiet(), mesh or choose(plans))
        try:
            yield session
        finally:
            session.close()


def begun(workdir: pathlib.Path, plans: Sequence[Plan]) -> int:
    """The update that a group of runs goes on with."""
    return max(plans[0].start, *(int(groups.status(workdir, p).get('step') or 0) for p in plans))
