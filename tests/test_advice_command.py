"""`bsresearch advise`: its page, its file, and what it says to input that cannot be."""

import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from advice_tables import SIZES, losses, runs

from bsresearch.advice import command
from bsresearch.advice.table import Refusal
from scripts import check_advice

ROOT = pathlib.Path(__file__).parent.parent


def typed(folder: pathlib.Path, frame: pd.DataFrame, **flags: Any) -> str:
    frame.to_csv(folder / 'runs.csv', index=False)
    return command.run(command.Request(**{'table': f'{folder}/runs.csv', 'batch_size': 'bs', **flags}))


def test_the_page_and_the_json_say_the_same(tmp_path: pathlib.Path):
    frame = runs()
    frame['dataset'], frame['lr'] = 'digits', 0.1
    page = typed(tmp_path, frame, epochs='epochs', seconds='seconds', run='seed', learning_rate='lr', at=['96', '4096'],
                 json=f'{tmp_path}/advice.json', price_per_hour=3.6)  # fmt: skip
    told = json.loads((tmp_path / 'advice.json').read_text())
    size = told['batch_size']
    assert page.startswith(
        f'use B = {size["choice"]:g} ({size["low"]:g} to {size["high"]:g} as good), lr 0.1 (the only one tried)\n'
    )
    assert 'held fixed: one learning rate, 0.1, at every batch size; dataset=digits\n' in page
    assert told['cost']['choice'] == pytest.approx(told['seconds']['choice'] / 1000)
    assert told['refusal'] is None
    rows = {row['batch_size']: row for row in told['batch_sizes']}
    assert rows[96]['epochs']['refusal'] is None
    assert rows[96]['learning_rate'] == {
        'choice': None,
        'low': None,
        'high': None,
        'refusal': 'no rate was tried there',
    }
    assert rows[4096]['refusal'] in page
    assert told['critical_batch_size']['told'] in page


def test_the_seal_is_of_the_content(tmp_path: pathlib.Path):
    """The sha256 stands for all else in the file, the time among it."""
    typed(tmp_path, runs(), epochs='epochs', json=f'{tmp_path}/advice.json')
    told = json.loads((tmp_path / 'advice.json').read_text())
    seal = told.pop('sha256')
    assert hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest() == seal
    assert told['table_sha256'] == hashlib.sha256((tmp_path / 'runs.csv').read_bytes()).hexdigest()
    assert told['time'].endswith('+00:00')


def test_parquet_and_conditions(tmp_path: pathlib.Path):
    """As the CSV of those rows alone."""
    frame = runs()
    both = pd.concat([frame.assign(target=0.5), frame.assign(target=0.6, epochs=2 * frame['epochs'])])
    both.to_parquet(tmp_path / 'runs.parquet')
    request = command.Request(table=f'{tmp_path}/runs.parquet', batch_size='bs', epochs='epochs', seconds='seconds',
                              run='seed', where=('target=5e-1',))  # fmt: skip
    page = typed(tmp_path, frame, epochs='epochs', seconds='seconds', run='seed')
    assert command.run(request).replace('; target=0.5', '') == page


def test_a_parquet_file_has_rows_whatever_its_index(tmp_path: pathlib.Path):
    """One of words, or the column of batch sizes itself."""
    runs().set_index('bs').to_parquet(tmp_path / 'of_sizes.parquet')
    request = command.Request(table=f'{tmp_path}/of_sizes.parquet', batch_size='bs', epochs='epochs', run='seed')
    assert command.run(request) == typed(tmp_path, runs().drop(columns='seconds'), epochs='epochs', run='seed')
    named = runs().assign(epochs=-1.0)
    named.index = pd.Index([f'run {i}' for i in range(len(named))])
    named.to_parquet(tmp_path / 'of_words.parquet')
    with pytest.raises(ValueError, match=r'^--epochs=epochs: row 1 has -1; '):
        command.run(request._replace(table=f'{tmp_path}/of_words.parquet'))


def test_a_condition_on_a_truth_is_written_either_way(tmp_path: pathlib.Path):
    frame = pd.concat([runs().assign(good=True), runs().assign(good=False, epochs=1e6)])
    pages = {typed(tmp_path, frame, epochs='epochs', run='seed', where=(f'good={word}',)) for word in ('True', 'true')}
    assert len(pages) == 1
    assert pages.pop().startswith('use B = 16 ')


def test_the_file_is_whole_and_its_directory_is_made(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A write that is cut leaves the advice of before."""
    file = tmp_path / 'new' / 'advice.json'
    typed(tmp_path, runs(), epochs='epochs', json=str(file))
    before = file.read_text()

    def cut(descriptor: int) -> None:
        raise OSError('no space left')

    monkeypatch.setattr(os, 'fsync', cut)
    with pytest.raises(OSError, match='no space left'):
        typed(tmp_path, runs(seeds=3), epochs='epochs', json=str(file))
    assert file.read_text() == before
    assert [f.name for f in file.parent.iterdir()] == ['advice.json']


@pytest.mark.parametrize('text', ['{"a": 1', '[1]', '{"goal": "time", "sha256": "0"}'])
def test_a_sealed_advice_that_was_touched_is_one_line(tmp_path: pathlib.Path, text: str):
    (tmp_path / 'advice.json').write_text(text)
    with pytest.raises(ValueError, match=r'^--advice=.*(damaged|none that|was changed)'):
        check_advice.sealed(tmp_path / 'advice.json')


def test_the_only_rate_that_is_as_good_is_not_the_only_one_tried(tmp_path: pathlib.Path):
    """A plane without noise: the smallest of eleven rates is best."""
    frame = losses()
    frame['loss'] = 2 + 0.01 * np.log(frame['bs']) + 0.1 * np.log(frame['lr'])
    first = typed(tmp_path, frame, learning_rate='lr', loss='loss').splitlines()[0]
    assert first == 'use B = 16 (16 to 16 as good), lr 0.0031 (no other is as good)'


def test_the_command_loads_no_jax():
    """Advice on a table starts in a second."""
    code = 'import sys, bsresearch.advice.command; sys.exit("jax" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=False).returncode == 0


E = {'epochs': 'epochs'}
BAD: dict[str, tuple[pd.DataFrame, dict[str, Any], str]] = {
    'no such column': (runs(), {'epochs': 'epoch'},
                       "--epochs=epoch: the table has no such column; did you mean 'epochs'"),
    'one batch size': (runs(sizes=SIZES[:1]), E,
                       'one batch size, B = 16, and nothing to compare it with: train at B = 8 and 32 too'),
    'never reached': (runs().assign(done=False), {**E, 'reached': 'done'},
                      'none of 28 runs reached the target, the longest went to 185 epochs: take a target that some'),
    'reached at one': (runs().assign(done=runs()['bs'] == 16), {**E, 'reached': 'done'},
                       'only runs at B = 16 reached the target: of those tried it is the one to use'),
    'mixed rates': (pd.concat([runs().assign(lr=0.1), runs().assign(lr=0.2)]), E,
                    'lr has 2 values at B = 16 and was not named: runs of different rates do not repeat one another; '
                    'give --learning_rate=lr'),
    'twice': (pd.concat([runs().assign(target=1), runs().assign(target=2)]), {**E, 'run': 'seed'},
              'rows 1 and 29 are one run twice (bs 16, seed 0); they differ in target: --where=target=1 keeps one'),
    'less than a batch': (runs().assign(n=10), {'examples': 'n'},
                          '--examples=n: row 1 has 10 examples, less than one update of B = 16; give --steps=n or'),
    'broken steps': (runs().assign(n=1.5), {'steps': 'n'},
                     '--steps=n: row 1 has 1.5, and steps are whole; give --epochs=n if they are those'),
    'direction': (runs().assign(score=1.0), {'loss': 'score'},
                  '--loss=score: is it best when lowest or when highest? Give --higher_is_better=false or true'),
    'no length': (runs(), {},
                  'which column says how long a run took to its target? Give --steps, --epochs or --examples; where'),
    'two lengths': (runs(), {**E, 'steps': 'seed'}, '--steps and --epochs: the length of a run is one column'),
    'words': (runs().assign(bs='many'), E, "--batch_size=bs: row 1 has 'many'; a number is needed"),
    'a broken size': (runs().assign(bs=1.5), E,
                      '--batch_size=bs: row 1 has 1.5; a whole number of at least 1 is needed'),
    'no size': (runs().assign(bs=np.nan), E, '--batch_size=bs: row 1 is empty'),
    'negative time': (runs().assign(seconds=-1.0), {**E, 'seconds': 'seconds'},
                      '--seconds=seconds: row 1 has -1; a number above 0 is needed'),
    'goal': (runs(), {**E, 'goal': 'energy'}, '--goal=energy: no run tells it; name its column, --joules or --watts'),
    'no goal': (runs(), {**E, 'goal': 'tme'}, "--goal=tme: did you mean 'time'"),
    'no end': (runs().assign(done=True, epochs=np.nan), {**E, 'reached': 'done'},
               '--reached=done: row 1 reached its target, but its length is empty'),
    'no truth': (runs().assign(done='perhaps'), {**E, 'reached': 'done'},
                 "--reached=done: row 1 has 'perhaps'; true or false is needed"),
    'no condition': (runs(), {**E, 'where': ('bs',)}, '--where=bs: a condition is column=value or column=value,value'),
    'no such row': (runs(), {**E, 'where': ('bs=17',)},
                    '--where=bs=17: no row has it (with the conditions before it); bs is 16, 32, 64, 128, 256, 512'),
    'at': (runs(), {**E, 'at': ['-3']}, '--at=-3: whole numbers of at least 1 are needed'),
    'per': (runs(), {**E, 'seconds': 'seconds', 'seconds_per': 'step'},
            '--seconds_per=step: the length is in epochs: run or epoch'),
    'price': (runs(), {**E, 'price_per_hour': -1.0}, '--price_per_hour=-1: a number above 0 is needed'),
    'endless price': (runs(), {**E, 'price_per_hour': np.inf}, '--price_per_hour=inf: a number above 0 is needed'),
    'no digit': (runs(), {**E, 'at': ['²']}, '--at=²: whole numbers of at least 1 are needed'),
    'too large': (runs(), {**E, 'at': ['9' * 400]}, f'--at={"9" * 400}: whole numbers of at least 1 are needed'),
    'endless': (runs().assign(epochs=-np.inf), E, '--epochs=epochs: row 1 has -inf; a number above 0 is needed'),
    'the best of losses': (runs().assign(loss=-np.inf), {'loss': 'loss'},
                           '--loss=loss: row 1 has -inf, which is better than any; a number is needed, or inf of'),
    'batch size 1': (runs(sizes=np.array([1.0])), E,
                     'one batch size, B = 1, and nothing to compare it with: train at B = 2 and 4 too'),
    'no such goal': (runs().assign(loss=1.0), {'loss': 'loss', 'goal': 'time'},
                     '--goal=time: no run tells it; name its column, --steps, --epochs or --examples'),
    'a folder': (runs(), {**E, 'json': '.'}, '--json=. is a directory: the name of a file is needed'),
}  # fmt: skip


@pytest.mark.parametrize('name', BAD)
def test_bad_input_is_one_line(name: str, tmp_path: pathlib.Path):
    frame, flags, words = BAD[name]
    with pytest.raises(ValueError, match=f'^{re.escape(words)}') as error:
        typed(tmp_path, frame, **flags)
    assert '\n' not in str(error.value)


def test_a_refusal_stands_in_the_json_too(tmp_path: pathlib.Path):
    with pytest.raises(Refusal) as error:
        typed(tmp_path, runs(sizes=SIZES[:1]), epochs='epochs', json=f'{tmp_path}/advice.json')
    assert json.loads((tmp_path / 'advice.json').read_text())['refusal'] == str(error.value)
