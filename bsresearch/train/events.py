"""When the loop must leave the device: exact update numbers, resolved once per group."""

from bisect import bisect_right

from bsresearch.core import when
from bsresearch.planning.plan import Plan


class Events:
    """The points of a run. All members of a group have the same."""

    def __init__(self, plan: Plan):
        length, rec = plan.length, plan.recording
        at = lambda field: when.points(rec[field], length, f'config.{field}')
        self.total = length.total_steps
        # The final state is evaluated and measured whenever anything of that kind is asked for.
        self.evaluate = self._ends(at('evaluate'))
        self.measure = {
            name: self._ends(when.points(spec, length, f'config.measure.{name}'))
            for name, spec in rec['measure'].items()
        }
        self.checkpoint = set(at('checkpoint')) - {0} | {self.total}
        self.keep = set(at('keep')) | {self.total}
        # What belongs to an update ends with the last one, T − 1; states end with θ_T.
        starts = {segment.start for segment in length.segments}
        self.record = sorted({min(t, self.total - 1) for t in at('record')} | (starts if at('record') else set()))
        self.norms = {min(t, self.total - 1) for t in at('norms')}
        self.all_norms = rec['norms']['dense']
        self.snapshots = set(at('snapshots')) - {0}  # the initial weights have learnt nothing
        marks = self.evaluate | self.checkpoint | self.keep | self.snapshots | {self.total}
        # A chunk has one batch size.
        marks |= starts
        for points in self.measure.values():
            marks |= points
        self._marks = sorted(marks)
        self._begin(plan.start)
        self._norms = sorted(self.norms)

    def _begin(self, start: int) -> None:
        """A branch begins with its parent's θ at `start`: what is asked for is made there too, nothing before."""
        if not start:
            return
        cut = lambda points: {t for t in points if t > start} | ({start} if points else set())
        self.evaluate, self.snapshots = cut(self.evaluate), {t for t in self.snapshots if t > start}
        self.measure = {name: cut(points) for name, points in self.measure.items()}
        self.record = sorted(cut(self.record))
        self.norms = {t for t in self.norms if t >= start}

    def _ends(self, points: list[int]) -> set[int]:
        return set(points) | {self.total} if points else set()

    def span(self, start: int, limit: int) -> tuple[int, bool]:
        """How many updates may run from `start` without leaving the device (≤ limit), and whether with norms."""
        stop = min(start + limit, self._marks[bisect_right(self._marks, start)])
        if self.all_norms:
            return stop - start, True
        if start in self.norms:
            end = start
            while end < stop and end in self.norms:
                end += 1
            return end - start, True
        following = bisect_right(self._norms, start)
        if following < len(self._norms):
            stop = min(stop, self._norms[following])
        return stop - start, False
