"""An advice as JSON: the content of its page, for programs."""

import datetime
import hashlib
import json
import math
from typing import Any

from bsresearch.advice.answer import Advice, Quantity, Row
from bsresearch.advice.telling import words

# Names of quantities whose unit is not in the word that the page has for them.
NAMES = {'time': 'seconds', 'energy': 'joules'}


def content(advice: Advice, price_per_hour: float | None = None) -> dict[str, Any]:
    """Each quantity as choice, low, high and refusal; null where there is none, or no end."""
    growth, law = advice.growth, {}
    if growth is not None:
        sizes, lengths = (f'{size:g}' for size in growth.sizes), map(_plain, growth.law.residuals)
        ends = Quantity(growth.law.critical, growth.law.low, growth.law.high, growth.law.refusal)
        law = {**_quantity(ends), 'told': growth.law.text, 'residuals': dict(zip(sizes, lengths, strict=True))}
    return {
        'goal': advice.goal,
        'batch_size': _quantity(advice.batch_size),
        **_of_row(advice, advice.row, price_per_hour),
        'held_fixed': words.held_fixed(advice),
        'would_change': words.would_change(advice),
        'other_goals': {goal: other.choice for goal, other in advice.others.items()},
        'next_runs': [
            {'batch_size': run.batch_size, 'learning_rate': _plain(run.rate), 'gain': run.gain}
            for run in advice.next_runs
        ],
        'batch_sizes': [
            {'batch_size': row.batch_size, 'runs': row.runs, 'reached': row.reached, 'as_good': row.as_good,
             'pareto': row.pareto, 'dearer': _plain(row.dearer), 'edge': row.edge or None,
             **_of_row(advice, row, price_per_hour), 'refusal': row.refusal or None} for row in advice.rows
        ],
        'critical_batch_size': law or None,
        'regions': [stretch._asdict() for stretch in growth.stretches] if growth is not None else [],
        'throughput': advice.throughput._asdict() if advice.throughput is not None else None,
        'rate_rules': [{k: _plain(v) if isinstance(v, float) else v for k, v in price._asdict().items()}
                       for price in advice.prices],
        'findings': words.findings(advice),
        'notes': words.notes(advice),
        'refusal': None,
    }  # fmt: skip


def sealed(told: dict[str, Any]) -> dict[str, Any]:
    """With the time, and the sha256 of all else: so it can be shown later what was told before it was checked."""
    dated = {**told, 'time': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds')}
    return {**dated, 'sha256': seal(dated)}


def seal(told: dict[str, Any]) -> str:
    """The sha256 of all that it tells."""
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def _of_row(advice: Advice, row: Row, price_per_hour: float | None) -> dict[str, Any]:
    content: dict[str, Any] = {'learning_rate': _quantity(row.rate)}
    for part in words.told(row.expected, row.batch_size, advice.runs, price_per_hour):
        name = 'loss' if part.name == advice.runs.metric else NAMES.get(part.name, part.name)
        content[name] = _quantity(part.quantity)
    return content


def _quantity(quantity: Quantity) -> dict[str, Any]:
    ends = {name: _plain(getattr(quantity, name)) for name in ('choice', 'low', 'high')}
    return {**ends, 'refusal': quantity.refusal or None}


def _plain(value: float) -> float | None:
    """JSON has neither NaN nor ∞."""
    return float(value) if math.isfinite(value) else None
