"""A workdir of the study `shen` as arms and branches by their role, found from the recorded configs.

K. Shen, "Effect of batch size on training dynamics" (2018). The parents are the runs recorded with
`config.branch.at_…`; 'large' is their arm, and every other role is what differs from it. A run that is not there,
diverged or has not ended is named in `missing`: the others still count.
"""

import pathlib
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import pandas as pd

from bsresearch.analysis import arms, policies, resolution, summary
from bsresearch.store import records

STUDY = 'shen'
Role = Literal[
    'small', 'middle', 'large', 'higher rate', 'other optimizer', 'control', 'smaller batch', 'other'
]  # fmt: skip
METRICS = ('train_accuracy', 'test_accuracy', 'train_loss', 'test_loss', 'distance', 'parameter_norm')
# Columns that may differ between the runs; what else does would be mixed up with them.
_KNOWN = ('optimizer.', 'parent', 'schedule.', 'momentum')
_ALLOWED = {'batch_size', 'learning_rate', 'total_examples', *arms.SEEDS}


class Arm(NamedTuple):
    """Runs that differ in their seeds alone.

    Attributes:
      role: of an arm from the start small, middle, large (the parent), 'higher rate' (with the parent's batch) or
        'other optimizer'; of a branch control, 'smaller batch' or 'higher rate'; 'other' for what the article has not.
      branch_epoch: of the parent where it begins; None for an arm from the start.
      runs: `records.runs`. rows: `records.load` with `pair`, the seeds, by which runs of two arms are paired.
    """

    role: Role
    batch_size: int
    learning_rate: float
    optimizer: str
    branch_epoch: float | None
    runs: pd.DataFrame
    rows: pd.DataFrame

    @property
    def name(self) -> str:
        """In words, with what changed at the branch point."""
        if self.branch_epoch is None:
            kind = '' if self.role != 'other optimizer' else f'{self.optimizer}, '
            return f'{kind}B = {self.batch_size:,}, lr {self.learning_rate:g}'
        size, rate = f'B = {self.batch_size:,}', f'lr {self.learning_rate:g}'
        change = {'control': 'no change', 'smaller batch': size, 'higher rate': rate}
        return f'{change.get(self.role, f"{size}, {rate}")} from epoch {self.branch_epoch:g}'

    @property
    def diverged(self) -> int:
        """How many of its runs did."""
        return self.rows.loc[self.rows['gone'], 'run'].nunique()

    @property
    def unfinished(self) -> int:
        """How many of its runs neither ended nor diverged."""
        return len(self.runs) - self.diverged - self.done['run'].nunique()

    @property
    def done(self) -> pd.DataFrame:
        """Rows of the runs that came to their end."""
        return self.rows[(self.rows['status'] == 'done') & ~self.rows['gone']]

    def final(self, metric: str, last: int = 1) -> pd.Series:
        """The median of the last evaluations of each run that came to its end, by `pair`."""
        return self._values(metric, lambda rows: rows.groupby('pair').tail(last))

    def start(self, metric: str) -> pd.Series:
        """The first value of the same runs: at the branch point, or at the initial weights."""
        return self._values(metric, lambda rows: rows.groupby('pair').head(1))

    def rounding(self, metric: str) -> float:
        """The variance that counting adds to one value of a metric (resolution.py)."""
        return resolution.variance(metric, self.rows[metric]) if metric in self.rows else 0.0

    def curve(self, metric: str, x: str = 'epoch', along: Callable[[pd.DataFrame], pd.DataFrame] | None = None) -> Any:
        """Mean and interval over seeds (`summary.over_seeds`), with `arm`, its name; empty without the metric.

        Args:
          x: a position column, or 'since': epochs after the branch point. along: makes a column of the rows first.
        """
        rows = self.rows.assign(arm=self.name, since=(self.rows['epoch'] - (self.branch_epoch or 0.0)).round(9))
        rows = along(rows) if along else rows
        if metric not in rows or not rows[metric].notna().any():
            return pd.DataFrame(columns=['arm', 'metric', x, *summary.COUNTS, *summary.VALUES])
        return summary.over_seeds(rows, x, metric, ['arm'])

    def _values(self, metric: str, chosen: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.Series:
        if metric not in self.rows:
            return pd.Series(dtype=float)
        summary.check_plain(self.done, metric)
        rows = self.done[self.done[metric].notna()].sort_values('step')
        return chosen(rows).groupby('pair')[metric].median().astype(float)


class Study(NamedTuple):
    """What a workdir holds: `arms` from the start, `branches`, and in words what is `missing`.

    `facts`: task, length and seeds, for a figure's head.
    """

    arms: list[Arm]
    branches: list[Arm]
    missing: list[str]
    facts: list[str]

    def role(self, role: Role) -> list[Arm]:
        """The arms from the start with a role, by batch size and learning rate."""
        return [a for a in self.arms if a.role == role]

    @property
    def sizes(self) -> list[Arm]:
        """The arms that differ in their batch size alone, the smallest first."""
        return [*self.role('small'), *self.role('middle'), *self.role('large')]

    def branch(self, role: Role) -> list[Arm]:
        """The branches with a role, the earliest first."""
        return [a for a in self.branches if a.role == role]


def load(workdir: str | pathlib.Path) -> Study:
    """The arms of a workdir.

    Raises:
      FileNotFoundError: no runs of the study. ValueError: no parents, parents that differ, or runs that differ in
        something else than batch size, learning rate, optimizer and seed.
    """
    runs, _, recorded = records.read(workdir)
    studies = sorted(runs['study'].unique())
    runs = runs[runs['study'] == STUDY].reset_index(drop=True)
    if not len(runs):
        raise FileNotFoundError(f'no runs of study {STUDY!r} in {workdir}; it holds: {", ".join(studies)}')
    others = [c for c in records.varying(runs) if c not in _ALLOWED and not c.startswith(_KNOWN)]
    if others:
        raise ValueError(
            f'the runs of study {STUDY!r} in {workdir} differ in {", ".join(others)} too; use a workdir for each value'
        )
    if 'parent.epoch' not in runs:
        runs = runs.assign(**{'parent.epoch': float('nan')})
    mains = runs[runs['parent.epoch'].isna()]
    parent = _parent(mains, workdir)
    rows = _rows(recorded, runs)
    found = []
    for key, mine in runs.groupby(['batch_size', 'learning_rate', 'optimizer.name', 'parent.epoch'], dropna=False):
        assert isinstance(key, tuple)
        size, rate, optimizer, at = key
        _check_alike(mine, workdir)
        at = None if pd.isna(at) else float(at)
        own = rows[rows['run'].isin(mine['run'])]
        found.append(Arm('other', int(size), float(rate), str(optimizer), at, mine, own))
    alike = lambda a: a.branch_epoch is None and (a.learning_rate, a.optimizer) == parent[1:]
    smallest = min(a.batch_size for a in found if alike(a))
    found = [a._replace(role=_role(a, parent, smallest)) for a in found]
    branches = [a for a in found if a.branch_epoch is not None]
    branches.sort(key=lambda a: (a.branch_epoch, a.role != 'control', a.learning_rate, a.batch_size))
    study = Study([a for a in found if a.branch_epoch is None], branches, [], _facts(runs))
    return study._replace(missing=_missing(study))


def _rows(recorded: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """What was evaluated in the runs, and the last row of each, where a divergence is told."""
    rows = recorded.drop(columns='study').merge(runs[['run', 'status']].assign(pair=pairs(runs)), on='run')
    rows = rows.assign(gone=summary.diverged(rows))
    evaluated = rows[[m for m in METRICS if m in rows]].notna().any(axis=1)
    return rows[evaluated | ~rows.duplicated('run', keep='last')]


def pairs(runs: pd.DataFrame) -> pd.Series:
    """What runs of two arms have in common: '3', or '3/0/1' where the seeds of weights and data are set apart."""
    seeds = runs[list(arms.SEEDS)].astype(str)
    return seeds['seed'].where(seeds.nunique(axis=1) == 1, seeds.agg('/'.join, axis=1))


def _parent(runs: pd.DataFrame, workdir: str | pathlib.Path) -> tuple[int, float, str]:
    """Batch size, learning rate and optimizer of the runs with branches."""
    own = runs[runs['recording.branch.at_epochs'].map(bool) | runs['recording.branch.at_steps'].map(bool)]
    keys = list(own.groupby(['batch_size', 'learning_rate', 'optimizer.name']).groups)
    if len(keys) != 1:
        found = ', '.join(f'B = {b}, lr {r:g}, {o}' for b, r, o in keys) or 'none'
        raise ValueError(
            f'{workdir} has to hold one large-batch arm with config.branch.at_epochs, whose runs the branches begin '
            f'at; found: {found}'
        )
    size, rate, optimizer = keys[0]
    return int(size), float(rate), str(optimizer)


def _check_alike(runs: pd.DataFrame, workdir: str | pathlib.Path) -> None:
    """Raises ValueError where runs of one arm differ in more than their seeds."""
    known = {*_ALLOWED, 'run', 'study', 'status', 'diverged_step'}
    for column in records.varying(runs):
        if column not in known:
            size, rate = runs[['batch_size', 'learning_rate']].iloc[0]
            raise ValueError(
                f'{workdir}: runs with B = {size:g} and lr {rate:g} differ in {column}; use a workdir for each value'
            )
    if len(runs.groupby(list(arms.SEEDS))) < len(runs):
        raise ValueError(f'{workdir}: several runs with one seed, B and lr: {", ".join(runs["run"])}')


def _role(arm: Arm, parent: tuple[int, float, str], smallest: int) -> Role:
    """Of an arm, whose role is still open, or of a branch."""
    size, rate, optimizer = parent
    main = arm.branch_epoch is None
    if arm.optimizer != optimizer:
        return 'other optimizer' if main else 'other'
    if arm.learning_rate == rate and arm.batch_size == size:
        return 'large' if main else 'control'
    if arm.learning_rate == rate and arm.batch_size < size:
        return 'smaller batch' if not main else 'small' if arm.batch_size == smallest else 'middle'
    return 'higher rate' if arm.batch_size == size and arm.learning_rate > rate else 'other'


def _facts(runs: pd.DataFrame) -> list[str]:
    """Task, length and seeds in words; the seeds come last."""
    one = runs.iloc[0]
    epochs = (runs['total_examples'] / runs['epoch_size'] - runs['parent.epoch'].fillna(0)).round(2)
    listed = lambda mine: ' or '.join(f'{e:g}' for e in sorted(epochs[mine].unique()))
    mains = runs['parent.epoch'].isna()
    seeds = sorted(runs.groupby(['batch_size', 'learning_rate', 'optimizer.name', 'parent.epoch'], dropna=False).size())
    count = ' to '.join(str(n) for n in sorted({seeds[0], seeds[-1]}))
    return [
        f'{one["model.name"]} {one.get("model.widths", "")} on {one["data.name"]} ({one["epoch_size"]:,} examples)',
        f'{listed(mains)} epochs{f", branches {listed(~mains)} more" if (~mains).any() else ""}',
        f'mean and 95 % interval over n = {count} seeds, on this test set'
        if seeds[-1] > 1
        else 'n = 1 seed, no interval',
    ]


def _missing(study: Study) -> list[str]:
    """In words: arms and branches that the article has and the workdir has not; runs without an end."""
    (large,) = study.role('large')
    needed: list[tuple[Role, str]] = [
        ('small', f'arm with a batch below {large.batch_size:,} at lr {large.learning_rate:g}'),
        ('higher rate', f'arm with B = {large.batch_size:,} and a rate above {large.learning_rate:g}'),
        ('other optimizer', 'arm with another optimizer'),
    ]
    found = [f'no {what}' for role, what in needed if not study.role(role)]
    one = large.runs.iloc[0]
    epochs, sizes, rates = (one[f'recording.branch.{k}'] for k in ('at_epochs', 'batch_sizes', 'learning_rates'))
    changes = [(large.batch_size, large.learning_rate), *((s, large.learning_rate) for s in sizes),
               *((large.batch_size, r) for r in rates)]  # fmt: skip
    # A branch point is the first update at or after its epoch.
    there = lambda e, s, r: any(
        (a.batch_size, a.learning_rate) == (s, r) and 0 <= (a.branch_epoch or 0.0) - e < policies.LATE
        for a in study.branches
    )
    found += [f'no branch at epoch {e:g} with B = {s:,}, lr {r:g}' for e in epochs for s, r in changes
              if not there(e, s, r)]  # fmt: skip
    for arm in (*study.arms, *study.branches):
        found += [f'{arm.name}: {n} of {len(arm.runs)} {what}' for n, what in
                  ((arm.diverged, 'diverged'), (arm.unfinished, 'unfinished')) if n]  # fmt: skip
    return found
