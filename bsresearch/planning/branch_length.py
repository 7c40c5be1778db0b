"""How a branch goes on along the example stream, and what its schedules stretch over."""

from collections.abc import Mapping
from typing import Any

from bsresearch.core import units


def schedule_length(parent: Mapping[str, Any] | None, length: units.Length) -> tuple[units.Length, int]:
    """The length that a run's schedules stretch over, and how many examples were seen where it begins."""
    if parent is None:
        return length, 0
    if parent['state']['schedule'] == 'keep':
        return units.Length(**parent['schedule_length']), 0
    since = parent['examples']
    # The batch sizes go on, so that the schedule ends where the branch does.
    changes = tuple((e - since, b) for e, b in length.changes if e > since)
    first = length.batch_size_at(parent['step'])
    return units.Length(length.epoch_size, first, length.total_examples - since, length.boundary, changes), since


def continued(
    parent: Mapping[str, Any], size: int, changes: tuple[tuple[int, int], ...]
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """A branch's first batch size and the changes after it: its parent's up to the branch point, then its own."""
    before, at = tuple(tuple(c) for c in parent['changes']), parent['examples']
    if not at:  # nothing came before
        return size, changes
    now = before[-1][1] if before else parent['batch_size']
    # Its own batch schedule counts from the parent's beginning, so that without a change it goes on.
    size = [size, *(b for since, b in changes if since <= at)][-1]
    here = ((at, size),) if size != now else ()
    return parent['batch_size'], before + here + tuple(c for c in changes if c[0] > at)
