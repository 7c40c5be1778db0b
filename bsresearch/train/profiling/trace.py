"""A profiler's trace, told by phases: when which instruction was in flight, what that adds up to, what Perfetto shows.

What is counted is time that passed, not threads: an instruction counts from its start to its end, whatever number of
threads work on it; those in flight together share the time equally; what only runs others (a loop) is left out.
"""

import gzip
import json
import pathlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bsresearch.train.profiling.phases import OTHER, PHASES, Place, Program

Event = Mapping[str, Any]
# No instruction is in flight: the time of the executor on a CPU, of launches on an accelerator.
IDLE = 'idle'


class Span(NamedTuple):
    """An instruction in flight, in microseconds of the trace. place: None for one of another program, a measurement's.

    event: its number in the trace.
    """

    event: int
    phase: str
    place: Place | None
    start: float
    stop: float


def read(folder: pathlib.Path) -> list[dict[str, Any]]:
    """The events of the one trace that `jax.profiler` wrote into a folder."""
    (file,) = (folder / 'plugins' / 'profile').glob('*/*.trace.json.gz')
    with gzip.open(file) as f:
        return json.load(f)['traceEvents']


def spans(events: Sequence[Event], known: Program, during: Sequence[tuple[float, float]] = ()) -> list[Span]:
    """The instructions that a trace shows, by start.

    On a CPU an instruction may go on in other threads after its event: until its `end: …` event, which has no other
    sign. An accelerator's events last as long as the instruction.

    Args:
      known: the program of the updates.
      during: when measurements were made; the instructions within are theirs.
    """
    marked = [(i, e) for i, e in enumerate(events) if e.get('ph') == 'X' and 'hlo_op' in e.get('args', {})]
    begins = _times((e['args']['hlo_op'], e['ts']) for _, e in marked)
    ends = _times((e['name'][5:], e['ts']) for e in events if e.get('name', '').startswith('end: '))
    found = []
    for number, event in marked:
        name, start = event['args']['hlo_op'], event['ts']
        place = None
        if not any(a <= start <= b for a, b in during):
            place = known.places.get(name) if event['args'].get('hlo_module') == known.module else None
            if place is None or place.control:
                continue
        stop, own, done = start + event.get('dur', 0.0), begins[name], ends.get(name, [])
        again, at = bisect_left(own, start) + 1, bisect_left(done, start)
        if at < len(done) and (again == len(own) or done[at] <= own[again]):
            stop = max(stop, done[at])
        found.append(Span(number, place.phase if place else 'measure', place, start, stop))
    return sorted(found, key=lambda span: span.start)


def _times(pairs: Iterable[tuple[str, float]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for name, time in sorted(pairs):
        found.setdefault(name, []).append(time)
    return found


def elapsed(flights: Sequence[tuple[Any, float, float]]) -> dict[Any, float]:
    """Time by label, of (label, start, stop): at each moment those in flight share it equally, and IDLE has the rest.

    So the values sum to the time from the first start to the last stop.
    """
    marks = [(start, 1, label) for label, start, _ in flights] + [(stop, -1, label) for label, _, stop in flights]
    marks.sort(key=lambda mark: mark[0])
    total: Counter[Any] = Counter()
    now: Counter[Any] = Counter()
    before = marks[0][0] if marks else 0.0
    for time, change, label in marks:
        running = sum(now.values())
        for other, times in now.items() if running else [(IDLE, 1)]:
            total[other] += (time - before) * times / max(running, 1)  # pyright: ignore[reportArgumentType]
        now[label] += change
        before = time
    return dict(total)


def blocks(found: Sequence[Span]) -> list[tuple[str, float, float]]:
    """(phase, start, stop): following instructions of one phase are one block. Those of one phase do not overlap."""
    result: list[list[Any]] = []
    newest: dict[str, list[Any]] = {}
    before = None
    for span in found:
        last = newest.get(span.phase)
        if last is not None and (span.phase == before or last[2] >= span.start):
            last[2] = max(last[2], span.stop)
        else:
            newest[span.phase] = [span.phase, span.start, span.stop]
            result.append(newest[span.phase])
        before = span.phase
    return [(phase, start, stop) for phase, start, stop in result]


def write(path: pathlib.Path, events: Sequence[Event], found: Sequence[Span]) -> None:
    """The trace for ui.perfetto.dev: `phase` among each instruction's arguments, and a process with a track a phase."""
    told = [dict(event) for event in events]
    for span in found:
        told[span.event]['args'] = {**told[span.event]['args'], 'phase': span.phase}
    process = 1 + max((e['pid'] for e in events if 'pid' in e), default=0)
    note = lambda kind, tid, args: told.append({'ph': 'M', 'pid': process, 'tid': tid, 'name': kind, 'args': args})
    note('process_name', 0, {'name': 'phases of an update'})
    note('process_sort_index', 0, {'sort_index': -1})
    for tid, phase in enumerate((*PHASES, OTHER), 1):
        note('thread_name', tid, {'name': phase})
        note('thread_sort_index', tid, {'sort_index': tid})
        for name, start, stop in blocks(found):
            if name == phase:
                told.append({'ph': 'X', 'pid': process, 'tid': tid, 'name': name, 'ts': start, 'dur': stop - start})
    with gzip.open(path, 'wt') as f:
        json.dump({'displayTimeUnit': 'ns', 'traceEvents': told}, f)
