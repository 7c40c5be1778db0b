"""Memory of one run: as shapes tell it, as XLA does, and as it is measured in a process of its own."""

import ctypes
import functools
import gc
import pathlib
import re
import statistics
import sys
import time
from collections.abc import Iterator

import jax

from bsresearch.launching import rates
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train.devices import compiling, layout
from bsresearch.train.sizing import memory

from .. import turns
from .work import Row, Work, step

BATCH_SIZE = 128
SECONDS = 2.0  # of updates, at most
STATUS, CLEAR = pathlib.Path('/proc/self/status'), pathlib.Path('/proc/self/clear_refs')


def plan(family: str, batch_size: int) -> Plan:
    """A run that evaluates; without norms and not timed before it begins, which would be more programs."""
    fields = {'total_examples': 16 * batch_size, 'seconds_per_update': 1e-3, 'norms.log_spaced': 0}
    return turns.plan(family, batch_size, fields)


def _train(run: Plan) -> None:
    """Its events at the first weights, and updates."""
    with rates.trial([run], 'sequential') as session:
        t, _ = session.start()
        session.observe(t)
        end = time.time() + SECONDS
        while t < session.events.total and time.time() < end:
            t += session.advance(t)
        jax.block_until_ready(session.state)


def _resident(which: str) -> int:
    """Bytes of this process in memory: VmRSS now, VmHWM at most."""
    line = re.search(rf'{which}:\s+(\d+) kB', STATUS.read_text(encoding='utf-8'))
    assert line is not None
    return 1024 * int(line.group(1))


def _used(run: Plan) -> int:
    """Bytes that a run takes at most, its programs being compiled.

    Raises:
      OSError: a system without Linux's files of a process, and a device that does not tell its use.
    """
    _train(run)
    stats = turns.device_memory()
    if compiling.platform() != 'cpu':
        if 'peak_bytes_in_use' not in stats:
            raise OSError(f'{compiling.platform()} does not tell how much of its memory is used')
        return stats['peak_bytes_in_use']
    gc.collect()
    if sys.platform == 'linux':
        getattr(ctypes.CDLL(None), 'malloc_trim', lambda _: 0)(0)  # what compiling took goes back to the system
    CLEAR.write_text('5', encoding='ascii')  # the peak begins anew
    before = _resident('VmRSS')
    _train(run)
    return _resident('VmHWM') - before


def compared(work: Work, family: str) -> Iterator[Row]:
    """One family."""
    batch_size = 8 if work.toy else BATCH_SIZE
    run = plan(family, batch_size)
    given = [run], resolve.dataset(run.data), 'sequential', layout.ALONE
    estimate, exact = memory.estimate(*given).total / 2**20, memory.analysed(*given).total / 2**20
    used = list[float]()
    for _ in range(2 if work.toy else 3 if compiling.platform() == 'cpu' else 1):
        for row in step(work, f'{family} {batch_size}'):
            if 'skipped' in row:
                yield row
                return
            used.append(row['bytes'] / 2**20)
    middle = statistics.median(used)
    yield {
        'network': family, 'B': batch_size, 'shapes, MiB': estimate, 'XLA, MiB': exact,
        'measured, MiB': (middle, min(used), max(used)), 'measured / XLA': middle / exact, 'processes': len(used),
    }  # fmt: skip


def rows(work: Work) -> Iterator[Row]:
    """A row for each family; in another process what one run takes."""
    if work.step:
        family, batch_size = work.step.split()
        yield {'bytes': _used(plan(family, int(batch_size)))}
        return
    yield from work.in_time(work.families, functools.partial(compared, work))
