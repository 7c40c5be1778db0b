"""The layers of the code: imports point one way, figures need no JAX, one module draws (see pyproject.toml)."""

import pathlib

from importlinter.cli import lint_imports

ROOT = pathlib.Path(__file__).parent.parent


def test_imports_point_one_way(monkeypatch):
    """Import-linter's verdict on every contract; a forbidden import anywhere fails it."""
    monkeypatch.chdir(ROOT)
    monkeypatch.syspath_prepend(str(ROOT))
    assert lint_imports(config_filename=str(ROOT / 'pyproject.toml'), no_cache=True) == 0
