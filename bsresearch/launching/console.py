"""What a user sees: a header, one progress bar (plain lines when not a terminal), a table of results."""

import itertools
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
from rich import box
from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from bsresearch.core import interrupts, own_part, plain
from bsresearch.launching import results
from bsresearch.launching.outlook import Outlook
from bsresearch.launching.waiting import Waiting
from bsresearch.planning.plan import Plan
from bsresearch.planning.probe import Probe
from bsresearch.train.devices.layout import Layout
from bsresearch.train.observing.record import PHASES, Clock

# Seconds between lines where there is no terminal.
PLAIN_SECONDS = 10.0
# Between two changes of the bar.
BAR_SECONDS = 0.2
SCORES = ('test_accuracy', 'test_loss', 'train_loss')  # that a line tells
# By what share the expected time moves before it is said again.
MOVED = 0.25
# Its width; what stands between the parts of a line.
BAR, SEPARATOR = 10, ' · '
# Of tables, in every encoding the same: rich would put frames, which are wider, where it is no Unicode.
HEAD = box.Box(str(box.SIMPLE_HEAD), ascii=True)


def counted(number: int, noun: str) -> str:
    """(1, 'run') → '1 run', (1000, 'run') → '1,000 runs'."""
    return f'{number:,} {noun}{"" if number == 1 else "s"}'


def clock(seconds: float) -> str:
    """3725 → '1:02:05'."""
    minutes, s = divmod(int(seconds + 0.5), 60)
    hours, m = divmod(minutes, 60)
    return f'{hours}:{m:02d}:{s:02d}' if hours else f'{m}:{s:02d}'


class Console:
    """Prints; the Progress that training gets (train/observing/progress.py)."""

    def __init__(self, quiet: bool = False) -> None:
        # Names of workdirs and patterns may hold what rich would read as its markup, or as an emoji.
        self.rich = RichConsole(highlight=False, markup=False, emoji=False, quiet=quiet)
        self._progress: Progress | None = None
        self._waiting: Waiting | None = None
        self.began = interrupts.began or time.monotonic()  # of the command
        self._outlook = Outlook()
        self.expected: float | None = None  # seconds of the launch, from the making of this object on, as first said
        self._said = 0.0  # as said last
        self._bar = TaskID(0)
        self._plans: Sequence[Plan] = ()
        self._line = 0.0
        self._place = (1, 1)

    def expect(self, outlook: Outlook) -> None:
        """Says how long the launch will take, if that is known; from now on lines tell how long it still takes."""
        self._outlook = outlook
        later = outlook.later()
        if not later:
            return
        parts = {what: seconds for what, seconds in outlook.parts.items() if seconds >= 0.5 and what != 'the rest'}
        total = time.monotonic() - self.began + later
        told = ', '.join(f'{what} {clock(seconds)}' for what, seconds in parts.items())
        rest = f'{", " if told else ""}the rest {clock(max(0.0, total - sum(parts.values())))}'
        self.say(f'expected: {clock(total)} for {outlook.whole} ({told}{rest})')
        self.expected, self._said = self.expected or total, total

    def _expect_anew(self, left: float) -> None:
        """Says it again where it has moved by more than MOVED."""
        total = time.monotonic() - self.began + left
        if self._said and abs(total / self._said - 1) > MOVED:
            self.say(f'  expected by now: {clock(total)} for {self._outlook.whole}, instead of {clock(self._said)}')
            self._said = total

    def say(self, text: str) -> None:
        """One line."""
        self.rich.print(text, markup=False, soft_wrap=True)

    def header(self, plans: Sequence[Plan], groups: Sequence[Sequence[Plan]], workdir: Any, probes: int = 0) -> None:
        """What will run."""
        device = jax.devices()[0]
        updates = sum(p.length.total_steps - p.start for p in plans)
        and_probes = f', {counted(probes, "probe")}' if probes else ''
        self.say(
            f'{counted(len(plans), "run")} in {counted(len(groups), "replica group")}{and_probes}, '
            f'{counted(updates, "update")}, '
            f'{sum(p.total_examples - p.length.examples_at(p.start) for p in plans):,} examples, '
            f'on {len(jax.devices())} × {device.device_kind} ({device.platform}) → {workdir}'
        )

    def start_group(self, plans: Sequence[Plan], strategy: str, number: int, total: int, layout: Layout) -> None:
        """A group begins."""
        plan, self._plans, self._place = plans[0], plans, (number, total)
        self._outlook.start(plans)
        how = f'{len(plans)} runs ({strategy})' if len(plans) > 1 else '1 run'
        how += '' if layout.single else f', on {layout}'
        task = ', '.join(own_part.unplaced((plan.data['name'], plan.model['name'])))
        title = f'group {number}/{total}: {task}, B = {plan.batch_size}, {how}'
        if self.rich.is_terminal:
            self.say(title)
            columns = (BarColumn(bar_width=BAR), TextColumn('{task.fields[text]}', markup=False))
            self._progress = Progress(*columns, console=self.rich)
            self._bar = self._progress.add_task('', total=plan.length.total_steps - plan.start, text='compiling …')
            self._progress.start()
        else:
            self.say(f'{title}: {counted(plan.length.total_steps - plan.start, "update")}')
            self.wait('compiling')

    def wait(self, what: str) -> None:
        """Where there is no bar: says what is going on, and again every half minute until `go_on`."""
        self.go_on()
        if not self.rich.is_terminal:
            self.say(f'  {what} …')
            self._waiting = Waiting(lambda seconds: self.say(f'  {what} … {clock(seconds)}'))

    def go_on(self) -> None:
        """What was waited for is there."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.stop()

    def train(self, clock: Clock, step: int, pace: float) -> None:
        """The group is about to make its first update, at θ_step; as Outlook.train."""
        self._outlook.train(clock, step, pace)

    def probed(self, probe: Probe, seconds: float) -> None:
        """A probe has ended."""
        self._outlook.probed(probe, seconds)

    def all_left(self) -> str:
        """Of the whole launch while no group is in training, as a part of a line."""
        later = self._outlook.later()
        return f'{SEPARATOR}{self._outlook.whole} {clock(later)}' if later else ''

    def progress(self, step: int, updates_per_second: float, last: dict[str, tuple[Any, float]]) -> None:
        """All replicas stand at θ_step."""
        self.go_on()
        plan, now = self._plans[0], time.monotonic()
        due = now - self._line > (BAR_SECONDS if self._progress is not None else PLAIN_SECONDS)
        if not due:
            return
        self._line, done, steps = now, step - plan.start, plan.length.total_steps - plan.start
        number, total = self._place
        scores = [f'{k} {last[k][0]:.4f}' for k in SCORES if last.get(k, (None,))[0] is not None]
        when = [f'at epoch {last[k][1]:.4g}' for k in SCORES if k in last][:1]  # later updates are not evaluated yet
        parts = (
            f'group {number}/{total}',
            f'{100 * done // steps} %',
            *self._times_left(step),
            f'{done:,}/{steps:,}',
            f'{updates_per_second:,.0f} updates/s',
            f'{updates_per_second * plan.batch_size:,.0f} examples/s',
            *[' '.join([*when, *scores[:1]]), *scores[1:]][: len(scores)],
        )
        if self._progress is not None:
            ends = itertools.accumulate(len(part) + len(SEPARATOR) for part in parts)
            fitting = [part for part, end in zip(parts, ends, strict=True) if end + BAR < self.rich.width]
            self._progress.update(self._bar, completed=done, text=SEPARATOR.join(fitting))
        else:
            self.say(f'  {SEPARATOR.join(parts)}')

    def _times_left(self, step: int) -> Iterator[str]:
        """How long the group takes, and all, where that is more."""
        if (left := self._outlook.left(step)) is not None:
            yield f'ETA {clock(left[0])}'
            if left[1] is not None:
                self._expect_anew(left[1])
            if left[1] is not None and left[1] > left[0]:
                yield f'{self._outlook.whole} {clock(left[1])}'

    def close_group(self) -> None:
        """Takes the bar away; also of a group that failed."""
        self._outlook.end()
        self.go_on()
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def end_group(self, s: Mapping[str, float], finished: bool) -> None:
        """A group ended or was stopped; `s`: seconds by phase (train/observing/record.py)."""
        self.close_group()
        spent = ', '.join(f'{k} {s[k]:.1f}' for k in PHASES)
        state = 'finished' if finished else 'stopped; the same command goes on from here'
        self.say(f'  {state} after {clock(s["wall"])} (seconds: {spent}, overhead {s["overhead"]:.1f})')

    def plans(
        self, plans: Sequence[Plan], facts: Sequence[dict[str, Any]], title: str, arms: Mapping[str, str] | None = None
    ) -> None:
        """A table of runs: their ids, the names of their arms, what differs between them, and the given facts."""
        varying = zip(plans, results.what_varies(plans), facts, strict=True)
        self.table([{'run': p.id} | results.named(p, arms) | config | fact for p, config, fact in varying], title)

    def table(self, rows: Sequence[dict[str, Any]], title: str) -> None:
        """Rows of the same fields, but those that are empty in all; on a narrow terminal the last ones are named."""
        filled = [name for name in (rows[0] if rows else {}) if any(row[name] is not None for row in rows)]
        cells = {name: [self._cell(row[name]) for row in rows] for name in filled}
        # Headings break at their words, cells never: a run's id stays whole on 80 columns.
        widths = {n: max(map(len, (*column, *n.replace('_', ' ').split()))) + 2 for n, column in cells.items()}
        ends = dict(zip(widths, itertools.accumulate(widths.values(), initial=1), strict=False))
        most = self.rich.width if self.rich.is_terminal else math.inf
        fitting = [name for name, begin in ends.items() if begin + widths[name] <= most or begin == 1]
        table = Table(box=HEAD, padding=(0, 1, 0, 0))
        for name in fitting:
            table.add_column(Text(name.replace('_', ' ')), min_width=widths[name] - 2, overflow='fold')
        for row in zip(*(cells[name] for name in fitting), strict=True):
            table.add_row(*map(Text, row))
        self.say(title)
        if self.rich.is_terminal:
            self.rich.print(table)
        else:
            self.rich.width = 1 + sum(max(len(name) + 2, width) for name, width in widths.items())  # there is no edge
            with self.rich.capture() as capture:
                self.rich.print(table)
            self.say('\n'.join(line.rstrip() for line in capture.get().splitlines()))
        if hidden := [name.replace('_', ' ') for name in widths if name not in fitting]:
            self.say(f'not shown on {self.rich.width} columns: {", ".join(hidden)}')

    def results(
        self,
        workdir: Any,
        plans: Sequence[Plan],
        last_rows: Sequence[dict[str, Any]],
        *,
        runs: bool = False,
        arms: Mapping[str, str] | None = None,
    ) -> None:
        """The final table: a line for each arm, or for each run, where `runs` are asked for or no arm has two."""
        by_arm = results.of_arms(workdir, plans, last_rows, arms)
        each = runs or len(by_arm) == len(plans)
        self.table(results.of_runs(workdir, plans, last_rows, arms) if each else by_arm, f'results in {workdir}')

    def _cell(self, value: Any) -> str:
        """As it will be printed, so that columns stand below each other."""
        if isinstance(value, float):
            return f'{value:.4g}'
        whole = isinstance(value, int) and not isinstance(value, bool)
        return plain.printed(f'{value:,}' if whole else '–' if value is None else str(value), self.rich.encoding)
