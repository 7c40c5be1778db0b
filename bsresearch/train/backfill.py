"""A finished run asked for measurements it lacks gets them from its checkpoints, or is told which cannot be had."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bsresearch import lookup, precision
from bsresearch.measure import when
from bsresearch.plan import Plan, canonical
from bsresearch.resolve import dataset
from bsresearch.store import paths
from bsresearch.store.checkpoints import Damaged
from bsresearch.train import layout, program
from bsresearch.train.events import Events
from bsresearch.train.session import Report, Session

EVALUATION = 'evaluation'


def points(plan: Plan) -> dict[str, set[int]]:
    """Every evaluation and measurement of a plan: name → updates at whose θ_t it is made."""
    events = Events(plan)
    return {EVALUATION: events.evaluate} | events.measure


def settings(plan: Plan, name: str) -> dict[str, Any]:
    """Of a measurement, defaults included, as JSON holds them."""
    build = lookup.module('bsresearch.measure', 'build', name, 'measurement').build
    return json.loads(canonical({**lookup.keywords(build), **when.rest(plan.recording['measure'][name])}))


def missing(stored: Plan, asked: Plan, later: dict[str, list[int]]) -> dict[str, set[int]]:
    """What `asked` wants and `stored` did not make, nor an earlier call of `run` (`later`)."""
    made = points(stored)
    lacks = {name: at - made.get(name, set()) - set(later.get(name, ())) for name, at in points(asked).items()}
    return {name: at for name, at in lacks.items() if at}


@precision.held
def run(
    stored: Sequence[Plan],
    asked: Plan,
    directory: pathlib.Path,
    run_directories: Sequence[pathlib.Path],
    strategy: str,
    report: Report,
) -> None:
    """Makes what can be made for a whole finished group, and says what cannot.

    Args:
      stored: the group's runs as they were trained. asked: one of them, with the recording now wanted.
      directory, run_directories: the group's and its runs'.
    """
    metas = [paths.read_json(d / 'meta.json') for d in run_directories]
    later: dict[str, list[int]] = metas[0].get('measured_later', {})
    wanted = missing(stored[0], asked, later)
    made_with: dict[str, dict[str, Any]] = metas[0].get('measured_with', {})
    for name in [n for n in asked.recording['measure'] if points(asked)[n]]:
        in_training = points(stored[0]).get(name)
        before = settings(stored[0], name) if in_training else made_with.get(name) if later.get(name) else None
        if before is not None and settings(asked, name) != before:
            report.say(f'  {name} was measured with {before}: other settings need another workdir')
            wanted.pop(name, None)
    if not wanted:
        return
    plans = [dataclasses.replace(p, recording=asked.recording) for p in stored]
    mesh = layout.choose(plans)
    session = Session(plans, dataset(asked.data), directory, run_directories, strategy, report, mesh)
    try:
        stateful = {n for n, m in program.measures(asked).items() if not m.stateless}
        at_hand = {stored[0].start, *session.checkpoints.steps()}
        can = {name: at & at_hand for name, at in wanted.items() if name not in stateful}
        session.events.evaluate = can.get(EVALUATION, set())
        session.events.snapshots = set()
        session.events.measure = {name: can.get(name, set()) for name in session.events.measure}
        session.recorder.pace = np.atleast_1d(metas[0]['seconds_per_update']).tolist()
        session.recorder.timed = False
        steps = sorted(set().union(*can.values()))
        for step in steps:
            try:
                session.load(step)
            except Damaged as e:
                report.say(f'  {e}; nothing was measured there')
                can = {name: at - {step} for name, at in can.items()}
                continue
            gone = [m.get('diverged_step') is not None and m['diverged_step'] <= step for m in metas]
            session.observe(step, [not g for g in gone])
        session.recorder.flush()
    finally:
        session.close()
    for folder, meta in zip(run_directories, metas, strict=True):
        done = {name: sorted({*later.get(name, ()), *can.get(name, ())}) for name in {*later, *can}}
        used = made_with | {name: settings(asked, name) for name, at in can.items() if at and name != EVALUATION}
        paths.write_json(folder / 'meta.json', meta | {'measured_later': done, 'measured_with': used})
    _tell(wanted, can, report.say)


def _tell(wanted: dict[str, set[int]], can: dict[str, set[int]], say: Callable[[str], None]) -> None:
    for name, at in sorted(wanted.items()):
        made, lost = sorted(can.get(name, ())), sorted(at - can.get(name, set()))
        if made:
            say(f'  {name}: measured from checkpoints at updates {_some(made)}')
        if lost:
            say(
                f'  {name}: cannot be had at updates {_some(lost)}: no checkpoint was kept there (config.keep), '
                'or it needs the whole run; train in another workdir with it switched on'
            )


def _some(steps: Sequence[int]) -> str:
    shown = ', '.join(map(str, steps[:6]))
    return shown if len(steps) <= 6 else f'{shown} … ({len(steps)} in all)'
