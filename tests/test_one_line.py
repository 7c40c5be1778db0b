"""A full disk and a cache that cannot be written: one line each, whatever libraries would say of it."""

import errno
import logging
import os
import pathlib
import subprocess
import sys
import threading
import types
import warnings
from collections.abc import Iterator
from typing import Any, NoReturn
from unittest import mock

import jax
import pytest
import toy

from bsresearch.core import program
from bsresearch.launching import command, compilation_cache
from bsresearch.launching.jobs import engines, jobs, launcher, worker
from bsresearch.store import manager

CACHE = ('jax_compilation_cache_dir', 'jax_compilation_cache_include_metadata_in_key',
         'jax_persistent_cache_min_compile_time_secs', 'jax_persistent_cache_min_entry_size_bytes')  # fmt: skip
# main.py where no file grows beyond 128 KiB: more than any of a run's descriptions, less than its weights.
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (2**17, 2**17))
os.execv(sys.executable, [sys.executable, 'main.py', *sys.argv[1:]])
"""


def test_a_full_disk_is_one_line(tmp_path: pathlib.Path):
    """As the system has it: no file grows beyond a limit. Orbax fails in several threads, each with tracebacks."""
    short = ['--config=quickstart', '--config.total_steps=3', '--config.batch_size=16', f'--workdir={tmp_path}/runs']
    done = subprocess.run(
        [sys.executable, '-c', LIMITED, *short],
        cwd=toy.ROOT, env=toy.environment(), timeout=300, encoding='utf-8', capture_output=True,
    )  # fmt: skip
    assert done.returncode == 1
    place = next(tmp_path.glob('runs/train/groups/*/initial'))
    assert done.stderr == (
        f"main.py: [Errno 27] File too large: '{place}'; what was written is valid: cure that and give the same "
        'command again\n'
    )
    assert 'Traceback' not in done.stdout


def test_an_error_of_the_system_is_told_as_one(tmp_path: pathlib.Path):
    """TensorStore's kilobyte holds the system's number of it; what holds none stays as it is."""
    with pytest.raises(OSError, match=r'^\[Errno 28\] No space left on device: ') as e, manager.plainly(tmp_path):
        raise ValueError(
            'RESOURCE_EXHAUSTED: Error writing "a" in OCDBT … No space left on device [os_error_code=\'28\']'
        )
    assert (e.value.errno, e.value.filename) == (28, str(tmp_path))
    with pytest.raises(ValueError, match='of another kind'), manager.plainly(tmp_path):
        raise ValueError('of another kind')


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What reaches the hooks that are there before Orbax is hushed."""
    reports: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, 'unraisablehook', lambda args: reports.append(str(args.exc_value)))
        patch.setattr(threading, 'excepthook', lambda args: reports.append(str(args.exc_value)))
        manager.hush.cache_clear()
        manager.hush()
        yield reports
    manager.hush.cache_clear()


def test_only_what_is_orbaxs_is_not_heard(heard: list[str]):
    """Callbacks that come too late, exceptions of its threads, asyncio's log; those of all others are."""

    class OfOrbax(threading.Thread):
        __module__ = 'orbax.checkpoint.anything'

    def fail() -> None:
        raise ValueError('of a thread')

    for kind in (OfOrbax, threading.Thread):
        thread = kind(target=fail)
        thread.start()
        thread.join()
    assert heard == ['of a thread']
    for words in ('Event loop is closed', 'of a finalizer'):
        sys.unraisablehook(types.SimpleNamespace(exc_value=RuntimeError(words)))  # pyright: ignore[reportArgumentType]
    assert heard == ['of a thread', 'of a finalizer']
    assert not logging.getLogger('asyncio').isEnabledFor(logging.ERROR)


@pytest.fixture
def cache_settings() -> Iterator[None]:
    before = {name: jax.config.values[name] for name in CACHE}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures('cache_settings')
def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]):
    """JAX would warn at every program. A folder that can be written is no word worth."""
    jax.config.update('jax_compilation_cache_dir', str(tmp_path / 'new' / 'folder'))
    compilation_cache.use()
    assert capsys.readouterr() == ('', '')
    assert list((tmp_path / 'new' / 'folder').iterdir()) == []
    (tmp_path / 'file').touch()
    jax.config.update('jax_compilation_cache_dir', str(tmp_path / 'file'))
    compilation_cache.use()
    out, err = capsys.readouterr()
    assert out == ''
    assert err == (
        f'{program.name()}: compiled programs are not kept in {tmp_path}/file (File exists); name a folder that can be '
        'written in JAX_COMPILATION_CACHE_DIR\n'
    )
    warnings.filterwarnings('error')
    with mock.patch.object(command, '_planned', side_effect=ValueError('refused')):  # what it compiles is hushed, too
        assert command.run(types.SimpleNamespace(value={}), command.Request(dry_run=True)) == 2
    for what in ('reading', 'writing'):  # an error where they are not ignored
        warnings.warn(f"Error {what} persistent compilation cache entry for 'jit_f': OSError: …", stacklevel=1)


# The command where no file grows at all; what is there already stays readable.
NO_ROOM = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
os.execv(sys.executable, [sys.executable, '-m', 'bsresearch', *sys.argv[1:]])
"""


@pytest.mark.slow
def test_a_job_that_can_write_nothing_is_one_line_of_its_launcher(tmp_path: pathlib.Path):
    """Neither its log nor its job.json can hold what came of it."""
    engine = engines.chosen('local', None, {})
    ((job,),) = launcher.declare(tmp_path, [toy.plans()[:1]], engine, print)
    words = ['worker', f'--job={job.name}', f'--workdir={tmp_path}', f'--token={jobs.token(tmp_path)}']
    done = subprocess.run(
        [sys.executable, '-c', NO_ROOM, *words], cwd=toy.ROOT,
        env=toy.environment(JAX_COMPILATION_CACHE_DIR='gs://none'), timeout=120, encoding='utf-8', capture_output=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (worker.FAILED, '')
    assert done.stderr == (
        f'bsresearch worker: {job.name}: [Errno 27] File too large: {tmp_path}; what was written is valid: cure that '
        'and give the same command again\n'
    )


def test_a_launcher_names_the_workdir_of_a_full_disk(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Of a write into an open file the system names none."""

    def full(*_: Any) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(launcher, 'declare', full)
    monkeypatch.setattr(program, 'name', lambda: 'bsresearch launch')
    study = toy.study(types.SimpleNamespace(stages=lambda _: iter(())), [])
    engine = engines.chosen('local', None, {})
    assert launcher.run(toy.Quiet(), tmp_path, study, engine) == 1
    assert capsys.readouterr().err == (
        f'bsresearch launch: [Errno 28] No space left on device: {tmp_path}; what was written is valid: cure that and '
        'give the same command again\n'
    )
