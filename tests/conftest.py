"""Settings of all tests: strict shapes, strict ranks, one compilation cache for the whole session."""

import contextlib
import gc
import getpass
import pathlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any
from unittest import mock

import jax
import pytest
from jax._src import compiler
from jaxtyping import install_import_hook

# Shapes written in annotations are checked on every call, in tests alone, in the modules that have some.
_sources = pathlib.Path(__file__).parent.parent
_annotated = [
    p.relative_to(_sources) for p in _sources.glob('bsresearch/**/*.py') if 'jaxtyping' in p.read_text(encoding='utf-8')
]
_hook = install_import_hook(['.'.join(p.with_suffix('').parts) for p in _annotated], 'typecheck.check')

import toy  # noqa: E402  after the hook, as what follows

from bsresearch.train.devices import compiling  # noqa: E402

jax.config.update('jax_numpy_rank_promotion', 'raise')
# Tests share most of their programs; the cache outlives the session, and XLA keys it by program and version.
_cache = pathlib.Path(tempfile.gettempdir()) / f'bsresearch-tests-{getpass.getuser()}'
jax.config.update('jax_compilation_cache_dir', str(_cache))
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)


AS_SHIPPED = (
    'test_invariant_3', 'test_invariant_6', 'test_invariants', 'test_precision', 'test_segments', 'test_sharpness',
    'test_workdirs',
)  # fmt: skip


@pytest.fixture(autouse=True, scope='session')
def fewer_emitters() -> None:
    """XLA's slower emitters of CPU code are off where it shall optimize little, if this XLA can do without them."""
    options = getattr(compiler, 'get_compile_options', None)
    if options is None or not toy.emitters_are_optional():
        return

    def in_a_hurry(*args: Any, **kwargs: Any) -> Any:
        chosen = options(*args, **kwargs)
        if jax.config.values['jax_disable_most_optimizations']:
            chosen.env_option_overrides = [*chosen.env_option_overrides, (toy.EMITTERS, False)]
        return chosen

    # JAX sets no option of a compilation for all programs of a process but by the environment, which is read once.
    compiler.get_compile_options = in_a_hurry


@pytest.fixture(autouse=True, scope='module')
def compiled_in_a_hurry(request: pytest.FixtureRequest, fewer_emitters: None) -> None:
    """Toy programs run for milliseconds and compile for seconds: XLA optimizes little, but for AS_SHIPPED."""
    little = request.module.__name__ not in AS_SHIPPED
    if little != jax.config.values['jax_disable_most_optimizations']:
        compiling.KEPT.clear()
    jax.config.update('jax_disable_most_optimizations', little)
    gc.freeze()  # what is imported and compiled by now need not be looked through at each collection


@pytest.fixture(autouse=True)
def programs_of_the_code_as_it_is(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that patches code compiles its own programs, and leaves none: groups of a process share theirs."""
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
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn as ever, in a few pixels, and their PDF is a stand-in: fonts and resolution take the time."""
    from bsresearch.report import plotting

    monkeypatch.setattr(plotting, 'DPI', 20)
    monkeypatch.setattr(plotting.FigureCanvasPdf, 'print_pdf', lambda _, file, **__: file.write(b'%PDF'))


@pytest.fixture
def late_errors() -> Iterator[None]:
    """Orbax reads many arrays at once and reports one failure; the others are reported when they are collected."""
    yield
    for _ in range(2):
        gc.collect()
        time.sleep(0.05)
