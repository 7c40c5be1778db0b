"""A group in training: its arrays on the device, its programs, records and checkpoints. The loop calls it in order."""

import pathlib
import time
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from bsresearch.data.select import Dataset
from bsresearch.optim import Hyper
from bsresearch.planning.plan import Plan
from bsresearch.train import calibrate, feed, program, updates
from bsresearch.train.devices import parallel, processes
from bsresearch.train.devices.layout import ALONE, Layout
from bsresearch.train.observing.divergence import Watch
from bsresearch.train.observing.ensemble import Ensemble
from bsresearch.train.observing.evaluate import Evaluator
from bsresearch.train.observing.measuring import Measuring
from bsresearch.train.observing.progress import Progress
from bsresearch.train.observing.record import Clock, Recorder
from bsresearch.train.parts import Parts
from bsresearch.train.saving import branching
from bsresearch.train.saving.initial import Initial
from bsresearch.train.saving.saved import Saved
from bsresearch.train.state import Info, Origins

PyTree = Any
# The device is left at least this often, so that a signal is answered and the console moves.
CHUNK_SECONDS = 1.0


class Session:
    """What a group in training holds; `loop.run` calls its methods in order.

    Args:
    plans: the group's runs. run_directories: theirs, in the same order. directory: the group's.
    strategy: fitting.strategy_of's. layout: where they are trained.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        dataset: Dataset,
        directory: pathlib.Path,
        run_directories: Sequence[pathlib.Path],
        strategy: str,
        report: Progress,
        layout: Layout = ALONE,
    ):
        self.plans, self.directory, self.report = plans, directory, report
        self.initial = Initial(plans, directory, run_directories, report.say)
        self.parts = parts = Parts(plans, dataset, strategy, layout)
        self.events, self.group, self.task, self.tasks = parts.events, parts.group, parts.task, parts.tasks
        self.chunk_seconds = CHUNK_SECONDS
        self.clock = Clock(lambda: self.group.compile_seconds)
        self.feed = feed.Feed(plans, dataset, self.group, self.task.dtype)
        resident = {'train': self.feed.data} if self.feed.data is not None else {}
        self.evaluator = Evaluator(self.task, plans[0], dataset.named(), resident, self.group)
        self.ensemble = Ensemble(self.task, plans[0], self.evaluator, self.group, bool(self.events.snapshots))
        self.measuring = Measuring(plans, parts.measures, self.task, self.feed, self.group)
        self.keys = self.group.put([program.keys(p) for p in plans])
        self.watches = [Watch.of(p) for p in plans]
        self.recorder = Recorder(plans, run_directories, self.clock, writes=processes.leads())
        self.checkpoints = Saved(directory / 'checkpoints', sorted(self.events.keep))
        self._last_save = time.monotonic()
        self._updates_made, self._updating_seconds = 0, 0.0
        self._next: feed.Chunk | None = None  # made while the device works

    @property
    def alive(self) -> list[bool]:
        """Which runs go on: have not diverged, nor come to the target at which they stop."""
        return [w.alive for w in self.watches]

    # --- where it starts

    def start(self) -> tuple[int, bool]:
        """Loads the newest whole checkpoint, or makes the initial weights. Returns (t, whether t's events are done)."""
        fresh = self._fresh()
        checkpoint = self.checkpoints.restore_latest(fresh, self.report.say)
        if checkpoint is None:
            items, origins = self.initial.begin(fresh)
            self._place(items, origins)
            self.recorder.rewind([0] * len(self.plans), 0)
            with self.clock.phase('calibrate'):
                self.recorder.pace = calibrate.pace(self.group, self.feed, self.tasks, items['state'])
                self.measuring.try_own(self.state, self.origins)
            return self.plans[0].start, False
        items, meta = checkpoint
        self._place(items, self.initial.resume(fresh, meta.get('initial_sha256', {})))
        self.recorder.rewind(meta['positions'], meta['step'], meta.get('records_sha256'))
        self.recorder.pace = np.atleast_1d(meta['seconds_per_update']).tolist()  # older ones hold one number
        for watch, state in zip(self.watches, meta['divergence'], strict=True):
            watch.state = state
        self.clock.resume(meta['seconds'])
        self.measuring.spent |= meta.get('measuring', {})
        self.recorder.say_older_losses(self.report.say)
        return meta['step'], meta['events_done']

    def load(self, step: int) -> None:
        """The state at a checkpoint (at 0: the initial one), to be looked at and not trained on."""
        items = self._fresh()
        if step == self.plans[0].start:
            items, origins = self.initial.begin(items, {})
        else:
            saved, meta = self.checkpoints.restore(step, {name: items[name] for name in ('state', 'ema')})
            origins = self.initial.resume(items, meta.get('initial_sha256', {}))
            items |= saved
        self._place(items, origins)

    def _fresh(self) -> dict[str, PyTree]:
        """The checkpoint's items at update 0, replicas stacked."""
        # One leaves the device before the next is made: all of them might not fit on it.
        starts = parallel.stack([parallel.host(self.parts.start(p, self.parts.initial(p))) for p in self.plans])
        measures = {f'measure_{name}': states for name, states in starts.measures.items()}
        return {'state': starts.state, 'ema': starts.average, 'ensemble': self.ensemble.items} | measures

    def _place(self, items: dict[str, PyTree], origins: dict[str, PyTree]) -> None:
        """On the devices: a checkpoint's items, and the weights that distances are measured from."""
        branching.check_slots(self.plans, items['state'])
        self.state, self.average = self._put(items['state']), self._put(items['ema'])
        self.ensemble.items = items['ensemble']
        self.measuring.states = {n: self._put(items[f'measure_{n}']) for n in self.measuring.measures}
        initial = self._put(origins['params'])
        branch = self._put(origins['branch']) if 'branch' in origins else initial
        self.origins = list(map(Origins, initial, branch))

    def _put(self, stacked: PyTree) -> parallel.Rounds:
        return self.group.put(parallel.unstack(stacked, len(self.plans)))

    # --- events at θ_t

    def observe(self, t: int, alive: list[bool] | None = None) -> None:
        """Evaluates and measures what is due at θ_t, and writes the rows of the runs that are `alive`."""
        alive = self.alive if alive is None else alive
        results: list[list[dict[str, Any]]] = []  # metrics of each replica
        with self.clock.phase('evaluate'):
            if t in self.events.evaluate:
                results.append(self.evaluator.with_averages(self.state, self.average, alive))
            if t in self.events.snapshots:
                results.append(self.ensemble.add(self.state, alive))
        with self.clock.phase('measure'):
            for name in self.measuring.measures:
                if t in self.events.measure[name]:
                    results.append(self.measuring(name, t, self.state, self.origins, alive))
        for r in range(len(self.plans)):
            row = {name: value for metrics in results for name, value in metrics[r].items()}
            if row and alive[r]:
                self.recorder.row(r, t, row)
                self.watches[r].evaluated(t, row)

    def save_due(self, t: int) -> bool:
        """Whether a checkpoint is to be made at θ_t."""
        if t in self.events.keep or t not in self.events.checkpoint:
            return t in self.events.keep
        closest = self.plans[0].recording['checkpoint']['min_seconds']
        return processes.share(lambda: time.monotonic() - self._last_save >= closest)

    def save(self, t: int, events_done: bool) -> None:
        """Records first, then the checkpoint that knows where they end."""
        if t in self.checkpoints.steps():
            return
        with self.clock.phase('checkpoint'):
            positions = self.recorder.flush()
            items = {n: parallel.stack(self.group.get(x)) for n, x in (('state', self.state), ('ema', self.average))}
            items |= {'ensemble': self.ensemble.items}
            items |= {f'measure_{n}': parallel.stack(self.group.get(m)) for n, m in self.measuring.states.items()}
            meta = {
                'step': t,
                'examples': self.plans[0].length.examples_at(t),
                'events_done': events_done,
                'positions': positions,
                'records_sha256': self.recorder.digests(),
                'seconds_per_update': self.recorder.pace,
                'divergence': [w.state for w in self.watches],
                'seconds': self.clock.summary(),
                'measuring': self.measuring.spent,
                'initial_sha256': self.initial.sha256,
            }
            self.checkpoints.save(t, items, meta)
            self._last_save = time.monotonic()

    # --- updates

    def advance(self, t: int) -> int:
        """Runs the updates from t to the next event on the device, records them; returns how many."""
        alive = self.alive
        count, norms = self._span(t)
        # Making a chunk is overhead unless the device works meanwhile.
        chunk = self._chunk(t, count)
        before = self.clock.spent['updates']
        with self.clock.phase('updates'):
            task = self.tasks[self.plans[0].length.batch_size_at(t)]
            carry = (self.state, self.average)
            rounds = updates.run(self.group, task, carry, chunk, self.keys, count, norms=norms, alive=alive)
            if t + count < self.events.total:
                self._next = self.feed.chunk(t + count, self._span(t + count)[0])
            infos = self._collect(rounds)
        for r, info in enumerate(infos):
            if info is not None and alive[r]:
                self._record(r, t, count, norms, *info, chunk.hyper[r])
        # Over the session: a chunk of one update, as the norms make them, is mostly dispatch.
        self._updates_made += count * sum(alive)
        self._updating_seconds += self.clock.spent['updates'] - before
        rate = self._updates_made / max(self._updating_seconds, 1e-9)
        self.report.progress(t + count, rate, self.recorder.last[0])
        return count

    def _span(self, t: int) -> tuple[int, bool]:
        limit = max(1, int(self.chunk_seconds / max(self.group_pace(t), 1e-9)))
        return self.events.span(t, min(self.feed.capacity(t), limit))

    def group_pace(self, t: int) -> float:
        """Seconds of update t of all runs, as calibrated."""
        return self.recorder.pace_at(t) * len(self.plans) / self.group.layout.replicas

    def _chunk(self, t: int, count: int) -> feed.Chunk:
        """The one made while the device worked, if it is the one wanted."""
        chunk, self._next = self._next, None
        if chunk is not None and (chunk.start, chunk.count) == (t, count):
            return chunk
        return self.feed.chunk(t, count)

    def _collect(self, rounds: parallel.Rounds) -> list[tuple[Info, np.ndarray] | None]:
        """Takes the new state; waits for infos and `finite` of each replica (None for one that was passed over)."""
        self.state = [old if new is None else new.state for old, new in zip(self.state, rounds, strict=True)]
        self.average = [old if new is None else new.average for old, new in zip(self.average, rounds, strict=True)]
        return self.group.get([None if new is None else (new.infos, new.finite) for new in rounds])

    def _record(self, r: int, t: int, count: int, norms: bool, infos: Info, finite: np.ndarray, hyper: Hyper) -> None:
        """Of a chunk's first `count` updates, from t on, those that are recorded."""
        watch, info = self.watches[r], jax.tree.map(lambda x: x[:count], infos)
        watch.see(t, info.loss, info.clip_size, finite.tolist())
        end = min(t + count, watch.state['step'] + 1) if watch.diverged else t + count
        recorded = self.events.record
        steps = set(recorded[bisect_left(recorded, t) : bisect_left(recorded, end)])
        normed = {s for s in range(t, end) if s in self.events.norms} if norms else set()
        self.recorder.updates(r, t, end - t, steps, normed, info, hyper)
        if watch.diverged:
            self.recorder.row(r, watch.state['step'], {'diverged': True})

    def close(self) -> None:
        """Frees files and threads."""
        self.recorder.close()
        self.checkpoints.close()
