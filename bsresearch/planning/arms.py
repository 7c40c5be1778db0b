"""Arms: named changes of a config, declared where the grid is.

`config.arms.<name>` holds the changes of an arm, a section that is merged into the config's; a `name` in it starts the
part anew (fields that all parts of its section share stay; data.mean and data.std only where the data set is the same).
`config.arms.<name>.sweep` holds axes of that arm alone. A text instead names the arm that it is. What an arm sets comes
after the command line's overrides and before the axes.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from bsresearch.core import lookup
from bsresearch.core.flat import flatten, nested
from bsresearch.planning import edit, resolve, schema
from bsresearch.planning.plan import Plan, canonical

NAME = re.compile(r'[A-Za-z][A-Za-z0-9_]*')
ALL = 'all'  # the one arm of a config that declares none


class Arm(NamedTuple):
    """changes: dotted path → value. axes: its own, as those of `config.sweep`, dotted path → values."""

    changes: dict[str, Any]
    axes: dict[str, Any]

    def keeps(self, path: str) -> str | None:
        """Its field that an override of `path` from the command line would be lost to; None: it takes the override."""
        section = edit.section_of_part(path)
        if section is not None and f'{section}.name' in self.changes:
            return f'{section}.name'  # whose part it starts anew
        fields = (*self.changes, *(f'sweep.{axis}' for axis in self.axes))
        return next((f for f in fields if edit.touches(f.removeprefix('sweep.').removeprefix('zip.'), path)), None)


class Arms(NamedTuple):
    """Arms by name, in the order of their declaration, and alias → the arm that it is."""

    arms: dict[str, Arm]
    aliases: dict[str, str]

    @property
    def known(self) -> list[str]:
        """All names; that of the one arm where none is declared."""
        return [*self.arms, *self.aliases] or [ALL]

    def names(self, arm: str) -> list[str]:
        """Those of an arm: its own and its aliases."""
        return [arm, *(alias for alias, target in self.aliases.items() if target == arm)]

    def picked(self, names: Sequence[str]) -> 'Arms':
        """The arms of these names, or of aliases; all of them without names.

        Raises:
          ValueError: there is no such arm.
        """
        for name in names:
            if name not in self.known:
                raise ValueError(f'--arms={name}: no such arm; {lookup.nearest(name, self.known)}')
        chosen = {self.aliases.get(name, name) for name in names} or set(self.arms)
        arms = {name: arm for name, arm in self.arms.items() if name in chosen}
        return Arms(arms, {alias: target for alias, target in self.aliases.items() if target in arms})


def parse(section: Mapping[str, Any], overrides: Mapping[str, Any] | None = None) -> Arms:
    """The arms of a config.

    Args:
      section: `config.arms`. overrides: from the command line, those of them that begin with `arms.`.

    Raises:
      ValueError: a name that cannot be, an unknown field, an alias of no arm, an override of no arm.
    """
    arms: dict[str, dict[str, Any]] = {}
    aliases: dict[str, str] = {}
    for name, value in section.items():
        check_name(name, 'config.arms')
        if isinstance(value, str):
            aliases[name] = value
        elif isinstance(value, Mapping):
            arms[name] = flatten(value)
        else:
            raise ValueError(f'config.arms.{name}={value!r}: a section of fields is needed, or the name of another arm')
    for path, value in (overrides or {}).items():
        if path.startswith('arms.'):
            _override(arms, path, value)
    return Arms({name: _arm(name, fields) for name, fields in arms.items()}, _targets(aliases, arms))


def check_name(name: str, where: str) -> None:
    """Raises ValueError for a name that an arm of the section `where` cannot have."""
    if not NAME.fullmatch(name) or hasattr(ConfigDict, name):
        why = 'ConfigDict has a method of that name' if hasattr(ConfigDict, name) else 'letters, digits and _ only'
        raise ValueError(f'{where}.{name}: no name for an arm ({why}); choose another one')


def _override(arms: dict[str, dict[str, Any]], path: str, value: Any) -> None:
    """Changes a field of an arm; it replaces what it touches, another part of a section the old part's fields."""
    _, name, *rest = path.split('.')
    if name not in arms or not rest:
        raise ValueError(f'--config.{path}: a field of an arm is needed, of one of: {", ".join(arms) or "none"}')
    field, fields = '.'.join(rest), arms[name]
    part = rest[0] if rest[1:] == ['name'] and fields.get(field) != value else None
    kept = {
        p: v for p, v in fields.items() if not edit.touches(p, field) and (not part or edit.section_of_part(p) != part)
    }
    axis = field.startswith('sweep.') and not isinstance(value, list | tuple)
    arms[name] = kept | flatten({field: (value,) if axis else value})


def _arm(name: str, fields: Mapping[str, Any]) -> Arm:
    """An arm of its flat fields, checked."""
    for field in fields:
        first = field.split('.')[0]
        if first in (*schema.QUESTION, 'study') or field.startswith('branch.arms'):
            cure = 'config.branch.arms.<name>.of says of which arms' if first == 'branch' else 'it holds for all arms'
            raise ValueError(f'config.arms.{name}.{field}: an arm cannot set it; {cure}')
    try:
        resolve.check_fields(nested(fields))
    except ValueError as e:
        raise ValueError(f'config.arms.{name}: {e}') from e
    axes = {field.removeprefix('sweep.'): value for field, value in fields.items() if field.startswith('sweep.')}
    arm = Arm({field: value for field, value in fields.items() if not field.startswith('sweep.')}, axes)
    check_axes(name, Arm(arm.changes, {}), axes, f'config.arms.{name}.sweep')
    return arm


def _targets(aliases: Mapping[str, str], arms: Mapping[str, Any]) -> dict[str, str]:
    """Of each alias the arm that it is in the end."""
    targets = {}
    for alias, target in aliases.items():
        passed = {alias}
        while target in aliases and target not in passed:
            passed.add(target)
            target = aliases[target]
        if target in passed:
            raise ValueError(f'config.arms.{alias}={aliases[alias]!r} goes round in a circle; name an arm with fields')
        if target not in arms:
            raise ValueError(f'config.arms.{alias}={target!r} is no arm; {lookup.nearest(target, arms)}')
        targets[alias] = target
    return targets


def check_overrides(arms: Arms, paths: Iterable[str]) -> list[str]:
    """Of each override that arms set themselves: a line that says which.

    Raises:
      ValueError: all arms do, so that it would change nothing.
    """
    lines = []
    for path in paths:
        keeping = {name: field for name, arm in arms.arms.items() if (field := arm.keeps(path)) is not None}
        if keeping and len(keeping) == len(arms.arms):
            name, field = next(iter(keeping.items()))
            which = f'arm {name} sets it' if len(keeping) == 1 else 'every arm sets it'
            raise ValueError(
                f'--config.{path}: {which}, so that this would change nothing; give --config.arms.{name}.{field}=…, or '
                f'pick arms with --arms={name},…'
            )
        if keeping:
            lines.append(f'--config.{path} changes the arms that do not set it; unchanged: {", ".join(keeping)}')
    return lines


def check_axes(name: str, arm: Arm, axes: Iterable[str], where: str = 'config.sweep') -> None:
    """Raises ValueError for an axis over what an arm sets, or over the name of a part whose fields it sets."""
    for axis in axes:
        path = axis.removeprefix('zip.')
        section, _, field = path.partition('.')
        renamed = section if field == 'name' else None
        for of_arm in (*arm.changes, *(of_arm.removeprefix('zip.') for of_arm in arm.axes)):
            if edit.touches(path, of_arm) or (renamed and edit.section_of_part(of_arm) == renamed):
                raise ValueError(f'{where}.{axis}: arm {name} sets {of_arm} itself; take one of the two out')


def check_different(runs: Sequence[tuple[str, Mapping[str, Any], Plan]]) -> None:
    """Raises ValueError where two of the runs are one, or all of an arm are trained as another's are."""
    arm_of: dict[str, str] = {}
    for name, _, plan in runs:
        if (other := arm_of.setdefault(plan.id, name)) != name:
            raise _alike(name, other, f'a run of both is {plan.id}')
    if len(arm_of) < len(runs):
        raise ValueError(
            f'the grid names {len(runs)} runs but only {len(arm_of)} differ; remove repeated axes '
            '(how a run is executed and recorded makes no new one)'
        )
    of_arms: dict[str, set[str]] = {}
    scaled = {name for name, _, plan in runs if plan.scaling['name'] != 'none'}  # only these may be another one
    for name, _, plan in runs if scaled and len({name for name, *_ in runs}) > 1 else ():
        of_arms.setdefault(name, set()).add(_trained_as(plan))
    for name, trained in of_arms.items():
        for other in itertools.takewhile(lambda other, name=name: other != name, of_arms):
            if trained == of_arms[other]:
                raise _alike(name, other, 'after scaling all their numbers are equal')


def _alike(name: str, other: str, why: str) -> ValueError:
    return ValueError(
        f'arm {name} resolves to arm {other} ({why}); change one of them, or declare it as the other: '
        f'c.arms.{name} = {other!r}'
    )


def _trained_as(plan: Plan) -> str:
    """What its updates follow from: its identity without the rule of scaling, whose numbers are in it already."""
    fields = {k: v for k, v in plan.identity().items() if k != 'scaling'}
    return canonical(fields | {'stretch': str(plan.policy.stretch)})
