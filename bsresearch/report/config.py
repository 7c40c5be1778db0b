"""What a study was asked for: the declared fields that differ from the defaults of planning/schema.py."""

from collections.abc import Sequence
from typing import Any

from bsresearch.core.flat import flatten
from bsresearch.planning import schema
from bsresearch.report import markdown
from bsresearch.report.found import Run
from bsresearch.report.grid import LONG, value

MOST = 12  # distinct values that are written out
# The grid itself is seen in the values; the study in the heading.
_SKIPPED = ('sweep', 'study')


def table(runs: Sequence[Run], study: str) -> str:
    """A row per declared field that is not at its default in some run: field, values, default."""
    declared = [run.declared for run in runs if run.declared]
    if not declared:
        return markdown.escape(f'{study}: no run stored the config it was declared with.')
    defaults = flatten(schema.defaults().to_dict())
    names = sorted({name for fields in declared for name in fields if name.split('.')[0] not in _SKIPPED})
    rows = []
    for name in names:
        default = _plain(defaults.get(name))
        # A run older than a field was made as its default says.
        values = _distinct([fields.get(name, default) for fields in declared])
        if values != [default]:
            rows.append((name, _text(values), _one(default) if name in defaults else 'its part’s own'))
    caption = (
        f'{study}: declared fields that differ from the defaults in some of its runs, {len(rows)} of {len(names)}.'
    )
    return markdown.table(caption, ('field', 'values', 'default'), rows, folded=len(rows) > 2 * LONG)


def _plain(given: Any) -> Any:
    return [_plain(v) for v in given] if isinstance(given, list | tuple) else given


def _distinct(values: Sequence[Any]) -> list[Any]:
    """Numbers in order, then the rest in that of their text; None last."""
    found = {repr(v): v for v in map(_plain, values)}
    rank = lambda v: (v is None, not isinstance(v, int | float), v if isinstance(v, int | float) else 0, repr(v))
    return sorted(found.values(), key=rank)


def _text(values: Sequence[Any]) -> str:
    shown = [_one(v) for v in values[:MOST]]
    return '; '.join(shown) + (f'; … {len(values) - MOST} more' if len(values) > MOST else '')


def _one(given: Any) -> str:
    return 'not given' if given is None else value(given)
