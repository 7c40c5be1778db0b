"""Small runs for tests: configs on embedded data, and training them in this process."""

import functools
import importlib
import os
import pathlib
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags

from bsresearch.core import flag_help, lookup, precision
from bsresearch.core.flat import flatten
from bsresearch.data.select import Dataset
from bsresearch.launching import flag_parser, planner, runner
from bsresearch.launching.console import Console
from bsresearch.optim import Hyper, moments
from bsresearch.planning import branch as branches
from bsresearch.planning import edit, resolve, schema, sweep
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Stage
from bsresearch.store import paths, records
from bsresearch.store.checkpoints import Checkpoints
from bsresearch.train import program
from bsresearch.train.state import Data, State
from bsresearch.train.step import Task

ROOT = pathlib.Path(__file__).parent.parent
OFF = {'every_epochs': 0.0, 'log_spaced': 0}
# Nothing is evaluated or measured but what a test asks for beside: its programs need not be compiled.
BARE: dict[str, Any] = {
    'evaluate__every_epochs': 0.0,
    'measure__distance__every_epochs': 0.0,
}


# How XLA compiles fast: without its fusion emitters, and each program in one piece.
HURRY = {'xla_cpu_use_fusion_emitters': False, 'xla_cpu_parallel_codegen_split_count': 1}


@functools.cache
def emitters_are_optional() -> bool:
    """Whether XLA can compile for the CPU without its fusion emitters, which are slow; jaxlib 0.11 has no others."""
    try:
        jax.jit(jnp.negative, compiler_options=HURRY)(0.0)
    except jax.errors.JaxRuntimeError:
        return False
    return True


def environment(*, hurry: bool = True, **variables: str) -> dict[str, str]:
    """Of a process of its own: this code, the CPU, the tests' compilation cache. `hurry`: XLA optimizes little."""
    made = os.environ | {
        'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}', 'PYTHONUNBUFFERED': '1', 'JAX_PLATFORMS': 'cpu',
        'JAX_COMPILATION_CACHE_DIR': jax.config.values['jax_compilation_cache_dir'],
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    }  # fmt: skip
    if hurry:
        made |= {'JAX_DISABLE_MOST_OPTIMIZATIONS': '1'}
        flags = ' '.join(f'--{k}={v}'.lower() for k, v in HURRY.items())
        made |= {'XLA_FLAGS': flags} if emitters_are_optional() else {}
    return made | variables


def typed(request: Any, *arguments: object) -> tuple[Any, Any]:
    """A command line of main.py: the flag --config, and the request."""
    values = flags.FlagValues()
    flag_parser.define_config(values)
    flag_help.define(request, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'argv', ['main.py', *map(str, arguments)])  # ml_collections looks for overrides there
        flag_parser.parser('main.py', values)(sys.argv)
    return values['config'], flag_help.given(request, values)


class Quiet(Console):
    """A console that keeps what is said and shows nothing."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)

    def start_group(self, *args: Any) -> None:
        """Nothing."""

    def results(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def wait(self, what: str) -> None:
        """Nothing."""

    def progress(self, *args: Any, **kwargs: Any) -> None:
        """Nothing."""

    def end_group(self, *args: Any) -> None:
        """Nothing."""


class StopsAt(Quiet):
    """Sends this process SIGINT once update `step` is reached: the launch ends with interrupts.Stopped."""

    def __init__(self, step: int):
        super().__init__()
        self._step: int | None = step

    def progress(self, step: int, *args: Any, **kwargs: Any) -> None:
        if self._step is not None and step >= self._step:
            self._step = None
            os.kill(os.getpid(), signal.SIGINT)


def declared(**changes: Any) -> dict[str, Any]:
    """A small MLP on digits for 40 updates; `changes` by dotted path, dots written as two underscores."""
    config = schema.defaults().to_dict()
    config['model'] = {'name': 'mlp', 'widths': (16,)}
    config['total_steps'], config['batch_size'], config['learning_rate'] = 40, 8, 0.05
    config['checkpoint']['min_seconds'] = 0.0
    config['seconds_per_update'] = 1e-3  # not timed
    config['norms']['log_spaced'] = 0
    config['strategy'] = 'sequential'  # each run has the bits it has alone
    config['measure']['distance']['every_epochs'] = 1.0
    config |= {'model': changes.pop('model')} if 'model' in changes else {}
    fixed = {k.replace('__', '.'): v for k, v in changes.items()}
    sweeps = {k: v for k, v in fixed.items() if k.startswith('sweep.')}
    config = edit.assign(config, {k: v for k, v in fixed.items() if k not in sweeps})
    for path, values in sweeps.items():
        config['sweep'][path.removeprefix('sweep.')] = values
    return config


def plans(**changes: Any) -> list[Plan]:
    """The runs of `declared`."""
    config = declared(**changes)
    axes = config.pop('sweep')
    found = [config | {'sweep': {}}]
    for path, values in flatten(axes).items():
        found = [edit.assign(c, {path: v}) for c in found for v in values]
    return [resolve.resolve({k: v for k, v in c.items() if k != 'sweep'}) for c in found]


class Network(NamedTuple):
    """A plan's network at its first weights."""

    data: Dataset
    task: Task
    state: State


def network(**changes: Any) -> Network:
    """Of the one run of `plans`."""
    (plan,) = plans(**changes)
    data = resolve.dataset(plan.data)
    task = program.task(plan, data.scale, 'cpu')
    return Network(data, task, jax.jit(lambda: program.initial(task, plan))())


def batch(data: Dataset, rows: Any) -> Data:
    """Training examples, on the device."""
    return Data(jnp.asarray(data.train.inputs[rows]), jnp.asarray(data.train.labels[rows]))


def branch(parent: Plan, step: int, state: Mapping[str, str] | None = None, **changes: Any) -> Plan:
    """That of a run in the same workdir; `changes` as of `declared`."""
    fields = {k.replace('__', '.'): v for k, v in changes.items()}
    return branches.branch(parent, f'{parent.study}/{parent.id}', step, fields, state)


def study(procedure: Any, runs: list[Plan], name: str = 'train') -> planner.Study:
    """A study of these runs, as far as its stages are known without results; it asks nothing."""
    grid = sweep.Grid(runs, [], None, [])
    return planner.further(planner.Study(name, procedure, grid, [], awaits_results=True), None)


def train(workdir: pathlib.Path, runs: Stage, console: Any = None) -> Any:
    """Trains to the end; the console that was talked to."""
    console = console or Quiet()
    runner.launch(workdir, runs, console)
    return console


def final(workdir: pathlib.Path, plan: Plan) -> Any:
    """The weights at the end of a run, NumPy leaves."""
    return checkpoint(workdir, plan, plan.length.total_steps).params


def checkpoint(workdir: pathlib.Path, plan: Plan, step: int) -> Any:
    """A run's State at a checkpoint."""
    return item(workdir, plan, step, 'state')


def item(workdir: pathlib.Path, plan: Plan, step: int, name: str) -> Any:
    """A run's part of an item of a checkpoint: `state` or `ema`."""
    meta = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')
    folder = paths.group_dir(workdir, plan.study, meta['group'])
    with precision.of(plan):
        task = program.task(plan, 1.0, 'cpu')
        one = jax.eval_shape(lambda: program.initial(task, plan))
    one = one if name == 'state' else program.initial_average(plan, one)
    like = jax.tree.map(lambda x: np.zeros((meta['replicas'], *x.shape), x.dtype), one)
    with Checkpoints(folder / 'checkpoints') as store:
        items, _ = store.restore(step, {name: like})
    return jax.tree.map(lambda x: x[meta['index']], items[name])


def hypers(name: str, values: Sequence[tuple[float, float, float | None]], **settings: Any) -> Hyper:
    """(lr, momentum, weight decay) of an optimizer's first updates, with their complements: (K,) float64 each."""
    module = importlib.import_module(f'bsresearch.optim.{name}')
    rates, beta1, decay = (np.array(column, np.float64) for column in zip(*values, strict=True))
    wide = Hyper(rates, beta1, None if values[0][2] is None else decay)
    if not hasattr(module, 'complements'):
        return wide
    logs = np.log(np.maximum(beta1, np.finfo(np.float64).tiny))
    course = moments.Course(beta1, np.arange(1, len(beta1) + 1), lambda: np.cumsum(logs))
    return wide._replace(complements=module.complements(course, **(lookup.keywords(module.build) | settings)))


def damage(folder: pathlib.Path) -> None:
    """Turns a bit of the largest file."""
    largest = max((file for file in folder.rglob('*') if file.is_file()), key=lambda file: file.stat().st_size)
    flip(largest)


def flip(file: pathlib.Path) -> None:
    """Turns a bit in its middle."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


# What becomes of a file.
DAMAGES: dict[str, Callable[[pathlib.Path], object]] = {
    'flipped': flip,
    'halved': lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    'emptied': lambda file: file.write_bytes(b''),
    'deleted': pathlib.Path.unlink,
}


def rows(workdir: pathlib.Path, plan: Plan) -> list[Mapping[str, Any]]:
    """A run's rows without their wall-clock columns."""
    found = records.rows(paths.run_dir(workdir, plan.study, plan.id))
    return [{k: v for k, v in row.items() if 'seconds' not in k} for row in found]


def assert_equal(a: Any, b: Any) -> None:
    """Trees that are the same bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, a, b)


def dense(workdir: pathlib.Path, plan: Plan) -> Mapping[str, np.ndarray]:
    """A run's dense records."""
    return dict(records.dense(paths.run_dir(workdir, plan.study, plan.id)))
