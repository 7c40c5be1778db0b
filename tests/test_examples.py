"""The examples of docs/your_own.md and own_parts.md: every command in their docstrings, as typed; what they compute."""

import pathlib
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import toy

from bsresearch.core import own_part, rng
from bsresearch.planning import resolve
from bsresearch.store import probe_records, records
from bsresearch.train import program

TOY = (
    '--config.batch_size=64', '--config.learning_rate=0.05', '--config.total_epochs=1', '--config.sweep.seed=0,',
)  # fmt: skip


EXAMPLES = toy.ROOT / 'examples'


def commands() -> list[str]:
    """Of all examples, one string each; a report has its run before it."""
    texts = [file.read_text(encoding='utf-8') for file in sorted(EXAMPLES.glob('*.py'))]
    lines = [line.strip() for text in texts for line in text.replace('\\\n', ' ').splitlines()]
    return [' '.join(line.split()) for line in lines if line.startswith('bsresearch ')]


def typed(command: str, workdir: pathlib.Path, *more: str) -> None:
    """A command, given in the checkout, with a workdir of its own; it ends well."""
    words = [word for word in command.split()[1:] if not word.startswith('--workdir=')]
    done = subprocess.run(
        [sys.executable, '-m', 'bsresearch', *words, f'--workdir={workdir}', *more], cwd=toy.ROOT,
        env=toy.environment(), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_example_has_a_command():
    files = list(EXAMPLES.glob('*.py'))
    assert all(any(file.name in command for command in commands()) for file in files)


@pytest.mark.slow
@pytest.mark.parametrize('command', [command for command in commands() if ' report ' not in command])
def test_an_example_trains(command: str, tmp_path: pathlib.Path):
    """At toy size: the run ends, and its loss fell below that of a guess."""
    typed(command, tmp_path, *TOY)
    loaded = records.load(tmp_path)
    losses = loaded['test_loss'].dropna()
    assert losses.iloc[-1] < losses.iloc[0]


@pytest.mark.slow
def test_jobs_of_a_launch_find_the_users_part(tmp_path: pathlib.Path):
    """Each job is a process of its own, started in the launcher's directory."""
    command = next(command for command in commands() if 'own_network.py:resnet' in command)
    words = [word for word in command.split()[2:] if not word.startswith('--workdir=')]
    words = ['launch', *(word.replace('examples/own_network.py', 'own_network.py') for word in words)]
    done = subprocess.run(
        [sys.executable, '-m', 'bsresearch', *words, f'--workdir={tmp_path}', *TOY], cwd=EXAMPLES,
        env=toy.environment(), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(records.load(tmp_path)['status']) == {'done'}


def gradient(plan: Any, params: Any, rows: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy of a linear model with bias on some training examples, in NumPy float64."""
    train = resolve.dataset(plan.data).train
    x = np.asarray(train.inputs, np.float64).reshape(len(train.labels), -1)[rows] / 16
    logits = x @ np.asarray(params['output']['kernel'], np.float64) + np.asarray(params['output']['bias'])
    p = np.exp(logits - logits.max(1, keepdims=True))
    error = (p / p.sum(1, keepdims=True) - np.eye(10)[train.labels[rows]]) / len(rows)
    return np.concatenate([(x.T @ error).ravel(), error.sum(0)])


@pytest.mark.slow
def test_agreement_of_signs_is_that_of_two_batches_counted_one_by_one(tmp_path: pathlib.Path):
    """At the first and the last weights, from the examples that the measurement drew."""
    own = {'function': f'{EXAMPLES}/own_measure.py:gradient_signs', 'batch_size': 8, 'every_steps': 40}
    (plan,) = toy.plans(**toy.BARE, model={'name': 'linear'}, measure__signs=own)
    toy.train(tmp_path, [plan])
    recorded = {
        r['step']: r['gradient_sign_agreement'] for r in toy.rows(tmp_path, plan) if 'gradient_sign_agreement' in r
    }
    ends = {0: program.initial(program.task(plan, 16.0, 'cpu'), plan).params, 40: toy.final(tmp_path, plan)}
    assert set(recorded) == set(ends)
    for t, params in ends.items():
        drawn = rng.generator(plan.data_seed, 'measure/signs', t).integers(0, plan.epoch_size, 16)
        pairs = list(zip(*(gradient(plan, params, rows) for rows in (drawn[:8], drawn[8:])), strict=True))
        moved = [(a, b) for a, b in pairs if a or b]
        expected = sum(a * b > 0 for a, b in moved) / len(moved)
        assert 0.3 < expected < 0.95
        assert recorded[t] == pytest.approx(expected, abs=1.5 / len(moved))  # one sign may turn in float32


def test_weights_are_rounded_to_evenly_spaced_values():
    """Closed form: of 3 bits the multiples of a third of the largest entry; zeros stay zeros."""
    rounded = own_part.module(f'{EXAMPLES}/own_study.py:rounded', 'probe').rounded
    weights = np.array([-3, -1.4, 0.6, 0.4, 2.4, 0], np.float32)
    np.testing.assert_allclose(rounded(weights, 3), [-3, -1, 1, 0, 2, 0], rtol=1e-6)
    np.testing.assert_array_equal(rounded(np.zeros(2, np.float32), 3), np.zeros(2))


@pytest.mark.slow
def test_the_whole_config_and_its_report_as_printed(tmp_path: pathlib.Path):
    """Its claims have verdicts, its measurement has a panel of the figure."""
    for command in commands():
        if '--workdir=runs/own' in command and 'findings=' not in command:
            typed(command, tmp_path)
    report = (tmp_path / 'report.md').read_text('utf-8')
    assert '| ✓ holds | lower | At one rate the large batch ends lower. |' in report
    assert 'gradient_sign_agreement' in (tmp_path / 'figures' / 'own_findings_curves_1.csv').read_text('utf-8')


@pytest.mark.slow
def test_fine_rounding_costs_nothing_and_coarse_rounding_much(tmp_path: pathlib.Path):
    """The study's probe, against what the run recorded at its end."""
    (command,) = [command for command in commands() if 'own_study.py' in command]
    typed(command, tmp_path, *TOY)
    (probe,) = probe_records.load(tmp_path, 'own_study.py:rounding')
    last = records.load(tmp_path).dropna(subset=['test_loss']).iloc[-1]
    assert probe['arrays']['bits'].tolist() == [8, 6, 4, 3, 2]
    assert probe['arrays']['test_loss'][0] == pytest.approx(last['test_loss'], rel=1e-3)
    assert probe['arrays']['train_accuracy'][-1] < 0.6 * last['train_accuracy']
