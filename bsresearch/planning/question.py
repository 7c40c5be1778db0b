"""What is asked of a grid, as study.json holds it: the base config, the arms, and which run plays which part.

A cell is an arm and the values of the axes but the replicates; a row tells which run or probe is a replicate of a cell.
Everything here is as JSON holds it, so that launches can be compared with what earlier ones wrote down.
"""

import contextlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from bsresearch.core import lookup
from bsresearch.core.flat import flatten, nested, value_at
from bsresearch.planning import branch_arms, edit, held_fixed, schema, sections
from bsresearch.planning.arms import Arms
from bsresearch.planning.branch_arms import Branch
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.planning.recording import declared_points
from bsresearch.planning.stages import Stage, Variant, probes_of, variants_of

END = 'end'  # the point of a probe for which none was declared: its run's end
SEEDS = ('seed', 'init_seed', 'data_seed')


class Row(NamedTuple):
    """A replicate of a cell.

    id: of its run or probe. kind: run | branch | probe. axes, replicate: field → declared value, a section whole.
    branch: the branch arm. point: the epoch that was declared for a branch or a probe, or END. probe: its kind.
    """

    id: str
    kind: str
    arm: str
    axes: dict[str, Any]
    replicate: dict[str, Any]
    branch: str | None = None
    point: float | str | None = None
    probe: str | None = None


class Question(NamedTuple):
    """findings: their name. The others are of study.json; replicates: fields, those that are zipped as a list."""

    findings: str
    base: dict[str, Any]
    held_fixed: list[str]
    replicates: list[Any]
    arms: dict[str, Any]
    branch_arms: dict[str, Any]

    @property
    def fields(self) -> list[str]:
        """Those of the replicates."""
        return fields_of(self.replicates)

    def entry(self, rows: Iterable[Row]) -> dict[str, Any]:
        """What study.json holds of it."""
        of_question = {k: v for k, v in self._asdict().items() if k != 'findings'}
        return json.loads(json.dumps(of_question | {'rows': [row._asdict() for row in rows]}))


def fields_of(replicates: Iterable[Any]) -> list[str]:
    """The fields of replicates, where zipped ones are lists."""
    return [field for entry in replicates for field in (entry if isinstance(entry, list) else [entry])]


def of(config: Mapping[str, Any], arms: Arms, replicates: list[Any], axes: Iterable[str]) -> Question:
    """The question of a config.

    Args:
      config: with its overrides, before its arms. arms: all that it declares. replicates: as `replicates_of` has them.
      axes: shared by the arms, after the overrides.

    Raises:
      ValueError: what is held fixed or a replicate is no field, or an arm sets a replicate.
    """
    named = [(*field.split('.'), name) for arm in arms.arms.values() for field, name in arm.changes.items()]
    parts = [(path[0], path[2]) for path in named if len(path) == 3 and path[1] == 'name' and path[0] in schema.NAMED]
    allowed = held_fixed.fields(config, parts)
    held_fixed.parse(config['held_fixed'], allowed)
    question = Question(
        findings=config['findings'] or (config['study'] if arms.arms else ''),
        base={},
        held_fixed=list(config['held_fixed']),
        replicates=replicates,
        arms={name: arms.aliases.get(name) or arms.arms[name].changes for name in (*arms.arms, *arms.aliases)},
        branch_arms=branch_arms.declared({'arms': {}} | config['branch']),
    )
    _check_replicates(question.fields, arms, allowed)
    return question._replace(base=_base(config, {*(axis.removeprefix('zip.') for axis in axes), *question.fields}))


def replicates_of(given: Iterable[str] | None, arms: Arms, axes: Iterable[str]) -> list[Any]:
    """The fields whose values repeat a cell: those given, else all swept seeds; zipped ones as a list.

    Args:
      given: `config.replicates`. axes: of the config and the command line, also those that an override removed.
    """
    zipped = {axis.removeprefix('zip.') for axis in axes if axis.startswith('zip.')}
    swept = zipped.union(axes, *(arm.axes for arm in arms.arms.values()))
    fields = [seed for seed in SEEDS if seed in swept] or ['seed'] if given is None else list(given)
    together = [field for field in fields if field in zipped]
    if len(together) < 2:
        return fields
    return [field for field in fields if field not in zipped] + [together]


def _check_replicates(fields: Iterable[str], arms: Arms, allowed: Iterable[str]) -> None:
    for field in fields:
        if field not in allowed:
            cure = lookup.nearest(field, allowed, 'bsresearch fields')
            raise ValueError(f'config.replicates={field!r} is no field of a run; {cure}')
        for name, arm in arms.arms.items():
            if any(edit.touches(field, changed) for changed in arm.changes):
                raise ValueError(f'config.arms.{name}.{field}: a replicate, which arms have in common; leave it out')


def _base(config: Mapping[str, Any], swept: Iterable[str]) -> dict[str, Any]:
    """The fields that determine a result, but those swept; parts completed, so that a default may be given or not."""
    fields = {name: config[name] for name in schema.DETERMINING}
    for section in schema.NAMED:
        if not any(edit.touches(f'{section}.name', axis) for axis in swept):
            fields[section] = sections.complete(section, fields[section])
    flat = flatten(fields)
    return nested({path: v for path, v in flat.items() if not any(edit.touches(path, axis) for axis in swept)})


def row(question: Question, plan: Plan, arm: str, changes: Mapping[str, Any]) -> Row:
    """Of a run, with the changes that it takes from its axes."""
    replicate = {field: changes[field] if field in changes else _of_run(plan, field) for field in question.fields}
    return Row(plan.id, 'run', arm, axes_of(question, changes), replicate)


def _of_run(plan: Plan, field: str) -> Any:
    """A run's value of a field; None where it was resolved into others."""
    with contextlib.suppress(KeyError, TypeError):
        return value_at(plan.resolved(), field)
    return None


def of_branches(rows: Iterable[Row], branches: Iterable[Branch]) -> list[Row]:
    """The rows of branches, from those of their parents."""
    parents = _by_id(rows)
    return [
        parent._replace(id=b.plan.id, kind='branch', branch=b.name, point=b.point)
        for b in branches
        for parent in parents.get((b.plan.parent or {}).get('run', ''), ())
    ]


def of_stage(question: Question, rows: Sequence[Row], stage: Stage) -> list[Row]:
    """The rows of a stage's members that `rows`, those of the config and of earlier stages, lack."""
    variants = of_variants(question, rows, variants_of(stage))
    branches = of_branches(rows, [member for member in stage if isinstance(member, Branch)])
    return [*variants, *branches, *of_probes(rows, probes_of(stage))]


def axes_of(question: Question, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the changes that make another cell: of fields that determine a result, but the replicates."""
    replicates = question.fields
    return {p: v for p, v in changes.items() if p not in replicates and p.split('.')[0] in schema.DETERMINING}


def of_variants(question: Question, rows: Iterable[Row], variants: Iterable[Variant]) -> list[Row]:
    """The rows of variants, from those of the runs that they vary; of one that is a run of the grid none."""
    known, of_all = _by_id(rows), []
    for one in variants:
        axes = axes_of(question, one.changes)
        replicate = {field: one.changes[field] for field in question.fields if field in one.changes}
        for varied in known.get(one.of, ()) if one.plan.id not in known else ():
            others = {p: v for p, v in varied.axes.items() if not any(edit.touches(p, axis) for axis in axes)}
            of_all.append(varied._replace(id=one.plan.id, axes=others | axes, replicate=varied.replicate | replicate))
    return of_all


def of_probes(rows: Iterable[Row], probes: Iterable[Probe]) -> list[Row]:
    """The rows of probes, each of the last run that it looks at."""
    runs, of_all = _by_id(rows), []
    for probe in probes:
        plan, step = probe.points[-1]
        points = declared_points(plan.recording['probe'], plan.length, 'config.probe')
        point = points.get(step, END)
        of_all += [
            run._replace(id=probe.id, kind='probe', point=point, probe=probe.name) for run in runs.get(plan.id, ())
        ]
    return of_all


def _by_id(rows: Iterable[Row]) -> dict[str, list[Row]]:
    by_id: dict[str, list[Row]] = {}
    for one in rows:
        by_id.setdefault(one.id, []).append(one)
    return by_id
