"""What the user called: errors begin with its name; and whether this Python can do it. Standard library alone."""

import importlib.util
import pathlib
import sys
from collections.abc import Iterable

USAGE = 2  # exit code of a command that cannot be done as it was given
PACKAGE = pathlib.Path(__file__).parent.parent
JAX = ('jax', 'flax', 'optax', 'orbax')
WITHOUT_JAX = ('absl', 'ml_collections', 'numpy', 'pandas', 'pyarrow', 'scipy', 'matplotlib', 'rich')

_called = ['bsresearch']


def called(name: str) -> None:
    """From now on the program is `name`."""
    _called[:] = [name]


def name() -> str:
    """As the user called it: main.py, bsresearch run, …"""
    return _called[0]


def usage(message: object) -> int:
    """Prints what is wrong with the command; the exit code for it."""
    print(f'{name()}: {message}', file=sys.stderr)
    return USAGE


def folder(part: str) -> pathlib.Path:
    """Of the configs or the scripts: within the package where it is installed, beside it in a checkout."""
    installed = PACKAGE / part
    return installed if installed.is_dir() else PACKAGE.parent / part


def scripts() -> str:
    """The package of the doors and figures; that of a checkout, which may not be on the path, is made importable."""
    where = folder('scripts')
    if where.parent == PACKAGE:
        return f'{PACKAGE.name}.scripts'
    if str(where.parent) not in sys.path:
        sys.path.insert(0, str(where.parent))
    return 'scripts'


def lacks(packages: Iterable[str]) -> bool:
    """Whether this Python lacks one of the packages, which is told in a line: the environment is not active."""
    missing = next((package for package in packages if importlib.util.find_spec(package) is None), None)
    if missing is not None:
        root = PACKAGE.parent
        cure = 'pip install bsresearch, in the environment that runs it, brings it'
        if (root / 'Makefile').is_file():
            cure = f'activate the environment, `. {root}/.venv/bin/activate`; `make quickstart` in {root} makes it'
        usage(f'{sys.executable} has no {missing}: {cure}')
    return missing is not None
