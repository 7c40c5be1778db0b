"""Nested mappings as dotted paths. Free of JAX, so that records can be read without it."""

from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested mappings → dotted paths."""
    flat = {}
    for key, value in tree.items():
        path = f'{prefix}{key}'
        if isinstance(value, Mapping):
            flat |= flatten(value, f'{path}.')
        else:
            flat[path] = value
    return flat
