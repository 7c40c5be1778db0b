"""Updates per second of groups of runs, all together, against one run; where more runs no longer pay; their memory."""

import functools
import statistics
from collections.abc import Iterator
from typing import Any

from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.train.devices import layout
from bsresearch.train.sizing import memory

from .. import turns
from ..benchmark_replicas import plans
from . import machine
from .work import Row, Work, reason

SMALL = {'name': 'mlp', 'widths': (64,)}
# The smallest first, so that the device's highest use rises with each.
CASES: dict[str, tuple[dict[str, Any], int]] = {
    'MLP 64, B = 32': (SMALL, 32),
    'MLP 1024-1024, B = 1': (turns.FAMILIES['mlp'], 1),
    'MLP 1024-1024, B = 32': (turns.FAMILIES['mlp'], 32),
    'CNN, B = 32': (turns.FAMILIES['cnn'], 32),
}
KNEE = 0.9  # of the highest rate


def in_use() -> tuple[int, int]:
    """Bytes of the device in use, and at most so far; zeros where it does not tell."""
    stats = turns.device_memory()
    return stats.get('bytes_in_use', 0), stats.get('peak_bytes_in_use', 0)


def _built(runs: list[Plan]) -> tuple[turns.Turn, dict[str, float | None]]:
    """A group's turns, and its memory in MiB: by XLA, and measured."""
    strategy = 'vmap' if len(runs) > 1 else 'sequential'
    (before, peak), dataset = in_use(), resolve.dataset(runs[0].data)
    turn = turns.of_group(runs, strategy)
    highest = in_use()[1]
    foretold = memory.analysed(runs, dataset, strategy, layout.ALONE).total
    return turn, {
        'XLA, MiB': foretold / 2**20,
        'measured, MiB': (highest - before) / 2**20 if highest > peak else None,
    }


def measured(work: Work, against: str, name: str) -> Iterator[Row]:
    """A row for each size of one case."""
    model, batch_size = CASES[name]
    sides, sizes = dict[str, turns.Turn](), dict[str, dict[str, float | None]]()
    for count in sorted({1, *work.replicas}):
        try:
            runs = plans(model, batch_size, count, turns.GREY_DATA)
            sides[str(count)], sizes[str(count)] = _built(runs)
        except Exception as e:  # more than the device holds
            yield {'case': f'{name}, {count} runs', 'skipped': reason(e)}
            break
    loops = {'eager': {'device': against}} if against else {}
    with turns.beside_torch(sides, plans(model, batch_size, 1, turns.GREY_DATA)[0], model, loops) as every:
        rates = turns.rates(every, turns.lengths(every, work.seconds), work.rounds)
    together = {key: [(int(key) if key in sizes else 1) * rate for rate in rates[key]] for key in every}
    middle = {key: statistics.median(of_rounds) for key, of_rounds in together.items()}
    knee = next(key for key in sizes if middle[key] >= KNEE * max(middle[k] for k in sizes))
    for key, of_size in sizes.items():
        row: Row = {
            'network': name, 'runs': int(key), 'updates/s of all': middle[key],
            'ours / one run': turns.Ratio.of(together[key], together['1']),
        }  # fmt: skip
        if against:
            row['ours / eager'] = turns.Ratio.of(together[key], together['eager'])
        yield row | {'knee': 'here' if key == knee else None, **of_size, 'turns': work.rounds}


def rows(work: Work) -> Iterator[Row]:
    """A row for each case and size."""
    against, lacking = machine.torch_device()
    yield from lacking
    if not in_use()[1]:
        yield {'what': 'memory of the device', 'skipped': 'it does not tell its use'}
    yield from work.in_time(list(CASES)[: 1 if work.toy else None], functools.partial(measured, work, against))
