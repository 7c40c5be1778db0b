"""A profiler's trace, told by phases: when which instruction was in flight, what that adds up to, what Perfetto shows.

What is counted is time that passed, not threads: an instruction counts from its start to its end, whatever number of
threads work on it; those in flight together share the time equally; what only runs others (a loop) is left out.
"""

import gzip
import json
import pathlib
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

from bsresearch.train.profiling.phases import OTHER, PHASES, Instruction, of_program

Event = dict[str, Any]
# No instruction is in flight: the time of the executor on a CPU, of launches on an accelerator.
IDLE = 'idle'


class Flight(NamedTuple):
    """An event's instruction in flight, in microseconds of the trace; None for one of a measurement's program."""

    event: Event
    phase: str
    instruction: Instruction | None
    start: float
    stop: float


def read(folder: pathlib.Path) -> list[Event]:
    """The events of the one trace that `jax.profiler` wrote into a folder."""
    (file,) = (folder / 'plugins' / 'profile').glob('*/*.trace.json.gz')
    with gzip.open(file) as f:
        return json.load(f)['traceEvents']


def flights(events: Iterable[Event], text: str, measured: Sequence[tuple[float, float]] = ()) -> list[Flight]:
    """The instructions that a trace shows, by start.

    On a CPU an instruction may go on in other threads after its event: until its `end: …` event, which has no other
    sign. An accelerator's events last as long as the instruction.

    Args:
      text: of the program of the updates. measured: (start, stop) of measurements; the instructions within are theirs.
    """
    module, instructions = re.match(r'HloModule ([\w.-]+)', text), of_program(text)
    result: list[Flight] = []
    newest: dict[str, int | None] = {}  # by instruction, the place of its flight in `result`
    for event in sorted((e for e in events if e.get('ph') == 'X'), key=lambda e: e['ts']):
        start, args = event['ts'], event.get('args', {})
        if (at := newest.pop(event['name'].removeprefix('end: '), None)) is not None and 'hlo_op' not in args:
            result[at] = result[at]._replace(stop=max(result[at].stop, start))
        if 'hlo_op' not in args:
            continue
        during_measurement = any(first <= start <= last for first, last in measured)
        updates = not during_measurement and module is not None and args.get('hlo_module') == module[1]
        instruction = instructions.get(args['hlo_op']) if updates else None
        counted = during_measurement or (instruction is not None and not instruction.control)
        newest[args['hlo_op']] = len(result) if counted else None
        if counted:
            phase = instruction.phase if instruction else 'measure'
            result.append(Flight(event, phase, instruction, start, start + event.get('dur', 0.0)))
    return result


def elapsed(spans: Iterable[tuple[Hashable, float, float]]) -> dict[Any, float]:
    """Time by label, of (label, start, stop): at each moment those in flight share it equally, and IDLE has the rest.

    So the values sum to the time from the first start to the last stop.
    """
    marks = [mark for label, start, stop in spans for mark in ((start, 1, label), (stop, -1, label))]
    marks.sort(key=lambda mark: mark[0])
    total: Counter[Hashable] = Counter()
    in_flight: Counter[Hashable] = Counter()
    before = marks[0][0] if marks else 0.0
    for time, change, label in marks:
        for other, share in _shares(in_flight).items():
            total[other] += share * (time - before)  # pyright: ignore[reportArgumentType]
        in_flight[label] += change
        before = time
    return dict(total)


def _shares(in_flight: Counter[Hashable]) -> dict[Hashable, float]:
    count = in_flight.total()
    return {label: number / count for label, number in in_flight.items()} if count else {IDLE: 1.0}


def write(path: pathlib.Path, events: list[Event], flights: Sequence[Flight]) -> None:
    """The trace for ui.perfetto.dev: `phase` among each instruction's arguments, and a process with a track a phase."""
    for flight in flights:
        flight.event['args']['phase'] = flight.phase
    process = {'pid': 1 + max((e['pid'] for e in events if 'pid' in e), default=0), 'tid': 0}
    notes = [process | {'ph': 'M', 'name': 'process_name', 'args': {'name': 'phases of an update'}}]
    notes.append(process | {'ph': 'M', 'name': 'process_sort_index', 'args': {'sort_index': -1}})
    tracks = {phase: process | {'tid': tid} for tid, phase in enumerate((*PHASES, OTHER), 1)}
    for phase, track in tracks.items():
        notes.append(track | {'ph': 'M', 'name': 'thread_name', 'args': {'name': phase}})
        notes.append(track | {'ph': 'M', 'name': 'thread_sort_index', 'args': {'sort_index': track['tid']}})
    slices = [
        tracks[phase] | {'ph': 'X', 'name': phase, 'ts': start, 'dur': stop - start}
        for phase, start, stop in blocks((f.phase, f.start, f.stop) for f in flights)
    ]
    with gzip.open(path, 'wt', encoding='utf-8') as f:
        json.dump({'displayTimeUnit': 'ns', 'traceEvents': [*events, *notes, *slices]}, f)


def blocks(spans: Iterable[tuple[str, float, float]]) -> list[tuple[str, float, float]]:
    """(phase, start, stop) by start, where following instructions of one phase are one; none of a phase overlap."""
    result: list[tuple[str, float, float]] = []
    newest: dict[str, int] = {}  # by phase, the place of its last block in `result`
    before = None
    for phase, start, stop in spans:
        at = newest.get(phase)
        if at is not None and (phase == before or result[at][2] >= start):
            result[at] = (phase, result[at][1], max(result[at][2], stop))
        else:
            newest[phase] = len(result)
            result.append((phase, start, stop))
        before = phase
    return result
