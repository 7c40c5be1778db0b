"""Fixtures of all tests; strict.py has what they run under."""

import contextlib
import gc
import pathlib
import time
from collections.abc import Iterator
from unittest import mock

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """What only hands tests to the processes that run them imports none of the code."""
    if hasattr(config, 'workerinput') or config.getoption('dist', 'no') == 'no':
        import strict

        config.pluginmanager.register(strict)


@pytest.fixture(autouse=True, scope='module')
def what_is_there_stays() -> None:
    """What is imported and compiled by now need not be looked through at each collection of garbage."""
    gc.freeze()


@pytest.fixture(autouse=True)
def programs_of_the_code_as_it_is(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that patches code compiles its own programs, and leaves none: groups of a process share theirs."""
    from bsresearch.train.devices import compiling

    patches = 'monkeypatch' in request.fixturenames
    with contextlib.nullcontext() if not patches else mock.patch.dict(compiling.KEPT, clear=True):
        yield


@pytest.fixture
def patching() -> Iterator[pytest.MonkeyPatch]:
    """As `monkeypatch`, for what no compiled program holds: programs stay shared."""
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture
def workdir(tmp_path: pathlib.Path) -> pathlib.Path:
    """A workdir that is not there yet."""
    return tmp_path / 'runs'


@pytest.fixture
def small_pictures(patching: pytest.MonkeyPatch) -> None:
    """Figures are drawn as ever, in a few pixels, and their PDF is a stand-in: fonts and resolution take the time."""
    from bsresearch.report import plotting

    patching.setattr(plotting, 'DPI', 20)
    patching.setattr(plotting.FigureCanvasPdf, 'print_pdf', lambda _, file, **__: file.write(b'%PDF'))


@pytest.fixture
def late_errors() -> Iterator[None]:
    """Orbax reads many arrays at once and reports one failure; the others are reported when they are collected."""
    yield
    for _ in range(2):
        gc.collect()
        time.sleep(0.05)
