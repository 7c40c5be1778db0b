"""What a run was made with: the package's own commit and source, and each code that went on with it."""

import pathlib
import shutil
import subprocess
import sys

import pytest
import toy
from workdirs_of_old import unpack

from bsresearch.launching import environment, groups, provenance
from bsresearch.store import paths

PACKAGE = pathlib.Path(__file__).parents[1] / 'bsresearch'
ASK = 'from bsresearch.launching.provenance import *; print(commit(), source_sha256(), sorted(changed_files()))'


def git(folder: pathlib.Path, *arguments: str) -> str:
    identity = ('-c', 'user.name=a', '-c', 'user.email=a@b.example')
    command = ['git', '-C', str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def told(folder: pathlib.Path) -> list[str]:
    """Commit, hash of the source and changed files, by the package in this folder."""
    asked = subprocess.run([sys.executable, '-c', ASK], cwd=folder, capture_output=True, text=True, check=True)
    return asked.stdout.strip().split(' ', 2)


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
    """A repository of its own that holds a copy of the package."""
    folder = tmp_path / 'own'
    shutil.copytree(PACKAGE, folder / 'bsresearch', ignore=shutil.ignore_patterns('__pycache__'))
    (folder / '.gitignore').write_text('__pycache__/\n')
    git(tmp_path, 'init', '-q', str(folder))
    git(folder, 'add', '-A')
    git(folder, 'commit', '-qm', 'all')
    return folder


def test_an_untracked_or_changed_source_file_is_told(repository: pathlib.Path):
    """The README's own way to add a model is a new file in bsresearch/models."""
    head = git(repository, 'rev-parse', '--short=12', 'HEAD')
    clean = told(repository)
    assert clean == [head, clean[1], '[]']
    (repository / 'notes.txt').write_text('not source')
    assert told(repository) == clean
    (repository / 'bsresearch' / 'models' / 'own.py').write_text('"""Mine."""\n')
    untracked = told(repository)
    assert untracked == [f'{head}-dirty', untracked[1], "['models/own.py']"]
    (repository / 'bsresearch' / 'core' / 'units.py').write_text(
        (PACKAGE / 'core' / 'units.py').read_text() + '\n# changed\n'
    )
    changed = told(repository)
    assert changed[2] == "['core/units.py', 'models/own.py']"
    assert len({clean[1], untracked[1], changed[1]}) == 3


def test_an_installed_package_is_the_same_source(repository: pathlib.Path):
    """Where it is installed, configs and scripts lie within it: the hash is the checkout's."""
    before = told(repository)[1]
    for folder in ('configs', 'scripts'):
        (repository / 'bsresearch' / folder).mkdir()
        (repository / 'bsresearch' / folder / 'own.py').write_text('')
    assert told(repository)[1] == before


def test_a_repository_around_the_package_is_not_its_own(repository: pathlib.Path):
    """Installed into an environment inside somebody's repository: that one's commit says nothing of this code."""
    installed = repository / 'study' / '.venv'
    shutil.copytree(PACKAGE, installed / 'bsresearch', ignore=shutil.ignore_patterns('__pycache__'))
    commit, source, changed = told(installed)
    assert (commit, changed) == ('None', '[]')
    assert source == told(repository)[1]


def test_a_resume_under_other_code_is_told_and_listed(tmp_path: pathlib.Path, patching: pytest.MonkeyPatch):
    """What an older version began has no hash: it counts as other code; then each other source adds an entry."""
    workdir = unpack('stopped_adam', tmp_path)
    (file,) = workdir.glob('train/groups/*/group.json')
    (plan,) = groups.load(file.parent).plans
    with pytest.raises(toy.runner.Stopped):
        toy.train(workdir, [plan], toy.StopsAt(50))
    first, second = groups.status(workdir, plan)['code']
    assert (first['step'], first['source_sha256'], first['commit']) == (0, None, 'db0c6129eec1')
    assert second['step'] == 30
    assert second['source_sha256'] == provenance.source_sha256()
    patching.setattr(provenance, 'source_sha256', lambda: 'f' * 64)
    console = toy.train(workdir, [plan])
    entries = groups.status(workdir, plan)['code']
    assert [entry['source_sha256'] for entry in entries] == [None, second['source_sha256'], 'f' * 64]
    assert 30 < entries[2]['step'] < 80
    assert sum('other code' in line for line in console.lines) == 1


def test_a_resume_under_the_same_code_says_nothing(tmp_path: pathlib.Path):
    (plan,) = toy.plans(checkpoint__every_steps=10)
    with pytest.raises(toy.runner.Stopped):
        toy.train(tmp_path, [plan], toy.StopsAt(20))
    console = toy.train(tmp_path, [plan])
    (entry,) = groups.status(tmp_path, plan)['code']
    assert entry['step'] == 0
    assert entry['versions'] == environment.versions()
    assert not [line for line in console.lines if 'other code' in line]
    assert paths.is_sealed(paths.run_dir(tmp_path, 'train', plan.id) / 'meta.json')
