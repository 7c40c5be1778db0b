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
from bsresearch.launching.rates import Amounts, Rates, begun
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


_PER_EXAMPLE: dict[str, tuple[float, float]] = {}  # of a kind, and of each run that was asked for


def work(plan: Plan, size: int) -> float:
    """Floating-point operations that take as long as an update of one run with that batch size."""
    if plan.id not in _PER_EXAMPLE:
        _PER_EXAMPLE[plan.id] = _per_example(plan)
    per_example, fixed = _PER_EXAMPLE[plan.id]
    return size * per_example + fixed


def _per_example(plan: Plan) -> tuple[float, float]:
    """Operations of an example, and of an update beside them; traced once for a kind."""
    key = kind(plan)
    if key not in _PER_EXAMPLE:
        batch = memory.largest(plan).batch_size
        shapes = fitting.once(memory.Shapes, [plan], 'sequential', ALONE)
        weights = sum(math.prod(x.shape) for x in jax.tree.leaves(shapes.start.state.params))
        _PER_EXAMPLE[key] = fitting.once(flops.of_update, [plan], batch) / batch, PER_WEIGHT * weights + PER_UPDATE
    return _PER_EXAMPLE[key]


def of_group(plans: Sequence[Plan]) -> float:
    """`work` of all updates that are a group's own."""
    updates = Amounts.after(plans[0], plans[0].start).updates
    return len(plans) * sum(count * work(plans[0], size) for size, count in updates.items())


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


class _Ahead(NamedTuple):
    """A group that has not begun. What is asked of it again and again while others train is settled once."""

    plans: list[Plan]
    amounts: Amounts
    kind: str
    program: str


class _Running:
    """The group in training."""

    def __init__(self, plans: Sequence[Plan]):
        self.plans, self.began = plans, time.monotonic()
        self.kind, self.program = kind(plans[0]), plans[0].program_key()
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
      runs, probes: of all its known stages, those that are not finished. more: stages follow that are not known yet.

    Attributes:
      whole: what `left` and `later` speak of, in a word of a line.
    """

    def __init__(self, workdir: pathlib.Path, runs: Sequence[Plan], probes: Sequence[Probe] = (), more: bool = False):
        self.whole = 'stages known so far' if more else 'all'
        self._workdir, self._timed, self._programs = workdir, dict[tuple[str, int], Timed](), set[str]()
        self._groups = list(map(self._ahead, fitting.groups(runs)))
        self._probes: dict[str, list[Probe]] = {}  # by their settings
        for probe in probes:
            self._probes.setdefault(canonical(probe.section), []).append(probe)
        self._probe_seconds: dict[str, float] = {}
        self._running: _Running | None = None

    def _ahead(self, plans: list[Plan]) -> _Ahead:
        amounts = Amounts.after(plans[0], begun(self._workdir, plans))
        return _Ahead(plans, amounts, kind(plans[0]), plans[0].program_key())

    def start(self, plans: Sequence[Plan]) -> None:
        """A group begins."""
        ids = {plan.id for plan in plans}
        others = [group._replace(plans=[p for p in group.plans if p.id not in ids]) for group in self._groups]
        self._groups = [group for group in others if group.plans]
        self._running = _Running(plans)
        self._programs.add(self._running.program)

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
        self._timed[running.kind, timed.size] = timed
        amounts = Amounts.after(running.plans[0], step)
        rates = lambda size: self._rates(running.plans[0], running.kind, size).times(len(running.plans))
        seconds = amounts.seconds(rates)
        return seconds, seconds + self.later()

    def later(self) -> float:
        """Seconds of the groups and probes that have not begun, as far as anything was timed."""
        if not self._timed:
            return 0.0
        around = sum(timed.around for timed in self._timed.values()) / len(self._timed)
        compiling = max(timed.compile for timed in self._timed.values())  # some found theirs compiled
        total, programs = 0.0, set(self._programs)
        for group in self._groups:
            plan, runs = group.plans[0], len(group.plans)
            rates = {size: self._rates(plan, group.kind, size).times(runs) for size in group.amounts.updates}
            total += group.amounts.seconds(rates.__getitem__) + around
            total += 0.0 if group.program in programs else compiling
            programs.add(group.program)
        for section, probes in self._probes.items():
            if (seconds := self._probe_seconds.get(section)) is None:
                calls = _calls(probes[0])
                plan = probes[0].points[0][0]
                seconds = sum(n * self._rates(plan, kind(plan), size).update for size, n in calls.items())
                total += len(calls) * compiling
            total += len(probes) * seconds
        return total

    def probed(self, probe: Probe, seconds: float) -> None:
        """A probe has ended, after so many seconds without compiling."""
        section = canonical(probe.section)
        self._probe_seconds[section] = seconds
        self._probes[section] = [other for other in self._probes.get(section, []) if other.id != probe.id]

    def _rates(self, plan: Plan, kind: str, size: int) -> Rates:
        """Of one run of that kind and batch size."""
        if (timed := self._timed.get((kind, size))) is not None:
            return timed.rates
        alike = [timed for (other, _), timed in self._timed.items() if other == kind] or list(self._timed.values())
        nearest = sorted(alike, key=lambda timed: abs(math.log(timed.size / size)))
        first = nearest[0]
        update = first.rates.update * work(plan, size) / work(first.plan, first.size)
        if len(nearest) > 1 and (kind, first.size) in self._timed:
            second = nearest[1]
            slope = (first.rates.update - second.rates.update) / (first.size - second.size)
            line = first.rates.update + slope * (size - first.size)
            update = line if slope > 0 and line > 0 else update
        per_example = work(plan, 1024) / work(first.plan, 1024)
        rest = first.rates.times(per_example)
        measures = {name: rest.measures.get(name, 0.0) for name in plan.events.measure}
        return Rates(update, rest.evaluate, measures, 0.0, 0.0)
