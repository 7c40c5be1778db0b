"""A finished run asked for measurements it lacks gets them from its checkpoints, or is told which cannot be had.

The rows of all runs and their metas are one thing: before the first row backfill.json notes where each run's rows end
and its meta, and it is removed when all metas are written. A later call that finds it goes back to what it notes.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bsresearch.core import lookup, own_part, precision, when
from bsresearch.measure import builder
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.resolve import dataset
from bsresearch.store import paths, standing, verify
from bsresearch.store.paths import RESTORE, Damaged
from bsresearch.store.writer import Writer
from bsresearch.train import program
from bsresearch.train.devices import layout
from bsresearch.train.observing.progress import Progress
from bsresearch.train.session import Session

EVALUATION, ESTIMATED = 'evaluation', 'evaluation with estimated statistics'
NOTE = 'backfill.json'


def points(plan: Plan) -> dict[str, set[int]]:
    """Every evaluation and measurement of a plan: name → updates at whose θ_t it is made."""
    estimated = plan.recording['evaluate']['estimated_statistics'] and plan.ghost_batch_size is not None
    names = [EVALUATION, *([ESTIMATED] if estimated else [])]
    names += [f'{EVALUATION} of {metric}' for metric in plan.recording['evaluate']['metrics']]
    return dict.fromkeys(names, plan.events.evaluate) | plan.events.measure


def settings(plan: Plan, name: str) -> dict[str, Any]:
    """Of a measurement, defaults included, as JSON holds them."""
    given = when.rest(plan.recording['measure'][name])
    return json.loads(canonical({**lookup.keywords(builder(name, given)[0]), **given}))


def missing(stored: Plan, asked: Plan, later: dict[str, list[int]]) -> dict[str, set[int]]:
    """What `asked` wants and `stored` did not make, nor an earlier call of `run` (`later`)."""
    in_training = points(stored)
    lacks = {name: at - in_training.get(name, set()) - set(later.get(name, ())) for name, at in points(asked).items()}
    return {name: at for name, at in lacks.items() if at}


@precision.held
def run(
    stored: Sequence[Plan],
    asked: Plan,
    directory: pathlib.Path,
    run_directories: Sequence[pathlib.Path],
    strategy: str,
    report: Progress,
    should_stop: Callable[[], bool] = lambda: False,
) -> None:
    """Makes what can be made for a whole finished group, and says what cannot.

    Args:
      stored: the group's runs as they were trained. asked: one of them, with the recording now wanted.
      directory, run_directories: the group's and its runs'.
      should_stop: asked before each checkpoint; what was measured till then is kept.
    """
    undo(directory, run_directories)
    metas = [paths.read_json(d / 'meta.json') for d in run_directories]
    later: dict[str, list[int]] = metas[0].get('measured_later', {})
    made_with: dict[str, dict[str, Any]] = metas[0].get('measured_with', {})
    wanted = _with_its_settings(missing(stored[0], asked, later), stored[0], asked, later, made_with, report.say)
    if not wanted:
        return
    plans = [dataclasses.replace(p, recording=asked.recording) for p in stored]
    mesh = layout.choose(plans)
    session = Session(plans, dataset(asked.data), directory, run_directories, strategy, report, mesh)
    try:
        stateful = {n for n, m in program.measures(asked).items() if not m.stateless}
        at_hand = {stored[0].start, *session.checkpoints.steps()}
        can = {name: at & at_hand for name, at in wanted.items() if name not in stateful}
        measure = {name: can.get(name, set()) for name in session.events.measure}
        session.events = dataclasses.replace(
            session.events,
            evaluate=set().union(*(at for name, at in can.items() if name not in measure)),
            snapshots=set(),
            measure=measure,
        )
        session.recorder.pace = np.atleast_1d(metas[0]['seconds_per_update']).tolist()
        session.recorder.timed = False
        _note(directory, session.recorder.flush(), metas)
        can = _measure(session, can, metas, should_stop, report)
        session.recorder.flush()
        contents = [writer.contents() for writer in session.recorder.writers]
    finally:
        session.close()
    measured = {name: asked.recording['measure'][name] for name, at in can.items() if at and name in measure}
    sources = own_part.sources(measured)
    for folder, meta, sealed in zip(run_directories, metas, contents, strict=True):
        done = {name: sorted({*later.get(name, ()), *can.get(name, ())}) for name in {*later, *can}}
        used = made_with | {name: settings(asked, name) for name in measured}
        facts: dict[str, Any] = {'measured_later': done, 'measured_with': used} | session.measuring.own_metrics(meta)
        facts |= {'own_sources': sources | meta.get('own_sources', {})} if sources else {}
        # What an older version wrote was never known to be whole, and is not sealed now.
        facts |= {verify.KEY: sealed} if verify.KEY in meta else {}
        paths.write_json(folder / 'meta.json', meta | facts)
    (directory / NOTE).unlink()
    if not should_stop():
        _tell(wanted, can, report.say)


def _with_its_settings(
    wanted: dict[str, set[int]],
    stored: Plan,
    asked: Plan,
    later: dict[str, list[int]],
    made_with: dict[str, dict[str, Any]],
    say: Callable[[str], None],
) -> dict[str, set[int]]:
    """Those of `wanted` that were never made with other settings; says which were."""
    others: set[str] = set()
    for name in [n for n in asked.recording['measure'] if points(asked)[n]]:
        before = (
            settings(stored, name) if points(stored).get(name) else made_with.get(name) if later.get(name) else None
        )
        if before is not None and settings(asked, name) != before:
            say(f'  {name} was measured with {before}: other settings need another workdir')
            others.add(name)
    return {name: at for name, at in wanted.items() if name not in others}


def _measure(
    session: Session,
    can: dict[str, set[int]],
    metas: Sequence[dict[str, Any]],
    should_stop: Callable[[], bool],
    report: Progress,
) -> dict[str, set[int]]:
    """Makes the measurements that `can` be made, checkpoint after checkpoint; those that were, name → updates."""
    for step in sorted(set().union(*can.values())):
        if should_stop():
            return {name: {s for s in at if s < step} for name, at in can.items()}
        try:
            session.load(step)
        except ValueError as e:  # a damaged checkpoint, or of a branch no parent to begin with
            report.say(f'  {e}; nothing was measured there')
            can = {name: at - {step} for name, at in can.items()}
            continue
        session.observe(step, [not standing.ended_before(meta, step) for meta in metas])
    return can


def _note(directory: pathlib.Path, positions: Sequence[int], metas: Sequence[dict[str, Any]]) -> None:
    before = [{'position': position, 'meta': meta} for position, meta in zip(positions, metas, strict=True)]
    paths.write_json(directory / NOTE, {'runs': before})


def undo(directory: pathlib.Path, run_directories: Sequence[pathlib.Path]) -> None:
    """Goes back to before a call of `run` that was killed: to the rows and metas that it noted."""
    note = paths.read_json(directory / NOTE, 'runs')
    if note is None:
        return
    if len(note['runs']) != len(run_directories):
        raise Damaged(f'{directory / NOTE} is damaged (it is not of as many runs as the group has); {RESTORE}')
    for folder, before in zip(run_directories, note['runs'], strict=True):
        paths.write_json(folder / 'meta.json', before['meta'])
        writer = Writer(folder)
        writer.drop_rows(before['position'])
        writer.close()
    (directory / NOTE).unlink()


def _tell(wanted: dict[str, set[int]], can: dict[str, set[int]], say: Callable[[str], None]) -> None:
    for name, at in sorted(wanted.items()):
        measured, lost = sorted(can.get(name, ())), sorted(at - can.get(name, set()))
        if measured:
            say(f'  {name}: measured from checkpoints at updates {_some(measured)}')
        if lost:
            say(
                f'  {name}: cannot be had at updates {_some(lost)}: no checkpoint was kept there (config.keep), '
                'or it needs the whole run; train in another workdir with it switched on'
            )


def _some(steps: Sequence[int]) -> str:
    first = ', '.join(map(str, steps[:6]))
    return first if len(steps) <= 6 else f'{first} … ({len(steps)} in all)'
