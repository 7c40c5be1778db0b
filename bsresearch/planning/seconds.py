"""A length in seconds, `config.total_seconds`: the updates that fit into it, by measured seconds per update.

The seconds are those of the records' `seconds`: of updates alone, of one run alone on the machine.
"""

import hashlib
import math
from collections.abc import Mapping
from typing import Any

from bsresearch.planning import edit, resolve, schema
from bsresearch.planning.plan import OUTSIDE_PROGRAM, Plan, canonical

# What a launch may change of runs that are there: their lengths, and so their ids, do not follow it.
OUTSIDE_PACE = (*OUTSIDE_PROGRAM, 'execution', 'recording')


# Updates of the run that is timed: more than the time of a measurement holds (train/calibrate.py).
TIMED = 100_000


class Uncalibrated(ValueError):
    """The seconds per update of runs like `plan` are not known."""

    def __init__(self, plan: Plan, seconds: float):
        super().__init__(
            f'config.total_seconds={seconds:g}: how many updates that is at batch_size={plan.batch_size} is not known: '
            'a dry run measures nothing; `bsresearch run` measures it before it trains, and later commands with its '
            '--workdir know it'
        )
        self.plan = plan


def key(plan: Plan) -> str:
    """Runs with the same one take equally long for an update: of the static key what makes their programs."""
    fields = {name: value for name, value in plan.static().items() if name not in OUTSIDE_PACE}
    return hashlib.sha256(canonical(fields).encode()).hexdigest()[:12]


def in_updates(declared: dict[str, Any], calibration: Mapping[str, float]) -> dict[str, Any]:
    """A declared config with its length in updates, where it has one in seconds; its records count those seconds.

    Args:
      calibration: `key` of runs → seconds per update.

    Raises:
      ValueError: a second length, none above 0, or a batch size that changes. Uncalibrated: the key is not there.
    """
    seconds = declared.get('total_seconds')
    if seconds is None:
        return declared
    resolve.check_fields({'total_seconds': seconds})
    others = [f for f in edit.LENGTHS if f != 'total_seconds' and declared.get(f) is not None]
    if others:
        raise ValueError(f'a run needs exactly one length; given: total_seconds={seconds:g}, {others[0]}')
    if not seconds > 0 or not math.isfinite(seconds):
        raise ValueError(f'total_seconds={seconds:g}: a length must be positive and finite')
    if (name := declared['batch_schedule']['name']) != 'constant':
        raise ValueError(
            f'total_seconds={seconds:g} with batch_schedule.name={name!r}: an update takes longer as the batch grows; '
            'give total_epochs or total_examples, or use constant'
        )
    plan = resolve.resolve(_stand_in(declared))
    if (per_update := calibration.get(key(plan))) is None:
        raise Uncalibrated(plan, seconds)
    steps = max(1, int(seconds / per_update))
    return edit.assign(declared, {'total_steps': steps, 'seconds_per_update': per_update})


def _stand_in(declared: Mapping[str, Any]) -> dict[str, Any]:
    """Of the same programs, long enough to be timed; no point of schedules or records lies outside that length."""
    usual, kept = schema.known(), (*schema.DETERMINING, *schema.EXECUTION)
    plain = {name: usual[name] for name in ('schedule', 'momentum_schedule', 'weight_decay_schedule', 'warmup')}
    return edit.assign({**usual, **{k: v for k, v in declared.items() if k in kept}, **plain}, {'total_steps': TIMED})
