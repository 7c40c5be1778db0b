"""Whether runs that are stopped and resumed end with the very bytes of runs that go on, on this device."""

import os
import pathlib
import signal
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
    'mlp, Adam, TF32': ('mlp', 1, {'optimizer.name': 'adam', 'matmul_precision': 'default'}),
    'cnn, bfloat16': ('cnn', 1, {'dtype': 'bfloat16'}),
    'resnet_8': ('resnet_8', 1, {}),
}
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
    """A case's runs: rows and measurements at many updates, dense records."""
    family, seeds, changes = CASES[name]
    updates = UPDATES // 4 if toy else UPDATES
    fields = {
        'total_examples': BATCH_SIZE * updates, 'evaluate.every_steps': updates // 8, 'record.dense': True,
        'measure.distance.every_steps': updates // 4, 'measure.gradient_norm.every_steps': updates // 4,
        'seconds_per_update': 1e-3, 'checkpoint.min_seconds': 0.0,
    }  # fmt: skip
    return [turns.plan(family, BATCH_SIZE, fields | changes | {'seed': seed}) for seed in range(seeds)]


def cases(work: Work) -> list[str]:
    """Names."""
    return [name for name in CASES if not work.toy or CASES[name][0] == 'mlp'][: 1 if work.toy else None]


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
    """Of one case: whether weights, rows and dense records are the same bytes; and where the time of the whole went."""
    whole, stopped, again = (
        [contents(folder / made / name, plan) for plan in runs] for made in ('whole', 'stopped', 'again')
    )
    same = lambda other, part: all(a[part] == b[part] for a, b in zip(whole, other, strict=True))
    seconds = records.status(_directory(folder / 'whole' / name, runs[0]))['seconds']
    return {
        'runs': name, 'updates': runs[0].length.total_steps,
        'resumed: weights equal': same(stopped, 0), 'rows equal': same(stopped, 1),
        'dense records equal': same(stopped, 2),
        'made again: weights equal': same(again, 0), 'made again: rows equal': same(again, 1),
        'wall, s': seconds['wall'], 'overhead': seconds['overhead'] / (seconds['wall'] - seconds['compile']),
    }  # fmt: skip


def rows(work: Work) -> Iterator[Row]:
    """A row for each case; `work.step`: what another process makes of all of them."""
    folder = pathlib.Path(work.folder)
    for name in cases(work) if work.step else ():
        for made in {'whole': ['whole'], 'stop': ['stopped', 'again'], 'resume': ['stopped']}[work.step]:
            (folder / made).mkdir(exist_ok=True)
            train(folder / made / name, plans(name, toy=work.toy), stop=(work.step, made) == ('stop', 'stopped'))
    if work.step:
        return
    for name in ('whole', 'stop', 'resume'):
        yield from step(work, name)
    yield from work.in_time(cases(work), lambda name: [compared(folder, name, plans(name, toy=work.toy))])
