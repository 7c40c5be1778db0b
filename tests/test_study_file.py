"""study.json: what is in it, how launches join, what is refused, damage, kills, several launchers at once."""

import json
import os
import pathlib
import re
import shutil
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import toy
from test_arms import base, branching, three

from bsresearch.launching import command, groups, planner
from bsresearch.launching.console import Console
from bsresearch.launching.jobs import status
from bsresearch.planning.plan import Plan, canonical
from bsresearch.store import paths, presence, study_file


def asked(
    workdir: pathlib.Path | None, config: Any, overrides: dict[str, Any] | None = None, pick: tuple[str, ...] = ()
) -> planner.Study:
    return planner.study(config.to_dict(), dict(overrides or {}), workdir, pick=pick, with_findings=False)


def launch(workdir: pathlib.Path, config: Any, overrides: dict[str, Any] | None = None, **given: Any) -> dict[str, Any]:
    """What a launch writes down before its first group; the entry."""
    study = asked(workdir, config, overrides, **given)
    assert study.asked is not None
    study.asked.write(workdir, presence.Stay())
    return study_file.read(workdir / study.name)[study.asked.findings]


def made_by(workdir: pathlib.Path, config: Any, overrides: dict[str, Any]) -> list[Plan]:
    """The runs of a launch, branches too, after what it asks was written down."""
    study = asked(workdir, config, overrides)
    assert study.asked is not None
    study.asked.write(workdir, presence.Stay())
    return study.runs


def cells(entry: dict[str, Any]) -> set[str]:
    return {
        canonical([r['arm'], r['axes'], r['replicate'], r['branch'], r['point'], r['probe']]) for r in entry['rows']
    }


def rated() -> Any:
    """Two arms by two learning rates by two seeds."""
    c = base()
    c.findings, c.held_fixed = 'rated', ('epochs',)
    c.arms.small = dict(batch_size=8)
    c.arms.large = dict(batch_size=64)
    c.sweep.learning_rate = (0.05, 0.1)
    return c


def test_what_stands_in_it(tmp_path: pathlib.Path):
    """By hand, field by field."""
    c = rated()
    c.arms.tiny = 'small'
    entry = launch(tmp_path, c, pick=('small',))
    assert entry.keys() == {'base', 'held_fixed', 'replicates', 'arms', 'branch_arms', 'rows'}
    assert (entry['held_fixed'], entry['replicates']) == (['epochs'], ['seed'])
    # Also those that were not picked, in the order of their declaration, though names are sorted elsewhere.
    assert list(entry['arms'].items()) == [
        ('small', {'batch_size': 8}), ('large', {'batch_size': 64}), ('tiny', 'small'),
    ]  # fmt: skip
    flat = entry['base']
    assert (flat['batch_size'], flat['total_epochs']) == (32, 2.0)
    assert flat['model'] == {'name': 'linear', 'init': 'glorot_normal'}
    assert not {'learning_rate', 'seed', 'arms', 'sweep', 'findings', 'record', 'strategy', 'branch'} & flat.keys()
    study = asked(tmp_path, c, pick=('small',))
    ids = {canonical([p.policy.learning_rate, p.seed]): p.id for p in study.plans}
    assert entry['rows'] == [
        {'id': ids[canonical([rate, seed])], 'kind': 'run', 'arm': arm, 'axes': {'learning_rate': rate},
         'replicate': {'seed': seed}, 'branch': None, 'point': None, 'probe': None}
        for rate in (0.05, 0.1) for seed in (0, 1) for arm in ('small', 'tiny')
    ]  # fmt: skip
    stored = json.loads((tmp_path / 'train' / 'study.json').read_text())
    assert stored['schema'] == 1
    assert stored['sha256'] == paths.digest({k: v for k, v in stored.items() if k != 'sha256'})


def test_branches_and_probes_have_rows(tmp_path: pathlib.Path):
    """Of the arm of their parent, at the declared epoch."""
    c = branching()
    c.study, c.findings = 'shen', 'shen'
    c.arms.large = dict(batch_size=64, probe=dict(at_epochs=(2,)))
    c.probe.name, c.probe.trials, c.probe.parameters = 'gradient_norm', 2, ('all',)
    c.probe.learning_rates = (0.1,)
    entry = launch(tmp_path, c)
    study = asked(None, c)
    kinds = {kind: [r for r in entry['rows'] if r['kind'] == kind] for kind in ('run', 'branch', 'probe')}
    assert {(r['arm'], r['branch'], r['point'], r['replicate']['seed']) for r in kinds['branch']} == {
        ('large', name, point, seed)
        for name, point in (('control', 1), ('control', 2), ('switch_small', 1), ('switch_rate', 1), ('switch_rate', 2))
        for seed in (0, 1)
    }
    # Gradient norms at each run's rate, at the first seed at another one too; the line from small to large.
    norms = [(r['arm'], r['point'], r['replicate']['seed']) for r in kinds['probe'] if r['probe'] == 'gradient_norm']
    assert sorted(norms) == [('large', 2, 0), ('large', 2, 0), ('large', 2, 1)]
    lines = [(r['arm'], r['point'], r['replicate']['seed']) for r in kinds['probe'] if r['probe'] == 'interpolation']
    assert lines == [('large', 2, 0), ('large', 2, 1)]
    assert {r['id'] for r in entry['rows']} == {member.id for member in study.members}
    assert entry['branch_arms'] == {
        'control': {},
        'switch_small': {'of': ['large'], 'at_epochs': [1], 'batch_size': 8},
        'switch_rate': {'of': ['large'], 'at_epochs': [1, 2], 'learning_rate': 0.2},
    }
    assert cells(launch(tmp_path, c)) == cells(entry)
    assert {'small', 'large', 'large/control@1', 'large/switch_rate@2'} <= set(study.arms.values())


def test_a_plain_sweep_writes_none(tmp_path: pathlib.Path):
    study = asked(tmp_path, base())
    assert study.asked is None
    c = base()
    c.arms.small = dict(batch_size=8)
    assert launch(tmp_path, c)['arms'] == {'small': {'batch_size': 8}}
    assert list(study_file.read(tmp_path / 'train')) == ['train']  # without findings by the name of the study


# --- launches join


def test_later_launches_join(tmp_path: pathlib.Path):
    """The same again, more seeds, one seed, more rates, a rate in place of the axis, more arms: one table of cells."""
    launch(tmp_path, rated())
    before = (tmp_path / 'train' / 'study.json').stat().st_mtime_ns
    launch(tmp_path, rated())
    assert (tmp_path / 'train' / 'study.json').stat().st_mtime_ns == before
    launch(tmp_path, rated(), {'sweep.seed': (2, 3)})
    launch(tmp_path, rated(), {'seed': 7})
    launch(tmp_path, rated(), {'sweep.learning_rate': (0.2,)})
    launch(tmp_path, rated(), {'learning_rate': 0.3})
    # What is recorded, how it is executed and what is held fixed make no other question.
    launch(tmp_path, rated(), {'measure.distance.every_epochs': 1.0, 'strategy': 'vmap', 'model.init': 'glorot_normal'})
    c = rated()
    c.arms.middle = dict(batch_size=32)
    entry = launch(tmp_path, c)
    found = {(r['arm'], r['axes']['learning_rate'], r['replicate']['seed']) for r in entry['rows']}
    two = ('small', 'large')
    assert found == {
        *((a, rate, s) for a in two for rate in (0.05, 0.1) for s in (0, 1, 2, 3, 7)),
        *((a, rate, s) for a in two for rate in (0.2, 0.3) for s in (0, 1)),
        *(('middle', rate, s) for rate in (0.05, 0.1) for s in (0, 1)),
    }
    assert len(entry['rows']) == len(found)
    assert list(entry['arms']) == ['small', 'large', 'middle']


def test_an_axis_that_one_launch_lacks_has_the_values_of_its_base(tmp_path: pathlib.Path):
    """Either way round; a length in other units; an axis of whole sections beside one of a field in it."""
    c = rated()
    c.schedule.name, c.schedule.at_fractions = 'step', (0.5,)
    launch(tmp_path, c)
    entry = launch(tmp_path, c, {'sweep.weight_decay': (0.0, 0.1), 'learning_rate': 0.05})
    rows = {(r['axes']['learning_rate'], r['axes']['weight_decay']) for r in entry['rows']}
    assert rows == {(0.05, 0.0), (0.1, 0.0), (0.05, 0.1)}
    assert 'weight_decay' not in entry['base']
    entry = launch(tmp_path, c, {'sweep.total_steps': (5, 6)})
    assert 'total_epochs' not in entry['base']
    lengths = {(r['axes'].get('total_epochs'), r['axes'].get('total_steps')) for r in entry['rows']}
    assert lengths == {(2.0, None), (None, 5), (None, 6)}
    entry = launch(tmp_path, c, {'sweep.schedule.factor': (0.2, 0.3)})
    assert {r['axes']['schedule.factor'] for r in entry['rows']} == {0.1, 0.2, 0.3}
    sections = ({'name': 'cosine'}, {'name': 'step', 'at_fractions': (0.5,), 'factor': 0.2})
    entry = launch(tmp_path, c, {'sweep.schedule': sections})
    assert 'schedule' not in entry['base']
    assert len({canonical(r['axes']['schedule']) for r in entry['rows']}) == 4
    assert all('schedule.factor' not in r['axes'] for r in entry['rows'])
    # A run is a replicate of one cell of its arm, however its section was written.
    places = [canonical([r['id'], r['arm']]) for r in entry['rows']]
    assert len(places) == len(set(places))


def test_an_arms_own_axis_leaves_the_others_theirs(tmp_path: pathlib.Path):
    c = base()
    c.arms.sgd = dict(batch_size=16)
    c.arms.adam = dict(optimizer=dict(name='adam'), sweep=dict(learning_rate=(0.001, 0.01)))
    launch(tmp_path, c)
    entry = launch(tmp_path, c, {'arms.adam.sweep.learning_rate': (0.1,), 'sweep.weight_decay': (0.0, 0.1)})
    rates = {arm: {r['axes'].get('learning_rate') for r in entry['rows'] if r['arm'] == arm} for arm in ('sgd', 'adam')}
    assert rates == {'sgd': {None}, 'adam': {0.001, 0.01, 0.1}}
    assert entry['base']['learning_rate'] == 0.1
    with pytest.raises(ValueError, match=r'began with learning_rate=0\.1, and this launch has 0\.2'):
        asked(tmp_path, c, {'learning_rate': 0.2})


def test_a_base_from_before_a_field_was_added_is_the_same(tmp_path: pathlib.Path):
    """Of the schema and of a part; with another value than its default it is another base."""
    c = rated()
    entry = launch(tmp_path, c)
    del entry['base']['dtype'], entry['base']['model']['init'], entry['base']['clip']
    study_file.write(tmp_path / 'train', {'rated': entry})
    assert launch(tmp_path, c)['base']['model']['init'] == 'glorot_normal'
    study_file.write(tmp_path / 'train', {'rated': entry})
    with pytest.raises(ValueError, match=r"began with model\.init='glorot_normal', and this launch has 'he_normal'"):
        asked(tmp_path, c, {'model.init': 'he_normal'})


def test_findings_share_a_study_folder(tmp_path: pathlib.Path):
    launch(tmp_path, rated())
    c = three()
    c.findings = 'other'
    launch(tmp_path, c, {'total_epochs': 1.0})
    assert list(study_file.read(tmp_path / 'train')) == ['rated', 'other']


# --- refused


def other_length(c: Any) -> None:
    c.arms.large = dict(batch_size=64, total_epochs=1.0)


def other_alias(c: Any) -> None:
    del c.arms['small']
    c.arms.small = 'large'


def other_part(c: Any) -> None:
    c.data.name = 'blobs'


REFUSED: dict[str, tuple[Callable[[Any], None] | dict[str, Any], str]] = {
    'a toy launch and a full one': ({'total_epochs': 1.0}, 'began with total_epochs=2.0, and this launch has 1.0'),
    'another arm of that name': ({'arms.large.batch_size': 32}, 'arm large began as {"batch_size":64}, and is {"batch'),
    'a toy arm': (other_length, 'arm large began as'),
    'an alias now': (other_alias, 'arm small began as {"batch_size":8}, and is large'),
    'another task': (other_part, "began with data.name='digits', and this launch has 'blobs'"),
    'other replicates': (
        {'sweep.init_seed': (0, 1)},
        "began with replicates ['seed'], and this launch has ['seed', 'in",
    ),
}


@pytest.mark.parametrize('case', REFUSED, ids=lambda c: c.replace(' ', '-'))
def test_another_question_under_the_same_name_is_refused(tmp_path: pathlib.Path, case: str):
    """When the launch is planned, in one line with file, findings and cure; nothing is written."""
    launch(tmp_path, rated())
    before = (tmp_path / 'train' / 'study.json').read_bytes()
    change, message = REFUSED[case]
    c = rated()
    if callable(change):
        change(c)
    with pytest.raises(ValueError, match=re.escape(message)) as e:
        asked(tmp_path, c, {} if callable(change) else change)
    assert str(e.value).startswith(f'{tmp_path}/train/study.json: ')
    assert 'rated' in str(e.value)
    assert 'or in another --workdir' in str(e.value)
    assert '\n' not in str(e.value)
    assert (tmp_path / 'train' / 'study.json').read_bytes() == before


def test_a_second_run_for_one_cell_and_replicate_is_refused(tmp_path: pathlib.Path):
    """As where the window of branches, which is no field of an id, was changed."""
    launch(tmp_path, branching(), {})
    refused = r'has run \w+ as large/control \(seed=0\), and this launch run \w+; launch it'
    with pytest.raises(ValueError, match=refused):
        asked(tmp_path, branching(), {'branch.more_epochs': 2.0})


# --- damage


def test_damage_is_told_with_file_and_cure_and_nothing_is_launched(tmp_path: pathlib.Path):
    launch(tmp_path, rated())
    file = tmp_path / 'train' / 'study.json'
    whole = file.read_text()
    without = {k: v for k, v in json.loads(whole).items() if k != 'sha256'}
    changed = (whole[:-50], whole.replace('0.05', '0.06', 1), whole.replace('small', 'smell'))
    for damaged in (*changed, '[]', json.dumps(without)):
        file.write_text(damaged)
        for what in (lambda: study_file.read(file.parent), lambda: asked(tmp_path, rated())):
            with pytest.raises(paths.Damaged, match=re.escape(f'{file} is damaged')) as e:
                what()
            assert 'bsresearch status --rebuild' in str(e.value)
            assert '\n' not in str(e.value)
        assert file.read_text() == damaged
    # Its sha256 does not depend on how it is laid out.
    file.write_text(json.dumps(json.loads(whole), indent=3, sort_keys=True))
    assert list(study_file.read(file.parent)) == ['rated']


def test_a_copied_file_is_another_question_or_the_same(tmp_path: pathlib.Path):
    """From another study, or a launch of other length: refused. From one like it: its rows are the launch's own."""
    launch(tmp_path / 'a', rated())
    launch(tmp_path / 'b', rated(), {'total_epochs': 1.0})
    c = rated()
    c.study = 'lr_range'
    c.schedule.name = 'range_test'
    for source, target, config in (('b/train', 'c/train', rated()), ('a/train', 'd/lr_range', c)):
        (tmp_path / target).mkdir(parents=True)
        shutil.copy(tmp_path / source / 'study.json', tmp_path / target)
        with pytest.raises(ValueError, match=r'study\.json: .* began with (total_epochs|study|schedule)'):
            asked((tmp_path / target).parent, config)
    (tmp_path / 'e' / 'train').mkdir(parents=True)
    shutil.copy(tmp_path / 'a' / 'train' / 'study.json', tmp_path / 'e' / 'train')
    assert launch(tmp_path / 'e', rated()) == launch(tmp_path / 'a', rated())


def test_a_damaged_file_is_made_anew_from_the_runs(tmp_path: pathlib.Path):
    """Cells of later launches too, by their ids; an axis that only the command line had is given again."""
    c = branching()
    c.findings, c.held_fixed = 'rated', ('epochs',)
    c.branch.more_epochs = 0.5
    for overrides in ({}, {'sweep.seed': (5, 6)}, {'seed': 8}, {'sweep.weight_decay': (0.0, 0.1)}):
        groups.form(tmp_path, made_by(tmp_path, c, overrides), pytest.fail, 'cpu')
    whole = study_file.read(tmp_path / 'reload')
    file = tmp_path / 'reload' / 'study.json'
    file.write_text('{')
    with pytest.raises(ValueError, match=r'--rebuild needs --config'):
        status.rebuild(SimpleNamespace(value=None), tmp_path)
    asked_anew = planner.rebuilt(c.to_dict(), {'sweep.weight_decay': (0.0,)}, tmp_path)
    assert asked_anew.rebuild(tmp_path)
    anew = study_file.read(tmp_path / 'reload')['rated']
    assert cells(anew) == cells(whole['rated'])
    assert {r['id'] for r in anew['rows']} == {r['id'] for r in whole['rated']['rows']}
    assert all(anew[part] == whole['rated'][part] for part in ('base', 'arms', 'replicates'))
    # Not damaged: other findings stay.
    study_file.write(file.parent, {'other': whole['rated'], 'rated': {}})
    assert not asked_anew.rebuild(tmp_path)
    assert list(study_file.read(file.parent)) == ['other', 'rated']
    with pytest.raises(ValueError, match=r"has no runs of study 'train'"):
        planner.rebuilt(rated().to_dict(), {}, tmp_path)


def test_reading_writes_nothing(tmp_path: pathlib.Path):
    assert study_file.read(tmp_path / 'train') == {}
    asked(tmp_path / 'none', rated())
    assert not list(tmp_path.iterdir())


# --- when it is written


def test_it_is_written_before_the_first_group_and_a_kill_leaves_it_whole(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
):
    """Brute force over the writes of a launch: killed before any of them and started again, the workdir is the same."""
    monkeypatch.setattr(os, 'fsync', lambda _: None)
    c = three()
    c.evaluate.every_epochs, c.total_epochs = 0.0, 0.05
    replace, left, order = os.replace, [0], []

    def counted(source: Any, target: Any) -> None:
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        order.append(pathlib.Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, 'replace', counted)
    monkeypatch.setattr(groups, 'form', lambda *_: [])
    whole: list[bytes] = []
    for moment in (9, 0, 1):
        workdir = tmp_path / str(moment)
        left[0] = moment
        for _ in range(2):
            study = asked(workdir, c)
            try:
                assert command.execute(toy.Quiet(), workdir, study) == 0
            except KeyboardInterrupt:
                left[0] = 9
        whole.append((workdir / 'train' / 'study.json').read_bytes())
    assert order[:2] == ['schema.json', 'study.json']
    assert whole[0] == whole[1] == whole[2]


def test_a_toy_launch_leaves_it_beside_its_runs(tmp_path: pathlib.Path):
    """Trained: each row is a run of the workdir."""
    c = three()
    c.evaluate.every_epochs, c.total_epochs, c.sweep.seed = 0.0, 0.05, (0,)
    assert command.execute(Console(quiet=True), tmp_path, asked(tmp_path, c)) == 0
    assert set(asked(tmp_path, c).arms.values()) == {'small', 'large', 'higher_rate'}
    for row in study_file.read(tmp_path / 'train')['train']['rows']:
        assert paths.read_json(tmp_path / 'train' / row['id'] / 'meta.json')['status'] == 'done'


def test_launchers_at_once_lose_no_rows(tmp_path: pathlib.Path):
    """Four that were planned before any of them wrote; a lock on a file holds for threads as for processes."""
    barrier = threading.Barrier(4)

    def write(study: planner.Study) -> None:
        assert study.asked is not None
        barrier.wait()
        study.asked.write(tmp_path, presence.Stay())

    launchers = [threading.Thread(target=write, args=(asked(tmp_path, rated(), {'seed': s}),)) for s in range(4)]
    for launcher in launchers:
        launcher.start()
    for launcher in launchers:
        launcher.join()
    entry = study_file.read(tmp_path / 'train')['rated']
    assert {(r['arm'], r['axes']['learning_rate'], r['replicate']['seed']) for r in entry['rows']} == {
        (arm, rate, seed) for arm in ('small', 'large') for rate in (0.05, 0.1) for seed in range(4)
    }


def test_one_of_two_launchers_at_once_is_refused(tmp_path: pathlib.Path):
    """Both were planned in an empty workdir; the second to write asks another question."""
    full, small = asked(tmp_path, rated()), asked(tmp_path, rated(), {'total_epochs': 1.0})
    assert full.asked is not None
    full.asked.write(tmp_path, presence.Stay())
    assert command.execute(toy.Quiet(), tmp_path, small) == 1
    assert not list((tmp_path / 'train').glob('*/config.json'))
