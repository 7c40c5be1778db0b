"""What is read from disk is what was written: a byte flipped, a file cut, emptied or deleted is told with its file."""

import pathlib
import re
import shutil

import numpy as np
import pytest
import toy
from workdirs_of_old import unpack

from bsresearch.launching import groups, runner
from bsresearch.launching.jobs import jobs, status
from bsresearch.planning import branch_point, probe
from bsresearch.planning.plan import Plan, tuples
from bsresearch.report import report
from bsresearch.store import estimates, lineage, paths, probe_records, records, verify
from bsresearch.store.paths import Damaged
from bsresearch.train import backfill
from bsresearch.train.saving import restore


@pytest.fixture(autouse=True)
def home(tmp_path: pathlib.Path, patching: pytest.MonkeyPatch) -> pathlib.Path:
    """A user's cache of its own, so that nothing is remembered from another test."""
    patching.setenv('HOME', str(tmp_path / 'home'))
    verify._remembered.cache_clear()
    return tmp_path / 'home'


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, list[Plan]]:
    """Two finished runs of one group, with dense records."""
    workdir = tmp_path_factory.mktemp('trained') / 'runs'
    plans = toy.plans(record__dense=True, sweep__seed=(0, 1))
    toy.train(workdir, plans)
    return workdir, plans


@pytest.fixture
def copied(trained: tuple[pathlib.Path, list[Plan]], tmp_path: pathlib.Path) -> tuple[pathlib.Path, list[Plan]]:
    """The same, to be damaged."""
    workdir, plans = trained
    return shutil.copytree(workdir, tmp_path / 'runs'), plans


def another_digit(path: pathlib.Path) -> None:
    """A number of a middle line is another one; the file stays as long, and JSON."""
    lines = path.read_text().splitlines(keepends=True)
    middle = len(lines) // 2
    lines[middle] = re.sub(r'(batch_loss": \d\.)(\d)', lambda m: f'{m[1]}{9 - int(m[2])}', lines[middle])
    changed = ''.join(lines)
    assert changed != path.read_text()
    path.write_text(changed)


def a_line_less(path: pathlib.Path) -> None:
    path.write_text(''.join(path.read_text().splitlines(keepends=True)[:-1]))


OF_ROWS = toy.DAMAGES | {'another digit': another_digit, 'a line less': a_line_less}


@pytest.mark.parametrize('how', OF_ROWS)
def test_damaged_rows_of_a_finished_run_are_refused(how: str, copied: tuple[pathlib.Path, list[Plan]]):
    workdir, plans = copied
    path = paths.run_dir(workdir, 'train', plans[0].id) / 'metrics.jsonl'
    OF_ROWS[how](path)
    for read in (records.load, lambda w: records.last_row(path.parent)):
        with pytest.raises(Damaged, match=re.escape(str(path))):
            read(workdir)


@pytest.mark.parametrize('how', toy.DAMAGES)
def test_damaged_arrays_of_a_finished_run_are_refused(how: str, copied: tuple[pathlib.Path, list[Plan]]):
    """Also by who reads the rows alone: the run is not what it was."""
    workdir, plans = copied
    directory = paths.run_dir(workdir, 'train', plans[0].id)
    path = sorted((directory / 'arrays').glob('*.npz'))[-1]
    toy.DAMAGES[how](path)
    for read in (lambda: records.dense(directory), lambda: records.load(workdir)):
        with pytest.raises(Damaged, match=re.escape(str(path))):
            read()


@pytest.mark.parametrize('how', toy.DAMAGES)
@pytest.mark.parametrize('name', ['config.json', 'meta.json'])
def test_damaged_descriptions_of_a_run_are_refused(name: str, how: str, copied: tuple[pathlib.Path, list[Plan]]):
    workdir, plans = copied
    path = paths.run_dir(workdir, 'train', plans[0].id) / name
    toy.DAMAGES[how](path)
    with pytest.raises(Damaged, match=re.escape(str(path))):
        records.load(workdir)
    if name == 'meta.json':
        with pytest.raises(Damaged, match=re.escape(str(path))):
            toy.train(workdir, plans)


def test_what_was_written_is_read(copied: tuple[pathlib.Path, list[Plan]], patching: pytest.MonkeyPatch):
    """Each file is hashed once, then remembered in the user's cache and not in the workdir, until it changes."""
    workdir, plans = copied
    before = sorted(workdir.rglob('*'))
    directory = paths.run_dir(workdir, 'train', plans[0].id)
    hashed: list[str] = []
    digest = verify._digest
    patching.setattr(verify, '_digest', lambda path, size: hashed.append(path.name) or digest(path, size))
    for _ in range(2):
        records.load(workdir)
        verify._remembered.cache_clear()  # another process reads the cache
    files = len(list((workdir / 'train').glob('*/arrays/*'))) + len(plans)
    assert len(hashed) == files
    assert sorted(workdir.rglob('*')) == before
    contents = groups.status(workdir, plans[0])[verify.KEY]
    assert contents['rows'] == len(list(records.rows(directory)))
    assert contents['bytes'] == (directory / 'metrics.jsonl').stat().st_size
    another_digit(directory / 'metrics.jsonl')
    with pytest.raises(Damaged):
        records.load(workdir)


def replaced(path: pathlib.Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


NUMBERS = {
    'learning_rate': ('"learning_rate": 0.05', '"learning_rate": 0.03'),
    'epoch_size': ('"epoch_size": 1437', '"epoch_size": 1436'),
    'micro_batch_size': ('"micro_batch_size": 8', '"micro_batch_size": 4'),
    'seed': ('"seed": 1', '"seed": 2'),
}


@pytest.mark.parametrize('field', NUMBERS)
def test_another_number_in_a_group_is_refused(field: str, copied: tuple[pathlib.Path, list[Plan]]):
    """Before, `learning_rate` made the launch go round for ever, and `epoch_size` trained on other data."""
    workdir, plans = copied
    group = groups.of(workdir, plans[0])
    for plan in plans:  # as if they were stopped
        file = group.run_directory(plan) / 'meta.json'
        paths.write_json(file, paths.read_json(file) | {'status': 'running'})
    replaced(group.directory / 'group.json', *NUMBERS[field])
    with pytest.raises(Damaged, match=r'group\.json'):
        toy.train(workdir, plans)
    with pytest.raises(Damaged, match=r'group\.json'):
        branch_point.plan_of(group.run_directory(plans[0]))


@pytest.mark.parametrize('field', ['learning_rate', 'epoch_size', 'seed'])
def test_another_number_in_an_old_group_is_refused(field: str, tmp_path: pathlib.Path):
    """Without a seal: the group's name is made of its runs' ids, and each config.json tells the same numbers."""
    workdir = unpack('stopped', tmp_path)
    (file,) = workdir.glob('train/groups/*/group.json')
    numbers = NUMBERS | {'learning_rate': ('"learning_rate": 0.1', '"learning_rate": 0.3')}
    text = file.read_text()
    # The resolved number, not the declared one.
    head, tail = text.rsplit(numbers[field][0], 1)
    file.write_text(f'{head}{numbers[field][1]}{tail}')
    with pytest.raises(Damaged, match=r'group\.json'):
        groups.load(file.parent)


def test_a_group_that_does_not_hold_a_run_is_refused(copied: tuple[pathlib.Path, list[Plan]]):
    """Two whole groups, and a meta that points to the wrong one."""
    workdir, plans = copied
    (other,) = toy.plans(record__dense=True, seed=7, total_steps=20)
    toy.train(workdir, [other])
    file = paths.run_dir(workdir, 'train', plans[0].id) / 'meta.json'
    wrong = {'group': groups.status(workdir, other)['group'], 'status': 'running'}
    paths.write_json(file, paths.read_json(file) | wrong)
    with pytest.raises(Damaged, match=plans[0].id):
        toy.train(workdir, plans[:1])


def test_a_neighbours_place_in_the_group_is_refused(tmp_path: pathlib.Path):
    """An old meta's `index` 1 → 0: its weights would be the neighbour's."""
    workdir = unpack('finished', tmp_path)
    (file,) = workdir.glob('train/groups/*/group.json')
    plan = groups.load(file.parent).plans[1]
    meta = paths.run_dir(workdir, 'train', plan.id) / 'meta.json'
    replaced(meta, '"index": 1', '"index": 0')
    for read in (lambda: restore.state(workdir, plan, 100), lambda: branch_point.plan_of(meta.parent)):
        with pytest.raises(Damaged, match=plan.id):
            read()


def test_a_run_sealed_before_its_group_had_ended_goes_back_with_it(tmp_path: pathlib.Path):
    """A kill between the metas at the end, and the last checkpoint lost: rows as if never stopped, read all along."""
    plans = toy.plans(sweep__learning_rate=(0.05, 0.1), checkpoint__every_steps=10, evaluate__at_steps=(35,))
    toy.train(tmp_path, plans)
    rows = [toy.rows(tmp_path, plan) for plan in plans]
    last = paths.run_dir(tmp_path, plans[1].study, plans[1].id) / 'meta.json'
    unended = {k: v for k, v in paths.read_json(last).items() if k != verify.KEY} | {'status': 'running'}
    paths.write_json(last, unended)
    shutil.rmtree(restore.group_directory(tmp_path, plans[0]) / 'checkpoints' / '40')
    with pytest.raises(runner.Stopped):
        toy.train(tmp_path, plans, toy.StopsAt(35))
    assert set(records.load(tmp_path)['status']) == {'stopped'}
    toy.train(tmp_path, plans)
    assert [toy.rows(tmp_path, plan) for plan in plans] == rows
    assert set(records.load(tmp_path)['status']) == {'done'}


def test_records_that_changed_while_a_run_stood_still_are_refused_before_it_goes_on(tmp_path: pathlib.Path):
    """The checkpoint knows what the records were; no update is made before they are compared."""
    (plan,) = toy.plans(record__dense=True, checkpoint__every_steps=10)
    with pytest.raises(runner.Stopped):
        toy.train(tmp_path / 'runs', [plan], toy.StopsAt(20))
    directory = paths.run_dir(tmp_path / 'runs', 'train', plan.id)
    for name, damage in (('metrics.jsonl', another_digit), ('arrays/updates-000000000000.npz', toy.flip)):
        workdir = shutil.copytree(tmp_path / 'runs', tmp_path / damage.__name__)
        damage(paths.run_dir(workdir, 'train', plan.id) / name)
        with pytest.raises(Damaged, match=r'metrics\.jsonl'):
            toy.train(workdir, [plan])
    toy.train(tmp_path / 'runs', [plan])
    (whole,) = toy.plans(record__dense=True, checkpoint__every_steps=10)
    toy.train(tmp_path / 'whole', [whole])
    assert toy.rows(tmp_path / 'runs', plan) == toy.rows(tmp_path / 'whole', whole)
    for name, values in records.dense(directory).items():
        np.testing.assert_array_equal(values, toy.dense(tmp_path / 'whole', whole)[name])


@pytest.mark.parametrize('how', toy.DAMAGES)
def test_a_damaged_array_of_a_probe_names_its_file(how: str, tmp_path: pathlib.Path):
    """Also of an old workdir, whose probes have no hash: a flipped byte is told by the archive's own sum."""
    workdir = unpack('probes', tmp_path)
    assert probe_records.load(workdir, 'gradient_norm')
    path = sorted(workdir.glob('gradient_norm/*/arrays/gradient_norm-*.npz'))[0]
    toy.DAMAGES[how](path)
    with pytest.raises(Damaged, match=re.escape(str(path))):
        probe_records.load(workdir, 'gradient_norm')


def test_a_lost_description_is_told_by_every_reader(copied: tuple[pathlib.Path, list[Plan]], tmp_path: pathlib.Path):
    """A report without the run, or the probe, would be another result."""
    workdir, plans = copied
    probed = unpack('probes', tmp_path)
    (group,) = workdir.glob('train/groups/*/group.json')
    folder = sorted(probed.glob('gradient_norm/*/probe.json'))[0].parent
    run = paths.run_dir(workdir, 'train', plans[0].id)
    write = lambda w: report.write(w, tmp_path / 'out', drawing=False)
    table, probes = records.load, lambda w: probe_records.load(w, 'gradient_norm')
    for file, root, readers in (
        (run / 'config.json', workdir, (write, table)),
        (run / 'meta.json', workdir, (write, table, status.text)),
        (group, workdir, (status.text,)),
        (folder / 'probe.json', probed, (write, probes)),
        (folder / 'meta.json', probed, (write, probes)),
    ):
        before = file.read_bytes()
        file.unlink()
        for read in readers:
            with pytest.raises(Damaged, match=re.escape(str(file))):
                read(root)
        file.write_bytes(before)
    for root, readers in ((workdir, (write, table, status.text)), (probed, (write, probes))):
        for read in readers:
            read(root)


@pytest.mark.parametrize('old', ['config.json', 'lineage.json'])
def test_a_field_lost_from_an_old_description_names_its_file(old: str, tmp_path: pathlib.Path):
    """Without a seal a byte flipped in a field's name leaves good JSON."""
    workdir = unpack('branches', tmp_path)
    file = sorted(workdir.glob(f'reload/*/{old}'))[0]
    replaced(file, *{'config.json': ('"resolved"', '"resolvee"'), 'lineage.json': ('"step"', '"stfp"')}[old])
    for read in (lineage.text, lambda w: report.write(w, tmp_path / 'out', drawing=False)):
        if (old, read) != ('config.json', lineage.text):
            with pytest.raises(Damaged, match=re.escape(str(file))):
                read(workdir)


def test_estimates_torn_or_damaged(copied: tuple[pathlib.Path, list[Plan]]):
    """What a kill left of a last line is left out, and nothing is appended to it."""
    workdir, _ = copied
    file = workdir / estimates.FILE
    estimates.note(workdir, 'train', 1.0, 2.0, True)
    whole = file.read_text()
    file.write_text(whole + '{"study": "tr')
    assert len(estimates.load(workdir)) == 1
    estimates.note(workdir, 'train', 3.0, 4.0, False)
    assert [row['spent_seconds'] for row in estimates.load(workdir)] == [2.0, 4.0]
    for line in ('{}', '[1]', '', whole[:9], whole.strip().replace('2.0', '"x"')):
        file.write_text(f'{whole}{line}\n')
        with pytest.raises(Damaged, match=rf'{re.escape(str(file))}, line 2'):
            report.write(workdir, workdir / 'out', drawing=False)


def test_files_of_a_launch(tmp_path: pathlib.Path):
    """plan.json and launch.json of another shape, and of another probe."""
    workdir = unpack('probes', tmp_path)
    (group,) = workdir.glob('gradient_norm/groups/*')
    plan = groups.load(group).plans[0]
    section = tuples(paths.read_json(next(workdir.glob('gradient_norm/*/probe.json')))['probe'])
    item = jobs.of_probe(workdir, probe.Probe('gradient_norm', section, ((plan, 10),), 0.01))
    assert len(jobs.load(workdir)) == 2
    file = item.directory / 'plan.json'
    stored = paths.read_json(file)
    for value in ({}, stored | {'points': 3}, stored | {'learning_rate': 0.02}):
        paths.write_json(file, value)
        with pytest.raises(Damaged, match=re.escape(str(file))):
            status.text(workdir)
    paths.write_json(workdir / jobs.TOKEN, {})
    with pytest.raises(Damaged, match=re.escape(str(workdir / jobs.TOKEN))):
        jobs.token(workdir)


def test_a_branch_that_has_not_begun_is_in_the_tree(tmp_path: pathlib.Path):
    """What its config says of the parent stands in for lineage.json, until it has records."""
    workdir = unpack('branches', tmp_path)
    file = sorted(workdir.glob('reload/*/lineage.json'))[0]
    config = paths.read_json(file.with_name('config.json'))
    config['resolved']['parent'] |= {'changes': []}  # as this version writes it
    paths.write_json(file.with_name('config.json'), config)
    file.unlink()
    for read in (lineage.text, lambda w: report.write(w, tmp_path / 'out', drawing=False)):
        with pytest.raises(Damaged, match=re.escape(str(file))):
            read(workdir)
    for name in ('metrics.jsonl', 'meta.json'):
        file.with_name(name).unlink()
    assert 'not begun yet' in lineage.text(workdir)
    assert report.write(workdir, tmp_path / 'out', drawing=False)


@pytest.mark.parametrize('value', [{}, {'runs': []}])
def test_a_note_of_a_killed_addition_of_another_shape(
    value: dict[str, object], copied: tuple[pathlib.Path, list[Plan]]
):
    workdir, plans = copied
    group = groups.of(workdir, plans[0])
    paths.write_json(group.directory / backfill.NOTE, value)
    with pytest.raises(Damaged, match=re.escape(backfill.NOTE)):
        backfill.undo(group.directory, [group.run_directory(p) for p in group.plans])


def test_the_status_names_unfinished_probes_of_an_older_main(tmp_path: pathlib.Path):
    """They have no plan.json; without a word all would look done."""
    workdir = unpack('probes', tmp_path)
    assert 'not finished' not in status.text(workdir)
    file = sorted(workdir.glob('gradient_norm/*/probe.json'))[0].with_name('meta.json')
    paths.write_json(file, paths.read_json(file) | {'status': 'running'})
    assert f'not finished: {file.parent.name}' in status.text(workdir)
