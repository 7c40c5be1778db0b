"""Runs that begin with weights of another, frozen layers and factors of the learning rate, examples of some classes."""

import json
import pathlib
import shutil
from typing import Any

import jax
import numpy as np
import pytest
import toy

from bsresearch.core.interrupts import Stopped
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan
from bsresearch.store import lineage, paths
from bsresearch.train.saving import restore

FEW, REST = (0, 1, 2, 3, 4), (5, 6)
NORMED = {'name': 'mlp', 'widths': (8,), 'batch_norm': True}


def where(workdir: pathlib.Path, plan: Plan, point: str = 'end') -> str:
    return f'{paths.run_dir(workdir, plan.study, plan.id)}@{point}'


def begin(workdir: pathlib.Path, plan: Plan) -> Any:
    """The weights at update 0, as they are stored."""
    return restore.state(workdir, plan, 0)


@pytest.fixture(scope='module')
def source(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Plan]:
    """A run on five classes of digits, with batch norm."""
    workdir = tmp_path_factory.mktemp('source')
    (plan,) = toy.plans(**toy.BARE, model=NORMED, data__classes=FEW, total_steps=10, keep__at_steps=(4,))
    toy.train(workdir, [plan])
    return workdir, plan


@pytest.fixture
def tuned(source: tuple[pathlib.Path, Plan]) -> dict[str, Any]:
    """Fields of a run on two other classes that begins with its weights."""
    return toy.BARE | {
        'model': NORMED, 'data__classes': REST, 'total_steps': 12, 'init_from': where(*source),
        'measure__distance__at_steps': (0, 12), 'measure__path_length__at_steps': (12,), 'checkpoint__every_steps': 4,
    }  # fmt: skip


def test_weights_are_the_other_runs_but_for_the_last_layer(
    source: tuple[pathlib.Path, Plan], tuned: dict[str, Any], tmp_path: pathlib.Path
):
    """Bit for bit, batch norm's running statistics too; the last layer is that of the run's own seed. Two of one group,
    each as alone; distances are measured from there, and who began with what is written down."""
    runs = toy.plans(**tuned, sweep__seed=(0, 1))
    drawn = toy.plans(**{k: v for k, v in tuned.items() if k != 'init_from'}, sweep__seed=(0, 1))
    toy.train(tmp_path, runs)
    toy.train(tmp_path, drawn)
    other = toy.checkpoint(*source, 10)
    assert len({p.id for p in (*runs, *drawn)}) == 4
    for run, plain in zip(runs, drawn, strict=True):
        first, fresh = begin(tmp_path, run), begin(tmp_path, plain)
        toy.assert_equal(first.params['dense_0'], other.params['dense_0'])
        toy.assert_equal(first.stats, other.stats)
        toy.assert_equal(first.params['output'], fresh.params['output'])
        assert np.abs(first.params['dense_0']['kernel'] - fresh.params['dense_0']['kernel']).max() > 0.1
        last = toy.final(tmp_path, run)
        squares = jax.tree.map(lambda a, b: float(np.sum((a - b).astype(float) ** 2)), last, first.params)
        row = list(toy.rows(tmp_path, run))[-1]
        assert row['distance'] == pytest.approx(np.sqrt(sum(jax.tree.leaves(squares))), rel=1e-5)
        assert row['path_length'] == pytest.approx(row['distance'], rel=1e-5)  # the one stretch that was looked at
        assert next(iter(toy.rows(tmp_path, run)))['distance'] == 0
        facts = paths.read_json(paths.run_dir(tmp_path, run.study, run.id) / lineage.WEIGHTS)
        assert (facts['run'], facts['step']) == (source[1].id, 10)
        assert facts['new'] == ['output/bias', 'output/kernel']
        assert len(facts['checkpoint_sha256']['state']) == 64
    (alone,) = toy.plans(**tuned, seed=1)
    assert alone.id == runs[1].id
    toy.train(tmp_path / 'alone', [alone])
    toy.assert_equal(toy.final(tmp_path / 'alone', alone), toy.final(tmp_path, runs[1]))
    assert f'with the weights of {source[1].id} at epoch' in lineage.text(tmp_path)


def test_a_run_that_was_stopped_goes_on_without_what_it_began_with(
    source: tuple[pathlib.Path, Plan], tuned: dict[str, Any], tmp_path: pathlib.Path
):
    """Bit for bit, also if the other run is gone; the same from a copy elsewhere, which is another place of one run."""
    home = shutil.copytree(source[0], tmp_path / 'home')
    (run,) = toy.plans(**tuned | {'init_from': where(home, source[1])})
    (same,) = toy.plans(**tuned)
    assert run.id == same.id
    toy.train(tmp_path / 'whole', [run])
    with pytest.raises(Stopped):
        toy.train(tmp_path / 'stopped', [run], toy.StopsAt(5))
    shutil.rmtree(home)
    toy.train(tmp_path / 'stopped', [run])
    toy.assert_equal(toy.final(tmp_path / 'stopped', run), toy.final(tmp_path / 'whole', run))
    assert toy.rows(tmp_path / 'stopped', run) == toy.rows(tmp_path / 'whole', run)
    with pytest.raises(ValueError, match=r'no run in .*home'):
        toy.train(tmp_path / 'late', [run])
    assert not (tmp_path / 'late').exists()


def test_nothing_is_trained_from_other_weights_than_it_began_with(
    source: tuple[pathlib.Path, Plan], tuned: dict[str, Any], tmp_path: pathlib.Path
):
    """A checkpoint with another sha256 than init_from.json says, and a damaged one."""
    (run,) = toy.plans(**tuned)
    folder = paths.run_dir(tmp_path, run.study, run.id)
    folder.mkdir(parents=True)
    assert run.init_from is not None
    facts = {**run.init_from, 'checkpoint_sha256': {'state': 64 * '0'}}
    paths.write_json(folder / lineage.WEIGHTS, facts)
    with pytest.raises(ValueError, match=f'is not what run {run.id} began with, by the sha256 in its init_from.json'):
        toy.train(tmp_path, [run])


def test_a_branch_keeps_the_weights_of_its_parent(
    source: tuple[pathlib.Path, Plan], tuned: dict[str, Any], tmp_path: pathlib.Path
):
    """The null branch of a run with another's weights is that run, and changes nothing; it cannot have others."""
    (run,) = toy.plans(**tuned, keep__at_steps=(4,))
    toy.train(tmp_path, [run])
    branch = toy.branch(run, 4)
    toy.train(tmp_path, [branch])
    toy.assert_equal(toy.final(tmp_path, branch), toy.final(tmp_path, run))
    facts = paths.read_json(paths.run_dir(tmp_path, branch.study, branch.id) / 'lineage.json')
    assert facts['changes'] == {}
    toy.assert_equal(restore.initial(tmp_path, branch), begin(tmp_path, run).params)
    with pytest.raises(ValueError, match='a branch begins with the weights of its parent'):
        toy.branch(run, 4, init_from=where(*source))


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in ('sgd', 'adamw', 'lars')]


@pytest.mark.parametrize('optimizer', ['momentum', *OTHERS])
def test_frozen_layers_do_not_move_by_a_bit_and_a_factor_of_1_is_the_plain_run(optimizer: str, tmp_path: pathlib.Path):
    """With weight decay; a factor is one of the learning rate: all at 0.5 and twice the rate is the plain run too."""
    usual = toy.BARE | {'total_steps': 3, 'optimizer__name': optimizer, 'weight_decay': 0.01, 'learning_rate': 0.0625}
    (plain,), (ones,), (half,), (frozen,) = (
        toy.plans(**usual | changes)
        for changes in (
            {}, {'layer_rates': ('*=1',)}, {'layer_rates': ('*=0.5',), 'learning_rate': 0.125},
            {'layer_rates': ('*=2', 'dense_0/*=0')},
        )
    )  # fmt: skip
    toy.train(tmp_path, [plain, ones, half, frozen])
    for same in (ones, half):
        toy.assert_equal(toy.final(tmp_path, same), toy.final(tmp_path, plain))
    assert toy.rows(tmp_path, ones) == toy.rows(tmp_path, plain)
    first, last = begin(tmp_path, frozen).params, toy.final(tmp_path, frozen)
    for name in ('kernel', 'bias'):
        assert last['dense_0'][name].tobytes() == first['dense_0'][name].tobytes()
        assert (last['output'][name] != first['output'][name]).any()


def test_the_last_pattern_counts_and_its_factor_is_that_of_one_update(tmp_path: pathlib.Path):
    """SGD: the first update of a layer is as many times as long."""
    usual = toy.BARE | {'total_steps': 1}
    (plain,), (other,) = toy.plans(**usual), toy.plans(**usual, layer_rates=('bias=0', 'output/*=4'))
    toy.train(tmp_path, [plain, other])
    first, one, four = begin(tmp_path, plain).params, toy.final(tmp_path, plain), toy.final(tmp_path, other)
    moved = lambda last, layer, name: (last[layer][name] - first[layer][name]).astype(np.float64)
    for name in ('kernel', 'bias'):
        np.testing.assert_allclose(moved(four, 'output', name), 4 * moved(one, 'output', name), rtol=1e-2, atol=1e-6)
    np.testing.assert_array_equal(moved(four, 'dense_0', 'bias'), 0)
    np.testing.assert_array_equal(moved(four, 'dense_0', 'kernel'), moved(one, 'dense_0', 'kernel'))


def test_classes_are_numbered_anew_in_the_order_given():
    """The very examples; all are what they were without the field, and another order is another data set."""
    whole, some = (resolve.dataset(toy.plans(**changes)[0].data) for changes in ({}, {'data__classes': (7, 2)}))
    assert some.num_outputs == 2
    for before, after in ((whole.train, some.train), (whole.test, some.test)):
        rows = np.isin(before.labels, (7, 2))
        np.testing.assert_array_equal(after.inputs, before.inputs[rows])
        np.testing.assert_array_equal(np.array([7, 2])[after.labels], before.labels[rows])
    validated = resolve.dataset(toy.plans(data__classes=(7, 2), data__validation=0.5, data__fraction=0.5)[0].data)
    assert validated.validation is not None
    assert {*validated.validation.labels} == {0, 1}
    ids = {toy.plans(data__classes=classes)[0].id for classes in ((), (7, 2), (2, 7))}
    assert len(ids) == 3
    assert toy.plans(data__classes=())[0].id == toy.plans()[0].id


def test_init_new_draws_what_would_fit(
    source: tuple[pathlib.Path, Plan], tuned: dict[str, Any], tmp_path: pathlib.Path
):
    """A last layer for as many outputs is taken, unless it is to be new; in double precision the same numbers."""
    alike = tuned | {
        'data__classes': FEW,
        'total_steps': 1,
        'measure__distance__at_steps': (),
        'measure__path_length__at_steps': (),
    }
    (taken,), (new,) = toy.plans(**alike), toy.plans(**alike, init_new=('output/*',))
    assert taken.id != new.id
    toy.train(tmp_path, [taken, new])
    (double,) = toy.plans(**alike, dtype='float64')
    toy.train(tmp_path, [double])
    there = toy.final(*source)['output']['kernel']
    wide = begin(tmp_path, double).params['output']['kernel']
    np.testing.assert_array_equal(wide, there.astype(np.float64), strict=True)
    np.testing.assert_array_equal(begin(tmp_path, taken).params['output']['kernel'], there)
    assert (begin(tmp_path, new).params['output']['kernel'] != there).all()


def test_what_cannot_be_is_refused_in_one_line(source: tuple[pathlib.Path, Plan], tuned: dict[str, Any]):
    """Before anything is trained."""
    run_at = where(*source)
    wide = {'name': 'mlp', 'widths': (9,), 'batch_norm': True}
    cases: list[tuple[dict[str, Any], str]] = [
        ({'init_from': run_at.replace(source[1].id, 'abcdef')}, r'config\.init_from=.*@end: no run in .*abcdef; '),
        ({'init_from': run_at.removesuffix('@end')}, r'config\.init_from=.*: write <directory of a run>@epoch:2'),
        ({'init_from': run_at.replace('@end', '@epoch:99')}, r'config\.init_from=.*ends at epoch'),
        ({'model': wide}, r'Without a match here: dense_0/bias \[9\].*there: dense_0/bias \[8\].*output/kernel'),
        ({'model': {'name': 'linear'}}, r'here: output/kernel \[64, 2\]; there: dense_0/bias'),
        ({'init_new': ('*',)}, 'not all of it'),
        ({'init_new': ('head/*',)}, "'head/.*' matches no parameter"),
        ({'init_from': '', 'init_new': ('output/*',)}, 'without one all weights are drawn'),
        ({'layer_rates': ('dense_1/*=0',)}, "config.layer_rates=.*'dense_1/.*' matches no parameter"),
        ({'layer_rates': ('dense_0/*',)}, 'write <pattern>=<factor>'),
        ({'layer_rates': ('dense_0/*=-1',)}, 'a factor of at least 0'),
        ({'layer_rates': ('*=0',)}, 'freezes every parameter'),
        ({'data__classes': (5, 5)}, 'two different ones at least of 0 to 9'),
        ({'data__classes': (5, 10)}, 'two different ones at least of 0 to 9'),
        ({'data__classes': (5,)}, 'two different ones at least'),
        ({'data__name': 'linear_regression', 'loss__name': 'squared_error'}, 'the labels of this set are no classes'),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message) as raised:
            toy.plans(**tuned | changes)
        assert len(str(raised.value).splitlines()) == 1


def test_a_point_without_a_checkpoint_is_refused_before_anything_is_written(
    source: tuple[pathlib.Path, Plan], tuned: dict[str, Any], tmp_path: pathlib.Path
):
    """Those that there are are listed; one that was kept is taken."""
    (run,) = toy.plans(**tuned | {'init_from': where(*source, 'step:3')})
    with pytest.raises(ValueError, match=r'no checkpoint at update 3.*there are: 0 .*, 4 .*, 10'):
        toy.train(tmp_path / 'none', [run])
    assert not (tmp_path / 'none').exists()
    (kept,) = toy.plans(**tuned | {'init_from': where(*source, 'step:4')})
    assert kept.id != run.id
    toy.train(tmp_path, [kept])
    toy.assert_equal(begin(tmp_path, kept).params['dense_0'], toy.checkpoint(*source, 4).params['dense_0'])


def test_a_plan_comes_back_from_json_and_older_ones_have_none(tuned: dict[str, Any]):
    (run,) = toy.plans(**tuned, layer_rates=('dense_0/*=0',))
    stored = json.loads(json.dumps(run.to_json()))
    assert Plan.from_json(stored) == run
    (plain,) = toy.plans()
    older = json.loads(json.dumps(plain.to_json()))
    for field in ('init_from', 'init_new', 'layer_rates'):
        del older[field]
    del older['data']['classes']
    assert Plan.from_json(older) == plain
