"""A workdir of the study `shen` that no training made: every arm and branch with planted accuracies and distances."""

import pathlib
from typing import Any

import arms_of_records
import numpy as np
from fake_records import write_run

from bsresearch.analysis import study
from bsresearch.analysis.study import Study
from bsresearch.store import records

SEEDS = (0, 1, 2)
EPOCHS = 8
SMALL, MIDDLE, LARGE, RATE = 4, 16, 64, 0.01
ADAM = {'name': 'adam', 'beta2': 0.999}
RECORDING = {'branch': {'at_epochs': (), 'at_steps': (), 'batch_sizes': (SMALL,), 'learning_rates': (0.1,)}}
PARENT = {'branch': {**RECORDING['branch'], 'at_epochs': (2, EPOCHS)}}
# Arm → test accuracy at the end; the gap to the training accuracy.
ACCURACY = {
    'small': (0.90, 0.05), 'middle': (0.88, 0.03), 'large': (0.85, 0.01), 'rate': (0.898, 0.04), 'adam': (0.89, 0.1),
    'control': (0.86, 0.02), 'smaller': (0.901, 0.05), 'higher': (0.899, 0.05),
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
    for seed in seeds:
        mains = [
            ('small', SMALL, RATE, {}, 0.5), ('middle', MIDDLE, RATE, {}, 0.5), ('large', LARGE, RATE, {}, 0.5),
            ('rate', LARGE, 0.1, {}, 2.0), ('adam', LARGE, RATE, {'optimizer': ADAM}, 20.0),
        ]  # fmt: skip
        for arm, size, rate, fields, scale in mains:
            if arm in skip:
                continue
            own = {'recording': PARENT if arm == 'large' else RECORDING, **fields, **changes.get(arm, {})}
            _run(
                workdir,
                f'{arm}-{seed}',
                size,
                rate,
                seed,
                curves(arm, seed, 0.1, EPOCHS, 64 // size, scale),
                EPOCHS,
                own,
            )
        for at in (2, EPOCHS):
            for arm, size, rate in (('control', LARGE, RATE), ('smaller', SMALL, RATE), ('higher', LARGE, 0.1)):
                if arm in skip:
                    continue
                start = 0.1 + 0.75 * at / EPOCHS
                found = curves(arm, seed, start, EPOCHS, 64 // size, 0.5, at)
                parent = {'epoch': float(at), 'run': f'large-{seed}', 'step': at}
                own = {'recording': RECORDING, 'parent': parent, **changes.get(arm, {})}
                _run(workdir, f'{arm}-{at}-{seed}', size, rate, seed, found, at + EPOCHS, own, at)


def _run(
    workdir: pathlib.Path, name: str, size: int, rate: float, seed: int, values: Any, epochs: int,
    fields: dict[str, Any], first: int = 0,
) -> None:  # fmt: skip
    write_run(
        workdir, name=name, batch_size=size, learning_rate=rate, seed=seed, values=values, first_epoch=first,
        **({'study': 'shen', 'total_examples': epochs * 64, 'epoch_boundary': 'partial'} | fields),
    )  # fmt: skip


ARMS: dict[str, Any] = {
    'small': {'batch_size': SMALL}, 'middle': {'batch_size': MIDDLE}, 'large': {'batch_size': LARGE},
    'higher_rate': {'batch_size': LARGE, 'learning_rate': 0.1},
    'adam': {'batch_size': LARGE, 'optimizer': {'name': 'adam'}},
}  # fmt: skip
BRANCHES: dict[str, Any] = {
    'switch_small': {'of': ('large',), 'at_epochs': (2, EPOCHS), 'batch_size': SMALL},
    'switch_rate': {'of': ('large',), 'at_epochs': (2, EPOCHS), 'learning_rate': 0.1},
}


def load(workdir: pathlib.Path, last: int = EPOCHS) -> Study:
    """The arms and branches of a planted workdir; `last`: what the later branch point is called."""
    table, declared, _ = records.read(workdir)
    runs = table.assign(declared_learning_rate=[c['learning_rate'] for c in declared])
    base = {'batch_size': SMALL, 'learning_rate': RATE, 'optimizer': {'name': 'sgd'}}
    stored, _ = arms_of_records.stored(runs, ARMS, base, BRANCHES, ('epochs',))
    for row in stored['rows']:
        row['point'] = last if row['point'] == EPOCHS else row['point']
    return study.load(workdir, 'shen', stored, 'shen')
