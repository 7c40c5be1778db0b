"""A workdir of the study `shen` that no training made: every arm and branch with planted accuracies and distances."""

import itertools
import pathlib
from typing import Any

import fake_records
import numpy as np
from fake_records import member, write_run

from bsresearch.analysis import study
from bsresearch.analysis.study import Study

SEEDS = (0, 1, 2)
EPOCHS = 8
SMALL, MIDDLE, LARGE, RATE = 4, 16, 64, 0.01
ARMS: dict[str, Any] = {
    'small': {'batch_size': SMALL}, 'middle': {'batch_size': MIDDLE}, 'large': {'batch_size': LARGE},
    'higher_rate': {'batch_size': LARGE, 'learning_rate': 0.1},
    'adam': {'batch_size': LARGE, 'optimizer': {'name': 'adam'}},
}  # fmt: skip
BRANCHES: dict[str, Any] = {'switch_small': {'batch_size': SMALL}, 'switch_rate': {'learning_rate': 0.1}}
DISTANCE = {'higher_rate': 2.0, 'adam': 20.0}  # times √updates; 0.5 of the others
# Arm → test accuracy at the end; the gap to the training accuracy.
ACCURACY = {
    'small': (0.90, 0.05), 'middle': (0.88, 0.03), 'large': (0.85, 0.01), 'higher_rate': (0.898, 0.04),
    'adam': (0.89, 0.1), 'control': (0.86, 0.02), 'switch_small': (0.901, 0.05), 'switch_rate': (0.899, 0.05),
}  # fmt: skip


def curves(arm: str, seed: int, start: float, epochs: int, per_epoch: int, scale: float, first: int = 0) -> Any:
    """Metrics at every epoch: accuracy from `start` to the planted end; distance = scale·√updates."""
    end, gap = ACCURACY[arm]
    t = np.arange(epochs + 1)
    # So do those of two arms.
    apart = 1e-6 * (seed - 1) * list(ACCURACY).index(arm)
    test = start + (end - start) * t / max(epochs, 1) + (0.0005 * (seed - 1) + apart) * (t > 0)
    # Seeds differ in their gaps too, so that its differences have a spread.
    train = test + gap * (t > 0) + 0.0002 * seed * (t > 0)
    distance = scale * (1 + 0.001 * seed + apart) * np.sqrt((first + t) * per_epoch)
    return {
        'test_accuracy': test.tolist(), 'train_accuracy': train.tolist(), 'test_loss': (1.1 - test).tolist(),
        'train_loss': (1.1 - train).tolist(), 'distance': distance.tolist(),
        'parameter_norm': (44 + 0.01 * distance).tolist(),
    }  # fmt: skip


def write(workdir: pathlib.Path, seeds: tuple[int, ...] = SEEDS, skip: tuple[str, ...] = (), **changes: Any) -> None:
    """Writes the workdir; `skip`: arms left out; a changed arm gets its fields, e.g. middle={'status': 'diverged'}."""

    def run(name: str, seed: int, epochs: int, fields: dict[str, Any], **more: Any) -> None:
        shared = {'study': 'shen', 'learning_rate': RATE, 'epoch_boundary': 'partial', 'total_examples': epochs * 64}
        arm = name.partition('-')[0]
        if arm not in skip:
            write_run(workdir, name=name, seed=seed, **(shared | fields | more | changes.get(arm, {})))

    for seed in seeds:
        for arm, fields in ARMS.items():
            values = curves(arm, seed, 0.1, EPOCHS, 64 // fields['batch_size'], DISTANCE.get(arm, 0.5))
            run(f'{arm}-{seed}', seed, EPOCHS, fields, values=values)
        for at, arm in itertools.product((2, EPOCHS), ('control', *BRANCHES)):
            fields = ARMS['large'] | BRANCHES.get(arm, {})
            values = curves(arm, seed, 0.1 + 0.75 * at / EPOCHS, EPOCHS, 64 // fields['batch_size'], 0.5, at)
            parent = {'epoch': float(at), 'run': f'large-{seed}', 'step': at}
            run(f'{arm}-{at}-{seed}', seed, at + EPOCHS, fields, values=values, first_epoch=at, parent=parent)


def entry(workdir: pathlib.Path, last: int = EPOCHS) -> dict[str, Any]:
    """What study.json would have of a planted workdir; `last`: what the later branch point is called."""
    rows = []
    for directory in sorted((workdir / 'shen').glob('*-*')):
        arm, *point, seed = directory.name.split('-')
        branch, at = (arm, float(last if int(point[0]) == EPOCHS else point[0])) if point else (None, None)
        rows.append(member(directory.name, 'large' if point else arm, int(seed), branch, at))
    branches = {name: {'of': ('large',), 'at_epochs': (2, EPOCHS)} | fields for name, fields in BRANCHES.items()}
    return fake_records.entry(rows, ARMS, branch_arms=branches, held_fixed=['epochs'])


def load(workdir: pathlib.Path, last: int = EPOCHS) -> Study:
    """The arms and branches of a planted workdir."""
    return study.load(workdir, 'shen', entry(workdir, last), 'shen')
