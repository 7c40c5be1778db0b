"""A batch and a group over several devices: the numbers of one device. Eight host devices in a process of their own."""

import json
import pathlib
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
import toy

from bsresearch.launching import groups
from bsresearch.planning import resolve
from bsresearch.train.devices import layout, shards
from bsresearch.train.devices.layout import Layout

HERE = pathlib.Path(__file__).parent

CNN = {'model': {'name': 'cnn', 'widths': (4, 8), 'dense_width': 16, 'batch_norm': True}}
MODELS: dict[str, dict[str, Any]] = {
    'mlp': {'optimizer__name': 'momentum', 'momentum': 0.9},
    # Its one batch-norm group is the whole batch, so it lies over all devices.
    'cnn': CNN,
    # Whole groups on each device.
    'ghosts': CNN | {'ghost_batch_size': 5},
    # Keys follow the example, wherever it lies; the stream's epoch ends inside batches.
    'noisy': {'data__augment': ('flip', 'crop'), 'data__crop_padding': 1, 'data__fraction': 0.03,
              'model': {'name': 'mlp', 'widths': (16,), 'dropout': 0.3}, 'data_residence': 'host'},
}  # fmt: skip
# A user's, with whole batch-norm groups on each device. In float32 4e-6 of flax's variance, a difference, is rounding.
OWN = ('two_norms', 'nnx_two_norms')
MODELS |= {
    name: {'model': {'name': f'{HERE}/users_networks.py:{name}', 'dropout': 0.3}, 'ghost_batch_size': 5,
           'dtype': 'float64'}
    for name in OWN
}  # fmt: skip
# Its groups lie over all devices, at every depth.
MODELS['resnet'] = {'model': {'name': 'resnet', 'depth': 8, 'width': 2}, 'dtype': 'float64'}
IN_FLOAT64 = (*OWN, 'resnet')
TWO, FOUR, EIGHT = {'devices': 2}, {'devices': 4}, {'devices': 8}
PMAP = FOUR | {'parallel': 'pmap'}
ALONE = {'devices': 1}
ORDERED = {'reduction': 'ordered', 'optimizer__name': 'adam'}
# Made of the same parts as two_norms and cnn: the slow tests have 100 updates of them.
LONG_ALONE = ('nnx_two_norms', 'resnet')
# Whose faults other cases show too: cnn/pmap, group/mesh, group/streamed, two_norms, lone/group.
COVERED = (
    'mlp/pmap', 'ordered/linear/pmap', 'even/alone', 'even/four', 'group/turns', 'ghosts/alone', 'ghosts/four',
    'lone/own group/alone', 'lone/own group/four',
)  # fmt: skip
Cases = dict[str, dict[str, Any]]


def tasks(count: int, dtype: str) -> Cases:
    """Each model alone and on devices, at a batch that they cannot share evenly; one that they can."""
    common = {'count': count, 'dtype': dtype, 'total_steps': 200, 'batch_size': 30}
    cases = {f'{name}/alone': common | model | ALONE for name, model in MODELS.items()}
    cases |= {f'{name}/four': common | model | FOUR for name, model in MODELS.items()}
    cases |= {f'{name}/pmap': common | MODELS[name] | PMAP for name in ('mlp', 'cnn')}
    for where, place in {'alone': ALONE, 'four': FOUR}.items():
        cases[f'even/{where}'] = common | MODELS['mlp'] | place | {'batch_size': 32}
    # What pads the last micro-batch of one device's 15 examples is real on the next device.
    for where, place in {'alone': ALONE | {'micro_batch_size': 30}, 'two': TWO | {'micro_batch_size': 8}}.items():
        cases[f'micro/{where}'] = common | MODELS['mlp'] | place
    return cases


def long_tasks() -> Cases:
    """100 updates in float64 of the models whose devices have something to say to each other but the gradient."""
    kept = ('cnn', 'noisy', *IN_FLOAT64)
    return {k: v for k, v in tasks(100, 'float64').items() if k.split('/')[0] in kept and 'pmap' not in k}


def ordered(**more: Any) -> Cases:
    """The reduction in a fixed order."""
    places = {'alone': ALONE, 'two': TWO, 'pmap': PMAP} | more
    linear = {'model': {'name': 'mlp', 'widths': ()}}
    common = ORDERED | linear | {'batch_size': 30, 'count': 10, 'as_shipped': True}
    return {f'ordered/linear/{k}': common | place for k, place in places.items()}


def in_float32() -> Cases:
    """What one update does, the groups, and what is added in a fixed order."""
    cases = tasks(1, 'float32') | several() | ordered()
    assert cases.keys() >= set(COVERED)
    return {k: v for k, v in cases.items() if k not in COVERED and k.split('/')[0] not in LONG_ALONE}


def several() -> Cases:
    """Groups of runs over rows of devices; batch-norm groups of one example."""
    cases = {}
    seeds = {'sweep.seed': (0, 1, 2, 3), 'count': 5, 'total_steps': 10, 'batch_size': 12}
    for name, place in {
        'alone': ALONE, 'rows': FOUR, 'mesh': EIGHT, 'turns': FOUR | {'mesh__replica': 2},
        'together': FOUR | {'strategy': 'vmap', 'mesh__replica': 2}, 'pmap': TWO | {'parallel': 'pmap'},
        'streamed': FOUR | {'data_residence': 'host', 'mesh__replica': 2},
    }.items():  # fmt: skip
        cases[f'group/{name}'] = seeds | place
    # The last batch is a single example, or one more than whole batch-norm groups.
    normed = {'model': {'name': 'mlp', 'widths': (16,), 'batch_norm': True}, 'count': 2, 'total_steps': None}
    groups = {'batch_size': 16, 'ghost_batch_size': 4, 'total_examples': 25}
    for name, lone in {
        'one': {'batch_size': 16, 'total_examples': 17},
        'group': groups,
        'own group': MODELS['two_norms'] | groups,
    }.items():
        for where, place in {'alone': ALONE, 'four': FOUR}.items():
            cases[f'lone/{name}/{where}'] = normed | lone | place
    return cases


class Found(NamedTuple):
    """Of each case: (replicas, n) movement and (replicas, count) losses."""

    moved: dict[str, np.ndarray]
    loss: dict[str, np.ndarray]


def start(folder: pathlib.Path, cases: Cases, name: str) -> Any:
    """A process that makes the cases; `float64` with 64-bit mode on."""
    (folder / f'{name}.json').write_text(json.dumps(cases))
    env = toy.environment(hurry=False, JAX_NUM_CPU_DEVICES='8', JAX_ENABLE_X64=str(name == 'float64'))
    command = [sys.executable, str(HERE / 'on_devices.py'), str(folder / f'{name}.json'), str(folder / f'{name}.npz')]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.fixture(scope='module')
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What comes of `in_float32`."""
    return devices(tmp_path_factory.mktemp('devices'), {'float32': in_float32()})['float32']


@pytest.fixture(scope='module')
def after_100(tmp_path_factory: pytest.TempPathFactory) -> Found:
    """What 100 updates do in float64."""
    return devices(tmp_path_factory.mktemp('after 100'), {'float64': long_tasks()})['float64']


def devices(folder: pathlib.Path, cases: Mapping[str, Cases]) -> dict[str, Found]:
    """Each set of cases made in a process of its own."""
    running = {name: start(folder, wanted, name) for name, wanted in cases.items()}
    result = {}
    for name, process in running.items():
        said, _ = process.communicate(timeout=600)
        assert process.returncode == 0, said
        arrays = dict(np.load(folder / f'{name}.npz'))
        loss = {k.removesuffix('/loss'): v for k, v in arrays.items() if k.endswith('/loss')}
        result[name] = Found({k: arrays[k] for k in loss}, loss)
    return result


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖/‖b‖."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def spread(cases: Cases, prefix: str = '') -> list[str]:
    """The names of those that lie over several devices."""
    return [k for k in cases if k in in_float32() and k.startswith(prefix) and not k.endswith('alone')]


@pytest.mark.parametrize('case', spread(tasks(1, '')))
def test_invariant_3_devices_change_nothing_after_one_update(found: Found, case: str):
    """1e-6 of the movement and of the loss, in float64 1e-12: jit and pmap, at a B that the devices do not divide."""
    name = case.split('/')[0]
    limit = 1e-12 if name in IN_FLOAT64 else 1e-6
    assert relative(found.moved[case], found.moved[f'{name}/alone']) < limit
    assert relative(found.loss[case], found.loss[f'{name}/alone']) < limit


@pytest.mark.slow
@pytest.mark.parametrize('case', [k for k in long_tasks() if not k.endswith('alone')])
def test_invariant_3_devices_change_nothing_after_100_updates(after_100: Found, case: str):
    """1e-10 in float64, the losses of all updates too."""
    moved, loss = after_100
    alone = f'{case.split("/")[0]}/alone'
    assert relative(moved[case], moved[alone]) < 1e-10
    assert relative(loss[case], loss[alone]) < 1e-10


@pytest.mark.slow
def test_invariant_3_eight_devices_change_nothing(tmp_path: pathlib.Path):
    """As above, every case of four devices on eight of them; the ordered ones bit for bit."""
    ghosts = MODELS['cnn'] | {'ghost_batch_size': 2, 'batch_size': 30, 'count': 10, 'as_shipped': True}
    places = {'alone': ALONE, 'two': TWO, 'four': FOUR}
    wide = lambda cases: {k: v | EIGHT if v['devices'] == 4 and 'group' not in k else v for k, v in cases.items()}
    cases = {
        'float32': wide(tasks(1, 'float32') | several()),
        'float64': wide(tasks(100, 'float64')),
        'ordered': wide(ordered(four=FOUR) | {f'ordered/ghosts/{k}': ORDERED | ghosts | v for k, v in places.items()}),
    }
    for name, found in devices(tmp_path, cases).items():
        for case, moved in found.moved.items():
            alone = f'{case.rpartition("/")[0]}/alone'
            limit = 2e-6 if case in several() else {'float32': 1e-6, 'float64': 1e-10, 'ordered': 0}[name]
            assert relative(moved, found.moved[alone]) <= limit, case


@pytest.mark.parametrize('case', spread(several(), 'lone/'))
def test_invariant_9_devices_agree_on_a_group_of_one(found: Found, case: str):
    """A last batch-norm group of one example leaves the same statistics behind on any number of devices."""
    assert relative(found.moved[case], found.moved[f'{case.rpartition("/")[0]}/alone']) < 2e-6


@pytest.mark.parametrize('case', spread(several(), 'group/'))
def test_invariant_3_rows_of_devices_train_each_run_as_alone(found: Found, case: str):
    """Four runs on rows of devices, in turns, together or with a part of the batch each, which they divide evenly."""
    moved = found.moved
    for own, alone in zip(moved[case], moved['group/alone'], strict=True):
        assert relative(own, alone) < 2e-6
    assert relative(moved[case][0], moved['group/alone'][1]) > 1e-2  # runs are not mixed up


@pytest.mark.parametrize('case', spread(ordered()))
def test_invariant_3_ordered_reduction_gives_the_same_bits(found: Found, case: str):
    """Ten updates of Adam, a linear model, which part from any rounding: bit for bit on any number of devices."""
    moved, loss = found
    alone = f'{case.rsplit("/", 1)[0]}/alone'
    np.testing.assert_array_equal(moved[case], moved[alone])
    np.testing.assert_array_equal(loss[case], loss[alone])


def test_ordered_reduction_cuts_the_batch_on_one_device_too():
    """So the bits above are not equal because nothing was cut: padded chunks on one device too."""
    (plan,) = toy.plans(batch_size=30, total_steps=40, **ORDERED)
    assert shards.of(plan, 30, 1) == shards.Shards(devices=1, lanes=32, chunks=8)
    assert shards.of(plan, 30, 2) == shards.Shards(devices=2, lanes=16, chunks=8)


@pytest.mark.parametrize(
    ('batch_size', 'ghost', 'devices', 'lanes'),
    [
        (32, None, 8, 4),
        (30, None, 8, 4),
        (1, None, 8, 1),
        (30, 30, 8, 4),
        (30, 5, 8, 5),
        (32, 4, 2, 16),
        (36, 4, 2, 20),
    ],
)
def test_lanes_hold_whole_batch_norm_groups(batch_size: int, ghost: int | None, devices: int, lanes: int):
    """Invariant 9: no group straddles devices, but for the one that is the whole batch."""
    model = CNN | {'ghost_batch_size': ghost} if ghost else {}
    (plan,) = toy.plans(batch_size=batch_size, **model)
    cut = shards.of(plan, batch_size, devices)
    assert cut is not None
    assert cut.lanes == lanes
    assert shards.spans_batch(plan, batch_size) == (ghost == batch_size)


class Device(NamedTuple):
    """As much of a device as a layout looks at."""

    id: int
    platform: str = 'gpu'


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight devices."""
    monkeypatch.setattr(jax, 'devices', lambda: [Device(i) for i in range(8)])


@pytest.mark.parametrize(
    ('runs', 'changes', 'sides'),
    [
        (1, {'batch_size': 32}, (1, 8)),
        (8, {}, (8, 1)),
        (4, {}, (4, 2)),
        (3, {}, (3, 2)),  # 6 of 8 devices: rows that the runs fill evenly
        (16, {}, (8, 1)),
        (1, {'batch_size': 3}, (1, 3)),  # more devices would have nothing to do
        (1, CNN | {'batch_size': 12, 'ghost_batch_size': 4}, (1, 3)),
        (1, {'batch_size': 32, 'devices': 6, 'reduction': 'ordered'}, (1, 4)),  # divides the 8 chunks
        (4, {'mesh__replica': 2}, (2, 4)),
        (4, {'mesh__batch': 4}, (2, 4)),
        (1, {'mesh__batch': 4}, (1, 4)),
        (4, {'mesh__replica': 2, 'mesh__batch': 1}, (2, 1)),
        (4, {'parallel': 'pmap'}, (1, 8)),
        (4, {'devices': 1}, (1, 1)),
    ],
)
@pytest.mark.usefixtures('eight')
def test_layout_spreads_replicas_first(runs: int, changes: dict[str, Any], sides: tuple[int, int]):
    """By itself rows that divide the runs, then as many columns as a batch has pieces for; else as asked."""
    seeds = {'sweep.seed': tuple(range(runs))} if runs > 1 else {}
    chosen = layout.choose(toy.plans(**seeds, **changes))
    assert (chosen.replicas, chosen.batch) == sides
    assert len(chosen.devices) == sides[0] * sides[1]
    assert str(chosen) == '1 device' if chosen.single else f'{sides[0]} × {sides[1]} devices' in str(chosen)


BAD = {
    'more than there are': ({'devices': 16}, 'config.devices=16: there are 8 (gpu, in 1 processes); ask for at most 8'),
    'does not divide': ({'mesh__batch': 3}, 'config.mesh.batch=3 does not divide 8 devices; choose a divisor'),
    'too large': ({'mesh__replica': 4, 'mesh__batch': 4},
                  'config.mesh.replica=4 × config.mesh.batch=4 makes 16, which does not fit the 8 devices there are'),
    'not the devices': ({'devices': 8, 'mesh__replica': 2, 'mesh__batch': 3},
                        'makes 6, which does not fit config.devices=8; choose sides that multiply'),
    'not the runs': ({'mesh__replica': 8}, 'config.mesh.replica=8 does not divide the 4 runs of a group'),
    'pmap rows': ({'mesh__replica': 2, 'parallel': 'pmap'}, 'config.mesh.replica=2: pmap spreads the batch alone'),
    'uneven': ({'mesh__batch': 8, 'mesh__replica': 1, 'batch_size': 30, 'uneven_batch': 'refuse'},
               'batch_size=30 does not divide evenly into 8 pieces, and config.uneven_batch=refuse'),
    'chunks': ({'devices': 6, 'mesh__batch': 6, 'reduction': 'ordered', 'batch_size': 32},
               'config.reduction=ordered adds 8 chunks, which 6 devices cannot share'),
}  # fmt: skip


@pytest.mark.parametrize('case', BAD)
@pytest.mark.usefixtures('eight')
def test_bad_layouts_are_refused(case: str):
    """What is wrong, what is there, and the cure."""
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)):
        layout.choose(toy.plans(**{'sweep.seed': (0, 1, 2, 3)}, **changes))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'parallel': 'pmpa'}, "did you mean 'pmap'?"),
        ({'reduction': 'tree'}, "config.reduction='tree'"),
        ({'devices': 0}, 'config.devices=0: must be at least 1'),
        ({'mesh__batch': 0}, 'config.mesh.batch=0: must be at least 1'),
        (CNN | {'reduction': 'ordered', 'batch_size': 16}, 'cannot cut a batch that is one batch-norm group of 16'),
        (
            CNN
            | {'reduction': 'ordered', 'total_epochs': 1.0}
            | {'batch_schedule__name': 'growth', 'batch_schedule__at_fractions': (0.5,)},
            'cannot cut a batch that is one batch-norm group of 8',  # of the first segment alone
        ),
    ],
)
def test_bad_fields_are_refused_when_planned(changes: dict[str, Any], message: str):
    """Before anything is compiled."""
    with pytest.raises(ValueError, match=re.escape(message)):
        toy.plans(**changes)


def test_devices_make_no_new_run_and_are_chosen_at_each_launch(workdir: pathlib.Path):
    """They are outside the id, and a resume takes what its own command says; the order of sums stays as begun."""
    (plan,) = toy.plans()
    (other,) = toy.plans(devices=1, parallel='pmap', uneven_batch='refuse', reduction='ordered')
    assert plan.id == other.id
    workdir.mkdir()
    (begun,) = groups.form(workdir, [other], print)
    (found,) = groups.form(workdir, [plan], print)
    assert begun.plans[0].execution['parallel'] == 'pmap'
    assert found.plans[0].execution['parallel'] == 'jit'
    assert found.plans[0].execution['reduction'] == 'ordered'


def test_one_device_is_not_mapped():
    """The plain program, as ever."""
    (plan,) = toy.plans()
    assert layout.choose([plan]).single
    assert shards.of(plan, plan.batch_size, 1) is None
    assert Layout(()).single
    assert resolve.dataset(plan.data).train is not None
