"""How long runs and probes take, measured before they are made.

Each kind of group is timed as it will run, with its own programs: some updates, an evaluation, one of each measurement
and a checkpoint, in a directory of its own that is removed; a probe by a short one. What is compiled for that is kept
for the groups themselves (train/devices/compiling.py), and so is the calibrated pace (train/calibrate.py). What is
finished already costs nothing.
"""

import dataclasses
import os
import pathlib
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

from bsresearch.core import precision
from bsresearch.launching import fitting, groups, probing
from bsresearch.launching.outlook import Ahead, Outlook
from bsresearch.launching.rates import Course, Rates, begun, trial
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe
from bsresearch.train import calibrate
from bsresearch.train.devices import layout, parallel
from bsresearch.train.session import Session

# What is quicker is timed twice, the first time being slower.
QUICK_SECONDS = 0.5
# Some updates are made so long, and at least so many chunks of that length at most.
ADVANCING_SECONDS, CHUNKS = 0.1, 3


class Forecast:
    """What was measured in a launch; later stages measure only what they have of other kinds.

    Args:
      say: for one line.
    """

    def __init__(self, say: Callable[[str], None] = lambda _: None):
        self._say = say
        self._rates: dict[str, Rates | None] = {}
        self._benches: dict[str, probing.Bench] = {}
        self._probes: dict[str, float] = {}

    def outlook(
        self,
        workdir: pathlib.Path | None,
        runs: Sequence[Plan],
        probes: Sequence[Probe] = (),
        *,
        more: bool = False,
        caught: Sequence[int] = (),
    ) -> Outlook:
        """Of what is not finished; without a workdir nothing is.

        Args:
          more: stages follow that are not known yet. caught: signals that came; after one nothing more is measured.
        """
        self._caught, workdir = caught, workdir or pathlib.Path(os.devnull)
        formed = fitting.groups(groups.unfinished(workdir, runs))
        todo = [probe for probe in probes if not probing.done(probing.directory(workdir, probe))]
        if formed or todo:
            self._say('measuring how fast this machine is …')
        return Outlook([self._ahead(workdir, plans) for plans in formed], [(p, self._probe(p)) for p in todo], more)

    def _ahead(self, workdir: pathlib.Path, plans: list[Plan]) -> Ahead:
        """One group, from where it stands."""
        if groups.status(workdir, plans[0]):
            group = groups.of(workdir, plans[0]).placed(plans[0])
            members, strategy = group.plans, group.strategy
        else:
            members, strategy = groups.settled(plans)
        mesh = layout.choose(members)
        timed, rounds = (members, 1.0) if strategy == 'vmap' else (members[: mesh.replicas], len(plans) / mesh.replicas)
        key = canonical([fitting.size_key(members[0]), len(timed), strategy, str(mesh)])
        if key not in self._rates and not self._caught:
            self._rates[key] = measured(timed, strategy, mesh)
        if (rates := self._rates.get(key)) is None:
            return Ahead(plans, None)
        return Ahead(plans, Course(plans[0], rates.times(rounds), begun(workdir, plans)))

    def _probe(self, probe: Probe) -> float:
        """Of one probe; those of like runs and equal settings take as long."""
        plan = probe.points[0][0]
        like = canonical([plan.model, plan.data, plan.dtype, plan.loss])
        key = canonical([like, probe.section])
        if key not in self._probes and not self._caught:
            with precision.of(plan):
                if like not in self._benches:
                    self._benches[like] = probing.Bench(plan)
                self._probes[key] = probing.seconds(probe, self._benches[like])
        return self._probes.get(key, 0.0)


def measured(plans: Sequence[Plan], strategy: str, mesh: layout.Layout) -> Rates | None:
    """Of these runs together; None where they fail, which training itself will tell.

    Branches are timed from the start: whose state they begin with may not be there yet.
    """
    alone = [dataclasses.replace(plan, parent=None) for plan in plans]
    try:
        with precision.of(alone):
            return _measured(alone, strategy, mesh)
    except Exception:
        return None


def _measured(plans: Sequence[Plan], strategy: str, mesh: layout.Layout) -> Rates:
    begun = time.perf_counter()
    with trial(plans, strategy, mesh) as session:
        net = lambda: time.perf_counter() - session.group.compile_seconds  # compiling left out

        def seconds(make: Callable[..., Any], *args: Any) -> float:
            start = net()
            make(*args)
            return net() - start

        def again(make: Callable[..., Any], *args: Any) -> float:
            first = seconds(make, *args)
            return first if first > QUICK_SECONDS else min(first, seconds(make, *args))

        start = net() - begun
        session.parts.initial(plans[0])  # compiles
        begin = seconds(session.start) - session.clock.spent['calibrate']
        events, alive, state = session.events, session.alive, session.state
        evaluate = again(session.evaluator.with_averages, state, session.average, alive) if events.evaluate else 0.0
        snapshot = again(session.ensemble.add, state, alive) if events.snapshots else 0.0
        measures = {
            name: again(session.measuring, name, 0, state, session.origins, alive)
            for name in session.measuring.measures
            if events.measure[name]
        }
        updates = _updates(session)
        session.chunk_seconds = ADVANCING_SECONDS
        factor, stop, t = _advance(session, updates, net)
        checkpoint = seconds(lambda: (session.save(t, True), session.checkpoints.wait()))
        updates = {size: factor * each for size, each in updates.items()}
        return Rates(updates, stop, evaluate, snapshot, checkpoint, measures, begin, start)


def _updates(session: Session) -> dict[int, float]:
    """Seconds of an update of all runs of the session, for each batch size."""
    segments = session.plans[0].length.segments
    if session.group.strategy == 'sequential':  # one after another, each as long as alone
        return {segment.batch_size: pace for segment, pace in zip(segments, session.recorder.pace, strict=True)}
    states, tasks = parallel.stack(session.group.get(session.state)), session.tasks
    given, target = (session.group, session.feed, states), 2 * ADVANCING_SECONDS
    of_size = {segment.batch_size: segment for segment in reversed(segments)}
    return {n: calibrate.seconds_per_update(tasks[n], *given, segment, target) for n, segment in of_size.items()}


def _advance(session: Session, updates: dict[int, float], net: Callable[[], float]) -> tuple[float, float, int]:
    """Makes some updates as the loop does: how many times as long they take as timed alone, seconds of a chunk beside
    them, and the t come to. Medians: the first is slower, and a machine may pause.

    What is beside long chunks is little, and what the updates of short ones take tells nothing: one or the other.
    """
    begun, t, chunks = net(), 0, list[tuple[float, float]]()
    while t < session.events.total and (len(chunks) < CHUNKS or net() - begun < ADVANCING_SECONDS):
        start, each = net(), updates[session.plans[0].length.batch_size_at(t)]
        count = session.advance(t)
        t += count
        chunks.append((net() - start, count * each))
    factor = statistics.median(spent / alone for spent, alone in chunks)
    return (factor, 0.0, t) if factor < 2 else (1.0, statistics.median(spent - alone for spent, alone in chunks), t)
