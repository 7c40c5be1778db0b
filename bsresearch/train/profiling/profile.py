"""`--profile`: a trace of a few updates, with the phases of an update told apart, for ui.perfetto.dev and xprof.

What is traced are copies: the updates that the training will make from where it stands, by the very program that makes
them, and one of each measurement. Nothing of it is kept, so a run with a profile is the run without, bit for bit.
"""

import contextlib
import copy
import functools
import pathlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from bsresearch.store import paths
from bsresearch.train import updates
from bsresearch.train.devices import processes
from bsresearch.train.profiling import phases, trace
from bsresearch.train.session import Session

# How many updates: enough to be seen, few enough for a small trace (an MLP's take 30 events each, a CNN's 1,000).
TRACED_SECONDS = 0.5
FEWEST, MOST = 8, 64
MEASURE = 'measurement: '
HOW = 'open it at https://ui.perfetto.dev; with xprof (pip install xprof): xprof --logdir={}'


class Row(NamedTuple):
    """A line of phases.csv: seconds `per` update, chunk or measurement.

    share: of an update, None for the rest. mixed: the part of `seconds` in instructions that also hold work of other
    phases.
    """

    phase: str
    per: str
    seconds: float
    share: float | None
    mixed: float | None


class Profiler:
    """Profiles the first group that has updates left, where it begins; later ones are left alone.

    Args:
      say: one line for the user.
    """

    def __init__(self, say: Callable[[str], None]):
        self.say = say
        self.directory: pathlib.Path | None = None

    def __call__(self, session: Session, t: int) -> None:
        """For `loop.run`: the session stands at θ_t."""
        if self.directory is None and t < session.events.total and any(session.alive):
            self.directory = processes.share(functools.partial(_numbered, session.directory / 'profile'))
            with session.clock.phase('calibrate'):
                record(session, t, self.directory, self.say)

    def conclude(self) -> None:
        """Says so if there was nothing to profile."""
        if self.directory is None:
            self.say('--profile: nothing to profile, no run had updates left to make; use another --workdir')


def _numbered(folder: pathlib.Path) -> pathlib.Path:
    """A new directory in `folder`: 1, 2 and so on."""
    folder.mkdir(exist_ok=True)
    taken = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
    directory = folder / str(max(taken, default=0) + 1)
    directory.mkdir()
    return directory


def record(session: Session, t: int, directory: pathlib.Path, say: Callable[[str], None]) -> None:
    """Traces updates from θ_t on and one of each measurement, writes trace and phases.csv, prints the table.

    Replicas that take turns do the same, so those of one turn are traced. Several processes make the updates together,
    and the first of them traces its own part.

    Raises:
      ValueError: the compiled program names no phases.
    """
    count, lanes, first = _count(session, t), session.group.lanes, session.alive.index(True)
    one = [r // lanes == first // lanes for r in range(len(session.plans))]
    _updates(session, t, count, one)  # compiles
    compiled = session.group.latest
    text = compiled.as_text() or '' if compiled is not None else ''
    if all(instruction.phase == phases.OTHER for instruction in phases.of_program(text).values()):
        raise ValueError(
            'the program of the updates names no phases: it was compiled by another version and found in the cache; '
            'set jax_compilation_cache_include_metadata_in_key'
        )
    untraced = min(_updates(session, t, count, one) for _ in range(2)) / count
    with _measuring_again(session) as measure_all:
        measure_all(t, one)  # compiles
        with _traced(directory) if processes.leads() else contextlib.nullcontext():
            with jax.profiler.StepTraceAnnotation('updates', step_num=t):
                _updates(session, t, count, one)
            spent = measure_all(t, one)
    if not processes.leads():
        return
    events = trace.read(directory)
    measured = [(e['ts'], e['ts'] + e['dur']) for e in events if e.get('name', '').startswith(MEASURE)]
    flights = trace.flights(events, text, measured)
    trace.write(directory / 'perfetto_trace.json.gz', events, flights)
    rows = [*table(flights, count), Row('untraced', 'update', untraced, None, None)]
    rows += [Row(f'measure {name}', 'measurement', seconds, None, None) for name, seconds in spent.items()]
    write(directory / 'phases.csv', rows)
    runs = f'{sum(one)} runs at once' if sum(one) > 1 else '1 run'
    size = session.plans[0].length.batch_size_at(t)
    say(f'profile: {count} updates of {runs} from update {t} on, B = {size}')
    for line in lines(rows):
        say(f'  {line}')
    say(f'  trace: {directory}/perfetto_trace.json.gz: {HOW.format(directory)}')


def _updates(session: Session, t: int, count: int, alive: Sequence[bool]) -> float:
    """Makes updates from θ_t on copies, as Session.advance does; the seconds that they took."""
    norms, task = session.events.all_norms, session.tasks[session.plans[0].length.batch_size_at(t)]
    chunk = session.feed.chunk(t, count)
    carry = jax.tree.map(jnp.array, (session.state, session.average))
    jax.block_until_ready((carry, chunk.data, chunk.tables))
    begun = time.perf_counter()
    result = updates.run(session.group, task, carry, chunk, session.keys, count, norms=norms, alive=alive)
    jax.block_until_ready(result)
    return time.perf_counter() - begun


def _count(session: Session, t: int) -> int:
    """How many updates: half a second of them within FEWEST and MOST, of one batch size."""
    segments = zip(session.plans[0].length.segments, session.recorder.pace, strict=True)
    stop, pace = next((segment.stop, pace) for segment, pace in segments if segment.stop > t)
    wanted = min(MOST, max(FEWEST, int(TRACED_SECONDS / max(pace, 1e-9))))
    return min(wanted, session.feed.capacity(t), stop - t)


@contextlib.contextmanager
def _measuring_again(session: Session) -> Iterator[Callable[[int, Sequence[bool]], dict[str, float]]]:
    """Gives a function that makes each measurement once; what they carry and have cost is put back at the end."""
    measuring = session.measuring
    states, spent = dict(measuring.states), copy.deepcopy(measuring.spent)

    def measure_all(t: int, alive: Sequence[bool]) -> dict[str, float]:
        seconds = {}
        for name in measuring.measures:
            begun = time.perf_counter()
            with jax.profiler.TraceAnnotation(MEASURE + name):
                jax.block_until_ready(measuring(name, t, session.state, session.origins, alive))
            seconds[name] = time.perf_counter() - begun
        return seconds

    try:
        yield measure_all
    finally:
        measuring.states, measuring.spent = states, spent


@contextlib.contextmanager
def _traced(directory: pathlib.Path) -> Iterator[None]:
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # every Python call is an event otherwise, and takes its time
    jax.profiler.start_trace(directory, profiler_options=options)
    try:
        yield
    finally:
        jax.profiler.stop_trace()


def table(flights: Sequence[trace.Flight], count: int) -> list[Row]:
    """The phases of an update, over `count` of them, their total, and what is done once a chunk."""
    looped = [
        ((f.phase, f.instruction.mixed), f.start, f.stop) for f in flights if f.instruction and f.instruction.looped
    ]
    once = [(f.phase, f.start, f.stop) for f in flights if f.instruction and not f.instruction.looped]
    seconds = defaultdict(float, {label: us / 1e6 / count for label, us in trace.elapsed(looped).items()})
    total = sum(seconds.values())
    share = lambda part: part / total if total else 0.0
    rows = []
    for phase in (*phases.PHASES, phases.OTHER):
        mixed = seconds[phase, True]
        whole = seconds[phase, False] + mixed
        rows.append(Row(phase, 'update', whole, share(whole), mixed))
    idle = seconds[trace.IDLE]
    rows.append(Row(trace.IDLE, 'update', idle, share(idle), 0.0))
    rows.append(Row('total', 'update', total, share(total), sum(row.mixed or 0.0 for row in rows)))
    once_seconds = sum(us for label, us in trace.elapsed(once).items() if label != trace.IDLE) / 1e6
    return [*rows, Row('once', 'chunk', once_seconds, None, None)]


def write(path: pathlib.Path, rows: Sequence[Row]) -> None:
    """As CSV, what does not apply left empty."""
    cell = lambda value: '' if value is None else f'{value:.6g}' if isinstance(value, float) else value
    text = '\n'.join(','.join(map(cell, row)) for row in [Row._fields, *rows])
    paths.write_text(path, f'{text}\n')


def lines(rows: Sequence[Row]) -> list[str]:
    """The table as text."""
    of = {row.phase: row for row in rows}
    if not of['total'].seconds:
        return ['the trace shows no instruction of the updates; the phases are unknown']
    result = [f'{"phase":<11}{"ms/update":>11}{"share":>9}{"mixed":>9}']
    for row in rows:
        if row.share is not None:
            mixed = f'{100 * (row.mixed or 0.0) / of["total"].seconds:.1f} %'
            result.append(f'{row.phase:<11}{1000 * row.seconds:>11.4g}{f"{100 * row.share:.1f} %":>9}{mixed:>9}')
    result.append("mixed: in instructions that hold other phases' work too, of the update's time")
    untraced, chunk = of['untraced'], of['once']
    result.append(
        f'untraced: {1000 * untraced.seconds:.4g} ms/update, with what is done once a chunk of any length '
        f'({1000 * chunk.seconds:.3g} ms, not in the table)'
    )
    result += [f'{row.phase}: {1000 * row.seconds:.4g} ms each' for row in rows if row.per == 'measurement']
    return result
