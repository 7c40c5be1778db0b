"""Seconds of a group's parts, and what all of them come to: for estimates before and while it is trained."""

import contextlib
import pathlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from bsresearch.launching import groups
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train.devices import layout
from bsresearch.train.session import Session


class Rates(NamedTuple):
    """Seconds of a group: of an update, an evaluation, each measurement, a checkpoint, its start (with compiling)."""

    update: float
    evaluate: float
    measures: dict[str, float]
    checkpoint: float
    start: float

    def times(self, factor: float) -> 'Rates':
        """Of so many times as much work; a start is one."""
        measures = {name: factor * seconds for name, seconds in self.measures.items()}
        return Rates(factor * self.update, factor * self.evaluate, measures, factor * self.checkpoint, self.start)


class Amounts(NamedTuple):
    """How often each part of a group happens from θ_begin to its end.

    updates: batch size → how many, in the order of the run. keeping, passing: checkpoints that stay, and those in
    between, which come at least `closest` seconds apart.
    """

    updates: dict[int, int]
    evaluations: int
    measures: dict[str, int]
    keeping: int
    passing: int
    closest: float

    @classmethod
    def after(cls, plan: Plan, begin: int) -> 'Amounts':
        """Of a run's plan."""
        events = plan.events
        count = lambda points: sum(t >= begin for t in points)
        updates: Counter[int] = Counter()
        for start, stop, size in plan.length.segments:
            if stop > begin:
                updates[size] += stop - max(start, begin)
        measures = {name: count(points) for name, points in events.measure.items() if points}
        closest = plan.recording['checkpoint']['min_seconds']
        passing = count(events.checkpoint - events.keep)
        return cls(dict(updates), count(events.evaluate), measures, count(events.keep), passing, closest)

    def seconds(self, rates: Callable[[int], Rates]) -> float:
        """`rates`: batch size → those of the whole group."""
        if not self.updates:
            return 0.0
        by_size = {size: rates(size) for size in self.updates}
        last = by_size[list(self.updates)[-1]]
        total = sum(count * by_size[size].update + by_size[size].start for size, count in self.updates.items())
        total += self.evaluations * last.evaluate
        total += sum(count * last.measures.get(name, 0.0) for name, count in self.measures.items())
        passing = min(self.passing, total / self.closest) if self.closest else self.passing
        return total + (self.keeping + passing) * last.checkpoint


class _Quiet:
    """A Progress that says nothing."""

    def say(self, text: str) -> None:
        """Nothing."""

    def progress(self, step: int, updates_per_second: float, last: dict[str, Any]) -> None:
        """Nothing."""


@contextlib.contextmanager
def trial(plans: Sequence[Plan], strategy: str) -> Iterator[Session]:
    """A Session of these runs in directories of its own, which are removed."""
    with tempfile.TemporaryDirectory() as folder:
        group, *runs = (pathlib.Path(folder) / name for name in ('group', *(plan.id for plan in plans)))
        for directory in (group, *runs):
            directory.mkdir()
        dataset, mesh = resolve.dataset(plans[0].data), layout.choose(plans)
        session = Session(plans, dataset, group, runs, strategy, _Quiet(), mesh)
        try:
            yield session
        finally:
            session.close()


def begun(workdir: pathlib.Path, plans: Sequence[Plan]) -> int:
    """The update that a group of runs goes on with."""
    return max(plans[0].start, *(int(groups.status(workdir, p).get('step') or 0) for p in plans))
