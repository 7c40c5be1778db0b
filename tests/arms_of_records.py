"""The arms of planted records, as study.json would have them: a run is an arm's where every field that any arm sets is.

A branch is its parent's arm's, and its branch arm is what changed; what is no arm's is left out.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bsresearch.core.flat import flatten

OF_BRANCH = ('of', 'at_epochs', 'at_steps', 'state')  # of a branch arm itself; all else is a change
CONTROL = 'control'
LATE = 0.5  # epochs: a branch point is the first update at or after its epoch


def stored(
    runs: pd.DataFrame,
    arms: Mapping[str, Any],
    base: Mapping[str, Any],
    branch_arms: Mapping[str, Mapping[str, Any]] | None = None,
    held_fixed: Sequence[str] = (),
    probes: Sequence[Mapping[str, Any]] = (),
) -> tuple[dict[str, Any], list[str]]:
    """What study.json would have, and the runs that are no arm's.

    Args:
      runs: `store.records.runs` of one study. arms: name → changes, or the name of the arm that it is. base: the
        config without them. branch_arms: name → changes with `of`, `at_epochs`; the control is among them anyway.
      probes: probe.json of each, with `id`.
    """
    own = {name: flatten(changes) for name, changes in arms.items() if not isinstance(changes, str)}
    own = {name: {f: v for f, v in c.items() if not f.startswith(('branch.', 'probe.'))} for name, c in own.items()}
    fields = sorted({field for changes in own.values() for field in changes})
    flat = flatten(base)
    wanted = {name: {f: changes.get(f, flat.get(f)) for f in fields} for name, changes in own.items()}
    arm_of, rows, others = {}, [], []
    mains = runs[runs['parent.run'].isna()] if 'parent.run' in runs else runs
    for run in mains.to_dict('records'):
        hit = next((name for name, values in wanted.items() if _alike(run, values)), None)
        if hit is None:
            others.append(run['run'])
            continue
        arm_of[run['run']] = hit
        rows.append(_row(run, 'run', hit))
    points = {name: sorted(float(e) for e in c.get('at_epochs', ())) for name, c in (branch_arms or {}).items()}
    for run in runs[~runs['run'].isin(mains['run'])].to_dict('records'):
        name = _branch(run, arm_of, wanted, branch_arms or {}, flat)
        point = next(
            (e for e in points.get(name or '', []) or _all(points) if 0 <= run['parent.epoch'] - e < LATE), None
        )
        if name is None or point is None:
            others.append(run['run'])
            continue
        rows.append(_row(run, 'branch', arm_of[run['parent.run']], name, point))
    rows += [row for probe in probes for row in _of_probe(probe, arm_of, runs)]
    aliases = {name: target for name, target in arms.items() if isinstance(target, str)}
    rows += [row | {'arm': name} for name, target in aliases.items() for row in rows if row['arm'] == target]
    facts = {'base': dict(base), 'held_fixed': list(held_fixed), 'replicates': ['seed'], 'arms': dict(arms)}
    return facts | {'branch_arms': dict(branch_arms or {}), 'rows': rows}, others


def _all(points: Mapping[str, Sequence[float]]) -> list[float]:
    return sorted({e for epochs in points.values() for e in epochs})


def _row(run: Mapping[str, Any], kind: str, arm: str, branch: str | None = None, point: float | None = None) -> dict:
    replicate = {'seed': int(run['seed'])}
    names = {'id': run['run'], 'kind': kind, 'arm': arm, 'axes': {}, 'replicate': replicate}
    return names | {'branch': branch, 'point': point, 'probe': None}


def _alike(run: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(_same(_of_run(run, field), value) for field, value in values.items())


def _of_run(run: Mapping[str, Any], field: str) -> Any:
    """Its declared rate: the one that a rule scales follows from it."""
    return run.get('declared_learning_rate') if field == 'learning_rate' else run.get(field)


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float) and a != a:
        a = None
    plain = lambda v: json.dumps(v, sort_keys=True, default=str)
    return a == b or plain(list(a) if isinstance(a, tuple) else a) == plain(list(b) if isinstance(b, tuple) else b)


def _branch(
    run: Mapping[str, Any],
    arm_of: Mapping[str, str],
    wanted: Mapping[str, Mapping[str, Any]],
    branch_arms: Mapping[str, Mapping[str, Any]],
    base: Mapping[str, Any],
) -> str | None:
    """The branch arm whose changes the run has; of those the control has none."""
    parent = arm_of.get(run['parent.run'])
    if parent is None:
        return None
    changes = {CONTROL: {}} | {
        name: flatten({f: v for f, v in arm.items() if f not in OF_BRANCH})
        for name, arm in branch_arms.items()
        if parent in arm.get('of', (parent,))
    }
    fields = {f for c in changes.values() for f in c}
    of_parent = {f: wanted[parent].get(f, base.get(f)) for f in fields}
    return next((n for n, c in changes.items() if _alike(run, of_parent | c)), None)


def _of_probe(probe: Mapping[str, Any], arm_of: Mapping[str, str], runs: pd.DataFrame) -> list[dict[str, Any]]:
    """A row for the first of the runs that a probe is about."""
    point = probe['points'][-1]
    if point['run'] not in arm_of:
        return []
    run = runs[runs['run'] == point['run']].to_dict('records')[0]
    row = _row(run, 'probe', arm_of[point['run']], None, round(point['epoch']))
    return [row | {'id': probe['id'], 'probe': probe['probe']['name']}]
