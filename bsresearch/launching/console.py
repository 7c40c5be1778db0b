"""What a user sees: a header, one progress bar (plain lines when not a terminal), a table of results."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from rich import box
from rich.console import Console as RichConsole
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table
from rich.text import Text

from bsresearch.planning import schema, sections
from bsresearch.planning.plan import Plan
from bsresearch.store import paths
from bsresearch.store.records import flatten_varying
from bsresearch.train.devices.layout import Layout
from bsresearch.train.observing.record import PHASES

# Seconds between lines where there is no terminal.
PLAIN_SECONDS = 10.0


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
        if not self.rich.is_terminal:
            self.rich.width = 200  # a file or pipe has no edge to fold at
        self._progress: Progress | None = None
        self._bar = TaskID(0)
        self._plans: Sequence[Plan] = ()
        self._title = ''
        self._line = 0.0
        self._group_start = 0.0
        self._first: tuple[float, int] | None = None

    def say(self, text: str) -> None:
        """One line."""
        self.rich.print(text, markup=False, soft_wrap=True)

    def header(self, plans: Sequence[Plan], groups: Sequence[Sequence[Plan]], workdir: Any, probes: int = 0) -> None:
        """What will run."""
        device = jax.devices()[0]
        updates = sum(p.length.total_steps - p.start for p in plans)
        and_probes = f'{probes} probes, ' if probes else ''
        self.say(
            f'{len(plans)} runs in {len(groups)} replica groups, {and_probes}{updates:,} updates, '
            f'{sum(p.total_examples - p.length.examples_at(p.start) for p in plans):,} examples, '
            f'on {len(jax.devices())} × {device.device_kind} ({device.platform}) → {workdir}'
        )

    def start_group(self, plans: Sequence[Plan], strategy: str, number: int, total: int, layout: Layout) -> None:
        """A group begins."""
        plan = plans[0]
        self._plans, self._first, self._group_start = plans, None, time.monotonic()
        how = f'{len(plans)} runs ({strategy})' if len(plans) > 1 else '1 run'
        how += '' if layout.single else f', on {layout}'
        self._title = f'group {number}/{total}: {plan.data["name"]}, {plan.model["name"]}, B = {plan.batch_size}, {how}'
        if self.rich.is_terminal:
            self.say(self._title)
            columns = (BarColumn(bar_width=10), TextColumn('{task.fields[text]}', markup=False))
            self._progress = Progress(*columns, console=self.rich)
            self._bar = self._progress.add_task('', total=plan.length.total_steps - plan.start, text='compiling …')
            self._progress.start()
        else:
            self.say(f'{self._title}: {plan.length.total_steps - plan.start:,} updates')

    def progress(self, step: int, updates_per_second: float, last: dict[str, Any]) -> None:
        """All replicas stand at θ_step."""
        now, plan = time.monotonic(), self._plans[0]
        if self._first is None:
            self._first = (now, step)
        since, begun = self._first
        rate = (step - begun) / (now - since) if step > begun else 0.0
        left = (plan.length.total_steps - step) / rate if rate else 0.0
        scores = {k: last[k] for k in ('test_accuracy', 'test_loss', 'train_loss') if last.get(k) is not None}
        text = (
            f'{step - plan.start:,}/{plan.length.total_steps - plan.start:,}  {updates_per_second:,.0f} updates/s  '
            f'{updates_per_second * plan.batch_size:,.0f} examples/s  ETA {clock(left) if rate else "…"}  '
            + '  '.join(f'{k} {v:.4f}' for k, v in scores.items())
        )
        if self._progress is not None:
            self._progress.update(self._bar, completed=step - plan.start, text=text)
        elif rate and now - self._line > PLAIN_SECONDS:
            self._line = now
            self.say(f'  {text}')

    def end_group(self, s: Mapping[str, float], finished: bool) -> None:
        """A group ended or was stopped; `s`: seconds by phase (train/observing/record.py)."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
        spent = ', '.join(f'{k} {s[k]:.1f}' for k in PHASES)
        state = 'finished' if finished else 'stopped; the same command goes on from here'
        self.say(f'  {state} after {clock(s["wall"])} (seconds: {spent}, overhead {s["overhead"]:.1f})')

    def plans(self, plans: Sequence[Plan], facts: Sequence[dict[str, Any]], title: str) -> None:
        """A table of runs: their ids, what differs between them, and the given facts."""
        fields = flatten_varying([_brief(p) for p in plans])
        # Headings break at their words, cells never: a run's id stays whole on 80 columns.
        self.table([{'run': p.id} | config | fact for p, config, fact in zip(plans, fields, facts, strict=True)], title)

    def table(self, rows: Sequence[dict[str, Any]], title: str) -> None:
        """Rows of the same fields."""
        table = Table(title=Text(title), title_justify='left', box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        cells = [[_cell(v) for v in row.values()] for row in rows]
        for number, name in enumerate(rows[0] if rows else []):
            widest = max(len(row[number]) for row in cells)
            table.add_column(Text(name.replace('_', ' ')), min_width=widest, overflow='fold')
        for row in cells:
            table.add_row(*map(Text, row))
        self.rich.print(table)

    def results(self, workdir: Any, plans: Sequence[Plan], last_rows: Sequence[dict[str, Any]]) -> None:
        """The final table."""
        facts = []
        for plan, row in zip(plans, last_rows, strict=True):
            meta = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json') or {}
            names = ('test_loss', 'test_accuracy', 'train_accuracy', 'distance')
            names = names if self.rich.width >= 100 else names[:2]
            status = meta.get('status', 'not started')
            if status == 'diverged':
                status = f'diverged at {meta["diverged_step"]}'
            facts.append({'status': status, 'updates': meta.get('step')} | {n: row.get(n) for n in names})
        self.plans(plans, facts, f'results in {workdir}')


def _brief(plan: Plan) -> dict[str, Any]:
    """Its resolved fields, a schedule in one; what follows from others is left out."""
    fields = plan.resolved()
    del fields['batch_changes']
    brief = [name for name in schema.NAMED if name.endswith('schedule') or name in ('optimizer', 'scaling')]
    return fields | {name: sections.describe(name, fields[name]) for name in brief}


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.4g}'
    return (
        f'{value:,}' if isinstance(value, int) and not isinstance(value, bool) else '–' if value is None else str(value)
    )
