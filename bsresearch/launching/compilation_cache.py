"""Where compiled programs are kept from one launch to the next."""

import os
import sys
import tempfile
import warnings

import jax

from bsresearch.core import program

PAGE = 4096  # bytes: whether a disk has room for any file


def hush() -> None:
    """JAX warns of a cache that cannot be used at each program; `use` tells it once."""
    warnings.filterwarnings('ignore', 'Error (reading|writing) persistent compilation cache entry')


def use(named: bool = False) -> None:
    """Compiled programs persist: a second launch compiles nothing anew.

    `named`: for a profile; one is found only if its instructions bear the names of this version's scopes.
    """
    jax.config.update('jax_compilation_cache_include_metadata_in_key', named)
    if getattr(jax.config, 'jax_compilation_cache_dir', None) is None:
        jax.config.update('jax_compilation_cache_dir', os.path.expanduser('~/.cache/bsresearch/xla'))
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
    jax.config.update('jax_persistent_cache_min_entry_size_bytes', -1)
    hush()
    folder = str(jax.config.values['jax_compilation_cache_dir'])
    try:
        if '://' not in folder:
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(bytes(PAGE))
    except OSError as e:
        cure = 'name a folder that can be written in JAX_COMPILATION_CACHE_DIR'
        print(f'{program.name()}: compiled programs are not kept in {folder} ({e.strerror}); {cure}', file=sys.stderr)
