"""docs/your_own.md and own_parts.md: their code is that of the examples; their commands, typed in a fresh folder."""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import pytest
import toy
from PIL import Image

from bsresearch.store import records

PAGE, PARTS = (toy.ROOT / 'docs' / name for name in ('your_own.md', 'own_parts.md'))
TOY = (
    '--config.batch_size=64', '--config.learning_rate=0.05', '--config.total_epochs=1', '--config.sweep.seed=0,',
)  # fmt: skip


def commands() -> list[list[str]]:
    """Of the first page, in its order, in words."""
    lines = [line for line in PAGE.read_text('utf-8').splitlines() if line.startswith('bsresearch ')]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize('page', [PAGE, PARTS], ids=lambda page: page.stem)
def test_code_of_the_pages_is_that_of_the_examples(page: pathlib.Path):
    """To the letter: what is shown is what tests/test_examples.py runs."""
    blocks = re.findall(r'```python\n(.*?)\n```', page.read_text('utf-8'), re.DOTALL)
    examples = [file.read_text('utf-8') for file in (toy.ROOT / 'examples').glob('*.py')]
    assert blocks
    for block in blocks:
        assert any(f'{block}\n' in text for text in examples), block


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    """The files that the commands name: arrays, images of two classes, a table; the page's own loss."""
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((400, 5)).astype(np.float32)
    np.savez(tmp_path / 'mine.npz', inputs=inputs, labels=np.where(inputs[:, 0] > 0, 'right', 'left'))
    for name, grey in (('cat', 60), ('dog', 190)):
        (tmp_path / 'photos' / name).mkdir(parents=True)
        for i in range(20):
            pixels = np.clip(generator.normal(grey, 30, (40, 48, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'photos' / name / f'{i}.png')
    area, town = generator.integers(40, 200, 400), generator.choice(['Ayr', 'Bath', 'Cork'], 400)
    table = pd.DataFrame({'area': area, 'town': town, 'price': 1000 * area + 5000 * (town == 'Bath')})
    table.to_csv(tmp_path / 'table.csv', index=False)
    shutil.copytree(toy.ROOT / 'examples', tmp_path / 'examples')
    loss = re.findall(r'\n\n((?:    .*\n)+)', PAGE.read_text('utf-8'))[-1]
    (tmp_path / 'huber.py').write_text('import optax\n\n\n' + textwrap.dedent(loss))
    return tmp_path


def typed(words: list[str], folder: pathlib.Path) -> str:
    """What a command says; it ends well."""
    done = subprocess.run(
        [sys.executable, '-m', *words], cwd=folder, env=toy.environment(BSRESEARCH_DATA=f'{folder}/data'),
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, (words, done.stdout + done.stderr)
    return done.stdout


@pytest.mark.slow
def test_commands_of_the_page_work_as_printed(folder: pathlib.Path):
    """Runs at toy size. Every set is prepared as the page says; the regression has a loss and no accuracy."""
    said = [typed([*words, *(TOY if words[1] == 'run' else ())], folder) for words in commands()]
    assert sum('to train on it' in text for text in said) == 3
    house = records.load(folder / 'runs' / 'house')
    assert 'test_loss' in house
    assert 'test_accuracy' not in house
    regression = next(words for words in commands() if '--config.loss.name=squared_error' in words)
    words = [word for word in regression if not word.startswith(('--config.loss', '--workdir'))]
    typed([*words, *TOY, '--config.loss.name=huber.py:huber', '--workdir=runs/huber'], folder)
    both = [records.load(folder / 'runs' / name)['test_loss'].dropna().iloc[0] for name in ('house', 'huber')]
    assert both[1] < both[0]  # of |f − y| > 1 it is linear
