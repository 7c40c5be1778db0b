"""The examples of docs/your_own.md: every command in their docstrings, at toy size, as a user types it."""

import pathlib
import subprocess
import sys

import pytest
import toy

from bsresearch.store import records

TOY = (
    '--config.batch_size=64', '--config.learning_rate=0.05', '--config.total_epochs=1', '--config.sweep.seed=0,',
)  # fmt: skip


def commands() -> list[str]:
    """Of all examples, one string each."""
    texts = [file.read_text(encoding='utf-8') for file in sorted((toy.ROOT / 'examples').glob('*.py'))]
    lines = [line.strip() for text in texts for line in text.replace('\\\n', ' ').splitlines()]
    return [' '.join(line.split()) for line in lines if line.startswith('bsresearch ')]


def test_every_example_has_a_command():
    files = list((toy.ROOT / 'examples').glob('*.py'))
    assert all(any(file.name in command for command in commands()) for file in files)


@pytest.mark.slow
@pytest.mark.parametrize('command', commands())
def test_an_example_trains(command: str, tmp_path: pathlib.Path):
    """From the checkout, with its own workdir: the run ends, and its loss fell below that of a guess."""
    words = [word for word in command.split()[1:] if not word.startswith('--workdir=')]
    done = subprocess.run(
        [sys.executable, '-m', 'bsresearch', *words, f'--workdir={tmp_path}', *TOY], cwd=toy.ROOT,
        env=toy.environment(), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
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
        [sys.executable, '-m', 'bsresearch', *words, f'--workdir={tmp_path}', *TOY], cwd=toy.ROOT / 'examples',
        env=toy.environment(), capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert set(records.load(tmp_path)['status']) == {'done'}
