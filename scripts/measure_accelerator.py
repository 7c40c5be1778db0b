"""All that the documentation says of speed, memory and exactness, measured on the device that is here, in 8 minutes.

    python -m scripts.measure_accelerator --out=accelerator [--minutes=8] [--parts=updates,groups]

Writes <out>/results.json and <out>/results.md, anew after each row, so that what was measured is there whenever it
ends. Each part is a process of its own with its share of the time; what one does not use, those after it have. What a
device, an absent package or the time does not allow is left out and said. Nothing but this checkout is needed beside
what docs/devices.md names; PyTorch is compared with where it is installed, Shen's article is made where Fashion-MNIST
is prepared. --toy shows on any CPU, in some minutes, that the parts run.
"""

import json
import os
import pathlib
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from bsresearch.analysis import command
from bsresearch.store import paths

from .accelerator import tables
from .accelerator.work import Row, Work, started

GRACE = 10.0  # seconds that a part may be late


class Part(NamedTuple):
    """share: of the time, in seconds of 8 minutes. words: of its tables. environment: of its process."""

    share: float
    title: str
    words: str
    environment: Mapping[str, str] | None = None


# Of a process that uses the device while another does.
SHARED = {'XLA_PYTHON_CLIENT_PREALLOCATE': 'false'}
PARTS = {
    'machine': Part(15, 'The machine', 'FLOP/s of a product of two square matrices, the best of five.'),
    'resume': Part(
        65, 'Stopped and resumed', 'Runs stopped half way, resumed in another process, against runs that went on, '
        'byte by byte; and runs made whole again in another process.',
    ),
    'agreement': Part(
        35, 'Against a CPU', 'Movement of the weights on this device against that on a CPU, ‖a − b‖/‖b‖: after one '
        'update in float32, after 100 in float64.',
    ),
    'groups': Part(
        60, 'Groups of runs', 'Updates per second of all runs together; ratios of those within a round: median '
        '(least to greatest). Knee: the smallest group with nine tenths of the highest rate. Measured memory: the rise '
        'of the highest use of the device, compiling included; none where an earlier group took more.',
    ),
    'updates': Part(
        150, 'Updates per second', 'Ours over PyTorch\'s, ratios of those within a round: median (least to greatest). '
        'Share: of the rate of matrix products of that precision.',
    ),
    'memory': Part(
        65, 'Memory of a run', 'As shapes tell it, as XLA does (`bsresearch run --dry_run --xla_analysis`), and '
        'measured: on an accelerator the peak of its memory, on a CPU how far the peak of resident memory rises over '
        'what there was before the run, programs being compiled; median (least to greatest) of processes.',
        SHARED,
    ),
    'overheads': Part(
        35, 'What is asked for beside', 'What the benchmarks of schedules and of the gradient-norm probe print; of a '
        'whole run the share that is neither updates, evaluation, measurement nor checkpoints; time of an update with '
        'the norm of its gradient over that without.',
    ),
    'shen': Part(80, "Shen's article", 'All of configs/shen.py, forecast before it is made.', SHARED),
}  # fmt: skip

FAMILIES = ('mlp', 'cnn', 'resnet_8', 'resnet_20', 'c1', 'wrn_16_4')
PRECISIONS = ('float32', 'TF32', 'bfloat16')
TOY: dict[str, Any] = {'families': ('mlp', 'resnet_8'), 'batch_sizes': (8,), 'replicas': (1, 2)}


def define_flags() -> None:
    """Called by this command alone."""
    flags.DEFINE_string('out', None, 'Directory of results.json and results.md.')
    flags.DEFINE_float('minutes', 8.0, 'Time of all parts together.', lower_bound=0.1)
    flags.DEFINE_list('parts', list(PARTS), 'Which parts.')
    flags.DEFINE_list('families', list(FAMILIES), 'Networks.')
    flags.DEFINE_list('batch_sizes', ['128', '32', '8', '1', '1024'], 'Batch sizes, the first first.')
    flags.DEFINE_list('precisions', list(PRECISIONS), 'Precisions.')
    flags.DEFINE_list('replicas', ['1', '8', '64', '256'], 'Runs in a group.')
    flags.DEFINE_bool('toy', False, 'Small sizes and two turns, on any device: to see that it runs.')


def chosen(flag: str, given: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """The values of a list.

    Raises:
      ValueError: there is none, or one is not allowed.
    """
    wrong = [value for value in given if value not in allowed]
    if wrong or not given:
        raise ValueError(f'--{flag}={",".join(given)}: {(wrong or [""])[0]!r} is none; allowed: {", ".join(allowed)}')
    return tuple(given)


def sizes(flag: str, given: Sequence[str]) -> tuple[int, ...]:
    """Whole numbers of a list.

    Raises:
      ValueError: there is none, or one is not positive.
    """
    wrong = [value for value in given if not (value.isdecimal() and int(value))]
    if wrong or not given:
        raise ValueError(f'--{flag}={",".join(given)}: {(wrong or [""])[0]!r} must be a whole number of at least 1')
    return tuple(map(int, given))


def spans(parts: Sequence[str], minutes: float, now: Any = time.time) -> Iterator[tuple[str, float, float]]:
    """(part, when its time is over, when it is ended), each drawn as the one before is done: it has its share of what
    is left, and none lasts past the end of all.
    """
    end = now() + 60 * minutes
    for number, name in enumerate(parts):
        shares = [PARTS[part].share for part in parts[number:]]
        over = now() + max(0.0, end - now()) * shares[0] / sum(shares)
        yield name, over, min(over + GRACE, end)


def write(out: pathlib.Path, measured: dict[str, Any]) -> None:
    """Both files, whole at any time."""
    for name, text in (('json', json.dumps(measured, indent=1) + '\n'), ('md', tables.markdown(measured))):
        paths.write_text(out / f'results.{name}', text)


def measure(parts: Sequence[str], work: Work, minutes: float) -> dict[str, Any]:
    """Makes the parts and writes them down; what was measured."""
    out = pathlib.Path(work.out)
    begun = time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime())
    line = ' '.join(['python -m scripts.measure_accelerator', *sys.argv[1:]])
    measured: dict[str, Any] = {'command': line, 'begun': begun, 'toy': work.toy, 'minutes': minutes, 'parts': {}}
    for name, over, until in spans(parts, minutes):
        start, part, rows = time.time(), PARTS[name], list[Row]()
        entry = measured['parts'][name] = {'title': part.title, 'words': part.words, 'seconds': 0.0, 'rows': rows}
        with tempfile.TemporaryDirectory() as folder:
            given = work._replace(part=name, end=over, folder=folder)
            for row in started(given, until, part.environment, alone=True):
                rows.append(row)
                entry['seconds'] = time.time() - start
                write(out, measured)
                print(f'{name}: {", ".join(f"{k} {tables.number(v)}" for k, v in row.items())}', flush=True)
        entry['seconds'] = time.time() - start
        write(out, measured)
    return measured


def main() -> None:
    """Flags to values."""
    f = flags.FLAGS
    if not f.out:
        raise ValueError('--out=<directory> is needed: where results.json and results.md are written')
    parts = chosen('parts', f.parts, list(PARTS))
    work = Work(
        part='', end=0.0, out=str(pathlib.Path(f.out).absolute()),
        families=chosen('families', f.families, FAMILIES), batch_sizes=sizes('batch_sizes', f.batch_sizes),
        precisions=chosen('precisions', f.precisions, PRECISIONS), replicas=sizes('replicas', f.replicas),
    )  # fmt: skip
    if f.toy:
        work = work._replace(rounds=2, seconds=0.01, toy=True, **TOY)
    pathlib.Path(work.out).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as cache:
        os.environ['JAX_COMPILATION_CACHE_DIR'] = cache  # empty: compiling is measured too
        measure(parts, work, f.minutes)
    print(f'{f.out}/results.md')


if __name__ == '__main__':
    define_flags()
    command.run('measure_accelerator', main)
