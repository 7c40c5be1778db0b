"""bsresearch: what the batch size does to training."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bsresearch.planning import schema

__all__ = ['schema']
__version__ = '0.1.0'


def __getattr__(name: str) -> Any:
    """`schema` when it is first asked for: the doors listen to signals before the imports that take seconds."""
    if name == 'schema':
        return importlib.import_module('bsresearch.planning.schema')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
