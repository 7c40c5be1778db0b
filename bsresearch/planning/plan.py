"""Plan: one run with every number resolved, frozen; its id."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from bsresearch import optim
from bsresearch.core import own_part, units, when
from bsresearch.core.kinds import alike
from bsresearch.optim import policy, scaling
from bsresearch.optim.policy import Policy, Values
from bsresearch.planning import events, schema, sections
from bsresearch.planning.branch_length import continued, schedule_length
from bsresearch.planning.events import Events

# What may differ between runs that share a compiled program.
REPLICA_FIELDS = (
    'seed', 'init_seed', 'data_seed', 'learning_rate', 'momentum', 'weight_decay', 'schedule', 'momentum_schedule',
    'weight_decay_schedule', 'warmup', 'scaling', 'ema', 'parent', 'init_from',
)  # fmt: skip
# What of the others changes no program.
OUTSIDE_PROGRAM = (
    'study', 'total_examples', 'epoch_boundary', 'batch_schedule', 'batch_changes', 'divergence', 'stop_at_target',
    'length', 'start', 'fine_tunes', 'init_new',
)  # fmt: skip
# Facts that follow from the rest, or do not determine a result.
OUTSIDE_ID = (
    'seed', 'execution', 'recording', 'epoch_size', 'example_shape', 'num_outputs', 'data_checksum', 'batch_changes',
    'own_data',
)  # fmt: skip
# Of a policy; its stretch follows from `scaling` and the batch size.
STORED_POLICY = tuple(name for name in Policy._fields if name != 'stretch')


@dataclass(frozen=True)
class Plan:
    """One run. Every field is resolved; those of `execution` and `recording` are outside its identity.

    Attributes:
      epoch_size: training examples. total_examples: the run's length. policy: its schedules and what they multiply.
      ema: {'half_life_examples'}.
      ghost_batch_size: examples in a batch-norm group; None where the model has none.
      parent: of a branch (planning/branch.py); None without one.
      init_from: whose weights it begins with (planning/first_weights.py); None where they are drawn.
      example_shape, num_outputs, data_checksum, own_data: facts of the data. Of a user's own data the id holds the
        checksum instead of the name.
      declared: the config it came from, from which a branch resolves anew.
    """

    study: str
    seed: int
    init_seed: int
    data_seed: int
    batch_size: int
    ghost_batch_size: int | None
    epoch_size: int
    epoch_boundary: str
    total_examples: int
    policy: Policy
    no_decay: tuple[str, ...]
    data: dict[str, Any]
    model: dict[str, Any]
    dtype: str
    matmul_precision: str
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    clip: dict[str, Any]
    scaling: dict[str, Any]
    ema: dict[str, Any]
    divergence: dict[str, Any]
    execution: dict[str, Any]
    recording: dict[str, Any]
    example_shape: tuple[int, ...]
    num_outputs: int
    data_checksum: str
    declared: dict[str, Any]
    parent: dict[str, Any] | None = None
    own_data: bool = False
    stop_at_target: str = ''
    layer_rates: tuple[str, ...] = ()
    init_from: dict[str, Any] | None = None
    init_new: tuple[str, ...] = ()

    @functools.cached_property
    def length(self) -> units.Length:
        """How its updates cut the example stream."""
        changes = () if self.policy.batch_schedule['as_learning_rate'] else self.policy.batch_changes
        first = self.batch_size
        if self.parent is not None:
            first, changes = continued(self.parent, self.batch_size, changes)
        return units.Length(self.epoch_size, first, self.total_examples, self.epoch_boundary, changes)

    @property
    def start(self) -> int:
        """The update it starts with: a branch's counter goes on from its parent's."""
        return 0 if self.parent is None else self.parent['step']

    def origin(self, part: str) -> int:
        """The position in the example stream where 'data' or 'random' counts from: that of a branch that resets it."""
        if self.parent is None or self.parent['state'].get(part, 'keep') == 'keep':
            return 0
        epochs, offsets, _ = self.length.batches(self.start, self.start + 1)
        return int(epochs[0]) * self.epoch_size + int(offsets[0])

    def table(self, start: int, stop: int) -> Values:
        """The hyperparameters of updates start ≤ t < stop.

        A branch that keeps its parent's schedule reads it where the parent had seen as many examples; past its end the
        last value holds. One that rebases it has a schedule of its own from the branch point on.
        """
        length, t = self.length, np.arange(start, stop, dtype=np.int64)
        read, _ = schedule_length(self.parent, length)
        if self.parent is None:
            return policy.at(self.policy, read, t)
        if self.parent['state']['schedule'] == 'keep':
            return policy.at(self.policy, read, policy.update_reading(read, length.examples_before(t)), self.batch_size)
        return policy.at(self.policy._replace(batch_changes=read.changes), read, t - self.start)

    @functools.cached_property
    def events(self) -> Events:
        """When something happens in it."""
        return events.resolve(self.recording, self.length, self.start)

    def resolved(self) -> dict[str, Any]:
        """All fields but `declared`, not copied; those of the policy, but for what follows, stand beside them."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        outside = {k: v for k, v in values.items() if k not in ('policy', 'declared')}
        return outside | {name: getattr(self.policy, name) for name in STORED_POLICY}

    def to_json(self) -> dict[str, Any]:
        """All fields, for `from_json`."""
        return self.resolved() | {'declared': self.declared}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> 'Plan':
        """The plan that `to_json` wrote (JSON's lists become tuples again); older ones get the fields they lack."""
        fields = _completed(tuples(stored))
        stretch = scaling.stretch(fields['scaling'], fields['batch_size'])
        schedules = Policy(**{name: fields.pop(name) for name in STORED_POLICY}, stretch=stretch)
        return cls(**fields, policy=schedules)

    def executed(self, **choices: Any) -> 'Plan':
        """The same run with choices of the engine written into `execution`."""
        return replace(self, execution=self.execution | choices)

    def moved_to(self, other: 'Plan') -> 'Plan':
        """With the places of files that another plan of this run names: of its parent, and of parts of a user's own."""
        places = {section: getattr(other, section) for section in ('data', 'model', 'loss', 'optimizer')}
        schedules = {name: getattr(other.policy, name) for name in schema.NAMED if name.endswith('schedule')}
        places |= {'parent': other.parent, 'init_from': other.init_from}
        return replace(self, policy=self.policy._replace(**schedules), **places)

    def identity(self) -> dict[str, Any]:
        """The result-determining fields that differ from their defaults."""
        fields = self.resolved()
        for name in OUTSIDE_ID:
            del fields[name]
        base = dict(schema.known())
        base |= {s: {**_defaults(s, fields[s]['name']), 'name': base[s]['name']} for s in schema.NAMED}
        base |= {'init_seed': 0, 'data_seed': 0, 'ghost_batch_size': self.batch_size}
        of_own = own_part.is_path(self.optimizer['name'])
        base['momentum'] = 0.0 if of_own else optim.member(self.optimizer['name']).MOMENTUM
        if self.own_data:
            fields['data'] = {k: v for k, v in fields['data'].items() if k != 'name'} | {'checksum': self.data_checksum}
        if self.ghost_batch_size is None:
            del fields['ghost_batch_size']
        if not self.policy.warmup['examples']:
            del fields['warmup']
        if fields['ema']['half_life_examples'] is None:
            del fields['ema']
        if self.init_from is None:
            del fields['init_from']
        else:
            fields['init_from'] = {k: self.init_from[k] for k in ('run', 'step')}
        if self.parent is None:
            del fields['parent']
        else:
            changed = {part: how for part, how in self.parent['state'].items() if how != 'keep'}
            fields['parent'] = {k: self.parent[k] for k in ('run', 'step')} | ({'state': changed} if changed else {})
        return own_part.unplaced(_without_defaults(fields, base))

    @functools.cached_property
    def id(self) -> str:
        """sha256 of the canonical JSON of `identity`, its first 12 hexadecimal digits."""
        return hashlib.sha256(canonical(self.identity()).encode()).hexdigest()[:12]

    def static(self) -> dict[str, Any]:
        """What runs of one replica group have in common."""
        # Runs without weight decay skip a pass over the weights, so they do not mix with those that have some.
        has = {'decays': self.policy.weight_decay > 0, 'averages': self.ema['half_life_examples'] is not None}
        has |= {'length': asdict(self.length), 'start': self.start, 'fine_tunes': self.init_from is not None}
        return {k: v for k, v in self.resolved().items() if k not in REPLICA_FIELDS} | has

    def static_key(self) -> str:
        """Plans with the same key can share one compiled program and so a replica group."""
        return canonical(self.static())

    def program_key(self) -> str:
        """Plans with the same key call the same functions by the same names: lengths and points change no program."""
        fields = {name: value for name, value in self.static().items() if name not in OUTSIDE_PROGRAM}
        rest = lambda specs: {name: when.rest(spec) for name, spec in specs.items() if isinstance(spec, Mapping)}
        settings = rest(self.recording) | {'measure': rest(self.recording['measure'])}
        sizes = sorted({segment.batch_size for segment in self.length.segments})
        return canonical(fields | {'recording': settings, 'batch_sizes': sizes})


def _defaults(section: str, name: str) -> Mapping[str, Any]:
    """Of a part of a user's own those that all parts share: an id does not follow the defaults of another's file."""
    if own_part.is_path(name):
        return {k: v for k, v in schema.known()[section].items() if k != 'name'}
    return sections.defaults(section, name)


def _completed(stored: dict[str, Any]) -> dict[str, Any]:
    """With fields that were added later, at their defaults: what the run did before they were there."""
    known = schema.known()
    later: dict[str, Any] = {s: {'name': 'constant'} for s in schema.NAMED if s.endswith('schedule')}
    fields = {**later, 'no_decay': (), 'batch_changes': (), 'ema': {'half_life_examples': None}, **stored}
    for section in schema.NAMED:
        # One of a user's own may lie on another machine, and was written with all its fields.
        fields[section] = {**_defaults(section, fields[section]['name']), **fields[section]}
    fields['warmup'] = {k: known['warmup'][k] for k in ('shape', 'delays_schedule')} | fields['warmup']
    usual = schema.recorded(known)
    fields['recording'] = usual | fields['recording']
    fields['execution'] = {k: known[k] for k in schema.EXECUTION} | fields['execution']
    for section in ('branch', 'evaluate'):
        fields['recording'][section] = usual[section] | fields['recording'][section]
    return fields


def tuples(value: Any) -> Any:
    """JSON's lists as the tuples they were."""
    if isinstance(value, Mapping):
        return {k: tuples(v) for k, v in value.items()}
    return tuple(tuples(v) for v in value) if isinstance(value, list | tuple) else value


def canonical(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, whole floats as integers."""

    def plain(v: Any) -> Any:
        if isinstance(v, Mapping):
            return {str(k): plain(x) for k, x in v.items()}
        if isinstance(v, list | tuple):
            return [plain(x) for x in v]
        return int(v) if isinstance(v, float) and v.is_integer() and abs(v) < 2**53 else v

    return json.dumps(plain(value), sort_keys=True, separators=(',', ':'), allow_nan=False)


def _without_defaults(fields: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    kept = {}
    for key, value in fields.items():
        if isinstance(value, Mapping):
            value = _without_defaults(value, base.get(key, {}))
            if value:
                kept[key] = value
        elif key not in base or not (alike(base[key], value) or canonical(base[key]) == canonical(value)):
            kept[key] = value
    return kept
