"""How long a launch still takes: from how fast its groups and probes were so far, and how much work the others are.

Nothing is run for it. What was timed holds for groups of the same kind and batch size; between two batch sizes the
seconds of an update are a line through both; else they follow the arithmetic (`work`). Near the beginning of a launch
it may be off by a quarter.
"""

import math
import pathlib
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax

from bsresearch.launching import fitting
from bsresearch.launching.rates import Rates, begun, spend
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe
from bsresearch.train.devices.layout import ALONE
from bsresearch.train.observing.record import Clock
from bsresearch.train.sizing import flops, memory

# What an update takes whatever its batch holds, in floating-point operations that take as long: passes over each
# weight, and starting its programs.
PER_WEIGHT, PER_UPDATE = 200.0, 1e6
# The calibrated pace counts as much as this share of a run's updates that were timed in training.
ASSUMED = 0.1
# And of the first share they are not timed: these are made one by one, for what is recorded at log-spaced points.
WARM = 0.03


def kind(plan: Plan) -> str:
    """What makes two groups alike but for their batch sizes and lengths."""
    fields = (plan.model, plan.data, plan.loss, plan.optimizer, plan.dtype, plan.no_decay, plan.ema, plan.clip)
    return canonical([*fields, plan.execution['devices'], plan.execution['reduction']])


_PER_EXAMPLE: dict[str, tuple[float, float]] = {}


def work(plan: Plan, size: int) -> float:
    """Floating-point operations that take as long as an update of one run with that batch size."""
    key = kind(plan)
    if key not in _PER_EXAMPLE:
        batch = memory.largest(plan).batch_size
        shapes = fitting.once(memory.Shapes, [plan], 'sequential', ALONE)
        weights = sum(math.prod(x.shape) for x in jax.tree.leaves(shapes.start.state.params))
        _PER_EXAMPLE[key] = fitting.once(flops.of_update, [plan], batch) / batch, PER_WEIGHT * weights + PER_UPDATE
    per_example, fixed = _PER_EXAMPLE[key]
    return size * per_example + fixed


def of_group(plans: Sequence[Plan]) -> float:
    """`work` of all updates that are a group's own."""
    plan = plans[0]
    segments = [segment for segment in plan.length.segments if segment.stop > plan.start]
    return len(plans) * sum((s.stop - max(s.start, plan.start)) * work(plan, s.batch_size) for s in segments)


def of_probe(probe: Probe) -> float:
    """`work` of all gradients that it comes to."""
    return sum(count * work(probe.points[0][0], size) for size, count in _calls(probe).items())


def _calls(probe: Probe) -> Mapping[int, float]:
    return probe.kind.calls(len(resolve.dataset(probe.points[0][0].data).train.labels))


class Timed(NamedTuple):
    """What was seen of a group: rates of one of its runs at a batch size, and seconds that do not grow with its length.

    around: before its first update, and from its last one to its end. compile: of its programs, beside.
    """

    plan: Plan
    size: int
    rates: Rates
    around: float
    compile: float


class _Running:
    """The group in training."""

    def __init__(self, plans: Sequence[Plan]):
        self.plans, self.began = plans, time.monotonic()
        self.clock: Clock | None = None
        self.warm: tuple[int, float] | None = None  # from when on updates are timed, with the seconds until then

    def train(self, clock: Clock, measuring: Mapping[str, Any], step: int, pace: float) -> None:
        self.clock, self.measuring, self.step, self.pace = clock, measuring, step, pace
        self.trains = time.monotonic()
        self.before = dict(clock.spent)
        self.measured = {name: dict(spent) for name, spent in measuring.items()}

    def timed(self, step: int) -> Timed | None:
        """What is known of it at θ_step; None before its first updates."""
        if self.clock is None or step <= self.step:
            return None
        spent = {phase: seconds - self.before[phase] for phase, seconds in self.clock.spent.items()}
        steady = time.monotonic() - self.trains - spent['compile'] - spent['evaluate'] - spent['measure']
        plan, runs = self.plans[0], len(self.plans)
        since = {n: [now[k] - self.measured[n][k] for k in ('seconds', 'count')] for n, now in self.measuring.items()}
        measures = {name: seconds / max(1, count) for name, (seconds, count) in since.items()}
        evaluations = max(1, sum(self.step <= t <= step for t in plan.events.evaluate))
        # Checkpoints and rows come with the updates.
        length, (since, before) = plan.length.total_steps - plan.start, self.warm or (step, steady)
        if self.warm is None and step - self.step >= WARM * length:
            self.warm = step, steady
        assumed = ASSUMED * length
        update = (steady - before + assumed * self.pace) / (step - since + assumed)
        rates = Rates(update, spent['evaluate'] / evaluations, measures, 0.0, 0.0)
        around = self.trains - self.began - self.before['compile']
        size = plan.length.batch_size_at(step - 1)
        self.seen = time.monotonic()
        return Timed(plan, size, rates.times(1 / runs), around, self.clock.spent['compile'])


class Outlook:
    """Of a launch.

    Args:
      runs, probes: of all its stages, those that are not finished.
    """

    def __init__(self, workdir: pathlib.Path, runs: Sequence[Plan], probes: Sequence[Probe] = ()):
        self._workdir, self._timed = workdir, dict[tuple[str, int], Timed]()
        self._groups: list[list[Plan]] = fitting.groups(runs)
        self._probes = {probe.id: probe for probe in probes}
        self._probe_seconds: dict[str, float] = {}
        self._running: _Running | None = None

    def start(self, plans: Sequence[Plan]) -> None:
        """A group begins."""
        ids = {plan.id for plan in plans}
        self._groups = [left for group in self._groups if (left := [p for p in group if p.id not in ids])]
        self._running = _Running(plans)

    def train(self, clock: Clock, measuring: Mapping[str, Any], step: int, pace: float) -> None:
        """It is about to make its first update, at θ_step. `pace`: seconds of an update of all its runs, calibrated."""
        if self._running is not None:
            self._running.train(clock, measuring, step, pace)

    def end(self) -> None:
        """The group has ended."""
        running, self._running = self._running, None
        if running is None or running.clock is None:
            return
        for key, timed in self._timed.items():
            if timed.plan.id == running.plans[0].id:
                self._timed[key] = timed._replace(around=timed.around + time.monotonic() - running.seen)

    def left(self, step: int) -> tuple[float, float] | None:
        """Seconds that the group in training, at θ_step, and the whole launch still take; None before it is known."""
        running = self._running
        if running is None or (timed := running.timed(step)) is None:
            return None
        self._timed[kind(timed.plan), timed.size] = timed
        own = self._spend(running.plans, step)
        return own, own + self.later()

    def _spend(self, group: Sequence[Plan], begin: int) -> float:
        """Seconds of a group's updates and events from θ_begin on."""
        return spend(group[0], begin, lambda size: self._rates(group[0], size).times(len(group)))

    def later(self) -> float:
        """Seconds of the groups and probes that have not begun, as far as anything was timed."""
        if not self._timed:
            return 0.0
        programs = {timed.plan.program_key() for timed in self._timed.values()}
        around = sum(timed.around for timed in self._timed.values()) / len(self._timed)
        compiling = max(timed.compile for timed in self._timed.values())  # some found theirs compiled
        total = 0.0
        for group in self._groups:
            plan, again = group[0], group[0].program_key() in programs
            programs.add(plan.program_key())
            total += self._spend(group, begun(self._workdir, group)) + around + (0.0 if again else compiling)
        new = {
            canonical(p.section): p for p in self._probes.values() if canonical(p.section) not in self._probe_seconds
        }
        programs_of_probes = sum(len(_calls(p)) for key, p in new.items() if key not in self._probe_seconds)
        return total + programs_of_probes * compiling + sum(map(self._of_probe, self._probes.values()))

    def probed(self, probe: Probe, seconds: float) -> None:
        """A probe has ended, after so many seconds without compiling."""
        self._probes.pop(probe.id, None)
        self._probe_seconds[canonical(probe.section)] = seconds

    def _of_probe(self, probe: Probe) -> float:
        if (seconds := self._probe_seconds.get(canonical(probe.section))) is not None:
            return seconds
        return sum(count * self._rates(probe.points[0][0], size).update for size, count in _calls(probe).items())

    def _rates(self, plan: Plan, size: int) -> Rates:
        """Of one run of that kind and batch size."""
        own = kind(plan)
        if (timed := self._timed.get((own, size))) is not None:
            return timed.rates
        alike = [timed for (of, _), timed in self._timed.items() if of == own] or list(self._timed.values())
        nearest = sorted(alike, key=lambda timed: abs(math.log(timed.size / size)))
        first = nearest[0]
        update = first.rates.update * work(plan, size) / work(first.plan, first.size)
        if len(nearest) > 1 and kind(first.plan) == own:
            second = nearest[1]
            slope = (first.rates.update - second.rates.update) / (first.size - second.size)
            line = first.rates.update + slope * (size - first.size)
            update = line if slope > 0 and line > 0 else update
        per_example = work(plan, 1024) / work(first.plan, 1024)
        rest = first.rates.times(per_example)
        measures = {name: rest.measures.get(name, 0.0) for name in plan.events.measure}
        return Rates(update, rest.evaluate, measures, 0.0, 0.0)
