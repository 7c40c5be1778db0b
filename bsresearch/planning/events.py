"""When the loop must leave the device: exact update numbers, resolved once per group."""

import functools
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bsresearch.core import units, when


@dataclass(frozen=True)
class Events:
    """The points of a run, updates t at whose θ_t something happens. All members of a group have the same.

    Attributes:
      total: T. evaluate, checkpoint, keep, snapshots: points of each. measure: of each measurement, by name.
      record, norms: updates whose scalars, and whose norms, are recorded, up to T − 1; record is sorted.
      all_norms: whether norms are computed at every update. stops: where the loop leaves the device, sorted.
    """

    total: int
    evaluate: set[int]
    measure: dict[str, set[int]]
    checkpoint: set[int]
    keep: set[int]
    snapshots: set[int]
    record: list[int]
    norms: set[int]
    all_norms: bool
    stops: list[int]

    @functools.cached_property
    def _sorted_norms(self) -> list[int]:
        return sorted(self.norms)

    def span(self, start: int, limit: int) -> tuple[int, bool]:
        """How many updates may run from `start` without leaving the device (≤ limit), and whether with norms."""
        stop = min(start + limit, self.stops[bisect_right(self.stops, start)])
        if self.all_norms:
            return stop - start, True
        if start in self.norms:
            end = start
            while end < stop and end in self.norms:
                end += 1
            return end - start, True
        following = bisect_right(self._sorted_norms, start)
        if following < len(self._sorted_norms):
            stop = min(stop, self._sorted_norms[following])
        return stop - start, False


def resolve(recording: Mapping[str, Any], length: units.Length, start: int) -> Events:
    """The points of a run of this length that begins with update `start`: 0, or a branch's point."""
    total = length.total_steps

    def points(spec: Mapping[str, Any], field: str) -> set[int]:
        return set(when.points(spec, length, f'config.{field}'))

    def states(spec: Mapping[str, Any], field: str) -> set[int]:
        """With the final state, whenever anything is asked for."""
        asked = points(spec, field)
        return asked | {total} if asked else asked

    def from_start(asked: set[int]) -> set[int]:
        """A branch begins with its parent's θ: what is asked for is made there too, nothing before."""
        return {start, *(t for t in asked if t > start)} if start and asked else asked

    evaluate = from_start(states(recording['evaluate'], 'evaluate'))
    measure = {name: from_start(states(spec, f'measure.{name}')) for name, spec in recording['measure'].items()}
    checkpoint = points(recording['checkpoint'], 'checkpoint') - {0} | {total}
    keep = points(recording['keep'], 'keep') | {total}
    # The initial weights have learnt nothing.
    snapshots = {t for t in points(recording['snapshots'], 'snapshots') if t > start}
    # What belongs to an update ends with the last one, T − 1; states end with θ_T. A chunk has one batch size.
    segments = {segment.start for segment in length.segments}
    record = {min(t, total - 1) for t in points(recording['record'], 'record')}
    norms = {min(t, total - 1) for t in points(recording['norms'], 'norms')}
    return Events(
        total, evaluate, measure, checkpoint, keep, snapshots,
        record=sorted(from_start(record | segments if record else record)),
        norms={t for t in norms if t >= start},
        all_norms=recording['norms']['dense'],
        stops=sorted({total}.union(segments, evaluate, checkpoint, keep, snapshots, *measure.values())),
    )  # fmt: skip
