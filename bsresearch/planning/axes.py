"""Axes of a grid: what of them the command line leaves, and the changes of runs that they come to.

`config.sweep.<field>` holds the values of an axis as a tuple; axes multiply. `config.sweep.zip.<field>` holds axes that
advance together and count as one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from bsresearch.core.flat import flatten
from bsresearch.planning import edit, schema
from bsresearch.planning.plan import canonical

Axis = list[dict[str, Any]]


def together(axes: Mapping[str, Any]) -> dict[str, Any]:
    """The axes that advance together, field → values."""
    if not isinstance(axes.get('zip', {}), Mapping):
        raise ValueError(f'config.sweep.zip={axes["zip"]!r}: a section of axes is needed')
    return {axis.removeprefix('zip.'): values for axis, values in axes.items() if axis.startswith('zip.')}


def multiplied(axes: Mapping[str, Any], collapse: bool = False) -> list[Axis]:
    """Each axis as a list of changes; `collapse`: rows of the zip that repeat count once."""
    zipped = together(axes)
    single = {axis: values for axis, values in axes.items() if not axis.startswith('zip.')}
    for path, values in (single | zipped).items():
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f'config.sweep.{path}={values!r}: a non-empty tuple of values is needed')
        if path in single and len({canonical(v) for v in values}) < len(values):
            raise ValueError(f'config.sweep.{path}={values!r} repeats a value')
    # Seeds change fastest: a table's neighbours are repetitions.
    ordered = sorted(single.items(), key=lambda item: item[0].endswith('seed'))
    axes_of_changes = [[{path: v} for v in values] for path, values in ordered]
    if zipped:
        lengths = {path: len(values) for path, values in zipped.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f'config.sweep.zip needs tuples of one length; given {lengths}')
        rows = [dict(zip(zipped, row, strict=True)) for row in zip(*zipped.values(), strict=True)]
        # Where an override took a member away, what is left may repeat.
        axes_of_changes.insert(0, list({canonical(row): row for row in rows}.values()) if collapse else rows)
    return axes_of_changes


def swept(config: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The axes of a config after the overrides, dotted path → values; those of the zip begin with `zip.`."""
    fixed = edit.with_alternatives(p for p in overrides if not p.startswith('sweep.'))
    renamed = {s for s in schema.PARTS if overrides.get(f'{s}.name', (name := config[s].get('name'))) != name}
    axes = {}
    for axis, values in flatten(config['sweep']).items():
        field = axis.removeprefix('zip.')
        # Where an override names another part, axes over the old part's own fields go with it.
        if (
            not any(p == field or p.startswith(f'{field}.') for p in fixed)
            and edit.section_of_part(field) not in renamed
        ):
            axes[axis] = values
    for path, value in overrides.items():
        if path.startswith('sweep.'):
            axis = path.removeprefix('sweep.')
            if section := next((whole for whole in axes if axis.startswith(f'{whole}.')), None):
                raise ValueError(
                    f'config.sweep.{axis}: {section} is an axis of whole sections already; replace that one'
                )
            axes[axis] = value if isinstance(value, list | tuple) else (value,)
    return axes


def union(changes_of_axes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The changes that a run takes from each axis, as one."""
    changes: dict[str, Any] = {}
    for change in changes_of_axes:
        repeated = changes.keys() & change.keys()
        if repeated:
            raise ValueError(f'config.sweep sets {sorted(repeated)[0]} on two axes')
        changes |= change
    return changes
