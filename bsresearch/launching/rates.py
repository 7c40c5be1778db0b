"""Seconds of a group's parts, and what all of them come to: for estimates before and while it is trained."""

import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from bsresearch.launching import groups
from bsresearch.planning.plan import Plan


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


def spend(plan: Plan, begin: int, rates: Callable[[int], Rates]) -> float:
    """Seconds of a group from θ_begin to its end. `rates`: batch size → those of the whole group."""
    events, total = plan.events, 0.0
    after = lambda points: sum(t >= begin for t in points)
    segments = [segment for segment in plan.length.segments if segment.stop > begin]
    if not segments:
        return 0.0
    for start, stop, size in segments:
        total += (stop - max(start, begin)) * rates(size).update
    total += sum(rates(size).start for size in {segment.batch_size for segment in segments})
    last = rates(segments[-1].batch_size)
    total += after(events.evaluate) * last.evaluate
    total += sum(after(points) * last.measures.get(name, 0.0) for name, points in events.measure.items() if points)
    closest = plan.recording['checkpoint']['min_seconds']
    passing = after(events.checkpoint - events.keep)
    saves = after(events.keep) + (min(passing, total / closest) if closest else passing)
    return total + saves * last.checkpoint


def begun(workdir: pathlib.Path, plans: Sequence[Plan]) -> int:
    """The update that a group of runs goes on with."""
    return max(plans[0].start, *(int(groups.status(workdir, p).get('step') or 0) for p in plans))
