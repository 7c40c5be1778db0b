"""Whether runs that are stopped and resumed end with the very bytes of runs that go on, on this device."""

import functools
import os
import pathlib
import signal
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bsresearch.core import interrupts
from bsresearch.launching import runner
from bsresearch.launching.console import Console
from bsresearch.planning.plan import Plan
from bsresearch.store import paths, records
from bsresearch.store.checkpoints import Checkpoints

from .. import turns
from .work import Row, Work, step

# Family, how many seeds in one group, changes of the config.
CASES: dict[str, tuple[str, int, dict[str, Any]]] = {
    'mlp, 4 runs': ('mlp', 4, {}),
    'resnet_8': ('resnet_8', 1, {}),
    'cnn, bfloat16': ('cnn', 1, {'dtype': 'bfloat16'}),
    'mlp, Adam, TF32': ('mlp', 1, {'optimizer.name': 'adam', 'matmul_precision': 'default'}),
}
# What each process trains, to the end of which share of the time: the first compiles, the others find its programs.
STEPS = {'whole': (0.6, ('whole',)), 'stop': (0.8, ('stopped',)), 'resume': (1.0, ('stopped', 'again'))}
BATCH_SIZE, UPDATES = 32, 640


class Stopping(Console):
    """Says nothing; sends this process a signal once an update is reached."""

    def __init__(self, at: int):
        super().__init__(quiet=True)
        self._at: int | None = at

    def progress(self, step: int, *args: Any, **kwargs: Any) -> None:
        """As Console's."""
        if self._at is not None and step >= self._at:
            self._at = None
            os.kill(os.getpid(), signal.SIGINT)


def plans(name: str, *, toy: bool) -> list[Plan]:
    """A case's runs: rows at many updates, dense records."""
    family, seeds, changes = CASES[name]
    updates = UPDATES // 4 if toy else UPDATES
    fields = {
        'total_examples': BATCH_SIZE * updates, 'evaluate.every_steps': updates // 8, 'record.dense': True,
        'measure.distance.every_steps': updates // 4, 'norms.log_spaced': 0,
        'seconds_per_update': 1e-3, 'checkpoint.min_seconds': 0.0,
    }  # fmt: skip
    return [turns.plan(family, BATCH_SIZE, fields | changes | {'seed': seed}) for seed in range(seeds)]


def train(workdir: pathlib.Path, runs: list[Plan], *, stop: bool = False) -> None:
    """To the end, or to the middle."""
    console = Stopping(runs[0].length.total_steps // 2) if stop else Console(quiet=True)
    try:
        runner.launch(workdir, runs, console)
    except interrupts.Stopped:
        assert stop


def _directory(workdir: pathlib.Path, plan: Plan) -> pathlib.Path:
    return paths.run_dir(workdir, plan.study, plan.id)


def contents(workdir: pathlib.Path, plan: Plan) -> tuple[Any, ...]:
    """Of a run: sha256 of what its last checkpoint holds; its rows but for times; bytes of its dense records."""
    directory = _directory(workdir, plan)
    meta = records.status(directory)
    group = paths.group_dir(workdir, plan.study, meta['group'])
    with Checkpoints(group / 'checkpoints', writes=False) as store:
        states = store.stated_sha256(plan.length.total_steps)
    assert states, f'{group} has no checkpoint at the end'
    rows = [{k: v for k, v in row.items() if 'seconds' not in k} for row in records.rows(directory)]
    dense = {k: np.asarray(v).tobytes() for k, v in records.dense(directory).items()}
    return states, rows, dense


def compared(folder: pathlib.Path, name: str, runs: Sequence[Plan]) -> Row:
    """Of one case: whether weights, rows and dense records are the same bytes."""
    whole, stopped, again = (
        [contents(folder / place / name, plan) for plan in runs] for place in ('whole', 'stopped', 'again')
    )
    same = lambda other, part: all(a[part] == b[part] for a, b in zip(whole, other, strict=True))
    return {
        'runs': name, 'updates': runs[0].length.total_steps,
        'resumed: weights equal': same(stopped, 0), 'rows equal': same(stopped, 1),
        'dense records equal': same(stopped, 2),
        'made again: weights equal': same(again, 0), 'made again: rows equal': same(again, 1),
    }  # fmt: skip


def _train_step(work: Work, name: str) -> Iterator[Row]:
    """What one step trains of a case."""
    for place in STEPS[work.step][1]:
        folder = pathlib.Path(work.folder) / place
        folder.mkdir(exist_ok=True)
        train(folder / name, plans(name, toy=work.toy), stop=work.step == 'stop')
    yield {'made': name}


def rows(work: Work) -> Iterator[Row]:
    """A row for each case; `work.step`: what another process makes of `work.cases`."""
    if work.step:
        yield from work.in_time(work.cases, functools.partial(_train_step, work))
        return
    names, begun = list(CASES)[: 1 if work.toy else None], time.time()
    for name, (share, _) in STEPS.items():
        of_step = list(step(work, name, names, begun + share * (work.end - begun)))
        names = [row['made'] for row in of_step if 'made' in row]
        yield from (row for row in of_step if 'skipped' in row)
    for name in names:
        yield compared(pathlib.Path(work.folder), name, plans(name, toy=work.toy))
