"""The code of parts of a user's own: which files are hashed, and who says that one changed."""

import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from test_arms import base
from toy import BARE, ROOT, Quiet, branch, declared, plans, train

from bsresearch.core import own_part, own_sources
from bsresearch.launching import calibration, environment, planner
from bsresearch.planning import edit, seconds
from bsresearch.planning.probe import Probe
from bsresearch.store import paths

USERS = ROOT / 'tests' / 'users_parts.py'
OTHER = 'made with other code of your own: '


def forget() -> None:
    """What this process has run: it is a new one."""
    for known in (own_part._FILES, own_sources._DIGESTS):
        known.clear()
    for cached in (own_part.function, own_part.package):
        cached.cache_clear()


def write(folder: pathlib.Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = folder / f'{name}.py'
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def test_what_a_file_imports_from_beside_it_is_hashed_with_it(tmp_path: pathlib.Path):
    """Whoever imports it, wherever: at the top, in a function, from one another. Nothing else is."""
    write(tmp_path, {
        'nets': 'import json, numpy as np\nfrom blocks import WIDTH\ndef build(num_outputs):\n    import late\n',
        'blocks': 'import deeper\nWIDTH = deeper.WIDTH\n', 'deeper': 'WIDTH = 3\n', 'late': 'import nets\n',
        'unused': '', 'json': '1 +\n',
    })  # fmt: skip
    found = own_part.sources({'model': {'name': f'{tmp_path}/nets.py:build'}})
    imported = ('blocks', 'deeper', 'late', 'nets')
    keys = ('nets.py:build', *(f'nets.py imports {name}' for name in imported))
    files = [tmp_path / f'{name}.py' for name in ('nets', *imported)]
    assert found == dict(zip(keys, map(paths.file_digest, files), strict=True))


def test_of_a_package_its_modules_are_hashed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """Relative and absolute imports, packages on the way; a module beside the package is none of it."""
    write(tmp_path, {
        'lab_of_a_test/nets/resnet': 'from ..blocks import norm\nfrom . import cells\nimport lab_of_a_test.far, apart\n'
        'def build(num_outputs):\n    pass\n',
        'lab_of_a_test/far': 'from lab_of_a_test import last', 'lab_of_a_test/last': '', 'apart': '',
        **{f'lab_of_a_test/{name}': '' for name in ('__init__', 'nets/__init__', 'nets/cells', 'blocks/__init__',
                                                    'blocks/norm', 'unused')},
    })  # fmt: skip
    monkeypatch.syspath_prepend(str(tmp_path))
    part = 'lab_of_a_test.nets.resnet'
    found = own_part.sources({'model': {'name': f'{part}:build'}})
    names = ('', '.nets', '.nets.cells', '.blocks', '.blocks.norm', '.far', '.last')
    assert found.keys() == {f'{part}:build', *(f'{part} imports lab_of_a_test{name}' for name in names)}
    assert found[f'{part} imports lab_of_a_test.last'] == paths.file_digest(tmp_path / 'lab_of_a_test' / 'last.py')


def test_what_is_no_file_of_ones_own_is_left_out():
    """A module of C, and this package, which has a hash of its own."""
    assert own_part.sources({'loss': {'name': 'time:time'}}) == {}
    assert list(own_part.sources({'model': {'name': 'bsresearch.models.mlp:build'}})) == ['bsresearch.models.mlp:build']


@pytest.fixture
def changing(tmp_path: pathlib.Path) -> tuple[pathlib.Path, Callable[[], None]]:
    """The users' parts behind a file that imports them; and what changes what it imports, as seen by a new process."""
    shutil.copy(USERS, tmp_path / 'beside.py')
    file = tmp_path / 'mine.py'
    file.write_text('from beside import *\n')

    def change() -> None:
        forget()
        helper = tmp_path / 'beside.py'
        helper.write_text(f'{helper.read_text()}\n# changed\n')

    return file, change


def told(console: Quiet) -> list[str]:
    """Lines on changed code, without the hashes."""
    return [' '.join(line.split()[:-3]) for line in console.lines if OTHER in line]


def test_whoever_goes_on_from_other_code_says_so(
    changing: tuple[pathlib.Path, Callable[[], None]], workdir: pathlib.Path
):
    """A finished run, a branch, a probe, a finished probe: once, and only where it changed."""
    file, change = changing
    asked: dict[str, Any] = {
        **BARE, 'model': {'name': f'{file}:mlp'}, 'total_steps': 4, 'keep__at_steps': (2,),
        'probe__name': f'{file}:few_trials',
    }  # fmt: skip
    (parent,) = plans(**asked)
    probes = [Probe(parent.study, parent.recording['probe'], ((parent, step),), 0.1) for step in (2, 4)]
    assert told(train(workdir, [parent])) == told(train(workdir, [parent])) == []
    assert told(train(workdir, [branch(parent, 2, seed=1)])) == told(train(workdir, probes[:1])) == []
    change()
    imports = f'{OTHER}mine.py imports beside'
    assert told(train(workdir, [parent])) == [f'they were {imports}']
    child = branch(parent, 2, seed=2)
    assert told(train(workdir, [child])) == [f'what they begin with was {imports}']
    assert told(train(workdir, [child])) == []  # it was made with this
    assert told(train(workdir, probes)) == [f'they were {imports}', f'what is probed was {imports}']


def test_a_measurement_added_later_is_known_by_its_code(
    changing: tuple[pathlib.Path, Callable[[], None]], workdir: pathlib.Path
):
    file, change = changing
    own = {'function': f'{file}:largest_weight', 'at_steps': (0,)}
    (plan,), (asked,) = plans(**BARE, total_steps=4), plans(**BARE, total_steps=4, measure__top=own)
    train(workdir, [plan])
    assert told(train(workdir, [asked])) == []
    meta = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')
    assert meta is not None
    assert set(meta['own_sources']) == {'mine.py:largest_weight', 'mine.py imports beside'}
    change()
    assert told(train(workdir, [asked])) == [f'they were {OTHER}mine.py imports beside']


def test_seconds_that_other_code_took_are_told(
    changing: tuple[pathlib.Path, Callable[[], None]], workdir: pathlib.Path, patching: pytest.MonkeyPatch
):
    patching.setattr(calibration, 'seconds_per_update', lambda plan: 0.01)
    file, change = changing
    config = edit.assign(base().to_dict(), {'model': {'name': f'{file}:mlp'}, 'total_seconds': 0.5})
    lines: list[str] = []
    plan = lambda: planner.study(config, {}, workdir, say=lines.append)
    ids = [p.id for p in calibration.planned(plan, workdir, lambda _: None).plans]
    assert lines == []
    content = paths.read_json(workdir / calibration.NAME)
    assert content is not None
    assert list(content['own_sources']) == [seconds.key(p) for p in plan().plans[:1]]
    change()
    assert [p.id for p in plan().plans] == ids
    (line,) = lines
    assert 'measured with other code of your own: mine.py imports beside' in line


def test_an_own_probe_lies_in_the_workdir(tmp_path: pathlib.Path, workdir: pathlib.Path):
    """By its file's name alone, wherever the file is: so is its id."""
    made = []
    for folder in (ROOT / 'tests', tmp_path):
        file = folder / USERS.name
        if folder == tmp_path:
            shutil.copy(USERS, file)
        (plan,) = plans(**BARE, total_steps=4, probe__name=f'{file}:few_trials')
        made.append((plan, Probe(plan.study, plan.recording['probe'], ((plan, 4),), 0.1)))
    (plan, probe), (_, moved) = made
    assert probe.id == moved.id
    train(workdir, [plan])
    train(workdir, [probe])
    folder = paths.run_dir(workdir, probe.study, probe.id)
    meta = paths.read_json(folder / 'meta.json')
    assert meta is not None
    assert meta['arrays'] == 'arrays/users_parts.py:few_trials-4.npz'
    assert (folder / meta['arrays']).is_file()


def test_declared_parts_are_found_whatever_section_names_them():
    config = declared(model={'name': f'{USERS}:mlp'}, measure__top={'function': f'{USERS}:largest_weight'})
    assert own_part.named(config) == {f'{USERS}:mlp', f'{USERS}:largest_weight'}
    changed = environment.changed_sources({'a': '1' * 9, 'gone': '2'}, {'a': '3' * 9, 'new': '4'})
    assert changed == ['a 11111111 → 33333333']
