"""Grids: a declared config with axes → one declared config per run → Plans → replica groups.

`config.sweep.<field>` holds the values of an axis as a tuple; axes multiply. `config.sweep.zip.<field>` holds axes that
advance together and count as one. The values of an axis may be whole sections ({'name': 'step', 'at_fractions': …}).
A command-line override of a field that is an axis, or lies in a section that is one, removes that axis.
"""

import copy
import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from bsresearch.core import kinds
from bsresearch.core.field import unknown_field
from bsresearch.core.flat import flatten
from bsresearch.planning import resolve, schema
from bsresearch.planning.plan import Plan, canonical

Axis = list[dict[str, Any]]

LENGTHS = ('total_epochs', 'total_examples', 'total_steps')


def _set(tree: dict[str, Any], path: str, value: Any) -> None:
    """Changes the tree, and no section that it may share with another one."""
    *parents, leaf = path.split('.')
    for parent in parents:
        if not isinstance(tree.get(parent), dict):
            if parent in tree:
                raise ValueError(f'unknown config field {path}; {parent} is not a section')
            raise unknown_field(parent, tree)
        tree[parent] = tree = dict(tree[parent])
    tree[leaf] = value


def assign(declared: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`declared` with `changes` (dotted path → value); sections without a change are shared with it.

    A changed `<section>.name` drops the old part's own fields, a changed length the other two: they belong to what
    was replaced.
    """
    result, shared = dict(declared), schema.known()
    for section in schema.PARTS:
        name = changes.get(f'{section}.name', result[section].get('name'))
        if name != result[section].get('name'):
            result[section] = {k: v for k, v in result[section].items() if k in shared[section]}
    if any(field in changes for field in LENGTHS):
        result |= dict.fromkeys(LENGTHS)
    for path, value in changes.items():
        if isinstance(shared.get(path), dict) and not isinstance(value, Mapping):
            raise ValueError(f'config field {path}={kinds.brief(value)}: a section is needed')
        _set(result, path, value)
    return result


def _zipped(sweep: Mapping[str, Any]) -> dict[str, Any]:
    """The axes that advance together, dotted path → values."""
    together = sweep.get('zip', {})
    if not isinstance(together, Mapping):
        raise ValueError(f'config.sweep.zip={together!r}: a section of axes is needed')
    return flatten(together)


def _axes(sweep: Mapping[str, Any], collapse: bool) -> list[Axis]:
    """Each axis as a list of changes; `collapse`: rows of the zip that repeat count once."""
    together, single = _zipped(sweep), flatten({k: v for k, v in sweep.items() if k != 'zip'})
    for path, values in (single | together).items():
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f'config.sweep.{path}={values!r}: a non-empty tuple of values is needed')
        if path in single and len({canonical(v) for v in values}) < len(values):
            raise ValueError(f'config.sweep.{path}={values!r} repeats a value')
    # Seeds change fastest: a table's neighbours are repetitions.
    ordered = sorted(single.items(), key=lambda item: item[0].endswith('seed'))
    axes = [[{path: v} for v in values] for path, values in ordered]
    if together:
        lengths = {path: len(values) for path, values in together.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f'config.sweep.zip needs tuples of one length; given {lengths}')
        rows = [dict(zip(together, row, strict=True)) for row in zip(*together.values(), strict=True)]
        # Where an override took a member away, what is left may repeat.
        axes.insert(0, list({canonical(row): row for row in rows}.values()) if collapse else rows)
    return axes


def _with_lengths(paths: Iterable[str]) -> set[str]:
    """A run has one length: what replaces one of its three fields replaces them all."""
    replaced, lengths = set(paths), set(LENGTHS)
    return replaced | lengths if replaced & lengths else replaced


def _drop_axes(sweep: dict[str, Any], overridden: Mapping[str, Any]) -> dict[str, Any]:
    """The sweep without the axes that a single value replaced."""
    fixed = _with_lengths(p for p in overridden if not p.startswith('sweep.'))

    def prune(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
        kept = {}
        for key, value in tree.items():
            path = f'{prefix}{key}'
            if isinstance(value, dict):
                value = prune(value, '' if path == 'zip' else f'{path}.')
                if value:
                    kept[key] = value
            elif not any(p == path or p.startswith(f'{path}.') for p in fixed):
                kept[key] = value
        return kept

    return prune(sweep, '')


def _add_axis(sweep: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split('.')
    for parent in parents:
        sweep = sweep.setdefault(parent, {})
        if not isinstance(sweep, dict):
            raise ValueError(f'config.sweep.{path}: {parent} is an axis of whole sections already; replace that one')
    sweep[leaf] = value if isinstance(value, list | tuple) else (value,)


def _check_overrides(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
    """Raises ValueError for a field that the config has not."""
    for name in sorted({path.split('.')[0] for path in overrides}):
        if name not in config:
            raise unknown_field(name, config)


def _drop_fields_of_old_parts(config: dict[str, Any], overrides: Mapping[str, Any]) -> None:
    """Where an override names another part, axes over the old part's own fields go with it."""
    for section in schema.PARTS:
        name = config[section].get('name')
        if overrides.get(f'{section}.name', name) == name:
            continue
        for axes in (config['sweep'], config['sweep'].get('zip', {})):
            if axes.get(section):
                axes[section] = {k: v for k, v in axes[section].items() if k in schema.known()[section]}


def _swept(config: dict[str, Any], overrides: Mapping[str, Any]) -> list[Axis]:
    """The axes of a config after the overrides; takes `sweep` out of it."""
    zipped = _with_lengths(_zipped(config['sweep']))
    # Where an override takes a member of the zip away, rows of what is left may repeat.
    collapse = bool(zipped & _with_lengths(overrides))
    config['sweep'] = _drop_axes(config['sweep'], overrides)
    _drop_fields_of_old_parts(config, overrides)
    # After that, so that axes over the new part's fields stay.
    for path, value in overrides.items():
        if path.startswith('sweep.'):
            _add_axis(config['sweep'], path.removeprefix('sweep.'), value)
    return _axes(config.pop('sweep'), collapse)


def _union(changes_of_axes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The changes that a run takes from each axis, as one."""
    changes: dict[str, Any] = {}
    for change in changes_of_axes:
        repeated = changes.keys() & change.keys()
        if repeated:
            raise ValueError(f'config.sweep sets {sorted(repeated)[0]} on two axes')
        changes |= change
    return changes


def expand(declared: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> list[Plan]:
    """All runs of a declared config.

    Args:
      declared: a complete config as nested dicts, with `sweep`.
      overrides: dotted path → value, from the command line.

    Raises:
      ValueError, FileNotFoundError: as `resolve.resolve`; also two runs that would be the same.
    """
    overrides = dict(overrides or {})
    kinds.check_plain('config', declared)
    kinds.check_plain('config', overrides)
    config = copy.deepcopy(dict(declared))
    resolve.check_fields(config)
    _check_overrides(config, overrides)
    axes = _swept(config, overrides)
    fixed = {p: v for p, v in overrides.items() if not p.startswith('sweep.')}
    base = assign(config | {'sweep': {}}, fixed)
    resolve.check_fields(base)
    plans = []
    for combination in itertools.product(*axes):
        changes = _union(combination)
        # Fields given for a section whose name is an axis are given for each of its values.
        renamed = tuple(f'{s}.' for s in schema.PARTS if f'{s}.name' in changes)
        again = {p: v for p, v in fixed.items() if p.startswith(renamed) and p not in changes}
        plans.append(resolve.resolve(assign(assign(base, changes), again)))
    unique = {p.id: p for p in plans}
    if len(unique) < len(plans):
        raise ValueError(
            f'the grid names {len(plans)} runs but only {len(unique)} differ; remove repeated axes '
            '(how a run is executed and recorded makes no new one)'
        )
    return plans


def groups(plans: list[Plan]) -> list[list[Plan]]:
    """Plans that can share a compiled program, at most `max_replicas` together, in the order of their first member."""
    shared: dict[str, list[Plan]] = {}
    for plan in plans:
        shared.setdefault(plan.static_key(), []).append(plan)
    parts = []
    for members in shared.values():
        size = members[0].execution['max_replicas']
        parts += [members[i : i + size] for i in range(0, len(members), size)]
    return parts
