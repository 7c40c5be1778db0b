"""What tests run under, on import: strict shapes, strict ranks, one compilation cache for the whole session.

Toy programs run for milliseconds and compile for seconds: XLA optimizes little, but for tests marked `as_shipped`.
Tracing makes many objects that live: garbage is collected when there is some. What a test writes need not outlive the
power of the machine, only a kill: nothing waits for the disk.
"""

import gc
import getpass
import os
import pathlib
import tempfile
from typing import Any

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

gc.set_threshold(20_000, 20, 20)
os.fsync = lambda fd: None
jax.config.update('jax_numpy_rank_promotion', 'raise')
# Tests share most of their programs; the cache outlives the session, and XLA keys it by program and version.
_cache = pathlib.Path(tempfile.gettempdir()) / f'bsresearch-tests-{getpass.getuser()}'
jax.config.update('jax_compilation_cache_dir', str(_cache))
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)

# Programs of this process by whether XLA optimizes them little.
_KEPT: dict[bool, dict[Any, Any]] = {False: compiling.KEPT, True: {}}


def compile_programs(*, little: bool) -> None:
    """From now on XLA optimizes little, or as for users; programs of the other kind are kept apart."""
    jax.config.update('jax_disable_most_optimizations', little)
    compiling.KEPT = _KEPT[little]


@pytest.hookimpl(tryfirst=True)  # fixtures compile too
def pytest_runtest_setup(item: pytest.Item) -> None:
    little = item.get_closest_marker('as_shipped') is None
    if little != jax.config.values['jax_disable_most_optimizations']:
        compile_programs(little=little)


def _in_a_hurry() -> None:
    """Where XLA shall optimize little it emits code the fast way, if it can, and each program in one piece."""
    options = getattr(compiler, 'get_compile_options', None)
    if options is None or not toy.emitters_are_optional():
        return

    def in_a_hurry(*args: Any, **kwargs: Any) -> Any:
        chosen = options(*args, **kwargs)
        if jax.config.values['jax_disable_most_optimizations']:
            chosen.env_option_overrides = [*chosen.env_option_overrides, *toy.HURRY.items()]
        return chosen

    # JAX sets no option of a compilation for all programs of a process but by the environment, which is read once.
    compiler.get_compile_options = in_a_hurry


_in_a_hurry()
