"""Nested mappings as dotted paths. Free of JAX, so that records can be read without it."""

from collections.abc import Mapping
from typing import Any

MAPPINGS = (dict, Mapping)  # a dict is known at once


def flatten(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Nested mappings → dotted paths."""
    flat: dict[str, Any] = {}
    _fill(flat, tree, '')
    return flat


def _fill(flat: dict[str, Any], tree: Mapping[str, Any], prefix: str) -> None:
    for key, value in tree.items():
        if isinstance(value, MAPPINGS):
            _fill(flat, value, f'{prefix}{key}.')
        else:
            flat[prefix + key] = value
