"""What a launch would use at every update, as a CSV: drawn before it is run (scripts/fig_schedule.py)."""

import csv
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bsresearch.models import layers
from bsresearch.optim import noise
from bsresearch.planning.plan import Plan
from bsresearch.train import feed

COLUMNS = (
    'run', 'step', 'examples', 'epoch', 'batch_size', 'lr', 'momentum', 'weight_decay', 'effective_lr',
    'noise_temperature',
)  # fmt: skip
ROWS = 2**16


def _rows(plan: Plan, start: int, stop: int) -> Iterator[tuple[Any, ...]]:
    """Of updates start ≤ t < stop of one batch size: the very values the step would use, in their own precision."""
    hyper = feed.hyper(plan, start, stop, layers.weight_dtype(plan.dtype))
    size = plan.length.batch_size_at(start)
    seen = plan.length.examples_before(np.arange(start, stop))
    wide = lambda x: x.astype(np.float64)
    decay = np.zeros_like(hyper.learning_rate) if hyper.weight_decay is None else hyper.weight_decay
    rate, momentum = wide(hyper.learning_rate), wide(hyper.momentum)
    columns = (
        range(start, stop),
        seen.tolist(),
        (seen / plan.length.epoch_examples).tolist(),
        # As text these are the shortest that give back the same number, as in the records.
        *(x.astype(str).tolist() for x in (hyper.learning_rate, hyper.momentum, decay)),
        noise.effective_learning_rate(rate, momentum).tolist(),
        noise.temperature(rate, momentum, plan.epoch_size, size).tolist(),
    )
    for step, examples, epoch, lr, m, d, effective, g in zip(*columns, strict=True):
        yield plan.id, step, examples, epoch, size, lr, m, d, effective, g


def write(path: pathlib.Path, plans: Sequence[Plan]) -> int:
    """One row per run and update; the number of rows. An older table is replaced, whole; no other file is.

    Columns: COLUMNS. epoch: epochs seen before the update. batch_size: as scheduled; a short last batch holds what is
    left of the epoch or run, which records have as batch_size_used. effective_lr: lr/(1 − momentum). noise_temperature:
    lr·N/(B(1 − momentum)).

    Raises:
      ValueError: the path holds something else, or its directory is not there.
    """
    if not path.parent.is_dir():
        raise ValueError(f'--schedule_csv={path}: there is no directory {path.parent}')
    if path.exists() and (not path.is_file() or not path.read_bytes()[:200].startswith(','.join(COLUMNS).encode())):
        raise ValueError(f'--schedule_csv={path} holds something else than a schedule table; name another file')
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    count = 0
    try:
        with open(temporary, 'w', newline='', encoding='utf-8') as f:
            writer = csv.writer(f, lineterminator='\n')
            writer.writerow(COLUMNS)
            for plan in plans:
                for segment in plan.length.segments:
                    for start in range(segment.start, segment.stop, ROWS):
                        writer.writerows(_rows(plan, start, min(start + ROWS, segment.stop)))
                count += plan.length.total_steps
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return count
