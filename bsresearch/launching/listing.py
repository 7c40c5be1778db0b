"""What `bsresearch configs` prints: the configs by name; of one its words, its arms and axes, and how many runs it is.

No data are read, so that a config is told before its data set is prepared.
"""

import ast
import math
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from bsresearch.core import program
from bsresearch.core.flat import flatten
from bsresearch.core.kinds import brief
from bsresearch.launching import flag_parser
from bsresearch.planning import arms, axes, branch_arms


def text(asked: str = '') -> str:
    """Of all configs, or of one: a name or a file.

    Raises:
      ValueError: there is none, with the nearest name; or the file gives no config.
    """
    if not asked:
        return _every()
    file = flag_parser.file_of_config(asked)
    try:
        config = flag_parser.load(file).to_dict()
    except flag_parser.ConfigError as e:
        raise ValueError(str(e)) from e
    parts = [file, _docstring(pathlib.Path(file.partition(':')[0])), '\n'.join(_grid(config))]
    return '\n\n'.join(part for part in parts if part)


def _every() -> str:
    names = flag_parser.names_of_configs()
    width, folder = max(map(len, names)), program.folder('configs')
    lines = [f'  {name:{width}}  {_docstring(folder / f"{name}.py").partition(chr(10))[0]}' for name in names]
    return '\n'.join(
        [*lines, '', '`bsresearch configs NAME` tells of one, also of your own: `bsresearch configs own/grid.py`.']
    )


def _docstring(file: pathlib.Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding='utf-8'))) or ''


def _grid(config: Mapping[str, Any]) -> Iterator[str]:
    """Lines on what it trains."""
    shared, named = flatten(config['sweep']), arms.parse(config['arms'])
    yield from _about(config)
    counts = _count(shared)
    yield from (f'axis {axis}: {_values(values)}' for axis, values in shared.items())
    total = 0
    for name, arm in (named.arms or {arms.ALL: arms.Arm({}, {})}).items():
        total += counts * _count(arm.axes)
        if named.arms:
            own_axes = [f'{axis}: {_values(values)}' for axis, values in arm.axes.items()]
            yield f'arm {", ".join(named.names(name))}: {"; ".join([_changes(arm.changes), *own_axes])}'
    yield f'{total:,} run{"" if total == 1 else "s"}{_further(config)}'


def _about(config: Mapping[str, Any]) -> Iterator[str]:
    names = {part: config[part]['name'] for part in ('data', 'model', 'optimizer', 'schedule', 'loss')}
    yield ', '.join(f'{part} {name}' for part, name in names.items())
    asked = {'study': config['study'], 'findings': config['findings'], 'held fixed': ', '.join(config['held_fixed'])}
    yield ', '.join(f'{what}: {value}' for what, value in asked.items() if value)


def _count(of_axes: Mapping[str, Any]) -> int:
    """How many combinations axes have."""
    return math.prod(map(len, axes.multiplied(of_axes)))


def _values(values: Any) -> str:
    return ', '.join(map(brief, values)) if isinstance(values, list | tuple) else brief(values)


def _changes(changes: Mapping[str, Any]) -> str:
    return ', '.join(f'{field}={brief(value)}' for field, value in changes.items()) or 'the config as it stands'


def _further(config: Mapping[str, Any]) -> str:
    """What follows the runs of the grid."""
    branches, probe = branch_arms.declared(config['branch']), config['probe']['name']
    parts = [f'branches of them: {", ".join(branches)}'] if branches else []
    parts += [f'probes of them: {probe}'] if probe != 'none' else []
    return f'; {"; ".join(parts)}' if parts else ''
