"""The tree of parents and branches in a workdir, with what each branch changed, and whose weights a run began with."""

import pathlib
from typing import Any

from bsresearch.store import paths, records, standing, verify
from bsresearch.store.paths import RESTORE, Damaged

# Of a run with weights of another: whose, and the sha256 of what they were read from.
WEIGHTS = 'init_from.json'


def read(directory: pathlib.Path) -> dict[str, Any] | None:
    """A branch's lineage.json, or without `changes` what its config says of a parent it has not begun from.

    None for a run that is no branch.

    Raises:
      Damaged: it is missing, though the branch has records.
    """
    begun = paths.read_json(directory / 'lineage.json', 'run', 'step', 'epoch', 'state', 'changes')
    parent = (paths.read_json(directory / 'config.json') or {}).get('resolved', {}).get('parent')
    if begun is None and parent is not None and verify.has_rows(directory):
        raise Damaged(f'{directory}/lineage.json is missing, though the branch has records; {RESTORE}')
    # Its own `changes` are of the parent's batch size.
    return begun or (parent and {k: v for k, v in parent.items() if k != 'changes'})


def text(workdir: pathlib.Path) -> str:
    """One line per run, a branch below its parent.

    Raises:
      FileNotFoundError: there are no runs.
    """
    runs: dict[str, Any] = {}
    for directory in records.run_dirs(workdir):
        facts = read(directory)
        weights = paths.read_json(directory / WEIGHTS, 'run', 'step', 'epoch', 'new')
        runs[directory.name] = (facts, standing.name(directory, records.status(directory)), weights)
    below: dict[str | None, list[str]] = {}
    for run, (facts, _, weights) in runs.items():
        above = facts or weights
        parent = above['run'] if above and above['run'] in runs else None
        below.setdefault(parent, []).append(run)
    lines: list[str] = []

    def add(run: str, depth: int) -> None:
        facts, status, weights = runs[run]
        begun = f'  of {facts["run"]} {what(facts)}' if facts else ''
        begun = begun or (f'  with the weights of {of_weights(weights)}' if weights else '')
        lines.append(f'{"  " * depth}{run}  {status}{begun}')
        for child in sorted(below.get(run, []), key=lambda r: ((runs[r][0] or runs[r][2])['step'], r)):
            add(child, depth + 1)

    for run in below.get(None, []):
        add(run, 0)
    return '\n'.join(lines)


def of_weights(given: dict[str, Any]) -> str:
    """Whose weights a run began with, and which it drew; `given`: its init_from.json."""
    new = f'; drawn: {", ".join(given["new"])}' if given['new'] else ''
    return f'{given["run"]} at epoch {given["epoch"]:g}{new}'


def what(facts: dict[str, Any]) -> str:
    """Where a branch begins, what it changed, what became of the state; `facts`: its lineage.json."""
    if 'changes' not in facts:
        return f'at epoch {facts["epoch"]:g}: not begun yet'
    changed = [f'{k} {_cell(a)} → {_cell(b)}' for k, (a, b) in facts['changes'].items()]
    # A control trains on: its length is told, and makes it no other thing.
    changes = [text for text in changed if not text.startswith('total_examples ')]
    longer = [text for text in changed if text.startswith('total_examples ')]
    other = [f'{part} {policy}' for part, policy in facts['state'].items() if policy != 'keep']
    said = ', '.join([*(changes or ['changes nothing (control)']), *longer])
    said = f'at epoch {facts["epoch"]:g}: {said}' + (f'; {", ".join(other)}' if other else '')
    return said + ('; past the schedule it keeps, the last value holds' if facts.get('past_schedule') else '')


def _cell(value: Any) -> str:
    return f'{value:g}' if isinstance(value, float) else str(value)
