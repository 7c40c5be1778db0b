"""Nested mappings as dotted paths. Free of JAX, so that records can be read without it."""

from collections.abc import Mapping
from typing import Any


def flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    """Nested mappings → dotted paths."""
    flat = {}
    for key, value in tree.items():
        path = f'{prefix}{key}'
        flat |= flatten(value, f'{path}.') if isinstance(value, Mapping) else {path: value}
    return flat
