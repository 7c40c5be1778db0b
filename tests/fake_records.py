"""Records on disk that no training made, for tests of what only reads records."""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bsresearch.core.units import Length
from bsresearch.store import paths
from bsresearch.store.writer import Writer

EPOCH_SIZE, EPOCHS = 64, 4


def resolved(batch_size: int, learning_rate: float, seed: int) -> dict[str, Any]:
    """What a reader needs of a resolved config."""
    return {
        'study': 'train',
        'batch_size': batch_size,
        'learning_rate': learning_rate,
        'seed': seed,
        'init_seed': seed,
        'data_seed': seed,
        'momentum': 0.0,
        'weight_decay': 0.0,
        'epoch_size': EPOCH_SIZE,
        'epoch_boundary': 'through',
        'total_examples': EPOCHS * EPOCH_SIZE,
        'data': {'name': 'digits', 'mean': [0.0]},
        'model': {'name': 'mlp', 'widths': [8]},
        'optimizer': {'name': 'sgd'},
        'schedule': {'name': 'constant'},
        'scaling': {'name': 'none', 'reference_batch_size': None},
        'warmup': {'examples': 0},
    }


def write_run(
    workdir: pathlib.Path,
    *,
    batch_size: int = 16,
    learning_rate: float = 0.1,
    seed: int = 0,
    values: Mapping[str, Sequence[float | None]] | None = None,
    rows: Sequence[Mapping[str, Any]] = (),
    status: str = 'done',
    diverged_step: int | None = None,
    row_of_divergence: bool = True,
    seconds_per_update: float = 0.5,
    base_learning_rate: float | None = None,
    name: str | None = None,
    first_epoch: int = 0,
    **fields: Any,
) -> pathlib.Path:
    """Writes one run, as training does: its directory.

    Args:
      values: metric → its value at each whole epoch from `first_epoch` on. rows: lines as they are, after these.
      fields: replace fields of the resolved config. name: the run's, where batch size, rate and seed do not tell it.
      base_learning_rate: the declared one, where a rule scaled it.
    """
    config = resolved(batch_size, learning_rate, seed) | fields
    run = name or f'b{batch_size}-lr{learning_rate:g}-s{seed}'
    directory = paths.run_dir(workdir, config['study'], run)
    declared = {'learning_rate': learning_rate if base_learning_rate is None else base_learning_rate}
    directory.mkdir(parents=True, exist_ok=True)
    paths.write_json(directory / 'config.json', {'resolved': config, 'declared': declared})
    meta = {'id': run, 'study': config['study'], 'status': status, 'diverged_step': diverged_step}
    paths.write_json(directory / 'meta.json', meta)
    length = Length(config['epoch_size'], batch_size, config['total_examples'], config['epoch_boundary'])
    writer = Writer(directory)

    def row(step: int, metrics: Mapping[str, Any]) -> None:
        position = {'step': step, 'examples': length.examples_at(step), 'epoch': length.epoch_at(step)}
        writer.rows([{**position, 'seconds': step * seconds_per_update, 'wall_seconds': 1.0, **metrics}])

    count = max((len(v) for v in (values or {}).values()), default=0)
    for epoch in range(count):
        step = length.step_at((first_epoch + epoch) * length.epoch_examples)
        row(step, {metric: v[epoch] for metric, v in (values or {}).items() if epoch < len(v)})
        row(step, {'batch_loss': 1.0})  # an update's scalars stand on a line of their own
    writer.rows([{'epoch': 0.0, 'seconds': 0.0, 'wall_seconds': 0.0, **line} for line in rows])
    if diverged_step is not None and row_of_divergence:
        row(diverged_step, {'diverged': True})
    writer.flush()
    writer.close()
    return directory


def member(run: str, arm: str, seed: int, branch: str | None = None, point: float | None = None) -> dict[str, Any]:
    """A run as a row of study.json."""
    names = {'id': run, 'kind': 'branch' if branch else 'run', 'arm': arm, 'axes': {}, 'replicate': {'seed': int(seed)}}
    return names | {'branch': branch, 'point': point, 'probe': None}


def entry(rows: Sequence[Mapping[str, Any]], arms: Mapping[str, Any] | None = None, **facts: Any) -> dict[str, Any]:
    """What study.json has of a findings; `rows`: of `member`."""
    nothing = {'base': {}, 'held_fixed': [], 'replicates': ['seed'], 'branch_arms': {}}
    return nothing | {'arms': dict(arms or {}), 'rows': list(rows)} | facts


def write_probe(
    workdir: pathlib.Path,
    runs: Sequence[pathlib.Path],
    settings: Mapping[str, Any],
    arrays: Mapping[str, np.ndarray],
    *,
    epoch: int = 0,
    learning_rate: float = 0.0,
) -> None:
    """Writes a finished probe of runs (their directories), as probing does; `settings`: with its name."""
    points = [{'run': run.name, 'study': run.parent.name, 'step': 4 * epoch, 'epoch': float(epoch)} for run in runs]
    stated = {'probe': dict(settings), 'points': points, 'learning_rate': learning_rate}
    identity = stated | {'points': [[run.name, 4 * epoch] for run in runs]}
    probe = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    directory = paths.run_dir(workdir, runs[0].parent.name, probe)
    (directory / 'arrays').mkdir(parents=True)
    paths.write_json(directory / 'probe.json', stated)
    paths.write_npz(directory / 'arrays' / 'found.npz', arrays)
    meta = {'id': probe, 'study': runs[0].parent.name, 'status': 'done', 'identity': identity}
    paths.write_json(directory / 'meta.json', meta | {'arrays': 'arrays/found.npz'})


def gradient_norms(
    walking: np.ndarray, sizes: np.ndarray, learning_rate: float, samples: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """What a gradient-norm probe stores, from its walking norms (trials, batch sizes).

    ‖∇L‖² = 0.5, tr Σ = 500 and frozen norms of 0.5; all weights are P, 100 of them, with a kurtosis of 3 at the
    smallest batch and 3·B^0.1 at the others.
    """
    trials, entries, square, trace = len(walking), 100, 0.5, 500.0
    moved = walking * learning_rate * samples / sizes
    return {
        'walking': walking,
        'frozen': np.full(walking.shape, 0.5),
        'single': np.sqrt(square + trace / sizes) * (1 + 1e-3 * rng.normal(size=walking.shape)),
        'displacement': moved,
        'displacement_selected': moved,
        'fourth': 3 * sizes**0.1 * walking**4 / entries,
        'largest': np.ones(walking.shape),  # where the bins end
        'counts': np.full((len(sizes), 10), trials * entries // 10),
        'edges': np.geomspace(1e-6, 1, 6),
        'batch_sizes': sizes,
        'samples': np.array(samples),
        'gradient_square': np.array(square),
        'trace': np.array(trace),
        'population': np.array(60000),
    }
