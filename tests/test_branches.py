"""Branches: all but the null one (test_invariant_6.py) use the new values at once; what cannot be is refused."""

import hashlib
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import toy

from bsresearch.launching import environment, groups
from bsresearch.planning.branch import PARTS, branch
from bsresearch.planning.branch_point import point
from bsresearch.planning.plan import Plan
from bsresearch.store import leases, lineage, paths
from bsresearch.studies import gradient_norm
from bsresearch.studies import reload as study
from bsresearch.train.saving import restore

DENSE: dict[str, Any] = {'record__dense': True, 'keep__at_steps': (20,)}
Parent = Callable[..., Plan]


@pytest.fixture(scope='module')
def parent(tmp_path_factory: pytest.TempPathFactory) -> Parent:
    """Copies a run with a checkpoint at update 20 of 40 into a workdir; each is trained once."""
    homes = tmp_path_factory.mktemp('parents')

    def copied(workdir: pathlib.Path, **changes: Any) -> Plan:
        (plan,) = toy.plans(**(DENSE | changes))
        home = homes / hashlib.sha256(repr(plan).encode()).hexdigest()
        if not home.exists():
            toy.train(home, [plan])
        shutil.copytree(home, workdir, dirs_exist_ok=True)
        return plan

    return copied


def directory(workdir: pathlib.Path, plan: Plan) -> pathlib.Path:
    return paths.run_dir(workdir, plan.study, plan.id)


def branched(workdir: pathlib.Path, plan: Plan, step: int = 20, **changes: Any) -> Plan:
    """A trained branch; `changes` by dotted path, dots written as two underscores."""
    child = toy.branch(plan, step, **changes)
    toy.train(workdir, [child])
    return child


def digests(folder: pathlib.Path) -> dict[str, str]:
    """sha256 of every file below."""
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob('*')) if p.is_file()}


def test_batch_norm_groups_of_a_branch_are_of_its_own_batches():
    """The parent's batches need not be whole groups of them; its own must."""
    (run,) = toy.plans(model={'name': 'mlp', 'widths': (8,), 'batch_norm': True})
    groups_of = [branch(run, 'x', 5, {'batch_size': size}).ghost_batch_size for size in (16, 12)]
    assert [run.ghost_batch_size, *groups_of] == [8, 16, 12]
    with pytest.raises(ValueError, match=r'batch_size=16 is not a whole number of .* ghost_batch_size=5'):
        branch(run, 'x', 5, {'batch_size': 16, 'ghost_batch_size': 5})


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
        (run,) = toy.plans(epoch_boundary=boundary, total_steps=None, total_epochs=3.0, data__fraction=0.02)
        assert run.epoch_size == 29
        if boundary == 'through':
            assert branch(run, 'x', 4, {'batch_size': 30}).length.batch_size_at(4) == 30
            continue
        assert branch(run, 'x', 4, {'batch_size': 29}).length.batch_size_at(4) == 29
        with pytest.raises(ValueError, match='batch_size=30 with epoch_boundary=partial is never filled'):
            branch(run, 'x', 4, {'batch_size': 30})


@pytest.mark.parametrize('optimizer', [pytest.param('sgd', marks=pytest.mark.slow), 'adam'])
def test_a_branch_uses_the_new_values_in_its_first_update(optimizer: str, parent: Parent, tmp_path: pathlib.Path):
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


def test_the_distance_to_the_branch_point_starts_at_zero(parent: Parent, tmp_path: pathlib.Path):
    """While that from θ_0 goes on; a run without a parent measures both from θ_0."""
    run = parent(tmp_path, measure__branch_distance__every_steps=10)
    child = branched(tmp_path, run, batch_size=16, measure__branch_distance__every_steps=10)
    of_child, of_run = ({r['step']: r for r in toy.rows(tmp_path, p) if 'branch_distance' in r} for p in (child, run))
    assert of_child[20]['branch_distance'] == 0
    assert of_child[20]['distance'] == toy.rows(tmp_path, child)[0]['distance'] > 0
    ends = toy.final(tmp_path, child), toy.checkpoint(tmp_path, run, 20).params
    squares = jax.tree.map(lambda a, b: ((a - b) ** 2).sum(), *ends)
    assert of_child[40]['branch_distance'] == pytest.approx(np.sqrt(sum(jax.tree.leaves(squares))), rel=1e-5)
    assert of_run[40]['branch_distance'] == of_run[40]['distance']


def test_lineage_says_what_changed_and_what_was_kept(parent: Parent, tmp_path: pathlib.Path):
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


def test_a_kept_schedule_is_read_where_the_parent_had_seen_as_much(parent: Parent, tmp_path: pathlib.Path):
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
    group = restore.group_directory(workdir, plan)
    shutil.rmtree(group / 'checkpoints' / str(plan.length.total_steps))
    environment.update(directory(workdir, plan), {'status': 'running'})
    return group


def removed(workdir: pathlib.Path, plan: Plan) -> None:
    """A run and its group are there no more."""
    shutil.rmtree(restore.group_directory(workdir, plan))
    shutil.rmtree(directory(workdir, plan))


@pytest.mark.parametrize('where', ['here', 'elsewhere'])
def test_a_stopped_branch_goes_on_as_itself(where: str, parent: Parent, tmp_path: pathlib.Path):
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


def test_a_branch_not_begun_begins_where_the_command_says_its_parent_is(parent: Parent, tmp_path: pathlib.Path):
    """Its group was formed while the parent lay elsewhere; another parent is refused by its sha256."""
    run = parent(tmp_path / 'parents')
    named = lambda home: branch(run, str(directory(home, run)), 20, {'learning_rate': 0.2})
    paths.claim_workdir(tmp_path / 'a')
    groups.form(tmp_path / 'a', [named(tmp_path / 'parents')], print)
    (tmp_path / 'parents').rename(tmp_path / 'moved')
    with pytest.raises(ValueError, match='no run in'):
        toy.train(tmp_path / 'a', [named(tmp_path / 'parents')])
    toy.train(tmp_path / 'a', [other := named(tmp_path / 'moved')])
    assert groups.status(tmp_path / 'a', other)['status'] == 'done'
    shutil.rmtree(cut(tmp_path / 'a', other) / 'checkpoints')
    file = directory(tmp_path / 'a', other) / 'lineage.json'
    stated = paths.read_json(file)
    stated['checkpoint_sha256']['state'] = '0'
    paths.write_json(file, stated)
    with pytest.raises(ValueError, match=r'is not what run .* began with'):
        toy.train(tmp_path / 'a', [other])


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
@pytest.mark.usefixtures('late_errors')
@pytest.mark.parametrize('parented', [False, True])
def test_a_resume_passes_over_damaged_initial_weights(parented: bool, parent: Parent, tmp_path: pathlib.Path):
    """Made anew, of a branch from its parent, and told in one line; distances go on as if nothing had been."""
    run = parent(tmp_path)
    other = branched(tmp_path, run, learning_rate=0.2, keep__at_steps=(30,)) if parented else run
    rows, group = toy.rows(tmp_path, other), cut(tmp_path, other)
    toy.damage(group / 'initial' / '0')
    said = toy.train(tmp_path, [other]).lines
    assert len(said) == 1
    assert 'initial/0' in said[0]
    assert 'made anew (the same by their sha256)' in said[0]
    assert toy.rows(tmp_path, other) == rows
    if parented:
        cut(tmp_path, other)
        toy.damage(group / 'initial' / '0')
        removed(tmp_path, run)
        with pytest.raises(ValueError, match=r'initial/0.*cannot be made anew: no run in'):
            toy.train(tmp_path, [other])


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


def test_a_missing_point_or_another_network_writes_nothing(parent: Parent, tmp_path: pathlib.Path):
    """Points that are there are listed; arrays that differ are named."""
    run = parent(tmp_path)
    before = digests(tmp_path)
    refused: tuple[tuple[int, dict[str, Any], str], ...] = (
        (13, {}, r'no checkpoint at update 13 .*there are: 0 .*20 .*40'),
        (20, {'model__widths': (8,)}, r"\['dense_0'\]\['bias'\]: parent float32\[16\], branch float32\[8\]"),
    )
    for step, changes, message in refused:
        with pytest.raises(ValueError, match=message):
            toy.train(tmp_path, [toy.branch(run, step, **changes)])
    with pytest.raises(ValueError, match='no run in'):
        toy.train(tmp_path, [branch(run, 'train/nowhere', 20, {})])
    assert digests(tmp_path) == before


def test_a_parent_of_another_schema_is_refused(parent: Parent, tmp_path: pathlib.Path):
    """Wherever it lies; nothing is written."""
    run = parent(tmp_path / 'a')
    paths.write_json(tmp_path / 'a' / 'schema.json', {'schema': 99})
    with pytest.raises(ValueError, match='holds runs of config schema 99'):
        point(f'{directory(tmp_path / "a", run)}@step:20')
    with pytest.raises(ValueError, match='holds runs of config schema 99'):
        toy.train(tmp_path / 'b', [branch(run, str(directory(tmp_path / 'a', run)), 20, {})])
    assert not (tmp_path / 'b').exists()


def test_a_branch_has_no_points_before_its_own(parent: Parent, tmp_path: pathlib.Path):
    """Nor its beginning, which is its parent's; those it has are listed."""
    run = parent(tmp_path)
    other = branched(tmp_path, run, keep__at_steps=(30,))
    with pytest.raises(ValueError, match='has updates 20 to 40; there is no point at update 0'):
        branch(other, 'x', 0, {})
    with pytest.raises(ValueError, match=r'no checkpoint at update 20 .*there are: 30 '):
        toy.train(tmp_path, [toy.branch(other, 20)])


def test_a_parent_in_training_is_refused(parent: Parent, tmp_path: pathlib.Path):
    """While a live process holds its group; nothing is written."""
    run = parent(tmp_path)
    with leases.Lease(restore.group_directory(tmp_path, run)):
        before = sorted(tmp_path.rglob('*'))
        with pytest.raises(leases.Owned, match='is being trained by process'):
            toy.train(tmp_path, [toy.branch(run, 20)])
        assert sorted(tmp_path.rglob('*')) == before


def test_a_damaged_checkpoint_of_the_parent_is_refused(parent: Parent, tmp_path: pathlib.Path):
    """By its hash; the branch does not begin."""
    run = parent(tmp_path)
    toy.damage(restore.group_directory(tmp_path, run) / 'checkpoints' / '20')
    with pytest.raises(ValueError, match=r'checkpoint .*20.*restore that folder'):
        toy.train(tmp_path, [toy.branch(run, 20)])


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
def test_a_point_is_given_by_directory_and_place(where: str, message: str, parent: Parent, tmp_path: pathlib.Path):
    """In updates, epochs or examples; what cannot be is refused by name."""
    run = parent(tmp_path)
    folder = directory(tmp_path, run)
    assert point(f'{folder}@step:3')[2] == 3
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
    branches = study.branches([run])
    assert [(p.batch_size, p.policy.learning_rate) for p in branches] == [(8, 0.05), (16, 0.05), (8, 0.2)] * 2
    control, late = branches[0], branches[3]
    toy.train(tmp_path, [run])
    toy.train(tmp_path, [control, late])
    # The parent's last batch is short, the control goes on through it.
    losses = toy.dense(tmp_path, run)['batch_loss']
    assert (control.start, len(losses)) == (90, 180)
    np.testing.assert_array_equal(toy.dense(tmp_path, control)['batch_loss'][:89], losses[90:179])
    rates = toy.dense(tmp_path, late)['learning_rate_used']
    assert set(rates.tolist()) == {float(toy.dense(tmp_path, run)['learning_rate_used'][-1])}
    assert {p.total_examples - p.parent['examples'] for p in branches if p.parent} == {719}  # half of 1437, rounded up
    with pytest.raises(ValueError, match='what to change'):
        study.check(toy.plans(**(changes | {'branch__batch_sizes': (), 'branch__learning_rates': ()})))
    with pytest.raises(ValueError, match='the points to branch from'):
        study.check(toy.plans(**(changes | {'branch__at_epochs': ()})))


def test_a_probe_walks_with_the_rate_that_the_run_used():
    """A branch keeps its parent's cosine over 40 updates: at update 30 of 80 its rate is the parent's there."""
    at = {'probe__name': 'gradient_norm', 'probe__samples': 8, 'probe__batch_sizes': (1, 8), 'schedule__name': 'cosine'}
    (run,) = toy.plans(**at)
    longer = toy.branch(run, 20, total_steps=80, probe__at_steps=(30,))
    (probe,) = gradient_norm.probes(longer)
    assert probe.learning_rate == run.table(30, 31).learning_rate[0]
    assert probe.learning_rate == pytest.approx(0.05 * (1 + np.cos(np.pi * 30 / 39)) / 2, rel=0.05)


def test_the_cycles_of_a_branch_end_where_its_schedule_has_them():
    """Cycles of 10 and 20 updates of 8 examples; the branch has 16, keeps the schedule's place, or begins it anew."""
    cycles = {'name': 'warm_restarts', 'first_cycle_steps': 10, 'cycle_multiplier': 2}
    (run,) = toy.plans(total_steps=30, snapshots__cycle_ends=True, schedule=cycles)
    assert run.recording['snapshots']['at_steps'] == (10, 30)
    kept = toy.branch(run, 10, batch_size=16, total_steps=40)
    anew = toy.branch(run, 10, {'schedule': 'rebase'}, total_steps=40)
    assert kept.recording['snapshots']['at_steps'] == (10, 20)
    assert anew.recording['snapshots']['at_steps'] == (20, 40)
