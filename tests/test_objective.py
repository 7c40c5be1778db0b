"""The loss that is reported and the objective that is trained on: label smoothing, losses without classes, old rows."""

import pathlib
from typing import Any

import drawn
import jax
import numpy as np
import pytest
import toy
from fake_records import write_probe, write_run
from workdirs_of_old import unpack

from bsresearch.analysis import figures, study, summary
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantities import interpolation
from bsresearch.analysis.quantities.branched import losses as branch_losses
from bsresearch.data import order
from bsresearch.findings import sweep
from bsresearch.launching import groups
from bsresearch.planning import resolve
from bsresearch.report import tables
from bsresearch.report.figures import drawing
from bsresearch.store import older, paths, records
from bsresearch.train import program

pytestmark = pytest.mark.usefixtures('small_pictures')
SMOOTHED = {'loss__label_smoothing': 0.2, 'total_steps': 16, 'evaluate__at_steps': (4, 16)}
SMOOTHED |= {'evaluate__every_epochs': 0.0, 'ema__half_life_epochs': 0.1}
REGRESSION = {'data': {'name': 'linear_regression', 'num_examples': 64}, 'loss__name': 'squared_error'}
REGRESSION |= {'model': {'name': 'linear'}, 'learning_rate': 0.01, 'batch_size': 8}


def both(logits: np.ndarray, labels: np.ndarray, smoothing: float) -> tuple[float, float]:
    """Mean cross-entropy in float64 without and with label smoothing: −Σ_c q_c log p_c."""
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    plain = -log_p[np.arange(len(labels)), labels]
    return float(plain.mean()), float(((1 - smoothing) * plain - smoothing * log_p.mean(1)).mean())


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, Any]:
    """A run with label smoothing, evaluated at updates 4 and 16 (where it is stopped and goes on in one test)."""
    workdir = tmp_path_factory.mktemp('smoothed')
    (plan,) = toy.plans(**SMOOTHED, checkpoint__every_steps=8, record__every_steps=1)
    toy.train(workdir, [plan])
    return workdir, plan


def test_the_plain_loss_is_reported_and_the_objective_beside_it(trained: tuple[pathlib.Path, Any]):
    """Closed form from the logits at the end; of the weights' average and the gap likewise."""
    workdir, plan = trained
    splits, task = resolve.dataset(plan.data), program.task(plan, 16.0, 'cpu')
    row = next(r for r in toy.rows(workdir, plan) if r['step'] == 16 and 'test_loss' in r)
    for prefix, item in (('', 'state'), ('ema_', 'ema')):
        params = toy.item(workdir, plan, 16, item).params
        for split in ('train', 'test'):
            data = getattr(splits, split)
            logits = np.asarray(task.module.apply({'params': params}, data.inputs / np.float32(16), train=False))
            plain, objective = both(logits.astype(np.float64), data.labels, 0.2)
            assert row[f'{prefix}{split}_loss'] == pytest.approx(plain, rel=1e-5)
            assert row[f'{prefix}{split}_objective'] == pytest.approx(objective, rel=1e-5)
            assert abs(plain - objective) > 0.01
        for quantity in ('loss', 'objective'):
            gap = row[f'{prefix}test_{quantity}'] - row[f'{prefix}train_{quantity}']
            assert row[f'{prefix}generalization_gap_{quantity}'] == gap


def test_updates_record_the_objective(trained: tuple[pathlib.Path, Any]):
    """The loss of the first update is that of its batch at θ_0, label smoothing in."""
    workdir, plan = trained
    task, data = program.task(plan, 16.0, 'cpu'), resolve.dataset(plan.data).train
    ids = order.batches(plan.data_seed, plan.length, 0, 1).ids[0]
    state = jax.jit(lambda: program.initial(task, plan))()
    logits: Any = task.module.apply(
        {'params': state.params}, jax.numpy.asarray(data.inputs[ids] / np.float32(16)), train=False
    )
    row = next(r for r in toy.rows(workdir, plan) if 'batch_loss' in r)
    assert row['batch_loss'] == pytest.approx(both(np.asarray(logits, np.float64), data.labels[ids], 0.2)[1], rel=1e-5)


def test_without_label_smoothing_there_is_one_loss():
    """No column for an objective that is the loss itself; nothing of such a run is renamed."""
    (plan,) = toy.plans()
    task = program.task(plan, 16.0, 'cpu')
    assert task.plain_loss is None
    assert older.renamed({'step': 1, 'test_loss': 1.0}, objectives=False) == {'step': 1, 'test_loss': 1.0}


@pytest.mark.parametrize(
    ('row', 'now'),
    [
        (('test_loss', 'batch_loss', 'test_accuracy'), ('test_objective', 'batch_loss', 'test_accuracy')),
        (('ema_test_loss', 'generalization_gap_loss'), ('ema_test_objective', 'generalization_gap_objective')),
        (('linear/train_loss', 'sharpness_loss'), ('linear/train_objective', 'sharpness_loss')),
        (('test_loss', 'test_objective'), ('test_loss', 'test_objective')),
    ],
)  # fmt: skip
def test_rows_of_older_versions_are_told_by_themselves(row: tuple[str, ...], now: tuple[str, ...]):
    assert tuple(older.renamed(dict.fromkeys(row, 1.0), objectives=True)) == now


def test_a_resumed_run_tells_its_older_rows_apart(tmp_path: pathlib.Path):
    """Stopped about update 30 of 80 by the first version: said once, and each row keeps its meaning."""
    workdir = unpack('stopped_adam', tmp_path)
    (file,) = workdir.glob('train/groups/*/group.json')
    (plan,) = groups.load(file.parent).plans
    assert records.holds_older_losses(paths.run_dir(workdir, plan.study, plan.id))
    console = toy.train(workdir, [plan])
    assert sum(plan.id in line and '_objective' in line for line in console.lines) == 1
    evaluated = {r['step']: r for r in toy.rows(workdir, plan) if 'test_objective' in r}
    assert [step for step, row in evaluated.items() if 'test_loss' not in row] == [0, 20]
    assert all(evaluated[step]['test_loss'] < evaluated[step]['test_objective'] for step in (40, 60, 80))
    table = records.load(workdir)
    with pytest.raises(ValueError, match=f'test_loss is not known for all of run {plan.id}: an older version'):
        summary.check_plain(table, 'test_loss')


def test_tables_and_figures_refuse_the_mix(tmp_path: pathlib.Path):
    """One run of each version: no figure or table has both losses in one column; accuracies are as ever."""
    loss = {'name': 'cross_entropy', 'label_smoothing': 0.1}
    curve = [1.0, 0.5, 0.4]
    new = {'test_loss': curve, 'test_objective': [x + 0.3 for x in curve], 'test_accuracy': curve}
    write_run(tmp_path, values=new, loss=loss, seed=0)
    write_run(tmp_path, values={'test_loss': curve, 'test_accuracy': curve}, loss=loss, seed=1)
    table, old = records.load(tmp_path), 'b16-lr0.1-s1'
    assert table.loc[table['run'] == old, 'test_objective'].dropna().tolist() == curve
    for figure in (figures.curves('test_loss', name='a'), figures.versus(final('test_loss'), x='batch_size', name='b')):
        with pytest.raises(ValueError, match=f'run {old}.* in another workdir'):
            drawing.one(study.load(tmp_path, 'train'), figure, tmp_path / 'figures')
    shown = tables.of_cells(study.load(tmp_path, 'train'))
    caption, heading = shown.split('\n\n')[0], next(line for line in shown.splitlines() if line.startswith('|'))
    assert old in caption
    assert 'loss' not in heading
    assert 'accuracy' in heading


def test_branches_with_older_losses_are_refused(tmp_path: pathlib.Path):
    directory = write_run(tmp_path, values={'train_loss': [1.0, 0.5]}, loss={'label_smoothing': 0.1},
                          study=branch_losses.STUDY)  # fmt: skip
    branch = {'run': directory.name, 'status': 'done', 'parent.step': 0}
    with pytest.raises(ValueError, match=f'train_loss is not known for all of run {directory.name}'):
        branch_losses._evaluations(study.load(tmp_path, branch_losses.STUDY), branch)


def test_a_regression_has_no_accuracy(tmp_path: pathlib.Path):
    """Neither accuracy nor its gap, in rows or of averages; figures have the loss alone."""
    runs = toy.plans(**REGRESSION, ema__half_life_epochs=0.5, sweep__seed=(0, 1))
    toy.train(tmp_path, runs)
    table = records.load(tmp_path)
    assert not [c for c in table if 'accuracy' in c or c.endswith('generalization_gap')]
    assert {'test_loss', 'ema_train_loss', 'generalization_gap_loss'} <= set(table)
    drawn = sweep.of(study.load(tmp_path, 'train')).figures
    assert drawn[0].about == ('test_loss', 'train_loss')


def test_a_line_between_regressions_is_drawn_without_accuracy(tmp_path: pathlib.Path):
    """A probe's arrays without accuracy make a figure of the loss; an older probe's objectives are refused."""
    run = write_run(tmp_path, values={'train_loss': [1.0]}, loss={'label_smoothing': 0.1})
    alpha, settings = np.linspace(-1, 2, 4), {'name': 'interpolation', 'paths': ['linear']}
    arrays = {'alpha': alpha, 'distance': np.array(1.0), 'cosine': np.array(1.0), 'norms': np.ones(2)}
    arrays |= {f'linear/{split}_loss': 1 + alpha**2 for split in ('train', 'test')}
    write_probe(tmp_path, [run, run], settings, arrays)
    with pytest.raises(ValueError, match=r'probe \w+ was made by an older version'):
        interpolation.of_study(study.load(tmp_path, 'train'))
    (file,) = tmp_path.glob('*/*/arrays/*.npz')
    paths.write_npz(file, arrays | {k.replace('_loss', '_objective'): v for k, v in arrays.items() if '/' in k})
    table = drawn.table(study.load(tmp_path, 'train'), figures.special('interpolation'), tmp_path / 'out')
    assert set(table['metric']) == {'train_loss', 'test_loss'}
