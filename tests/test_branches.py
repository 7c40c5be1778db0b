"""Branches: the null branch is its parent, any other uses the new values at once; parents stay as they are."""

import hashlib
import pathlib
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.launching import groups
from bsresearch.planning.branch import PARTS, branch
from bsresearch.planning.branch_point import point
from bsresearch.planning.plan import Plan
from bsresearch.store import leases, lineage, paths
from bsresearch.studies import gradient_norm
from bsresearch.studies import reload as study

DENSE: dict[str, Any] = {'record__dense': True, 'keep__at_steps': (20,), 'norms__log_spaced': 0}


@pytest.fixture(scope='module', autouse=True)
def parents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each parent is trained once; tests get copies."""
    HOMES.append(tmp_path_factory.mktemp('parents'))
    yield
    HOMES.clear()


HOMES: list[pathlib.Path] = []


def parent(workdir: pathlib.Path, **changes: Any) -> Plan:
    """A trained run with a checkpoint at update 20 of 40."""
    (plan,) = toy.plans(**(DENSE | changes))
    home = HOMES[0] / hashlib.sha256(repr(plan).encode()).hexdigest()
    if not home.exists():
        toy.train(home, [plan])
    shutil.copytree(home, workdir, dirs_exist_ok=True)
    return plan


def directory(workdir: pathlib.Path, plan: Plan) -> pathlib.Path:
    return paths.run_dir(workdir, plan.study, plan.id)


def branched(workdir: pathlib.Path, plan: Plan, step: int = 20, **changes: Any) -> Plan:
    """A trained branch; `changes` by dotted path, dots written as two underscores."""
    state = changes.pop('state', None)
    found = branch(plan, f'{plan.study}/{plan.id}', step, {k.replace('__', '.'): v for k, v in changes.items()}, state)
    toy.train(workdir, [found])
    return found


def digests(folder: pathlib.Path) -> dict[str, str]:
    """sha256 of every file below."""
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob('*')) if p.is_file()}


@pytest.mark.parametrize(('optimizer', 'schedule'), [('sgd', 'cosine'), ('momentum', 'cosine'), ('adam', 'constant')])
def test_the_null_branch_is_its_parent_bit_for_bit(optimizer: str, schedule: str, tmp_path: pathlib.Path):
    """Weights at the end, every loss and every rate from the branch point on, distances from the parent's θ_0."""
    run = parent(tmp_path, optimizer__name=optimizer, schedule__name=schedule)
    null = branched(tmp_path, run)
    assert null.id != run.id
    toy.assert_equal(toy.final(tmp_path, null), toy.final(tmp_path, run))
    for name, values in toy.dense(tmp_path, null).items():
        np.testing.assert_array_equal(values, toy.dense(tmp_path, run)[name][20:])
    own = {r['step']: r for r in toy.rows(tmp_path, null) if 'distance' in r}
    theirs = {r['step']: r for r in toy.rows(tmp_path, run) if 'distance' in r}
    assert own[40]['distance'] == theirs[40]['distance']
    assert own[20]['distance'] > 0
    assert min(own) == 20


def test_a_warm_up_in_updates_is_the_parents_or_refused_where_the_batch_size_changes():
    """10 updates of 8 are 80 examples; at B = 16 a kept schedule would go on warming up for twice as many."""
    changed = {'batch_size': 16}
    (run,), (same,) = toy.plans(warmup__steps=10), toy.plans(warmup__examples=80)
    assert run.id == same.id
    at = lambda plan, changes, state=None: branch(plan, 'x', 5, changes, state)
    with pytest.raises(ValueError, match=r'warmup\.steps=10.*warmup\.steps=0 and warmup\.examples=80, or set branch'):
        at(run, changed)
    kept = at(run, changed | {'warmup.steps': 0, 'warmup.examples': 80})
    assert kept.id == at(same, changed).id
    np.testing.assert_array_equal(kept.table(5, 8).learning_rate, run.table(5, 11).learning_rate[::2])
    assert at(run, changed, {'schedule': 'rebase'}).policy.warmup['examples'] == 160
    assert at(run, {'learning_rate': 0.1}).policy.warmup['examples'] == 80


def test_a_branch_to_a_batch_that_epochs_cut_short_is_refused():
    """epoch_boundary=partial: no batch may be larger than the training set, in a branch either; `through` goes on."""
    for boundary in ('partial', 'through'):
        (run,) = toy.plans(epoch_boundary=boundary, total_steps=None, total_epochs=2.0, data__fraction=0.02)
        assert run.epoch_size == 29
        if boundary == 'through':
            assert branch(run, 'x', 4, {'batch_size': 30}).length.batch_size_at(4) == 30
            continue
        assert branch(run, 'x', 4, {'batch_size': 29}).length.batch_size_at(4) == 29
        with pytest.raises(ValueError, match='batch_size=30 with epoch_boundary=partial is never filled'):
            branch(run, 'x', 4, {'batch_size': 30})


@pytest.mark.parametrize('optimizer', ['sgd', 'adam'])
def test_a_branch_uses_the_new_values_in_its_first_update(optimizer: str, tmp_path: pathlib.Path):
    """Learning rate, momentum and batch size; the update itself is the one they give (plain SGD), not the parent's."""
    run = parent(tmp_path, optimizer__name=optimizer)
    momentum: dict[str, Any] = {} if optimizer == 'sgd' else {'momentum': 0.5}
    other = branched(tmp_path, run, batch_size=16, learning_rate=0.2, norms__every_steps=1, **momentum)
    row = next(r for r in toy.rows(tmp_path, other) if 'batch_loss' in r)
    assert row['step'] == 20
    assert (row['batch_size_used'], row['learning_rate_used']) == (16, 0.2)
    assert row['momentum_used'] == (0.5 if momentum else 0)
    if optimizer == 'sgd':
        assert row['update_norm'] == pytest.approx(0.2 * row['gradient_norm'], rel=1e-4)
    assert other.length.examples_at(20) == 160
    assert other.length.examples_at(21) == 176


def test_the_parent_stays_as_it_is(tmp_path: pathlib.Path):
    """Every byte of its directory and its group's."""
    run = parent(tmp_path)
    before = digests(tmp_path)
    branched(tmp_path, run, batch_size=4)
    after = digests(tmp_path)
    assert {k: after[k] for k in before} == before


def test_a_branch_of_a_branch_has_the_first_parents_initial_weights(tmp_path: pathlib.Path):
    """And goes on where its parent stood, under the schedule that was kept twice."""
    run = parent(tmp_path, schedule__name='cosine')
    first = branched(tmp_path, run, keep__at_steps=(20, 30))
    second = branched(tmp_path, first, 30)
    toy.assert_equal(toy.final(tmp_path, second), toy.final(tmp_path, run))
    own = {r['step']: r['distance'] for r in toy.rows(tmp_path, second) if 'distance' in r}
    theirs = {r['step']: r['distance'] for r in toy.rows(tmp_path, run) if 'distance' in r}
    assert own[40] == theirs[40]


def test_the_distance_to_the_branch_point_starts_at_zero(tmp_path: pathlib.Path):
    """While that from θ_0 goes on; a run without a parent measures both from θ_0."""
    run = parent(tmp_path, measure__branch_distance__every_steps=10)
    other = branched(tmp_path, run, batch_size=16, measure__branch_distance__every_steps=10)
    own = {r['step']: r for r in toy.rows(tmp_path, other) if 'branch_distance' in r}
    theirs = {r['step']: r for r in toy.rows(tmp_path, run) if 'branch_distance' in r}
    assert own[20]['branch_distance'] == 0
    assert own[20]['distance'] == toy.rows(tmp_path, other)[0]['distance'] > 0
    moved = np.sqrt(sum(
        ((a - b) ** 2).sum()
        for a, b in zip(
            (x for layer in toy.final(tmp_path, other).values() for x in layer.values()),
            (x for layer in toy.checkpoint(tmp_path, run, 20).params.values() for x in layer.values()), strict=True)
    ))  # fmt: skip
    assert own[40]['branch_distance'] == pytest.approx(moved, rel=1e-5)
    assert theirs[40]['branch_distance'] == theirs[40]['distance']


def test_branches_of_several_seeds_share_a_group(tmp_path: pathlib.Path):
    """Replicas of different parents: each begins with its own, under either strategy."""
    runs = toy.plans(**DENSE, sweep__seed=(0, 1))
    toy.train(tmp_path, runs)
    for strategy in ('sequential', 'vmap'):
        own = [
            branch(r, f'{r.study}/{r.id}', 20, {'learning_rate': rate, 'strategy': strategy})
            for r in runs
            for rate in ((0.05,) if strategy == 'sequential' else (0.07,))
        ]
        toy.train(tmp_path, own)
        metas = [paths.read_json(directory(tmp_path, p) / 'meta.json') for p in own]
        assert metas[0]['group'] == metas[1]['group']
        assert metas[0]['strategy'] == strategy
        for run, null in zip(runs, own, strict=True):
            if strategy == 'sequential':
                toy.assert_equal(toy.final(tmp_path, null), toy.final(tmp_path, run))
            first, whole = toy.rows(tmp_path, null)[0], toy.rows(tmp_path, run)
            assert first['distance'] > 0
            assert len({r['distance'] for r in whole if 'distance' in r}) > 1


def test_lineage_says_what_changed_and_what_was_kept(tmp_path: pathlib.Path):
    """Parent, point, the checkpoint's hash, the differing fields, the state's parts; the slots of another optimizer are
    reset."""
    run = parent(tmp_path)
    other = branched(tmp_path, run, optimizer__name='momentum', momentum=0.9, learning_rate=0.01)
    found = paths.read_json(directory(tmp_path, other) / 'lineage.json')
    assert (found['run'], found['step'], found['examples']) == (run.id, 20, 160)
    assert found['changes']['optimizer.name'] == ['sgd', 'momentum']
    assert found['changes']['learning_rate'] == [0.05, 0.01]
    assert {part for part, how in found['state'].items() if how != 'keep'} == {'optimizer'}
    assert set(found['state']) == {'params', *PARTS}
    assert len(found['checkpoint_sha256']['state']) == 64
    assert run.id in lineage.text(tmp_path)
    assert 'optimizer reset' in lineage.text(tmp_path)


def test_a_kept_schedule_is_read_where_the_parent_had_seen_as_much(tmp_path: pathlib.Path):
    """At another batch size by examples; past its end the last value holds; a rebased one begins anew."""
    run = parent(tmp_path, schedule__name='cosine')
    rates = toy.dense(tmp_path, run)['learning_rate_used']
    twice = branch(run, 'x', 20, {'batch_size': 16, 'total_steps': 40})
    found = twice.table(20, 40).learning_rate
    assert found[:10].astype(np.float32) == pytest.approx(rates[20::2])
    assert found[10:].astype(np.float32) == pytest.approx(rates[-1])
    again = branch(run, 'x', 20, {'total_steps': 60}, {'schedule': 'rebase'})
    assert again.table(20, 60).learning_rate.astype(np.float32) == pytest.approx(rates)


def test_a_rebased_schedule_ends_with_a_branch_whose_batch_grows():
    """A cosine over the branch's own updates, 1 at the first and 0 after the last, at the sizes really used."""
    grows: dict[str, Any] = {'batch_schedule': {'name': 'growth', 'at_examples': (80, 240)}, 'schedule__name': 'cosine'}
    (run,) = toy.plans(**grows, total_steps=None, total_examples=624)
    other = branch(run, 'x', 15, {}, {'schedule': 'rebase'})
    last, found = other.length.total_steps, other.table(15, other.length.total_steps)
    t = np.arange(last - 15)
    np.testing.assert_allclose(found.learning_rate, 0.05 * (1 + np.cos(np.pi * t / (last - 16))) / 2, atol=1e-9)
    assert found.batch_size.tolist() == [other.length.batch_size_at(u) for u in range(15, last)]
    with pytest.raises(ValueError, match='move the learning rate'):
        branch(run, 'x', 15, {'batch_schedule.as_learning_rate': True}, {'schedule': 'rebase'})


def test_instead_of_decay_counts_from_the_branchs_own_batch_size():
    """A rate halved at 400 examples: the batch doubles, the learning rate stays; as at another size from the start."""
    decays: dict[str, Any] = {'schedule': {'name': 'step', 'factor': 0.5, 'at_examples': (400,)}}
    (run,) = toy.plans(**decays, batch_schedule={'name': 'instead_of_decay'}, total_steps=None, total_examples=1600)
    for size in (4, 8, 16):
        other = branch(run, 'x', 15, {'batch_size': size})
        assert [s.batch_size for s in other.length.segments][-2:] == [size, 2 * size]
        np.testing.assert_allclose(other.table(15, other.length.total_steps).learning_rate, 0.05)


def cut(workdir: pathlib.Path, plan: Plan) -> pathlib.Path:
    """As a run stopped at its last checkpoint but one; its group's directory."""
    folder = directory(workdir, plan)
    group = paths.group_dir(workdir, plan.study, paths.read_json(folder / 'meta.json')['group'])
    shutil.rmtree(group / 'checkpoints' / str(plan.length.total_steps))
    paths.write_json(folder / 'meta.json', paths.read_json(folder / 'meta.json') | {'status': 'running'})
    return group


def removed(workdir: pathlib.Path, plan: Plan) -> None:
    """A run and its group are there no more."""
    folder = directory(workdir, plan)
    shutil.rmtree(paths.group_dir(workdir, plan.study, paths.read_json(folder / 'meta.json')['group']))
    shutil.rmtree(folder)


@pytest.mark.parametrize('where', ['here', 'elsewhere'])
def test_a_stopped_branch_goes_on_as_itself(where: str, tmp_path: pathlib.Path):
    """From its own checkpoint, its parent being gone or moved by then; the same as never stopped."""
    home = tmp_path / 'a' if where == 'here' else tmp_path / 'parents'
    run = parent(home)
    named = f'{run.study}/{run.id}' if where == 'here' else str(directory(home, run))
    other = branch(run, named, 20, {'learning_rate': 0.2, 'keep.at_steps': (30,)})
    toy.train(tmp_path / 'a', [other])
    shutil.copytree(tmp_path / 'a', tmp_path / 'b')
    cut(tmp_path / 'b', other)
    if where == 'here':
        removed(tmp_path / 'b', run)
    else:
        home.rename(tmp_path / 'moved')
        _, again, _ = point(f'{directory(tmp_path / "moved", run)}@step:20')
        named = str(directory(tmp_path / 'moved', run))
        other = branch(again, named, 20, {'learning_rate': 0.2, 'keep.at_steps': (30,)})
    said = toy.train(tmp_path / 'b', [other]).lines
    assert said == []
    toy.assert_equal(toy.final(tmp_path / 'b', other), toy.final(tmp_path / 'a', other))
    assert toy.rows(tmp_path / 'b', other) == toy.rows(tmp_path / 'a', other)


def test_a_branch_not_begun_begins_where_the_command_says_its_parent_is(tmp_path: pathlib.Path):
    """Its group was formed while the parent lay elsewhere; another parent is refused by its sha256."""
    run = parent(tmp_path / 'parents')
    named = lambda home: branch(run, str(directory(home, run)), 20, {'learning_rate': 0.2})
    paths.claim_workdir(tmp_path / 'a')
    groups.form(tmp_path / 'a', [named(tmp_path / 'parents')], print)
    (tmp_path / 'parents').rename(tmp_path / 'moved')
    with pytest.raises(ValueError, match='no run in'):
        toy.train(tmp_path / 'a', [named(tmp_path / 'parents')])
    toy.train(tmp_path / 'a', [other := named(tmp_path / 'moved')])
    assert paths.read_json(directory(tmp_path / 'a', other) / 'meta.json')['status'] == 'done'
    folder = directory(tmp_path / 'a', other)
    group = paths.group_dir(tmp_path / 'a', 'train', paths.read_json(folder / 'meta.json')['group'])
    shutil.rmtree(group / 'checkpoints')
    paths.write_json(folder / 'meta.json', paths.read_json(folder / 'meta.json') | {'status': 'running'})
    stated = paths.read_json(folder / 'lineage.json')
    stated['checkpoint_sha256']['state'] = '0'
    paths.write_json(folder / 'lineage.json', stated)
    with pytest.raises(ValueError, match=r'is not what branch .* began with'):
        toy.train(tmp_path / 'a', [other])


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.usefixtures('late_errors')
@pytest.mark.parametrize('parented', [False, True])
def test_a_resume_passes_over_damaged_initial_weights(parented: bool, tmp_path: pathlib.Path):
    """Made anew, of a branch from its parent, and told in one line; distances go on as if nothing had been."""
    run = parent(tmp_path)
    other = branched(tmp_path, run, learning_rate=0.2, keep__at_steps=(30,)) if parented else run
    rows, group = toy.rows(tmp_path, other), cut(tmp_path, other)
    damage(group / 'initial' / '0')
    said = toy.train(tmp_path, [other]).lines
    assert len(said) == 1
    assert 'initial/0' in said[0]
    assert 'made anew (the same by their sha256)' in said[0]
    assert toy.rows(tmp_path, other) == rows
    if parented:
        cut(tmp_path, other)
        damage(group / 'initial' / '0')
        removed(tmp_path, run)
        with pytest.raises(ValueError, match=r'initial/0.*cannot be made anew: no run in'):
            toy.train(tmp_path, [other])


def damage(step: pathlib.Path) -> None:
    """One bit of its largest file."""
    largest = max((p for p in step.rglob('*') if p.is_file()), key=lambda p: p.stat().st_size)
    raw = bytearray(largest.read_bytes())
    raw[len(raw) // 2] ^= 1
    largest.write_bytes(raw)


@pytest.mark.parametrize(
    ('step', 'changes', 'state', 'message'),
    [
        (99, {}, {}, 'has updates 0 to 40; there is no point at update 99'),
        (20, {'total_steps': 20}, {}, 'would end where it begins'),
        (20, {}, {'optimiser': 'keep'}, "did you mean 'optimizer'"),
        (20, {}, {'schedule': 'reset'}, 'keep'),
        (20, {'optimizer.name': 'adam'}, {'optimizer': 'keep'}, 'cannot keep the slots'),
    ],
)
def test_what_is_no_branch_is_refused(step: int, changes: Any, state: Any, message: str):
    """Before anything is written."""
    (run,) = toy.plans(**DENSE)
    with pytest.raises(ValueError, match=message):
        branch(run, 'x', step, changes, state)


def test_a_missing_point_or_another_network_writes_nothing(tmp_path: pathlib.Path):
    """Points that are there are listed; arrays that differ are named."""
    run = parent(tmp_path)
    before = digests(tmp_path)
    for step, changes, message in (
        (13, {}, r'no checkpoint at update 13 .*there are: 0 .*20 .*40'),
        (20, {'model.widths': (8,)}, r"\['dense_0'\]\['bias'\]: parent float32\[16\], branch float32\[8\]"),
    ):
        with pytest.raises(ValueError, match=message):
            toy.train(tmp_path, [branch(run, f'{run.study}/{run.id}', step, changes)])
    with pytest.raises(ValueError, match='no run in'):
        toy.train(tmp_path, [branch(run, 'train/nowhere', 20, {})])
    assert digests(tmp_path) == before


def test_a_parent_of_another_schema_is_refused(tmp_path: pathlib.Path):
    """Wherever it lies; nothing is written."""
    run = parent(tmp_path / 'a')
    paths.write_json(tmp_path / 'a' / 'schema.json', {'schema': 99})
    with pytest.raises(ValueError, match='holds runs of config schema 99'):
        point(f'{directory(tmp_path / "a", run)}@step:20')
    with pytest.raises(ValueError, match='holds runs of config schema 99'):
        toy.train(tmp_path / 'b', [branch(run, str(directory(tmp_path / 'a', run)), 20, {})])
    assert not (tmp_path / 'b').exists()


def test_a_branch_has_no_points_before_its_own(tmp_path: pathlib.Path):
    """Nor its beginning, which is its parent's; those it has are listed."""
    run = parent(tmp_path)
    other = branched(tmp_path, run, keep__at_steps=(30,))
    with pytest.raises(ValueError, match='has updates 20 to 40; there is no point at update 0'):
        branch(other, 'x', 0, {})
    with pytest.raises(ValueError, match=r'no checkpoint at update 20 .*there are: 30 '):
        toy.train(tmp_path, [branch(other, f'{other.study}/{other.id}', 20, {})])


def test_a_parent_in_training_is_refused(tmp_path: pathlib.Path):
    """While a live process holds its group; nothing is written."""
    run = parent(tmp_path)
    group = paths.group_dir(tmp_path, run.study, paths.read_json(directory(tmp_path, run) / 'meta.json')['group'])
    with leases.Lease(group):
        before = sorted(tmp_path.rglob('*'))
        with pytest.raises(leases.Owned, match='is being trained by process'):
            toy.train(tmp_path, [branch(run, f'{run.study}/{run.id}', 20, {})])
        assert sorted(tmp_path.rglob('*')) == before


def test_a_damaged_checkpoint_of_the_parent_is_refused(tmp_path: pathlib.Path):
    """By its hash; the branch does not begin."""
    run = parent(tmp_path)
    group = paths.group_dir(tmp_path, run.study, paths.read_json(directory(tmp_path, run) / 'meta.json')['group'])
    largest = max((group / 'checkpoints' / '20').rglob('*'), key=lambda p: p.stat().st_size if p.is_file() else 0)
    raw = bytearray(largest.read_bytes())
    raw[len(raw) // 2] ^= 1
    largest.write_bytes(raw)
    with pytest.raises(ValueError, match=r'checkpoint .*20.*restore that folder'):
        toy.train(tmp_path, [branch(run, f'{run.study}/{run.id}', 20, {})])


@pytest.mark.parametrize(
    ('where', 'message'),
    [
        ('{run}', 'write <directory of a run>@epoch:2'),
        ('{run}@epoch', 'write <directory of a run>@epoch:2'),
        ('{run}@epochs:2', 'write <directory of a run>@epoch:2'),
        ('{run}@epoch:99', 'ends at epoch'),
        ('{run}x@epoch:0.1', 'no run in .*did you mean'),
    ],
)
def test_a_point_is_given_by_directory_and_place(where: str, message: str, tmp_path: pathlib.Path):
    """In updates, epochs or examples; what cannot be is refused by name."""
    run = parent(tmp_path)
    folder = directory(tmp_path, run)
    assert point(f'{folder}@step:3')[1:] == (run, 3) or point(f'{folder}@step:3')[2] == 3
    assert point(f'{folder}@examples:16')[2] == 2
    with pytest.raises(ValueError, match=message):
        point(where.format(run=folder))


def test_the_reload_study_brings_a_control_at_every_point(tmp_path: pathlib.Path):
    """One change each, trained equally long; the control is the parent as far as that goes and holds its last rate."""
    changes: dict[str, Any] = {
        'study': 'reload', 'total_steps': None, 'total_epochs': 1.0, 'batch_size': 8, 'schedule__name': 'cosine',
        'branch__at_epochs': (0.5, 1.0), 'branch__batch_sizes': (16,), 'branch__learning_rates': (0.2,),
        'branch__more_epochs': 0.5, 'record__dense': True,
    }  # fmt: skip
    (run,) = toy.plans(**changes)
    study.check([run])
    for stage in study.stages([run]):
        toy.train(tmp_path, stage)
    made = study.branches([run])
    assert [(p.batch_size, p.policy.learning_rate) for p in made] == [(8, 0.05), (16, 0.05), (8, 0.2)] * 2
    control, late = made[0], made[3]
    # The parent's last batch is short, the control goes on through it.
    losses = toy.dense(tmp_path, run)['batch_loss']
    assert (control.start, len(losses)) == (90, 180)
    np.testing.assert_array_equal(toy.dense(tmp_path, control)['batch_loss'][:89], losses[90:179])
    rates = toy.dense(tmp_path, late)['learning_rate_used']
    assert set(rates.tolist()) == {float(toy.dense(tmp_path, run)['learning_rate_used'][-1])}
    assert {p.total_examples - p.parent['examples'] for p in made if p.parent} == {719}  # half of 1437, rounded up
    with pytest.raises(ValueError, match='what to change'):
        study.check(toy.plans(**(changes | {'branch__batch_sizes': (), 'branch__learning_rates': ()})))
    with pytest.raises(ValueError, match='the points to branch from'):
        study.check(toy.plans(**(changes | {'branch__at_epochs': ()})))


def test_a_branch_at_the_very_beginning_has_its_own_batch_size(tmp_path: pathlib.Path):
    """Nothing of the parent's comes before: it is the run with that batch size, bit for bit."""
    run = parent(tmp_path, keep__at_steps=(0,))
    other = branched(tmp_path, run, 0, batch_size=16, total_steps=10)
    (alone,) = toy.plans(**DENSE | {'batch_size': 16, 'total_steps': 10, 'keep__at_steps': ()})
    toy.train(tmp_path, [alone])
    assert [s.batch_size for s in other.length.segments] == [16]
    assert other.total_examples == alone.total_examples == 160
    toy.assert_equal(toy.final(tmp_path, other), toy.final(tmp_path, alone))


def test_a_probe_walks_with_the_rate_that_the_run_used():
    """A branch keeps its parent's cosine over 40 updates: at update 30 of 80 its rate is the parent's there."""
    at = {'probe__name': 'gradient_norm', 'probe__samples': 8, 'probe__batch_sizes': (1, 8), 'schedule__name': 'cosine'}
    (run,) = toy.plans(**at)
    longer = branch(run, f'{run.study}/{run.id}', 20, {'total_steps': 80, 'probe.at_steps': (30,)})
    (probe,) = gradient_norm.probes(longer)
    assert probe.learning_rate == run.table(30, 31).learning_rate[0]
    assert probe.learning_rate == pytest.approx(0.05 * (1 + np.cos(np.pi * 30 / 39)) / 2, rel=0.05)


def test_the_cycles_of_a_branch_end_where_its_schedule_has_them():
    """Cycles of 10 and 20 updates of 8 examples; the branch has 16, keeps the schedule's place, or begins it anew."""
    cycles = {'name': 'warm_restarts', 'first_cycle_steps': 10, 'cycle_multiplier': 2}
    fields = {f'schedule__{k}': v for k, v in cycles.items()}
    (run,) = toy.plans(total_steps=30, snapshots__cycle_ends=True, **fields)
    assert run.recording['snapshots']['at_steps'] == (10, 30)
    place = f'{run.study}/{run.id}'
    kept = branch(run, place, 10, {'batch_size': 16, 'total_steps': 40})
    anew = branch(run, place, 10, {'total_steps': 40}, {'schedule': 'rebase'})
    assert kept.recording['snapshots']['at_steps'] == (10, 20)
    assert anew.recording['snapshots']['at_steps'] == (20, 40)
