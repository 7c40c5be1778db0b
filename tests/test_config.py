"""From a config to runs: ids, grids, overrides, groups, invariant 2; bad input, refused before anything is written."""

import functools
import hashlib
import itertools
import json
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

import pytest
import toy

from bsresearch import studies
from bsresearch.core import lookup
from bsresearch.core.flat import flatten
from bsresearch.launching import command, groups
from bsresearch.planning import edit, plan, resolve, schema, sections, sweep
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import probes_of, runs_of
from bsresearch.store import paths

ROOT = pathlib.Path(__file__).parents[1]
CONFIGS = sorted((ROOT / 'configs').glob('*.py'))
GOLDEN_IDS = json.loads((ROOT / 'tests' / 'config_ids.json').read_text())


def declared(**axes: Any) -> dict[str, Any]:
    """The default config on digits, two epochs; `axes` go into the sweep."""
    config = schema.defaults().to_dict()
    return config | {'total_epochs': 2.0, 'sweep': axes}


def plans(overrides: dict[str, Any] | None = None, **axes: Any) -> list[Plan]:
    return sweep.expand(declared(**axes), overrides)


def one(overrides: dict[str, Any] | None = None) -> Plan:
    (found,) = plans(overrides)
    return found


SHORT = {'total_epochs': 2.0}


@functools.cache
def default() -> Plan:
    """The run of the default config."""
    return one()


# --- ids


def test_golden_id():
    """Golden number and closed form: sha256 of the canonical JSON of what differs from the defaults.

    When to change me: never for the same schema version. A changed id makes every finished run look new; if it must
    be, raise paths.SCHEMA_VERSION with it. A new field whose default is the old behaviour changes no id.
    """
    p = one()
    assert p.identity() == {'total_examples': 2 * 1437}
    assert p.id == hashlib.sha256(b'{"total_examples":2874}').hexdigest()[:12] == 'c91b89072fda'
    rich = one({'data.name': 'blobs', 'data.cluster_std': 1.0, 'model.widths': [50], 'batch_size': 100, 'seed': 3,
                'optimizer.name': 'momentum', 'momentum': 0.5, 'warmup.steps': 3, 'learning_rate': 1})  # fmt: skip
    text = (
        '{"batch_size":100,"data":{"cluster_std":1,"name":"blobs"},"data_seed":3,"init_seed":3,"learning_rate":1,'
        '"model":{"widths":[50]},"momentum":0.5,"optimizer":{"name":"momentum"},"total_examples":1000,'
        '"warmup":{"examples":300}}'
    )
    assert plan.canonical(rich.identity()) == text
    assert rich.id == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_the_defaults_that_ids_leave_out_are_fixed():
    """Golden numbers: changing one would give runs of another meaning the ids of old ones.

    When to change me: add a line for a new field; change none without raising paths.SCHEMA_VERSION.
    """
    fixed = {
        'study': 'train', 'seed': 0, 'batch_size': 32, 'epoch_boundary': 'through', 'learning_rate': 0.1,
        'momentum': None, 'weight_decay': 0, 'dtype': 'float32', 'matmul_precision': 'highest',
        'data.name': 'digits', 'data.fraction': 1, 'data.validation': 0, 'data.split_seed': 0,
        'data.mean': (0,), 'data.std': (1,), 'data.augment': (), 'data.crop_padding': 4, 'model.name': 'mlp',
        'loss.name': 'cross_entropy', 'schedule.name': 'constant', 'clip.norm': None, 'clip.value': None,
        'warmup.start': 0, 'warmup.convention': 'zero_based', 'scaling.name': 'none',
        'scaling.reference_batch_size': None, 'divergence.loss_factor': None, 'divergence.patience': 1,
        'no_decay': (), 'momentum_schedule.name': 'constant', 'weight_decay_schedule.name': 'constant',
        'batch_schedule.name': 'constant', 'batch_schedule.as_learning_rate': False, 'warmup.shape': 'gradual',
        'warmup.delays_schedule': False, 'scaling.weight_decay': None, 'scaling.momentum': None,
        'scaling.warmup': None, 'scaling.regime_adaptation': False, 'ema.half_life_epochs': None,
        'ema.half_life_examples': None, 'data.classes': (), 'layer_rates': (), 'init_from': '', 'init_new': (),
    }  # fmt: skip
    assert {k: v for k, v in flatten(schema.defaults().to_dict()).items() if k in fixed} == fixed
    parts = {
        ('model', 'linear'): {'init': 'glorot_normal'},
        ('model', 'mlp'): {'widths': (1024, 1024), 'init': 'glorot_normal', 'batch_norm': False, 'dropout': 0},
        ('model', 'cnn'): {'widths': (32, 64), 'kernel_size': 3, 'dense_width': 128, 'init': 'he_normal'},
        ('optimizer', 'adam'): {'beta2': 0.999, 'epsilon': 1e-8},
        ('schedule', 'step'): {'factor': 0.1, 'at_epochs': (), 'at_fractions': ()},
        ('data', 'blobs'): {'num_examples': 1000, 'centers': 3, 'features': 2, 'cluster_std': 2, 'random_state': 2},
    }
    for (section, name), values in parts.items():
        found = sections.defaults(section, name)
        assert {k: found[k] for k in values} == values, (section, name)


# For each field that makes an id, another value (with what it takes to be allowed).
MOMENTUM = {'optimizer.name': 'momentum'}
STEP = {'schedule.name': 'step', 'schedule.at_epochs': (1.0,)}
GROWN = {'batch_schedule.name': 'growth', 'batch_schedule.at_epochs': (1.0,)}
FIXED = {'scaling.reference_batch_size': 16}
CHANGED_VALUES: dict[str, Any] = {
    'seed': {'seed': 1},
    'init_seed': {'init_seed': 1},
    'data_seed': {'data_seed': 1},
    'batch_size': {'batch_size': 33},
    'total_epochs': {'total_epochs': 2.1},
    'total_examples': {'total_examples': 2875},
    'total_steps': {'total_steps': 5},
    'epoch_boundary': {'epoch_boundary': 'partial'},
    'learning_rate': {'learning_rate': 0.2},
    'momentum': MOMENTUM | {'momentum': 0.5},
    'weight_decay': {'weight_decay': 1e-4},
    'data.name': {'data.name': 'blobs'},
    'data.fraction': {'data.fraction': 0.5},
    'data.validation': {'data.validation': 0.1},
    'data.split_seed': {'data.split_seed': 1},
    'data.classes': {'data.classes': (0, 1)},
    'layer_rates': {'layer_rates': ('bias=0',)},
    'data.mean': {'data.mean': (0.1307,)},
    'data.std': {'data.std': (0.3081,)},
    'data.augment': {'data.augment': ('flip',)},
    'data.crop_padding': {'data.crop_padding': 2},
    'model.name': {'model.name': 'linear'},
    'loss.name': {'loss.name': 'sum_of_outputs'},
    'model.widths': {'model.widths': (16,)},
    'dtype': {'dtype': 'bfloat16'},
    'matmul_precision': {'matmul_precision': 'high'},
    'optimizer.name': MOMENTUM,
    'clip.norm': {'clip.norm': 1.0},
    'clip.value': {'clip.value': 1.0},
    'schedule.name': STEP,
    'schedule.factor': STEP | {'schedule.factor': 0.5},
    'warmup.epochs': {'warmup.epochs': 1.0},
    'warmup.examples': {'warmup.examples': 100},
    'warmup.steps': {'warmup.steps': 2},
    'warmup.start': {'warmup.steps': 2, 'warmup.start': 0.5},
    'warmup.convention': {'warmup.steps': 2, 'warmup.convention': 'one_based'},
    'scaling.name': {'scaling.name': 'sqrt', 'scaling.reference_batch_size': 32},
    'scaling.reference_batch_size': {'scaling.name': 'sqrt', 'scaling.reference_batch_size': 16},
    'no_decay': {'weight_decay': 1e-4, 'no_decay': ('bias',)},
    'momentum_schedule.name': MOMENTUM | {'momentum_schedule.name': 'cosine'},
    'weight_decay_schedule.name': {'weight_decay': 1e-4, 'weight_decay_schedule.name': 'cosine'},
    'batch_schedule.name': GROWN,
    'batch_schedule.as_learning_rate': GROWN | {'batch_schedule.as_learning_rate': True},
    'warmup.shape': {'warmup.steps': 2, 'warmup.start': 0.1, 'warmup.shape': 'constant'},
    'warmup.delays_schedule': {'warmup.steps': 2, 'warmup.delays_schedule': True},
    'scaling.weight_decay': FIXED | {'weight_decay': 1e-4, 'scaling.weight_decay': 'linear'},
    'scaling.momentum': FIXED | MOMENTUM | {'scaling.momentum': 'half_life'},
    'scaling.warmup': FIXED | {'warmup.steps': 2, 'scaling.warmup': 'linear'},
    'scaling.regime_adaptation': FIXED | {'scaling.regime_adaptation': True},
    'ema.half_life_epochs': {'ema.half_life_epochs': 1.0},
    'ema.half_life_examples': {'ema.half_life_examples': 100},
    'divergence.loss_factor': {'divergence.loss_factor': 10.0},
    'divergence.patience': {'divergence.patience': 3},
    'stop_at_target': {'stop_at_target': 'test_loss:0.5'},
    'ghost_batch_size': {'model.batch_norm': True, 'ghost_batch_size': 8},
    'workers': {'model.batch_norm': True, 'workers': 2},
    'model.batch_norm': {'model.batch_norm': True},
}


@pytest.fixture(scope='module')
def changed() -> dict[str, Plan]:
    """A run for each of CHANGED_VALUES."""
    return {name: one(change) for name, change in CHANGED_VALUES.items()}


def test_every_field_that_determines_a_result_changes_the_id(changed: dict[str, Plan]):
    """Brute force over all of them: no two ids agree, nor with the default's."""
    ids = {name: plan.id for name, plan in changed.items()} | {'': default().id}
    assert len(set(ids.values())) == len(ids)


def test_every_field_either_makes_the_id_or_is_outside_it():
    """A contract: a new field is given a value in CHANGED_VALUES, or is execution, recording or question."""
    # One value so far; the grid is not a run's; a length in seconds enters an id in updates; for weights of another run
    # there must be one (test_fine_tuning.py).
    alone = {'study', 'sweep', 'total_seconds', 'init_from', 'init_new'}
    for name in flatten(schema.defaults().to_dict()):
        outside = name.split('.')[0] in (*schema.EXECUTION, *schema.RECORDING, *schema.QUESTION)
        assert outside + (name in CHANGED_VALUES) + (name in alone) == 1, name


def test_an_explicit_default_changes_no_id():
    """Invariance over every field, the parts' own included."""
    flat = flatten(schema.defaults().to_dict())
    for section in schema.NAMED:
        own = sections.defaults(section, schema.defaults()[section].name)
        flat |= {f'{section}.{k}': v for k, v in own.items()}
    expected = default().id
    given = {name: value for name, value in flat.items() if name not in edit.LENGTHS}
    assert one(given).id == expected
    for section in {name.partition('.')[0] for name in given if '.' in name} - {'measure'}:
        assert one({k: v for k, v in given.items() if k.startswith(f'{section}.')}).id == expected, section
    assert one({'init_seed': 0, 'data_seed': 0}).id == expected
    assert (
        one({'learning_rate': 0.1, 'momentum': None, 'data.fraction': 1, 'model.widths': [1024, 1024]}).id == expected
    )
    normed = one({'model.batch_norm': True}).id
    assert one({'model.batch_norm': True, 'ghost_batch_size': 32}).id == normed


@pytest.mark.parametrize(
    'change',
    [
        {'strategy': 'vmap'},
        {'max_replicas': 2},
        {'micro_batch_size': 8},
        {'data_residence': 'host'},
        {'record.dense': True},
        {'record.log_spaced': 10},
        {'norms.every_steps': 1},
        {'evaluate.every_epochs': 0.5, 'evaluate.batch_size': 100},
        {'checkpoint.at_steps': (3, 4)},
        {'keep.at_epochs': (1.0,)},
        {'measure.distance.every_steps': 2},
        {'measure.gradient_norm.batch_size': 32},
        {'tensorboard': True},
    ],
)
def test_execution_and_recording_change_no_id(change: dict[str, Any]):
    run = one(change)
    assert run.id == default().id
    assert plan.canonical(run.resolved()) != plan.canonical(default().resolved())


def test_one_length_in_any_unit_is_one_run():
    """Invariance: 2 epochs of 1437 = 2874 examples = 90 updates of 32 with short ends (45 an epoch) = 6 of 479."""
    for change in ({'batch_size': 479}, {'batch_size': 32, 'epoch_boundary': 'partial'}):
        steps = 6 if 'epoch_boundary' not in change else 90
        ids = {one(change | length).id for length in (
            {}, {'total_epochs': 2}, {'total_examples': 2874}, {'total_steps': steps}
        )}  # fmt: skip
        assert len(ids) == 1
        assert one(change).length.total_steps == steps
        warm = ({'warmup.epochs': 1.0}, {'warmup.examples': 1437}, {'warmup.steps': steps // 2})
        assert len({one(change | w).id for w in warm}) == 1


def test_canonical_is_one_text_for_one_value():
    assert plan.canonical({'b': 1.0, 'a': (1, 2.5, None, True)}) == '{"a":[1,2.5,null,true],"b":1}'
    assert plan.canonical([1]) != plan.canonical([True])
    assert plan.canonical(0.1) == '0.1'
    with pytest.raises(ValueError, match='not JSON compliant'):
        plan.canonical({'x': float('nan')})


def test_a_plan_survives_json(changed: dict[str, Plan]):
    """Invariance: the same plan again, tuples and all; its id; the id resolved anew from what it declares."""
    for p in changed.values():
        again = Plan.from_json(json.loads(json.dumps(p.to_json())))
        assert again == p
        assert (again.id, again.static_key()) == (p.id, p.static_key())
        assert [q.id for q in sweep.expand(again.declared)] == [p.id]


def test_a_plan_from_before_a_field_was_added_is_read():
    """What older groups wrote down lacks the newer fields: the run is the same, with their defaults."""
    p = one({'schedule.name': 'step', 'schedule.at_epochs': (1.0,), 'warmup.steps': 2, 'optimizer.name': 'momentum'})
    stored = json.loads(json.dumps(p.to_json()))
    for field in ('no_decay', 'momentum_schedule', 'weight_decay_schedule', 'batch_schedule', 'batch_changes', 'ema'):
        del stored[field]
    for section, fields in {
        'warmup': ('shape', 'delays_schedule'),
        'scaling': ('weight_decay', 'momentum', 'warmup', 'regime_adaptation'),
        'schedule': ('at_examples', 'every_epochs'),
        'optimizer': ('learning_rate_inside', 'decoupled'),
        'recording': ('snapshots',),
    }.items():
        for field in fields:
            del stored[section][field]
    for field in ('multiples', 'learning_rate_rule', 'evaluations', 'more_examples'):
        del stored['recording']['branch'][field]
    old = plan.Plan.from_json(stored)
    assert old == p
    assert (old.id, old.static_key()) == (p.id, p.static_key())


# --- invariant 2


def recorded(p: Plan) -> dict[str, Any]:
    """All numbers of a run, but those that hold its batch size by name, and the rule's own."""
    fields = {k: v for k, v in flatten(p.resolved()).items() if k not in ('batch_size', 'epoch_boundary')}
    rates = p.table(0, p.length.total_steps).learning_rate
    return fields | {'highest': rates.max(), 'lowest': rates.min()}


def test_invariant_2_nothing_scales_with_the_batch_size():
    """Invariance: over B from 1 to beyond the set, every other number of the run is the same, its rates too."""
    change = {
        'optimizer.name': 'adamw', 'momentum': 0.9, 'weight_decay': 0.01, 'clip.norm': 1.0, 'schedule.name': 'step',
        'schedule.at_epochs': (1.0,), 'warmup.epochs': 0.5, 'warmup.convention': 'one_based', 'warmup.start': 1.0,
    }  # fmt: skip
    found = [recorded(p) for p in plans(change, batch_size=(1, 7, 32, 1000, 1400))]
    assert all(f == found[0] for f in found[1:])
    assert found[0]['learning_rate'] == found[0]['highest'] == 0.1
    assert (found[0]['momentum'], found[0]['weight_decay'], found[0]['clip.norm']) == (0.9, 0.01, 1.0)


def test_invariant_2_micro_batches_and_batch_norm_groups_scale_nothing():
    change = {'model.batch_norm': True, 'ghost_batch_size': 8}
    found = [recorded(p) for p in plans(change, batch_size=(8, 64, 1024))]
    assert all(f == found[0] for f in found[1:])
    whole, micro = recorded(one()), recorded(one({'micro_batch_size': 4}))
    assert {k for k in whole if whole[k] != micro[k]} == {'execution.micro_batch_size'}


@pytest.mark.parametrize(('rule', 'factor'), [('linear', 4.0), ('sqrt', 2.0)])
def test_invariant_2_a_named_rule_scales_the_learning_rate_alone_and_is_recorded(
    tmp_path: pathlib.Path, rule: str, factor: float
):
    """Closed form: B = 4·B_ref; the resolved rate is in the plan, in its config.json and in every update's table."""
    change = {'scaling.name': rule, 'scaling.reference_batch_size': 32, 'momentum': 0.9, 'optimizer.name': 'momentum'}
    small, large = plans(change, batch_size=(32, 128))
    assert (small.policy.learning_rate, large.policy.learning_rate) == (0.1, 0.1 * factor)
    a, b = recorded(small), recorded(large)
    assert {k for k in a if a[k] != b[k]} == {'learning_rate', 'highest', 'lowest'}
    groups.form(tmp_path, [large], pytest.fail)
    stored = paths.read_json(paths.run_dir(tmp_path, 'train', large.id) / 'config.json')
    assert stored['resolved']['learning_rate'] == 0.1 * factor
    rules = {k: v for k, v in stored['resolved']['scaling'].items() if v}
    assert rules == {'name': rule, 'reference_batch_size': 32}
    assert stored['declared']['learning_rate'] == 0.1


def test_declared_and_resolved_are_stored(tmp_path: pathlib.Path):
    """What is stored resolves to the run again; the engine's own choices stand in the resolved part."""
    runs = plans({'model.name': 'linear'}, seed=(0, 1), batch_size=(8, 16))
    groups.form(tmp_path, runs, pytest.fail)
    for p in runs:
        folder = paths.run_dir(tmp_path, 'train', p.id)
        stored = paths.read_json(folder / 'config.json')
        assert [q.id for q in sweep.expand(stored['declared'])] == [p.id]
        chosen = stored['resolved']['execution']
        assert chosen['micro_batch_size'] == p.batch_size
        assert chosen['strategy'] in ('vmap', 'sequential')
        assert plan.canonical(stored['resolved'] | {'execution': p.execution}) == plan.canonical(p.resolved())
        meta = paths.read_json(folder / 'meta.json')
        assert (meta['id'], meta['status'], meta['replicas']) == (p.id, 'running', 2)


def test_a_kill_while_runs_are_written_down_leaves_none_out(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Brute force over every moment: the same command again completes every run's config and meta."""
    monkeypatch.setattr(os, 'fsync', lambda _: None)
    write, left = paths.write_json, [0]

    def killed(path: pathlib.Path, value: Any) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        write(path, value)

    runs = plans({'model.name': 'linear'}, seed=(0, 1, 2))
    for moment in range(1 + 2 * len(runs)):  # group.json, then config.json and meta.json of each
        workdir, left[0] = tmp_path / str(moment), moment
        workdir.mkdir()
        with monkeypatch.context() as m:
            m.setattr(paths, 'write_json', killed)
            with pytest.raises(KeyboardInterrupt):
                groups.form(workdir, runs, pytest.fail)
        (group,) = groups.form(workdir, runs, pytest.fail)
        assert [p.id for p in group.plans] == [p.id for p in runs]
        for index, p in enumerate(runs):
            folder = paths.run_dir(workdir, 'train', p.id)
            assert paths.read_json(folder / 'config.json')['resolved']['seed'] == p.seed
            meta = paths.read_json(folder / 'meta.json')
            assert (meta['id'], meta['group'], meta['index']) == (p.id, group.id, index)


# --- grids and overrides


def test_axes_multiply():
    found = plans(batch_size=(8, 16), learning_rate=(0.1, 0.2, 0.3), seed=(0, 1))
    values = [(p.batch_size, p.policy.learning_rate, p.seed) for p in found]
    assert values == list(itertools.product((8, 16), (0.1, 0.2, 0.3), (0, 1)))
    assert len({p.id for p in found}) == 12


def test_zipped_axes_advance_together_and_multiply_with_the_rest():
    found = plans(seed=(0, 1), zip={'batch_size': (8, 16, 32), 'learning_rate': (0.1, 0.2, 0.4)})
    values = {(p.seed, p.batch_size, p.policy.learning_rate) for p in found}
    assert values == {(s, b, r) for s in (0, 1) for b, r in ((8, 0.1), (16, 0.2), (32, 0.4))}
    assert len(found) == 6


def test_axes_may_lie_in_sections():
    found = plans(model={'name': ('linear', 'mlp')}, data={'fraction': (0.5, 1.0)})
    assert [(p.model['name'], p.data['fraction']) for p in found] == list(
        itertools.product(('linear', 'mlp'), (0.5, 1.0))
    )
    # What each declares is its own.
    assert [q.id for p in found for q in sweep.expand(p.declared)] == [p.id for p in found]


@pytest.mark.parametrize('section', ['schedule', 'scaling', 'warmup', 'ema', 'clip', 'optimizer', 'data', 'model'])
def test_values_of_an_axis_may_be_sections_in_part(section: str):
    """What a value leaves out has its default; a field of the section from the command line removes the axis."""
    parts = {
        'schedule': {'name': 'step', 'at_epochs': (1.0,)},
        'scaling': {'name': 'linear', 'reference_batch_size': 16},
        'warmup': {'epochs': 1.0},
        'ema': {'half_life_epochs': 1.0},
        'clip': {'norm': 1.0},
        'optimizer': {'name': 'adam', 'beta2': 0.9},
        'data': {'name': 'blobs'},
        'model': {'name': 'linear'},
    }
    config = schema.defaults().to_dict()
    own = config[section].get('name')
    found = sweep.expand(config | {'sweep': {section: ({'name': own} if own else {}, parts[section])}}, SHORT)
    changes = {f'{section}.{k}': v for k, v in parts[section].items()}
    assert [p.id for p in found] == [one(SHORT).id, one(SHORT | changes).id]
    (single,) = sweep.expand(config | {'sweep': {section: (parts[section],)}}, SHORT | changes)
    assert single.id == found[1].id


def test_axes_over_a_part_named_on_the_command_line_stay():
    """Brute force: the axis belongs to the new part; the file's over the old part's fields goes."""
    config = declared() | {
        'sweep': {'schedule': {'factor': (0.1, 0.2)}},
        'schedule': {'name': 'step', 'at_epochs': (1.0,)},
    }
    found = sweep.expand(config, {'schedule.name': 'cosine', 'sweep.schedule.final': (0.1, 0.2)})
    assert [p.policy.schedule['final'] for p in found] == [0.1, 0.2]
    zipped = sweep.expand(config, {'schedule.name': 'cosine', 'sweep.zip.schedule.final': (0.1, 0.3)})
    assert [p.policy.schedule['final'] for p in zipped] == [0.1, 0.3]


def test_a_field_given_beside_an_axis_of_names_holds_for_each():
    found = plans({'sweep.schedule.name': ('cosine', 'polynomial'), 'schedule.final': 0.1})
    assert [(p.policy.schedule['name'], p.policy.schedule['final']) for p in found] == [
        ('cosine', 0.1),
        ('polynomial', 0.1),
    ]
    with pytest.raises(ValueError, match=r"unknown config field schedule\.final for schedule\.name='constant'"):
        plans({'sweep.schedule.name': ('cosine', 'constant'), 'schedule.final': 0.1})


def test_one_value_for_an_axis_removes_the_axis():
    axes = {'batch_size': (8, 16), 'seed': (0, 1), 'data': {'fraction': (0.5, 1.0)}}
    found = plans({'batch_size': 64}, **axes)
    assert [(p.batch_size, p.seed) for p in found] == [(64, 0), (64, 1), (64, 0), (64, 1)]
    found = plans({'data.fraction': 0.25}, **axes)
    assert {p.data['fraction'] for p in found} == {0.25}
    assert len(found) == 4
    zipped = {'zip': {'batch_size': (8, 16), 'learning_rate': (0.1, 0.2)}}
    assert [(p.batch_size, p.policy.learning_rate) for p in plans({'batch_size': 4}, **zipped)] == [(4, 0.1), (4, 0.2)]


def test_a_value_that_is_no_axis_leaves_the_axes():
    assert len(plans({'learning_rate': 0.5}, batch_size=(8, 16))) == 2


def test_an_axis_may_be_replaced_or_added_from_the_command_line():
    assert [p.batch_size for p in plans({'sweep.batch_size': (4, 5, 6)}, batch_size=(8, 16))] == [4, 5, 6]
    assert [p.seed for p in plans({'sweep.seed': [3, 4]})] == [3, 4]
    assert [p.batch_size for p in plans({'sweep.batch_size': 4}, batch_size=(8, 16))] == [4]
    assert [p.data['fraction'] for p in plans({'sweep.data.fraction': (0.5, 1.0)})] == [0.5, 1.0]


@pytest.mark.parametrize(('unit', 'value', 'examples'), [('total_steps', 3, 96), ('total_examples', 50, 50)])
def test_a_length_from_the_command_line_replaces_the_files(unit: str, value: int, examples: int):
    assert one({unit: value}).total_examples == examples
    # In whatever unit the file sweeps.
    found = plans({unit: value}, total_epochs=(1.0, 2.0), seed=(0, 1))
    assert [(p.total_examples, p.seed) for p in found] == [(examples, 0), (examples, 1)]
    # An axis of a length replaces the file's as well.
    axis: dict[str, Any] = {unit: (value,)}
    assert [p.total_examples for p in plans(**axis)] == [examples]


def test_another_name_drops_what_belonged_to_the_old_part():
    """model.widths are the MLP's, data.mean the digits'; data.validation is for any set and stays."""
    config = declared() | {'model': {'name': 'mlp', 'widths': (7, 7), 'dropout': 0.5}}
    config['data'] |= {'mean': (0.5,), 'validation': 0.25}
    (p,) = sweep.expand(config, {'model.name': 'linear', 'data.name': 'blobs'})
    assert p.model == {'name': 'linear', 'init': 'glorot_normal'}
    assert (p.data['mean'], p.data['validation']) == ((0.0,), 0.25)
    # What the command line gives is of the set that it names; the config's own set, named again, keeps its own.
    for given, mean in (({'data.name': 'blobs', 'data.mean': (0.1,)}, (0.1,)), ({'data.name': 'digits'}, (0.5,))):
        (p,) = sweep.expand(config, given)
        assert p.data['mean'] == mean
    # As an axis, and as what an arm sets, too.
    digits, blobs = sweep.expand(config, {'sweep.data.name': ('digits', 'blobs')})
    assert (digits.data['mean'], blobs.data['mean']) == ((0.5,), (0.0,))
    (p,) = sweep.expand(config | {'arms': {'other': {'data': {'name': 'blobs'}}}})
    assert p.data['mean'] == (0.0,)
    (p,) = sweep.expand(config, {'model.name': 'cnn', 'model.widths': (3, 4)})
    assert (p.model['widths'], p.model['dropout']) == ((3, 4), 0.0)
    # The same name again drops nothing.
    (p,) = sweep.expand(config, {'model.name': 'mlp'})
    assert p.model['widths'] == (7, 7)
    # As an axis, too.
    linear, mlp = sweep.expand(config | {'sweep': {'model': {'name': ('linear', 'mlp')}}})
    assert (set(linear.model), mlp.model['widths']) == ({'name', 'init'}, (7, 7))


def test_expanding_changes_nothing_it_was_given():
    config = declared(batch_size=(8, 16), zip={'seed': (0, 1), 'learning_rate': (0.1, 0.2)})
    before = plan.canonical(config)
    sweep.expand(config, {'model.name': 'linear', 'sweep.data.fraction': (0.5, 1.0), 'total_steps': 3})
    assert plan.canonical(config) == before


# --- groups


def keyed(found: list[Plan]) -> int:
    return len(sweep.groups(found))


@pytest.mark.parametrize(
    'axis',
    [
        {'seed': (0, 1)},
        {'learning_rate': (0.1, 0.2)},
        {'weight_decay': (0.01, 0.1)},
        {'warmup': {'steps': (0, 3)}},
        {'schedule': {'factor': (0.1, 0.5)}},
        {'momentum': (0.5, 0.9)},
    ],
)
def test_runs_that_differ_in_numbers_of_an_update_share_a_program(axis: dict[str, Any]):
    change = {'optimizer.name': 'momentum', 'schedule.name': 'step', 'schedule.at_epochs': (1.0,)}
    assert keyed(plans(change, **axis)) == 1


@pytest.mark.parametrize(
    'axis',
    [
        {'batch_size': (8, 16)},
        {'total_epochs': (1.0, 2.0)},
        {'epoch_boundary': ('through', 'partial')},
        {'model': {'name': ('linear', 'mlp')}},
        {'model': {'widths': ((4,), (5,))}},
        {'data': {'fraction': (0.5, 1.0)}},
        {'data': {'split_seed': (0, 1)}},
        {'data': {'mean': ((0.0,), (0.5,))}},
        {'optimizer': {'name': ('sgd', 'adam')}},
        {'dtype': ('float32', 'bfloat16')},
        {'weight_decay': (0.0, 0.1)},  # without, a pass over the weights is left out
        {'clip': {'norm': (1.0, 2.0)}},
    ],
)
def test_runs_of_other_shapes_or_programs_do_not(axis: dict[str, Any]):
    found = plans(**axis)
    assert len(found) == keyed(found) == 2


def test_groups_keep_the_order_and_their_size():
    """By hand: two batch sizes × five seeds, at most two together."""
    found = plans({'max_replicas': 2}, seed=(0, 1, 2, 3, 4), batch_size=(8, 16))
    sizes = [[(p.batch_size, p.seed) for p in group] for group in sweep.groups(found)]
    assert sizes == [
        [(8, 0), (8, 1)], [(8, 2), (8, 3)], [(8, 4)], [(16, 0), (16, 1)], [(16, 2), (16, 3)], [(16, 4)],
    ]  # fmt: skip
    assert sweep.groups([]) == []


# --- the configs of the repository


def loaded(path: pathlib.Path) -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec(compile(path.read_text(), path, 'exec'), scope)
    return scope['get_config']().to_dict()


# What the smaller set needs besides: a tenth of it, 143 examples, that is a whole number of batch-norm groups; all of
# it for several updates an epoch.
SMALLER = {
    'grow_batch': {
        'batch_size': 11,
        'ghost_batch_size': 11,
        'data.fraction': 1.0,
        'arms.restart_batch.batch_schedule.batch_sizes': (55, 11, 55),
    },
    'masters_luschi': {'data.fraction': 1.0},
    'goyal': {'data.fraction': 1.0, 'total_epochs': 60.0},
    'disciplined': {'data.fraction': 1.0},
    'simulated_workers': {'data.fraction': 1.0},
    'yolo': {'data.fraction': 1.0},
    'yaqub': {'data.fraction': 1.0},
    'kandel_castelli': {'data.fraction': 1.0},
    'chang_pathak': {'data.fraction': 1.0},
    'caffenet': {'data.fraction': 1.0, 'total_epochs': 20.0},
}


def on_embedded_data(path: pathlib.Path) -> list[Plan]:
    """The runs of a config, with digits in place of a set that is not embedded."""
    config = loaded(path)
    embedded = config['data']['name'] in lookup.members('bsresearch.data', 'load')
    swapped = {'data.name': 'digits', 'data.mean': (0.0,), 'data.std': (1.0,)} | SMALLER.get(path.stem, {})
    return sweep.expand(config, {} if embedded else swapped)


def digest_of(ids: list[str]) -> dict[str, Any]:
    return {'runs': len(ids), 'sha256': hashlib.sha256('\n'.join(sorted(ids)).encode()).hexdigest()}


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_every_config_resolves(path: pathlib.Path):
    """Golden: how many runs it is, and the sha256 of their sorted ids; digits in place of a set that is not embedded.

    When to change me: as `test_golden_id`; add a line for a new config, or for one whose numbers were changed.
    """
    runs = on_embedded_data(path)
    assert digest_of([p.id for p in runs]) == GOLDEN_IDS.get(path.stem)
    groups_of_runs = sweep.groups(runs)
    assert sum(map(len, groups_of_runs)) == len(runs)
    for first, *_ in groups_of_runs:
        assert Plan.from_json(json.loads(json.dumps(first.to_json()))).id == first.id


LATER = 'later stages of '


@pytest.mark.parametrize('name', [key.removeprefix(LATER) for key in GOLDEN_IDS if key.startswith(LATER)])
def test_branches_and_probes_of_a_config_keep_their_ids(name: str):
    """Golden: as above, of all stages but the first."""
    path = ROOT / 'configs' / f'{name}.py'
    _, *later = studies.module(loaded(path)['study']).stages(on_embedded_data(path))
    members = [member for stage in later for member in (*runs_of(stage), *probes_of(stage))]
    assert digest_of([member.id for member in members]) == GOLDEN_IDS[LATER + name]


@pytest.mark.parametrize('path', CONFIGS, ids=lambda p: p.stem)
def test_every_config_says_what_to_run(path: pathlib.Path):
    """Its docstring holds the command, with its own name."""
    assert f'python main.py --config=configs/{path.name} --workdir=' in path.read_text().split('"""')[1]


# --- bad input

BAD: dict[str, tuple[dict[str, Any], str]] = {
    'misspelt field': ({'batchsize': 3}, "unknown config field batchsize; did you mean 'batch_size'?"),
    'initials of a field': ({'bs': 3}, "unknown config field bs; did you mean 'batch_size'?"),
    'a word of a field': ({'sweep.rate': (0.1,)}, "unknown config field rate; did you mean 'learning_rate'?"),
    'misspelt nested field': ({'warmup.epoch': 1.0}, "warmup.epoch; did you mean 'epochs'?"),
    'misspelt section': ({'modell.name': 'mlp'}, "modell; did you mean 'model'?"),
    'misspelt field of a part': (
        {'model.width': (3,)},
        "unknown config field model.width for model.name='mlp'; did you mean 'widths'",
    ),
    'misspelt name of a part': ({'model.nam': 'mlp'}, "model.nam for model.name='mlp'; did you mean 'name'"),
    'a loss of targets on classes': (
        {'loss.name': 'squared_error'},
        'not 10 outputs and int32 labels; use --config.loss.name=c',
    ),
    'a loss of classes on targets': (
        {'data.name': 'linear_regression'},
        'needs classes, not float32 labels; use --config.loss.name',
    ),
    'votes on targets': (
        {'data.name': 'linear_regression', 'loss.name': 'squared_error', 'snapshots.every_epochs': 1.0},
        'config.snapshots average class probabilities',
    ),
    'field of another part': ({'model.name': 'linear', 'model.widths': (3,)}, 'field model.widths for model'),
    'misspelt measurement': ({'measure.distanse.every_epochs': 1.0}, "did you mean 'distance'"),
    'misspelt field of a measurement': ({'measure.distance.evry_epochs': 1.0}, "did you mean 'every_epochs'"),
    'unknown model': (
        {'model.name': 'mpl'},
        "unknown model 'mpl'; did you mean 'mlp'? Allowed: ",
    ),
    'unknown optimizer': (
        {'optimizer.name': 'shampoo'},
        "optimizer 'shampoo'; allowed: adadelta, adagrad, adam",
    ),
    'unknown schedule': ({'schedule.name': 'stepp'}, "unknown schedule 'stepp'; did you mean 'step'?"),
    'unknown loss': ({'loss.name': 'crossentropy'}, "did you mean 'cross_entropy'?"),
    'unknown scaling': (
        {'scaling.name': 'log'},
        "unknown scaling 'log'; allowed: adam_sde, critical, half_life, legw, linear",
    ),
    'unknown initializer': ({'model.init': 'glorot'}, "unknown initializer 'glorot'; allowed: glorot_normal"),
    'unknown boundary': ({'epoch_boundary': 'drp'}, 'allowed are through, partial, drop'),
    'no length': (
        {'total_epochs': None},
        'exactly one length of total_epochs, total_examples, total_steps; given: none',
    ),
    'two lengths': ({'total_steps': 3, 'total_epochs': 1.0}, 'given: total_epochs=1.0, total_steps=3'),
    'broken batch size': ({'batch_size': 32.0}, 'config.batch_size=32.0'),
    'batch larger than the run': (
        {'batch_size': 1438, 'total_epochs': 1.0},
        'use batch_size=1437 or less, or train longer: 1438 examples at least',
    ),
    'batch larger than a dropped epoch': (
        {'batch_size': 1438, 'epoch_boundary': 'drop'},
        'leaves no batch in an epoch of 1437 examples, however long the run; use batch_size=1437 or less, or --config.',
    ),
    'batch larger than a short run whose epochs end it': (
        {'batch_size': 1438, 'epoch_boundary': 'partial', 'total_epochs': None, 'total_examples': 700},
        'however long the run, while rules and figures would count 1438; use batch_size=700 or less, or --config.e',
    ),
    'batch larger than an epoch that ends it': (
        {'batch_size': 1438, 'epoch_boundary': 'partial'},
        'batch_size=1438 with epoch_boundary=partial is never filled: a batch ends with its epoch of 1437 examples',
    ),
    'no number': ({'learning_rate': float('nan')}, 'config.learning_rate=nan'),
    'text for a number': ({'learning_rate': '0.1'}, "config.learning_rate='0.1': a value like the default 0.1"),
    'momentum 1': ({'momentum': 1.0}, 'config.momentum=1.0: must lie in [0, 1)'),
    'momentum nobody uses': ({'momentum': 0.9, 'optimizer.name': 'sgd'}, 'use --config.optimizer.name=momentum'),
    'negative seed': ({'seed': -1}, 'config.seed=-1: must lie in [0, 2147483647]'),
    'seed too large': ({'data_seed': 2**31}, 'config.data_seed=2147483648'),
    'empty validation split': ({'data.validation': 1e-4}, 'the validation split is empty: 1437 training examples'),
    'empty training split': ({'data.fraction': 1e-4}, 'the train split is empty'),
    'fraction 0': ({'data.fraction': 0.0}, 'data.fraction=0.0: must lie in (0, 1]'),
    'unknown augmentation': ({'data.augment': ('mirror',)}, "unknown augmentation 'mirror'"),
    'augmented vectors': ({'data.name': 'blobs', 'data.augment': ('flip',)}, 'needs images (H, W, C)'),
    'impossible blobs': ({'data.name': 'blobs', 'data.centers': 1}, 'blobs: centers=1'),
    'dropout 1': ({'model.dropout': 1.0}, 'model.dropout=1.0: a probability in [0, 1)'),
    'width 0': ({'model.widths': (8, 0)}, 'model.widths=(8, 0)'),
    'broken width': ({'model.widths': (8.5,)}, 'config.model.widths=(8.5,)'),
    'ragged batch-norm groups': ({'model.batch_norm': True, 'ghost_batch_size': 5}, 'ghost_batch_size=5'),
    'batch norm over one example': ({'model.batch_norm': True, 'batch_size': 1}, 'groups of 1 example: one value'),
    'batch-norm groups of one': (
        {'model.batch_norm': True, 'model.dropout': 0.5, 'ghost_batch_size': 1},
        'use a batch_size and a ghost_batch_size of at least 2',
    ),
    'batch norm in a batch that grows from one': (
        {
            'model.batch_norm': True,
            'batch_size': 1,
            'batch_schedule.name': 'growth',
            'batch_schedule.at_epochs': (1.0,),
        },
        'groups of 1 example',
    ),
    'a value for a section': ({'model': 'mlp'}, "config field model='mlp': a section is needed"),
    'a section for a value': ({'batch_size': {'a': 1}}, 'a value is needed'),
    'no name': ({'model.name': None}, 'config.model.name=None'),
    'point past the end': ({'keep.at_epochs': (2.5,)}, 'config.keep.at_epochs has the point 2.5, past the end'),
    'half a point': ({'keep.at_steps': (1.5,)}, 'config.keep.at_steps=(1.5,): whole numbers'),
    'negative stride': ({'evaluate.every_epochs': -1.0}, 'config.evaluate.every_epochs=-1.0'),
    'warm-up without end': ({'warmup.epochs': 3.0}, 'longer than the run'),
    'text in an axis': ({'sweep.batch_size': ('8', 16)}, "config.batch_size='8'"),
    'empty axis': ({'sweep.batch_size': ()}, 'config.sweep.batch_size=(): a non-empty tuple'),
    'misspelt axis': ({'sweep.batchsize': (8, 16)}, "batchsize; did you mean 'batch_size'?"),
    'repeated value': ({'sweep.batch_size': (8, 8)}, 'config.sweep.batch_size=(8, 8) repeats a value'),
    'seeds of nothing': ({'sweep.seed': (0, 1), 'init_seed': 3, 'data_seed': 3}, 'names 2 runs but only 1 differ'),
    'axis of nothing': ({'sweep.strategy': ('vmap', 'sequential')}, 'names 2 runs but only 1 differ'),
    'zip of other lengths': (
        {'sweep.zip.batch_size': (8, 16), 'sweep.zip.learning_rate': (0.1,)},
        'config.sweep.zip needs tuples of one length',
    ),
    'two axes of a field': ({'sweep.seed': (0, 1), 'sweep.zip.seed': (0, 1)}, 'config.sweep sets seed on two axes'),
}


BAD |= {
    f'{field} below': ({field: least - 1}, f'config.{field}={least - 1}: must be at least {least}')
    for field, least in resolve.LEAST.items()
}
BAD |= {
    f'{field} at its bound': ({field: float(bound)}, f'config.{field}={bound:.1f}: must be ')
    for field, bound in resolve.ABOVE.items()
}
BAD |= {f'no {field}': ({field: 'vmpa'}, f"config.{field}='vmpa'; ") for field in resolve.CHOICES}


@pytest.mark.parametrize('case', BAD, ids=lambda c: c.replace(' ', '-'))
def test_bad_input_is_refused_with_its_field_and_the_cure(case: str):
    """ValueError, one line. From the file, from the command line and from an axis they are the same to `expand`."""
    overrides, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)) as e:
        one(overrides)
    assert '\n' not in str(e.value)


def test_axes_that_a_file_cannot_have_are_refused():
    with pytest.raises(ValueError, match=r'config\.sweep\.zip=3: a section of axes'):
        sweep.expand(declared(zip=3))
    with pytest.raises(ValueError, match=r'config\.sweep\.batch_size=3: a non-empty tuple'):
        sweep.expand(declared(batch_size=3))


# --- bad input, through the command line


@pytest.fixture
def linear(tmp_path: pathlib.Path) -> pathlib.Path:
    """Two runs of a linear model on digits."""
    path = tmp_path / 'config.py'
    path.write_text(
        'from bsresearch import schema\n'
        'def get_config():\n'
        '    c = schema.defaults()\n'
        "    c.model.name = 'linear'\n"
        '    c.total_steps = 3\n'
        '    c.sweep.batch_size = (8, 16)\n'
        '    return c\n'
    )
    return path


Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """main.py in this process. Gives exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        try:
            code = command.run(*toy.typed(command.Request, *arguments))
        except SystemExit as e:
            code = e.code
        captured = capsys.readouterr()
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return call


def refused(outcome: tuple[Any, str, str], *messages: str) -> None:
    code, out, err = outcome
    assert code == 2, err
    assert out == ''
    assert err.startswith('main.py: ')
    assert (err.count('\n'), err[-1]) == (1, '\n'), err
    for message in messages:
        assert message in err


def contents(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else b'' for p in folder.rglob('*')}


@pytest.mark.parametrize(
    ('arguments', 'messages'),
    [
        (['--config.batchsize=3'], ["unknown config field batchsize; did you mean 'batch_size'?"]),
        (['--config.eval.every_steps=3'], ['eval', "mean 'evaluate'"]),
        (['--config.model=mlp'], ['--config.model=mlp: model is a section']),
        (['--config.sweep=3'], ['--config.sweep=3: sweep is a section']),
        (['--config.sweep.momentum_schedule=0'], ['sweep.momentum_schedule is a section']),
        (['--config.batch_size='], ['--config.batch_size=: a whole number is needed']),
        (['--config.learning_rate=word'], ['--config.learning_rate=word: a number is needed']),
        (['--config.total_steps=1.5'], ['--config.total_steps=1.5: a whole number is needed']),
        (['--config.init_seed=1e999'], ['--config.init_seed=1e999: a whole number is needed']),
        (
            ['--config.learning_rate=0.1,0.2'],
            ['a number is needed; several are an axis: --config.sweep.learning_rate=0.1,0.2'],
        ),
        (['fast'], ["unexpected argument 'fast'; flags are written --name=value"]),
        (['./own.py'], ["unexpected argument './own.py'; write --config=./own.py"]),
        (['--wrkdir=x'], ["unknown flag --wrkdir; did you mean 'workdir'?"]),
        (['--dry_run=perhaps'], ['dry_run']),
        (['--config.data.name=digts'], ["unknown data set 'digts'; did you mean 'digits'? Embedded: blobs, digits"]),
        (['--config.study=trian'], ["unknown study 'trian'; did you mean 'train'?"]),
    ],
    ids=lambda a: a[0].split('=')[0] if isinstance(a, list) and a[0].startswith('-') else '',
)
def test_bad_flags_are_one_line_and_write_nothing(
    cli: Cli, linear: pathlib.Path, tmp_path: pathlib.Path, arguments: list[str], messages: list[str]
):
    workdir = tmp_path / 'runs'
    refused(cli(f'--config={linear}', f'--workdir={workdir}', *arguments), *messages)
    assert not workdir.exists()


def test_missing_flags_and_files_are_one_line(cli: Cli, linear: pathlib.Path, tmp_path: pathlib.Path):
    workdir = tmp_path / 'runs'
    refused(cli(f'--workdir={workdir}'), '--config=<name or file> is needed, e.g. --config=batch_size_sweep')
    refused(cli(f'--config={linear}'), '--workdir=<directory> is needed')
    refused(cli(f'--config={tmp_path}/none.py', f'--workdir={workdir}'), 'no config file', 'none.py')
    refused(cli(f'--config={tmp_path}', f'--workdir={workdir}'), 'no config file')
    refused(cli('--config', linear, f'--workdir={workdir}'), f'write --config={linear} (with =)')
    assert not workdir.exists()


def test_a_workdir_of_another_schema_is_refused_and_left_alone(cli: Cli, linear: pathlib.Path, tmp_path: pathlib.Path):
    """Of another version; of one before there were versions; and a file."""
    for name, files in {
        'newer': {'schema.json': '{"schema": 999}', 'train/abc/config.json': '{}'},
        'older': {'train/abc/config.json': '{}'},
    }.items():
        workdir = tmp_path / name
        for path, text in files.items():
            (workdir / path).parent.mkdir(parents=True, exist_ok=True)
            (workdir / path).write_text(text)
        before = contents(workdir)
        refused(cli(f'--config={linear}', f'--workdir={workdir}'), str(workdir), 'use another workdir')
        assert contents(workdir) == before
    refused(cli(f'--config={linear}', f'--workdir={linear}'), 'is a file; name a directory')


def test_a_workdir_of_ours_or_an_empty_one_is_accepted(tmp_path: pathlib.Path):
    paths.check_schema(tmp_path / 'none')
    paths.check_schema(tmp_path)
    paths.claim_workdir(tmp_path / 'none')
    assert paths.read_json(tmp_path / 'none' / 'schema.json') == {'schema': paths.SCHEMA_VERSION}
    paths.check_schema(tmp_path / 'none')
    paths.claim_workdir(tmp_path / 'none')


def test_a_dry_run_shows_the_runs_and_writes_nothing(cli: Cli, linear: pathlib.Path, tmp_path: pathlib.Path):
    """Ids and numbers of all runs; an axis from the command line; one value instead of an axis."""
    workdir = tmp_path / 'runs'
    before = contents(tmp_path)
    code, out, err = cli(
        f'--config={linear}', f'--workdir={workdir}', '--dry_run', '--config.sweep.seed=(0, 1)'
    )  # fmt: skip
    assert (code, err) == (0, '')
    config = declared(batch_size=(8, 16), seed=(0, 1)) | {'total_epochs': None, 'total_steps': 3}
    expected = sweep.expand(config, {'model.name': 'linear'})
    assert all(p.id in out for p in expected)
    assert '4 runs in 2 groups, 12 updates' in out
    code, out, _ = cli(f'--config={linear}', '--dry_run', '--config.batch_size=32')
    assert (code, '1 run in 1 group, 3 updates' in out) == (0, True)
    assert contents(tmp_path) == before


def test_a_dry_run_writes_the_schedule_where_it_is_told(cli: Cli, linear: pathlib.Path, tmp_path: pathlib.Path):
    """One row per run and update; without a dry run, or onto another file, it is refused before anything is done."""
    path = tmp_path / 'schedule.csv'
    code, out, err = cli(f'--config={linear}', '--dry_run', f'--schedule_csv={path}')
    assert (code, err) == (0, '')
    assert '6 updates' in out
    lines = path.read_text().splitlines()
    assert lines[0] == 'run,step,examples,epoch,batch_size,lr,momentum,weight_decay,effective_lr,noise_temperature'
    assert [line.split(',')[1] for line in lines[1:]] == ['0', '1', '2'] * 2
    before = contents(tmp_path)
    refused(cli(f'--config={linear}', f'--workdir={tmp_path}/w', f'--schedule_csv={path}'), 'needs --dry_run')
    for wrong, message in ((linear, 'holds something else'), (tmp_path / 'no' / 's.csv', 'there is no directory')):
        code, _, err = cli(f'--config={linear}', '--dry_run', f'--schedule_csv={wrong}')
        assert code == 2
        assert message in err
    assert contents(tmp_path) == before
