"""Parts of a user's own, named by an import path: what they make, whose ids they enter, and how they fail."""

import json
import pathlib
import re
import shutil
import sys
from typing import Any

import numpy as np
import pytest
from toy import BARE, ROOT, StopsAt, assert_equal, declared, final, plans, rows, train, typed

from bsresearch import findings
from bsresearch.analysis import study as studies
from bsresearch.core import own_part, own_sources
from bsresearch.core.interrupts import Stopped
from bsresearch.data import sources
from bsresearch.launching import describe, environment, fitting, flag_parser, planner, results
from bsresearch.launching.command import Request
from bsresearch.launching.jobs import engines
from bsresearch.planning import trying
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import kind as probing_kind
from bsresearch.report import inventory, tables
from bsresearch.store import paths, records
from bsresearch.train.observing import trying as measurements

USERS = f'{ROOT}/tests/users_parts.py'


def run(workdir: pathlib.Path, **changes: Any) -> tuple[Any, list[Any], Any]:
    """A plan, its rows without seconds, and its last weights."""
    (plan,) = plans(**BARE, total_steps=12, **changes)
    train(workdir, [plan])
    kept = [{k: v for k, v in row.items() if 'seconds' not in k} for row in rows(workdir, plan)]
    return plan, kept, final(workdir, plan)


@pytest.mark.parametrize(
    ('own', 'built_in'),
    [
        ({'loss__name': f'{USERS}:cross_entropy'}, {}),
        ({'optimizer__name': f'{USERS}:descent'}, {}),
        ({'schedule__name': f'{USERS}:straight'}, {'schedule__name': 'linear'}),
    ],
    ids=['loss', 'optimizer', 'schedule'],
)
def test_an_own_part_that_is_the_built_in_one_makes_the_same_run(
    own: dict[str, Any], built_in: dict[str, Any], workdir: pathlib.Path
):
    """Invariance: the same records and weights, under another id."""
    plan, records, weights = run(workdir, **own)
    other, expected, expected_weights = run(workdir, **built_in)
    assert plan.id != other.id
    for row, like in zip(records, expected, strict=True):
        assert row.keys() == like.keys()
        np.testing.assert_allclose(
            [v for v in row.values() if isinstance(v, float)], [v for v in like.values() if isinstance(v, float)],
            rtol=1e-5,
        )  # fmt: skip
    for a, b in zip(leaves(weights), leaves(expected_weights), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def leaves(tree: Any) -> list[np.ndarray]:
    import jax

    return [np.asarray(x) for x in jax.tree.leaves(tree)]


def test_own_data_and_an_own_measurement_in_one_run(workdir: pathlib.Path):
    measured = {'function': f'{USERS}:largest_weight', 'power': 2.0, 'every_epochs': 1.0}
    (plan,) = plans(
        data__name=f'{USERS}:points', data__examples=50, measure__top=measured, total_steps=10,
        **{k: v for k, v in BARE.items() if 'evaluate' not in k},
    )  # fmt: skip
    train(workdir, [plan])
    last = rows(workdir, plan)[-1]
    largest = max(float(np.abs(x).max()) for x in leaves(final(workdir, plan)))
    np.testing.assert_allclose(last['largest_weight'], largest**2, rtol=1e-6)
    # In the final table and in the report's, which name files of one's own without their folders.
    (row,) = results.of_arms(workdir, [plan], [last])
    assert row['largest_weight'] == last['largest_weight']
    found = inventory.load(workdir)
    told = (
        tables.of_runs_of(found, plan.study, None),
        tables.of_cells(studies.load(workdir, plan.study), ['largest_weight']),
    )
    assert found.own_metrics == ['largest_weight']
    assert all('largest weight' in str(table) for table in told)
    assert str(ROOT) not in str(tables.of_config(found.runs, plan.study))
    assert records.runs(workdir)['data.name'].tolist() == ['users_parts.py:points']
    assert plan.num_outputs == 2
    assert plan.epoch_size == 40
    stored = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')
    digest = paths.file_digest(pathlib.Path(USERS))
    assert stored is not None
    assert stored['own_sources'] == {f'users_parts.py:{name}': digest for name in ('largest_weight', 'points')}


@pytest.mark.parametrize('name', ['normalized', pytest.param('nnx_normalized', marks=pytest.mark.slow)])
def test_an_own_network_goes_on_to_the_bit(name: str, workdir: pathlib.Path):
    """Invariant 5 for convolution, batch norm in ghost groups, dropout: stopped and resumed equals never stopped."""
    changes = {
        'model': {'name': f'{USERS}:{name}', 'dropout': 0.3}, 'total_steps': 24, 'ghost_batch_size': 4,
        'checkpoint__every_steps': 6, 'evaluate__every_steps': 6,
    }  # fmt: skip
    (plan,) = plans(**changes)
    train(workdir / 'whole', [plan])
    with pytest.raises(Stopped):
        train(workdir / 'stopped', [plan], StopsAt(7))
    train(workdir / 'stopped', [plan])
    assert_equal(final(workdir / 'stopped', plan), final(workdir / 'whole', plan))
    stopped, whole = (rows(workdir / part, plan) for part in ('stopped', 'whole'))
    assert stopped == whole
    assert whole[-1]['test_loss'] < whole[0]['test_loss']


def test_an_id_holds_the_files_name_and_not_its_folder(tmp_path: pathlib.Path):
    moved = shutil.copy(USERS, tmp_path / 'users_parts.py')
    shutil.copy(USERS, tmp_path / 'others.py')
    ids = [plans(model={'name': f'{file}:mlp'})[0].id for file in (USERS, moved, tmp_path / 'others.py')]
    assert ids[0] == ids[1] != ids[2]


def test_a_changed_source_is_told_of_a_finished_run(tmp_path: pathlib.Path, workdir: pathlib.Path):
    file = pathlib.Path(shutil.copy(USERS, tmp_path / 'changing.py'))
    plan, _, _ = run(workdir, model={'name': f'{file}:mlp'})
    directory = paths.run_dir(workdir, plan.study, plan.id)
    assert environment.changed_since(directory, plan) == []
    file.write_text(f'{file.read_text()}\n# changed\n')
    assert environment.changed_since(directory, plan) == []  # this process has run the old one
    for known in (own_part._FILES, own_sources._DIGESTS):
        known.clear()
    assert len(environment.changed_since(directory, plan)) == 1


def test_records_are_read_where_the_file_is_no_more(tmp_path: pathlib.Path, workdir: pathlib.Path):
    """A plan is read back without its parts: reports and status need no code of the user's."""
    file = pathlib.Path(shutil.copy(USERS, tmp_path / 'gone.py'))
    (plan,) = plans(model={'name': f'{file}:mlp'}, optimizer__name=f'{file}:descent')
    stored = json.loads(json.dumps(plan.to_json()))
    file.unlink()
    assert Plan.from_json(stored).id == plan.id


def test_a_config_is_good_in_any_directory(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT / 'tests')
    config = {'model': {'name': 'users_parts.py:mlp'}, 'sweep': {'loss.name': ('squared_error', './users_parts.py:f')}}
    placed = own_part.located(config)
    assert placed['model']['name'] == USERS.replace('users_parts.py', 'users_parts.py:mlp')
    assert placed['sweep']['loss.name'] == ('squared_error', f'{USERS}:f')
    assert own_part.unplaced(placed)['model']['name'] == 'users_parts.py:mlp'


def test_a_package_is_imported_from_the_directory_of_the_command(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / 'mylab_of_a_test').mkdir()
    shutil.copy(USERS, tmp_path / 'mylab_of_a_test' / 'nets.py')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('sys.path', [folder for folder in sys.path if folder != str(tmp_path)])
    (plan,) = plans(model={'name': 'mylab_of_a_test.nets:mlp'})
    assert plan.model == {'name': 'mylab_of_a_test.nets:mlp'}


BROKEN = 'import nothing_that_is_there\n'


@pytest.mark.parametrize(
    ('changes', 'part'),
    [
        ({'model': {'name': 'no_such_lab.nets:resnet'}}, 'no module no_such_lab; Python looked in'),
        ({'model': {'name': 'nowhere.py:resnet'}}, 'no such file'),
        ({'model': {'name': f'{ROOT}/tests/user_parts.py:mlp'}}, 'did you mean users_parts.py?'),
        ({'model': {'name': 'broken.py:resnet'}}, 'broken.py, line 1: ModuleNotFoundError'),
        ({'model': {'name': f'{USERS}:mpl'}}, "did you mean 'mlp'"),
        ({'model': {'name': f'{USERS}:mlp', 'width': 3}}, 'it has no fields'),
        ({'model': {'name': f'{USERS}:normalized', 'dropout': 'much'}}, 'model.dropout'),
        ({'model': {'name': 'resnets.resnet'}}, 'package.module:function'),
        ({'loss__name': f'{USERS}:descent'}, 'a function descent(outputs, labels, *, setting=default, …) is needed'),
        ({'loss__name': f'{USERS}:averaged'}, 'a float for each example, not averaged'),
        ({'loss__name': f'{USERS}:whole_batch'}, 'a float for each example'),
        ({'optimizer__name': f'{USERS}:not_of_hyper'}, 'TypeError'),
        ({'schedule__name': f'{USERS}:cross_entropy'}, 'users_parts.py, line'),
        ({'optimizer__name': f'{USERS}:descent', 'momentum': 0.9}, 'which has none'),
        ({'optimizer__name': f'{USERS}:descent', 'no_decay': ('bias',)}, 'takes no `no_decay`'),
        ({'data__name': f'{USERS}:missing_values'}, 'inputs to train: NaN or infinite numbers'),
        ({'data__name': f'{USERS}:no_data'}, 'returned int'),
        ({'loss__name': f'{USERS}:in_words'}, 'TypeError'),
        ({'model': {'name': f'{USERS}:leaving'}}, 'SystemExit: 3'),
        ({'schedule__name': f'{USERS}:short'}, 'gives float64[3] for 1 updates'),
        ({'schedule__name': f'{USERS}:undefined'}, 'a finite factor for each'),
        ({'probe__name': f'{USERS}:no_probe'}, 'returned int; allowed: a Kind'),
        ({'data__name': f'{USERS}:counted'}, 'classes or targets; return a Splits'),
        ({'data__name': f'{USERS}:ragged'}, 'data set'),
        ({'data__name': f'{USERS}:half'}, 'as many labels as inputs'),
        ({'data__name': f'{USERS}:infinite'}, 'a finite number'),
        ({'measure__top': {'function': f'{USERS}:no_measure'}}, 'returned NoneType; allowed: a Measure'),
        ({'measure__top': {'function': f'{USERS}:nothing'}}, 'there is no function'),
        ({'loss__name': 'math:log'}, 'a function log(outputs, labels, *, setting=default, …)'),
        ({'loss__name': 'itertools:count'}, 'is a class'),
        ({'loss__name': '.relative:loss'}, 'cannot be imported'),
        ({'model': {'name': '~nobody/nets.py:mlp'}}, 'no such file'),
        ({'measure__top': {'every_epochs': 1.0}}, "unknown measurement 'top'"),
        ({'measure__top': {'function': f'{USERS}:largest_weight', 'pover': 1.0}}, "did you mean 'power'"),
        ({'model': {'name': f'{USERS}:counting'}, 'total_steps': None, 'total_examples': 20}, 'statistics of its own'),
        ({'dtype': 'bfloat16', 'model': {'name': f'{USERS}:mlp'}}, 'takes no `dtype`'),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_one_line(
    changes: dict[str, Any], part: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / 'broken.py').write_text(BROKEN)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r'\w') as told:
        plans(**changes)
    assert part in str(told.value)
    assert '\n' not in str(told.value)


def test_a_function_of_ones_own_is_a_data_set():
    splits = sources.resolve(f'{USERS}:points', None, {})
    assert [len(split.labels) for split in (splits.train, splits.test)] == [30, 10]
    assert splits.own
    assert_equal(splits.train.labels == 1, splits.train.inputs[:, 0] > 0)


def test_what_became_of_own_data_is_told(workdir: pathlib.Path):
    """By each launch, with the numbers of the classes; and their names in meta.json."""
    lines: list[str] = []
    config = declared(**BARE, data__name=f'{USERS}:points', total_steps=4)
    study = planner.study(config, {}, workdir, say=lines.append)
    (line,) = lines
    assert line.startswith('data set users_parts.py:points: 30 training and 10 test examples; 2 classes')
    assert 'left → 0' in line
    assert 'right → 1' in line
    train(workdir, study.plans)
    stored = paths.read_json(paths.run_dir(workdir, study.name, study.plans[0].id) / 'meta.json')
    assert stored is not None
    assert stored['classes'] == ['left', 'right']
    with pytest.raises(ValueError, match='classes or targets') as told:
        sources.resolve(f'{USERS}:counted', None, {})
    assert '--' not in str(told.value)


def test_normalization_of_another_set_is_left_out_with_a_word(workdir: pathlib.Path):
    """And a workdir whose runs an older version normalized so goes on by the flags that it is told."""
    lines: list[str] = []
    config = declared(**BARE, data__mean=(0.25,), data__std=(0.5,), total_steps=4)
    own = {'data.name': f'{USERS}:points'}
    study = planner.study(config, own, workdir, say=lines.append)
    assert (study.plans[0].data['mean'], study.plans[0].data['std']) == ((0.0,), (1.0,))
    line = lines[0]
    assert line.startswith(
        'data set users_parts.py:points: data.mean=0.25 and data.std=0.5 of the config belong to dig'
    )
    assert '--config.data.mean=… --config.data.std=… give its own' in line
    lines.clear()
    flag, _ = typed(Request, '--config=batch_size_sweep', '--config.data.mean=0.25', '--config.data.std=0.5')
    _, given = flag_parser.declared(flag)
    (as_before,) = planner.study(config, own | given, workdir, say=lines.append).plans
    assert as_before.data['mean'] == (0.25,)
    assert not any('belong' in line for line in lines)
    paths.run_dir(workdir, study.name, as_before.id).mkdir(parents=True)
    with pytest.raises(ValueError, match=r'; --config\.data\.mean=0\.25 --config\.data\.std=0\.5 goes on with it'):
        planner.study(config, own, workdir)
    assert [p.id for p in planner.study(config, own | given, workdir).plans] == [as_before.id]


def test_a_batch_above_the_data_is_told_or_refused_before_a_network_is_tried(monkeypatch: pytest.MonkeyPatch):
    """Of 30 examples: 75 in a batch see each 2.5 times; a run of 60 fills no such batch, which the last size has."""
    lines: list[str] = []
    small = {**BARE, 'data__name': f'{USERS}:points', 'model': {'name': f'{USERS}:mlp'}}
    planner.study(declared(**small, total_steps=4, batch_size=75), {}, None, say=lines.append)
    assert any(line.startswith('batch_size=75 is above the 30 training examples') for line in lines)
    assert any('holds each of them 2.5 times' in line and '0.4 of an update' in line for line in lines)
    monkeypatch.setattr(trying, 'parameters', lambda *_: pytest.fail('a network was tried'))
    config = declared(**small, total_steps=None, total_examples=60, sweep__batch_size=(8, 30, 75))
    with pytest.raises(ValueError, match=r'^batch_size=75 is never filled: the run sees 60 examples in all'):
        planner.study(config, {}, None)


TAKEN = (
    'step', 'wall_seconds', 'test_loss', 'ema_validation_accuracy', 'generalization_gap_loss', 'ensemble_size', 'run',
    'batch_loss', 'gradient_norm', 'learning_rate', 'momentum_used', 'diverged', 'data_checksum', 'distance',
)  # fmt: skip


@pytest.mark.parametrize('metric', TAKEN)
def test_a_metric_takes_no_columns_place(metric: str, workdir: pathlib.Path):
    """Refused when it is planned: nothing is written."""
    own = {'function': f'{USERS}:misnamed', 'metric': metric, 'at_steps': (0,)}
    config = declared(measure__own=own, measure__distance__every_epochs=1.0)
    with pytest.raises(ValueError, match=f'^config.measure.own gives {metric!r}, [^\n]*another name$'):
        planner.study(config, {}, workdir, with_findings=False)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ('function', 'settings', 'part'),
    [
        ('misnamed', {'metric': 'own', 'size': 3}, "gives 'own' as float32[3]; allowed: one real number"),
        ('forgetful', {}, 'a state of other shapes or types than its init makes'),
        ('forgetful', {'counts': False}, 'users_parts.py, line'),
    ],
)
def test_a_measurement_is_tried_when_it_is_planned(
    function: str, settings: dict[str, Any], part: str, workdir: pathlib.Path
):
    own = {'function': f'{USERS}:{function}', 'at_steps': (0,), **settings}
    with pytest.raises(ValueError, match=r'\w') as told:
        planner.study(declared(**BARE, measure__own=own), {}, workdir, with_findings=False)
    assert part in str(told.value)
    assert '\n' not in str(told.value)


def test_the_columns_of_ones_own_measurement_are_known_when_it_is_planned():
    """To findings that name them; of one that calls the host they are not."""
    tried = lambda **settings: fitting.once(measurements.check, [
        planner.study(declared(**BARE, measure__own={'function': f'{USERS}:misnamed', 'at_steps': (0,), **settings}),
                      {}, None, with_findings=False).plans[0]
    ])  # fmt: skip
    assert tried(metric='mine') == {'mine'}
    assert tried(metric='mine', host=True) is None


def test_what_cannot_be_tried_is_looked_at_before_the_first_update(workdir: pathlib.Path):
    """A measurement that calls the host: the run fails with the name, and has no rows."""
    own = {'function': f'{USERS}:misnamed', 'host': True, 'at_steps': (2,)}
    study = planner.study(declared(**BARE, total_steps=4, measure__own=own), {}, workdir, with_findings=False)
    with pytest.raises(ValueError, match=r"^config\.measure\.own gives 'step', "):
        train(workdir, study.plans)
    directory = paths.run_dir(workdir, study.name, study.plans[0].id)
    meta = paths.read_json(directory / 'meta.json')
    assert meta is not None
    assert meta['status'] == 'failed'
    assert (directory / 'metrics.jsonl').read_text() == ''


def test_an_own_measurement_may_stand_beside_batch_norm():
    """One of all 1437 examples, which are no whole number of groups, is told how it may."""
    own = {'function': f'{USERS}:largest_weight', 'at_steps': (0,)}
    given = {**BARE, 'model': {'name': f'{USERS}:normalized'}, 'ghost_batch_size': 4, 'total_steps': 4}
    (plan,) = plans(**given, measure__own=own)
    assert plan.ghost_batch_size == 4
    cure = r"groups of 4; let users_parts\.py:largest_weight return Measure\(…, statistics='running'\), which"
    with pytest.raises(ValueError, match=cure):
        plans(**given, measure__own=own | {'whole': True})


def test_a_measurement_that_is_set_and_has_no_points_is_told():
    """One's own, and one of the package where the command line sets a field of it; not what a config holds ready."""
    lines: list[str] = []
    config = declared(**BARE, total_steps=4, measure__noise_scale__batch_size=64)
    function = {'measure.z.function': f'{USERS}:largest_weight'}
    trace = {'measure.hessian_trace.probes': 32}
    planner.study(config, function | trace, None, say=lines.append, with_findings=False)
    told = [line for line in lines if 'no points' in line]
    assert [line.split()[0] for line in told] == ['measure.hessian_trace', 'measure.z']
    assert told[1].endswith('--config.measure.z.every_epochs=1 switches it on')
    lines.clear()
    on = {'measure.z.at_steps': (0,), 'measure.hessian_trace.at_steps': (0,)}
    planner.study(config, function | trace | on, None, say=lines.append, with_findings=False)
    assert not [line for line in lines if 'no points' in line]


def test_fields_of_an_own_part_are_told_as_any():
    """Also of the bare path, with what it may be by its positional arguments, and the words of its docstring."""
    for asked in (f'model.{USERS}:normalized', f'{USERS}:normalized'):
        told = describe.text(asked)
        assert f'--config.model.name={USERS}:normalized\nParts as a user writes them' in told
        assert 'model.dropout' in told
    told = describe.text(f'{USERS}:misnamed')
    for field in ('data.name', 'optimizer.name', 'measure.<your name>.function', 'probe.name'):
        assert f'--config.{field}={USERS}:misnamed' in told
    assert '\n\nGives a metric under any name, of any shape.\n\n' in told
    assert re.search(r'^  size +0$', told, re.MULTILINE)
    assert describe.text(f'{USERS}:run_none').startswith(f'--engine={USERS}:run_none\n')
    assert describe.text(f'{USERS}:cross_entropy').startswith(f'--config.loss.name={USERS}:cross_entropy\n')
    with pytest.raises(ValueError, match="there is no function 'mpl'; did you mean 'mlp'"):
        describe.text(f'{USERS}:mpl')


def test_an_own_study_has_its_stages_and_a_folder_of_its_name(workdir: pathlib.Path):
    config = declared(**BARE, total_steps=4, seconds_per_update=None) | {'study': f'{USERS}:doubled'}
    planned = planner.study(config, {}, workdir, with_findings=False)
    assert planned.name == 'users_parts.py:doubled'
    rates = [run.policy.learning_rate for run in planned.runs]
    assert rates == [0.05, 0.1]
    assert {run.study for run in planned.runs} == {planned.name}


@pytest.mark.parametrize(('name', 'part'), [('failing', 'users_parts.py, line'), ('of_numbers', 'holds int')])
def test_a_study_that_cannot_be_made_is_one_line(name: str, part: str, workdir: pathlib.Path):
    config = declared(**BARE, total_steps=4) | {'study': f'{USERS}:{name}'}
    with pytest.raises(ValueError, match=part) as told:
        planner.study(config, {}, workdir, with_findings=False)
    assert '\n' not in str(told.value)
    assert not workdir.exists()


def test_an_own_probe_is_planned(workdir: pathlib.Path):
    (plan,) = plans(**BARE, total_steps=4, probe__name=f'{USERS}:few_trials', probe__trials=3)
    assert plan.recording['probe']['trials'] == 3
    assert probing_kind(plan.recording['probe']).blocks == 1


def test_an_own_engine_is_chosen_with_its_options(tmp_path: pathlib.Path):
    engine = engines.chosen(f'{USERS}:run_none', 2, {})
    assert (engine.platform, engine.options) == ('cpu', {'patience': 3})
    (tmp_path / 'bare.py').write_text('def run(jobs, at_once, should_stop):\n    return iter(())\n')
    with pytest.raises(ValueError, match='no check and no platform'):
        engines.chosen(f'{tmp_path}/bare.py:run', None, {})


@pytest.mark.parametrize(
    ('name', 'told'),
    [
        ('run_nowhere', 'its run returned NoneType; allowed: an iterator of Ended'),
        ('run_numbers', 'its run told 3; allowed: an iterator of Ended, of the jobs it was given'),
        ('run_late', 'users_parts.py, line [0-9]+: KeyError'),
    ],
)
def test_an_own_engine_that_does_not_keep_the_contract_is_one_line(name: str, told: str):
    engine = engines.chosen(f'{USERS}:{name}', None, {})
    with pytest.raises(ValueError, match=f'^engine [^\\n]*{told}[^\\n]*$'):
        list(engine.run([engines.Job('a', ('true',))], lambda: False))


def test_own_findings_may_be_a_module(monkeypatch: pytest.MonkeyPatch):
    """Imported as Python does; what is missing in it is named."""
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises(ValueError, match='CLAIMS, FIGURES, HEADLINE is missing'):
        findings.load('tests.users_parts')
    with pytest.raises(ValueError, match='no module mylab'):
        findings.load('mylab.findings')
