"""Operations against closed forms; memory against the arrays and programs of a real Session."""

import gc
import itertools
import json
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import Any

import jax
import numpy as np
import pytest
import toy

from bsresearch.launching import dry_run
from bsresearch.models import convolutions
from bsresearch.planning import branch, resolve
from bsresearch.planning.plan import Plan
from bsresearch.train.devices import compiling, layout, parallel
from bsresearch.train.session import Session
from bsresearch.train.sizing import flops, memory

ROOT = pathlib.Path(__file__).parent.parent
MLP, CNN = {'name': 'mlp', 'widths': (1024, 1024)}, {'name': 'cnn'}
SMALL = {'name': 'mlp', 'widths': (64, 64)}


def dense(*sizes: int) -> list[int]:
    """Multiplications and additions of an example's forward pass through dense layers, each layer's."""
    return [2 * a * b for a, b in itertools.pairwise(sizes)]


def closed_form(plan: Plan) -> float:
    """Forward pass, gradient of the weights, gradient of the inputs but for the first layer's; 2 for each weight of
    SGD's update."""
    if plan.model['name'] == 'mlp':
        layers = dense(64, *plan.model['widths'], 10)
        weights = sum(x // 2 for x in layers) + sum(plan.model['widths']) + 10
    else:  # digits: 8 × 8, 3 × 3 kernels on SAME borders, halved twice
        layers = [2 * 64 * 9 * 32, 2 * 16 * 9 * 32 * 64, *dense(4 * 64, 128, 10)]
        weights = 9 * 32 + 32 + 9 * 32 * 64 + 64 + 256 * 128 + 128 + 1280 + 10
    return plan.batch_size * (2 * layers[0] + 3 * sum(layers[1:])) + 2 * weights


def counted(plan: Plan) -> float:
    return flops.of_update([plan], resolve.dataset(plan.data), plan.batch_size)


@pytest.mark.parametrize(
    ('model', 'size', 'tolerance'), [(MLP, 1, 0.005), (MLP, 32, 0.01), (MLP, 1024, 0.01), (CNN, 128, 0.04)]
)
def test_operations_of_an_update(model: dict[str, Any], size: int, tolerance: float):
    """Closed form. What it leaves out (ReLU, pooling, biases, the loss) is above it and within the tolerance."""
    (plan,) = toy.plans(model=model, batch_size=size)
    assert 1 <= counted(plan) / closed_form(plan) <= 1 + tolerance


def test_operations_do_not_depend_on_how_a_batch_is_cut():
    """Micro-batches change nothing, also uneven ones; another optimizer and an average add a few per weight."""
    whole, *cut = (toy.plans(model=SMALL, batch_size=96, micro_batch_size=m)[0] for m in (None, 32, 40, 1))
    assert {counted(plan) for plan in cut} == {counted(whole)}
    state = jax.eval_shape(lambda: toy.program.initial(toy.program.task(whole, 1.0, 'cpu'), whole))
    weights = memory.size(state.params)
    for more, most in (({'optimizer__name': 'adam'}, 20), ({'ema__half_life_epochs': 1.0}, 4)):
        (plan,) = toy.plans(model=SMALL, batch_size=96, **more)
        assert 2 * weights / 4 < counted(plan) - counted(whole) < most * weights / 4


def test_operations_do_not_depend_on_the_parts_of_a_convolution(monkeypatch: pytest.MonkeyPatch):
    """Where slices leave the cache it is made part by part in a loop, which XLA would count once."""
    (plan,) = toy.plans(model=CNN, batch_size=96)
    whole = counted(plan)
    monkeypatch.setattr(convolutions, 'CACHE', 1)
    assert counted(plan) == whole


def test_operations_grow_with_replicas_under_vmap():
    """In the compiled program of 1, 2 and 6 runs, whose loop over updates XLA counts once."""
    found = {}
    for count in (1, 2, 6):
        plans = toy.plans(model=SMALL, batch_size=32, strategy='vmap', sweep__seed=tuple(range(count)))
        strategy = parallel.choose('vmap', count, 'cpu')
        shapes = memory.Shapes(plans, resolve.dataset(plans[0].data), strategy, layout.ALONE)
        found[count] = next(shapes.programs()).compiled.cost_analysis()['flops']
    for count in (2, 6):
        assert found[count] == pytest.approx(count * found[1], rel=0.02)


def test_operations_of_a_run_with_a_growing_batch_and_a_branch():
    """Updates times each one's operations, of its own part; evaluations: the forward pass of every example."""
    growing = {'batch_schedule__name': 'growth', 'batch_schedule__at_fractions': (0.5,), 'batch_schedule__factor': 2.0}
    changes = {'model': SMALL, 'total_steps': None, 'total_epochs': 2.0, 'batch_size': 32, **growing}
    (plan,) = toy.plans(**changes)
    sizes = [(s.stop - s.start, s.batch_size) for s in plan.length.segments]
    assert [size for _, size in sizes] == [32, 64]
    each = {size: counted(toy.plans(model=SMALL, batch_size=size)[0]) for _, size in sizes}
    updates, evaluations = dry_run.run_flops(plan)
    assert updates == pytest.approx(sum(count * each[size] for count, size in sizes), rel=1e-9)
    forward = 3 * 1797 * sum(dense(64, 64, 64, 10))
    assert forward < evaluations < 1.1 * forward
    (parent,) = toy.plans(model=SMALL, total_steps=20)
    child = branch.branch(parent, 'x', 20, {'total_steps': 25, 'batch_size': 64})
    assert dry_run.run_flops(child)[0] == pytest.approx(5 * each[64], rel=1e-9)


# --- memory

CASES: dict[str, dict[str, Any]] = {
    'plain': {},
    'streamed': {'data_residence': 'host', 'batch_size': 64},
    'much': {
        'optimizer__name': 'adam', 'ema__half_life_epochs': 1.0, 'measure__path_length__every_steps': 5,
        'data__validation': 0.1,
    },
    'growing': {
        'total_steps': None, 'total_epochs': 1.0, 'batch_schedule__name': 'growth',
        'batch_schedule__at_fractions': (0.5,), 'batch_schedule__factor': 2.0,
    },
}  # fmt: skip
MESHES: dict[str, dict[str, Any]] = {
    'replicas': {'strategy': 'vmap'},
    'rounds of replicas': {'strategy': 'sequential'},
    'batch': {'strategy': 'vmap', 'mesh__replica': 1, **CASES['streamed']},
    'pmap': {'strategy': 'sequential', 'parallel': 'pmap', 'batch_size': 64},
}


def on_first_device(before: set[int]) -> int:
    """Bytes of arrays there that are not of `before`."""
    device, found = jax.devices()[0], 0
    for x in jax.live_arrays():
        if id(x) not in before and device in x.sharding.device_set:
            found += int(np.prod(x.sharding.shard_shape(x.shape))) * x.dtype.itemsize
    return found


def trained(strategy: str, part: float = 0.5, **changes: Any) -> dict[str, Any]:
    """A Session of four runs after a `part` of its updates: bytes of its arrays on the first device, and what was
    foretold; memory of its programs, and of those that were analysed."""
    plans = toy.plans(**{'model': SMALL, 'sweep__seed': (0, 1, 2, 3), 'strategy': strategy, **changes})
    dataset, mesh = resolve.dataset(plans[0].data), layout.choose(plans)
    gc.collect()
    kept = jax.live_arrays()
    with tempfile.TemporaryDirectory() as folder:
        directories = [pathlib.Path(folder) / name for name in ('g', *(p.id for p in plans))]
        for directory in directories:
            directory.mkdir()
        compiling.KEPT.clear()
        session = Session(plans, dataset, directories[0], directories[1:], strategy, toy.Quiet(), mesh)
        t, _ = session.start()
        session.observe(t)
        while t < part * session.events.total:
            t += session.advance(t)
        gc.collect()
        live = on_first_device({id(x) for x in kept})
        ran = [usage(program) for program in compiling.KEPT.values()]
        session.close()
    shapes = memory.Shapes(plans, dataset, strategy, mesh)
    analysed = list(shapes.programs())
    foretold = shapes.held(max(map(shapes.needed, analysed)))
    programs = {p.name: usage(p.compiled) for p in analysed}
    return {'live': live, 'memory': foretold._asdict(), 'programs': programs, 'ran': ran}


def usage(compiled: Any) -> list[int]:
    """Bytes of arguments, results, what they share, temporaries."""
    m = compiled.memory_analysis()
    return [getattr(m, f'{part}_size_in_bytes') for part in ('argument', 'output', 'alias', 'temp')]


def assert_as_foretold(found: dict[str, Any], *, waiting: float) -> None:
    """Within 4 % and 4 KiB, of the chunk what is there between calls; every analysed program is one that was run."""
    foretold = found['memory']
    there = foretold['data'] + foretold['runs'] + waiting * foretold['chunk']
    assert found['live'] == pytest.approx(there, rel=0.04, abs=2**12), found
    for name, program in found['programs'].items():
        assert program in found['ran'], (name, found)
    assert foretold['programs'] >= max(p[3] for p in found['programs'].values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ('case', 'strategy'),
    [('plain', 'vmap'), ('plain', 'sequential'), ('streamed', 'vmap'), ('much', 'sequential'), ('growing', 'vmap')],
)
def test_memory_is_that_of_a_session(case: str, strategy: str):
    """On one device. A chunk's tables come with its call; streamed examples of the next one wait there."""
    found = trained(strategy, 1.0 if case == 'growing' else 0.5, **CASES[case])
    assert_as_foretold(found, waiting=0.5 if case == 'streamed' else 0)
    runs = toy.plans(model=SMALL, **CASES[case])
    state = 4 * (64 * 64 + 64 + 64 * 64 + 64 + 650)
    copies = 6 if case == 'much' else 2  # and Adam's two slots, the average, the path's last point
    assert len(runs) * 4 * copies * state <= found['memory']['runs'] < 4 * copies * state * 1.01


@pytest.mark.slow
def test_memory_is_that_of_a_session_on_two_devices():
    """In a process that has two: replicas on one each, batches shared by jit and pmap, both strategies."""
    code = 'import json, test_device_cost as t; print("found", json.dumps(t.of_meshes()))'
    environment = toy.environment(hurry=False, JAX_NUM_CPU_DEVICES='2')
    done = subprocess.run([sys.executable, '-c', code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.split('found ')[1])
    for name, of in found.items():
        assert_as_foretold(of, waiting=0.5)
        once = 2 if 'replicas' in name else 4
        assert of['memory']['runs'] == pytest.approx(once * 2 * 4 * 8970, rel=0.01)


def of_meshes() -> dict[str, Any]:
    """For the test above."""
    off = {'measure__distance__every_epochs': 0.0, 'measure__parameter_norm__every_epochs': 0.0}
    return {name: trained(**off, **mesh) for name, mesh in MESHES.items()}


@pytest.mark.slow
@pytest.mark.parametrize('model', [MLP, CNN, CNN | {'batch_norm': True}], ids=['mlp', 'cnn', 'cnn with norm'])
def test_the_estimate_is_near_what_xla_says(model: dict[str, Any]):
    """The whole within three times, for either strategy; small and large gradient calls."""
    for strategy, size, micro in (('sequential', 8, None), ('vmap', 8, None), ('vmap', 128, 128), ('vmap', 128, 32)):
        plans = toy.plans(
            model=model, batch_size=size, micro_batch_size=micro, strategy=strategy, sweep__seed=(0, 1, 2),
            ghost_batch_size=8, measure__distance__every_epochs=0.0, measure__parameter_norm__every_epochs=0.0,
        )  # fmt: skip
        given = plans, resolve.dataset(plans[0].data), strategy, layout.ALONE
        exact, rough = memory.analysed(*given), memory.estimate(*given)
        assert rough[:3] == exact[:3]
        assert 1 / 3 < rough.total / exact.total < 3, (size, micro, strategy, exact, rough)


def test_measurements_are_part_of_it():
    """The Lanczos vectors of the Hessian's eigenvalues, 40 by default, are most of what these runs need."""
    (plan,) = toy.plans(model=SMALL, measure__hessian_eigenvalues__every_epochs=1.0)
    given = [plan], resolve.dataset(plan.data), 'sequential', layout.ALONE
    weights = 4 * 8970
    for size in (memory.analysed, memory.estimate):
        assert 40 * weights < size(*given).programs < 100 * weights


def test_what_the_platform_does_not_tell_is_an_error(monkeypatch: pytest.MonkeyPatch):
    (plan,) = toy.plans(model=SMALL)
    monkeypatch.setattr(jax.stages.Compiled, 'memory_analysis', lambda _: None)
    monkeypatch.setattr(jax.stages.Lowered, 'cost_analysis', lambda _: None)
    with pytest.raises(ValueError, match='XLA does not tell on cpu what memory'):
        memory.analysed([plan], resolve.dataset(plan.data), 'sequential', layout.ALONE)
    with pytest.raises(ValueError, match=re.escape('XLA does not tell on cpu how many operations')):
        counted(plan)
