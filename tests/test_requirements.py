"""One lock for every supported Python, and the Makefile that installs from it."""

import os
import pathlib
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = pathlib.Path(__file__).parent.parent
PYTHONS = ('3.11', '3.12', '3.13')
LOCKS = {'requirements.txt': (), 'requirements-dev.txt': ('dev',)}
BESIDE = ('wandb', 'mlflow', 'rdata', 'docs')  # extras with a lock of their own, in the order in which they are locked
# JAX of these versions is what the suite was run with: 0.10 is the last for 3.11.
JAX = {'3.11': '0.10', '3.12': '0.12', '3.13': '0.12'}


def pins(name: str, python: str) -> dict[str, Version]:
    """What pip installs from a lock on Linux with this Python; each pin once, and with hashes."""
    found: dict[str, Version] = {}
    place = {'python_version': python, 'python_full_version': f'{python}.1', 'sys_platform': 'linux'}
    for entry in (ROOT / name).read_text('utf-8').replace('\\\n', ' ').splitlines():
        line = entry.split(' #')[0].strip()
        if not line or line.startswith('#'):
            continue
        pin, *hashes = line.split(' --hash=')
        assert hashes, pin
        assert all(digest.startswith('sha256:') for digest in hashes), pin
        requirement = Requirement(pin)
        if requirement.marker is None or requirement.marker.evaluate(place):
            assert requirement.name not in found, f'{requirement.name} twice for Python {python}'
            (exactly,) = requirement.specifier
            assert exactly.operator == '==', pin
            found[requirement.name] = Version(exactly.version)
    return found


@pytest.mark.parametrize('python', PYTHONS)
@pytest.mark.parametrize('name', LOCKS)
def test_each_python_gets_one_version_of_what_pyproject_asks_for(name: str, python: str):
    project = tomllib.loads((ROOT / 'pyproject.toml').read_text('utf-8'))['project']
    wanted = project['dependencies'] + [r for extra in LOCKS[name] for r in project['optional-dependencies'][extra]]
    pinned = pins(name, python)
    for requirement in map(Requirement, wanted):
        assert pinned[requirement.name.lower().replace('_', '-')] in requirement.specifier
    assert {f'{v.major}.{v.minor}' for v in (pinned['jax'], pinned['jaxlib'])} == {JAX[python]}
    assert 'tensorflow' not in pinned


@pytest.mark.parametrize('python', PYTHONS)
def test_the_tests_run_on_what_users_install(python: str):
    users, developers = (pins(name, python) for name in LOCKS)
    assert users == {name: developers[name] for name in users}


@pytest.mark.parametrize('python', PYTHONS)
def test_other_extras_go_into_the_environment_of_the_tests(python: str):
    """Their pins are what the extras ask for, and move none that is there, nor each other's."""
    extras = tomllib.loads((ROOT / 'pyproject.toml').read_text('utf-8'))['project']['optional-dependencies']
    together = pins('requirements-dev.txt', python)
    for extra in BESIDE:
        pinned = pins(f'requirements-{extra}.txt', python)
        assert all(pinned[requirement.name] in requirement.specifier for requirement in map(Requirement, extras[extra]))
        assert {name: together.get(name, version) for name, version in pinned.items()} == pinned
        together |= pinned


def stand_in(path: pathlib.Path, version: str) -> pathlib.Path:
    """An interpreter that says its version, whatever it is asked, and whether that is too old."""
    path.parent.mkdir(parents=True, exist_ok=True)
    old = int(Version(version) < Version('3.11'))
    path.write_text(f'#!/bin/sh\n[ "$1" = -c ] && exit {old}\necho Python {version}\n')
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ('there', 'asked', 'message'),
    [
        ('3.11.7', '3.13.0', 'PYTHON={asked}: the environment {venv} has Python 3.11.7; another one is needed'),
        (None, '3.10.2', 'PYTHON={asked}: Python 3.11 or later is needed'),
        (None, None, 'PYTHON={asked}: Python 3.11 or later is needed'),
    ],
)
def test_make_never_uses_another_python_than_it_was_asked_for(
    tmp_path: pathlib.Path, there: str | None, asked: str | None, message: str
):
    venv, python = tmp_path / 'venv', tmp_path / 'python'
    if there is not None:
        stand_in(venv / 'bin' / 'python', there)
    if asked is not None:
        stand_in(python, asked)
    command = ['make', '-s', f'PYTHON={python}', f'VENV={venv}', f'{venv}/.ready']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith(message.format(asked=python, venv=venv))
    assert done.returncode == 2
    assert not (venv / '.ready').exists()


def test_make_takes_the_environment_that_is_there(tmp_path: pathlib.Path):
    python = stand_in(tmp_path / 'venv' / 'bin' / 'python', '3.12.1')
    command = ['make', '-s', f'PYTHON={python}', f'VENV={tmp_path / "venv"}', 'interpreter']
    assert subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout == ''
    assert subprocess.run(command, cwd=ROOT).returncode == 0


def test_new_requirements_go_into_the_environment_that_is_there_whatever_python3_is(tmp_path: pathlib.Path):
    stand_in(tmp_path / 'path' / 'python3', '3.13.0')
    for name in ('python', 'pip'):
        stand_in(tmp_path / 'venv' / 'bin' / name, '3.11.7')
    environment = {'PATH': f'{tmp_path / "path"}{os.pathsep}{os.environ["PATH"]}'}
    command = ['make', '-s', f'VENV={tmp_path / "venv"}', f'{tmp_path / "venv"}/.ready']
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == 'Python 3.11.7\n'  # of the one call that was made: pip's
    assert (tmp_path / 'venv' / '.ready').exists()
