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


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted paths → nested dicts, as `flatten` takes them apart."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *parents, leaf = path.split('.')
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree


def value_at(tree: Mapping[str, Any], path: str) -> Any:
    """What stands at a dotted path; KeyError or TypeError where nothing does."""
    node: Any = tree
    for part in path.split('.'):
        node = node[part]
    return node
