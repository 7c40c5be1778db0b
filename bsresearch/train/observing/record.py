"""Rows: what is written at θ_t, with where in training it stands; and how a group's time was spent."""

import contextlib
import pathlib
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax

from bsresearch.optim import Hyper
from bsresearch.planning.plan import Plan
from bsresearch.store import paths, records
from bsresearch.store.writer import Writer
from bsresearch.train.state import Info

PHASES = ('updates', 'evaluate', 'measure', 'checkpoint', 'compile', 'calibrate')


class Clock:
    """Seconds of a group by phase, over all its sessions. Overhead is what no phase accounts for.

    Args:
      compiling: seconds spent compiling so far; what rises inside another phase is counted as compiling.
    """

    def __init__(self, compiling: Callable[[], float]):
        self.spent = {phase: 0.0 for phase in PHASES}
        self._compiling = compiling
        self._before = 0.0
        self._start = time.perf_counter()

    def resume(self, summary: Mapping[str, float]) -> None:
        """Adds the time of earlier sessions."""
        self.spent = {phase: self.spent[phase] + summary[phase] for phase in PHASES}
        self._before = summary['wall']

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Adds the time inside to a phase; a profiler's trace shows it."""
        start, compiled = time.perf_counter(), self._compiling()
        try:
            with jax.profiler.TraceAnnotation(name):
                yield
        finally:
            compiled = self._compiling() - compiled
            self.spent['compile'] += compiled
            self.spent[name] += time.perf_counter() - start - compiled

    @property
    def wall(self) -> float:
        """Seconds since the group's start, pauses between sessions left out."""
        return self._before + time.perf_counter() - self._start

    def summary(self) -> dict[str, float]:
        """Phases, wall, and overhead = wall − all phases."""
        wall = self.wall
        return self.spent | {'wall': wall, 'overhead': wall - sum(self.spent.values())}


class Recorder:
    """Writes the rows of a group's runs, unless another process does (`writes`)."""

    def __init__(
        self, plans: Sequence[Plan], directories: Sequence[pathlib.Path], clock: Clock, *, writes: bool = True
    ):
        self.plans, self.clock = plans, clock
        self.writers = [Writer(d) for d in directories] if writes else []
        self.pace: list[float] = [0.0]  # seconds per update, for each segment of the run
        self.timed = True  # rows made after the run carry no wall-clock time
        self.last: list[dict[str, tuple[Any, float]]] = [{} for _ in plans]  # metric → newest value, and its epoch

    def pace_at(self, t: int) -> float:
        """Seconds of update t."""
        return self.pace[bisect_right([segment.start for segment in self.plans[0].length.segments], t) - 1]

    def seconds_at(self, step: int) -> float:
        """Of training alone, up to θ_step."""
        parts = zip(self.plans[0].length.segments, self.pace, strict=True)
        return sum((min(stop, step) - start) * pace for (start, stop, _), pace in parts if start < step)

    def _at(self, r: int, step: int) -> dict[str, Any]:
        length = self.plans[r].length
        return {
            'step': step,
            'examples': length.examples_at(step),
            'epoch': length.epoch_at(step),
            'seconds': self.seconds_at(step),
        } | ({'wall_seconds': self.clock.wall} if self.timed else {})

    def row(self, r: int, step: int, metrics: Mapping[str, Any]) -> None:
        """One row of replica r at θ_step."""
        row = self._at(r, step) | dict(metrics)
        self.last[r] |= {name: (value, row['epoch']) for name, value in metrics.items()}
        if self.writers:
            self.writers[r].rows([row])

    def updates(
        self, r: int, start: int, count: int, steps: set[int], normed: set[int], info: Info, hyper: Hyper
    ) -> None:
        """Rows of the recorded updates among those from `start` on.

        Args:
          count: how many of the chunk's updates count; those after a divergence do not.
          steps, normed: updates to record, and those to record with norms, all among them.
          info: (n,) each, of the chunk. hyper: (n,) each, as used.
        """
        norms = {k: v for k, v in info._asdict().items() if k.endswith('_norm') and len(v)}
        counts = self.plans[r].length.batches(start, start + count)[2]
        for step in sorted(steps | normed):
            i = step - start
            metrics = {
                'batch_loss': info.loss[i],
                'learning_rate_used': hyper.learning_rate[i],
                'momentum_used': hyper.momentum[i],
                'weight_decay_used': 0.0 if hyper.weight_decay is None else hyper.weight_decay[i],
                'batch_size_used': counts[i],  # of a short batch what it holds
            }
            if step in normed:
                metrics |= {name: values[i] for name, values in norms.items()}
            self.row(r, step, metrics)
        dense = {}
        if self.plans[r].recording['record']['dense']:
            values = {k: v for k, v in hyper._asdict().items() if k != 'complements'}
            used = {f'{k}_used': v for k, v in values.items() if v is not None}
            dense |= {'batch_loss': info.loss, **used}
        if self.plans[r].recording['norms']['dense']:
            dense |= norms
        if dense and self.writers:
            self.writers[r].dense(start, {k: v[:count] for k, v in dense.items()})

    def say_older_losses(self, say: Callable[[str], None]) -> None:
        """That a run which goes on has losses with label smoothing before this point, and without it from here on."""
        writers = zip(self.plans, self.writers, strict=bool(self.writers))
        if runs := [plan.id for plan, writer in writers if records.holds_older_losses(writer.directory)]:
            say(
                f'  run {", ".join(runs)}: losses recorded so far hold label smoothing (an older version wrote them), '
                'and are read as <split>_objective; from here on <split>_loss is without it, and both are recorded'
            )

    def flush(self) -> list[int]:
        """Makes all rows durable; the position of each file."""
        for writer in self.writers:
            writer.flush()
        return [writer.position() for writer in self.writers]

    def digests(self) -> list[str]:
        """sha256 of what each run's records hold."""
        return [paths.digest(writer.contents()) for writer in self.writers]

    def rewind(self, positions: Sequence[int], step: int, digests: Sequence[str] | None = None) -> None:
        """Forgets what came after the checkpoint at `step`; `digests`: of the records there, None if unknown."""
        expected = digests or [None] * len(positions)
        for writer, position, digest in zip(self.writers, positions, expected, strict=bool(self.writers)):
            writer.rewind(position, step, digest)

    def close(self) -> None:
        """Closes all files."""
        for writer in self.writers:
            writer.close()
