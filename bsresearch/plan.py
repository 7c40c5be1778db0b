"""Plan: one run with every number resolved, frozen; its id. The only reader of a declared config."""

import hashlib
import importlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from bsresearch import losses, lookup, rng, schema, units
from bsresearch.data import preprocess, select, sources
from bsresearch.measure import when
from bsresearch.optim import scaling, schedules

DTYPES = ('float32', 'bfloat16', 'float64')
PRECISIONS = ('default', 'high', 'highest')
CHOICES = {
    'parallel': ('jit',),
    'strategy': ('auto', 'vmap', 'sequential'),
    'data_residence': ('auto', 'device', 'host'),
    'dtype': DTYPES,
    'matmul_precision': PRECISIONS,
}
# What may differ between runs that share a compiled program.
REPLICA_FIELDS = ('seed', 'init_seed', 'data_seed', 'learning_rate', 'momentum', 'weight_decay', 'schedule', 'warmup', 'scaling')


@dataclass(frozen=True)
class Plan:
    """One run. Every field is resolved; those of `execution` and `recording` are outside its identity.

    Attributes:
      epoch_size: training examples. total_examples: the run's length. learning_rate: peak, after scaling.
      warmup: {'examples', 'start', 'convention'}.
      ghost_batch_size: examples in a batch-norm group; None where the model has none.
      example_shape, num_outputs, data_checksum: facts of the data.
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
    learning_rate: float
    momentum: float
    weight_decay: float
    data: dict[str, Any]
    model: dict[str, Any]
    dtype: str
    matmul_precision: str
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    clip: dict[str, Any]
    schedule: dict[str, Any]
    warmup: dict[str, Any]
    scaling: dict[str, Any]
    divergence: dict[str, Any]
    execution: dict[str, Any]
    recording: dict[str, Any]
    example_shape: tuple[int, ...]
    num_outputs: int
    data_checksum: str
    declared: dict[str, Any]

    @property
    def length(self) -> units.Length:
        """How its updates cut the example stream."""
        return units.Length(self.epoch_size, self.batch_size, self.total_examples, self.epoch_boundary)

    def resolved(self) -> dict[str, Any]:
        """All fields but `declared`, as plain values."""
        return {k: v for k, v in asdict(self).items() if k != 'declared'}

    def to_json(self) -> dict[str, Any]:
        """All fields, for `from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> 'Plan':
        """The plan that `to_json` wrote (JSON's lists become tuples again)."""
        return cls(**_tuples(stored))

    def executed(self, **choices: Any) -> 'Plan':
        """The same run with choices of the engine written into `execution`."""
        return replace(self, execution=self.execution | choices)

    def identity(self) -> dict[str, Any]:
        """The result-determining fields that differ from their defaults."""
        fields = self.resolved()
        for name in ('execution', 'recording', 'epoch_size', 'example_shape', 'num_outputs', 'data_checksum'):
            del fields[name]
        base = _default_identity()
        base |= {s: {**_part_defaults(s, fields[s]['name']), 'name': base[s]['name']} for s in schema.NAMED}
        base |= {'init_seed': self.seed, 'data_seed': self.seed, 'ghost_batch_size': self.batch_size}
        if self.ghost_batch_size is None:
            del fields['ghost_batch_size']
        if not self.warmup['examples']:
            del fields['warmup']
        return _without_defaults(fields, base)

    @property
    def id(self) -> str:
        """sha256 of the canonical JSON of `identity`, its first 12 hexadecimal digits."""
        return hashlib.sha256(canonical(self.identity()).encode()).hexdigest()[:12]

    def static_key(self) -> str:
        """Plans with the same key can share one compiled program and so a replica group."""
        fields = self.resolved()
        return canonical({k: v for k, v in fields.items() if k not in REPLICA_FIELDS})


def _tuples(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _tuples(v) for k, v in value.items()}
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


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
        elif key not in base or canonical(base[key]) != canonical(value):
            kept[key] = value
    return kept


def _default_identity() -> dict[str, Any]:
    return schema.defaults().to_dict()


def _part(section: str, name: str) -> Any:
    """The function whose keyword-only arguments are the schema of `section` for this name."""
    if section == 'data':
        # A TFDS set has no fields of its own.
        embedded = name in lookup.members('bsresearch.data', 'load')
        return importlib.import_module(f'bsresearch.data.{name}').load if embedded else lambda: None
    if section in ('model', 'optimizer'):
        package = {'model': 'bsresearch.models', 'optimizer': 'bsresearch.optim'}[section]
        return lookup.module(package, 'build', name, section).build
    if section == 'schedule':
        return schedules.shape(name)
    functions = {'loss': (losses, ('cross_entropy',)), 'scaling': (scaling, ('none', 'linear', 'sqrt'))}
    source, names = functions[section]
    if name not in names:
        raise ValueError(f'unknown {section} {name!r}; {lookup.nearest(name, names)}')
    return getattr(source, name)


# Keyword arguments of a part that come from fields of their own.
_FROM_ELSEWHERE = {'model': ('ghost_batch_size', 'dtype')}


def _part_defaults(section: str, name: str) -> dict[str, Any]:
    """Defaults of a named section: the shared fields and those of the part called `name`."""
    shared = {k: v for k, v in schema.defaults()[section].to_dict().items() if k != 'name'}
    own = lookup.keywords(_part(section, name))
    return shared | {k: v for k, v in own.items() if k not in _FROM_ELSEWHERE.get(section, ())}


def _named(section: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A named section completed and checked."""
    allowed = _part_defaults(section, given['name'])
    for key in given:
        if key != 'name' and key not in allowed:
            raise ValueError(
                f'unknown field config.{section}.{key} for {section}.name={given["name"]!r}; '
                f'{lookup.nearest(key, allowed) if allowed else "it has no fields"}'
            )
    values = {k: given.get(k, v) for k, v in allowed.items()}
    for key, value in values.items():
        if not _fits(value, allowed[key]):
            raise ValueError(
                f'config.{section}.{key}={value!r}: a value like the default {allowed[key]!r} is needed'
            )  # fmt: skip
    return {'name': given['name'], **{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}}


def _fits(value: Any, default: Any) -> bool:
    """Whether `value` is of the default's kind (a whole number may stand for a float)."""
    if default is None or value is None:
        return True
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(value, bool) and isinstance(default, bool)
    if isinstance(default, float):
        return isinstance(value, int | float)
    if isinstance(default, tuple):
        return isinstance(value, list | tuple)
    return isinstance(value, type(default))


def check_fields(declared: Mapping[str, Any]) -> None:
    """Raises ValueError for a field that the schema lacks, naming the nearest one."""
    known = schema.defaults().to_dict()

    def walk(given: Mapping[str, Any], allowed: Mapping[str, Any], path: str) -> None:
        for key, value in given.items():
            if key not in allowed:
                raise ValueError(f'unknown config field {path}{key}; {lookup.nearest(key, allowed)}')
            if isinstance(allowed[key], dict) != isinstance(value, Mapping):
                raise ValueError(f'config field {path}{key}={value!r}: {"a section" if isinstance(allowed[key], dict) else "a value"} is needed')
            if isinstance(value, Mapping) and not (path == '' and key in (*schema.NAMED, 'sweep')):
                walk(value, allowed[key], f'{path}{key}.')
            elif not isinstance(value, Mapping) and not _fits(value, allowed[key]):
                raise ValueError(f'config field {path}{key}={value!r}: a value like the default {allowed[key]!r} is needed')

    walk(declared, known, '')


def _positive(declared: Mapping[str, Any], **minimum: float) -> None:
    for field, least in minimum.items():
        value = declared[field]
        if value is not None and value < least:
            raise ValueError(f'config.{field}={value}: must be at least {least}')


def _check_numbers(c: Mapping[str, Any]) -> None:
    _positive(c, batch_size=1, ghost_batch_size=1, micro_batch_size=1, max_replicas=1, weight_decay=0)
    if not c['learning_rate'] > 0:
        raise ValueError(f'config.learning_rate={c["learning_rate"]}: must be positive')
    if not 0 <= c['momentum'] < 1:
        raise ValueError(f'config.momentum={c["momentum"]}: must lie in [0, 1)')
    for field in ('seed', 'init_seed', 'data_seed'):
        if c[field] is not None and not 0 <= c[field] <= rng.MAX_SEED:
            raise ValueError(f'config.{field}={c[field]}: must lie in [0, {rng.MAX_SEED}]')
    for field, allowed in CHOICES.items():
        if c[field] not in allowed:
            raise ValueError(f'config.{field}={c[field]!r}; {lookup.nearest(str(c[field]), allowed)}')
    for field in ('norm', 'value'):
        if c['clip'][field] is not None and not c['clip'][field] > 0:
            raise ValueError(f'config.clip.{field}={c["clip"][field]}: must be positive, or None for no clipping')
    if c['divergence']['loss_factor'] is not None and not c['divergence']['loss_factor'] > 1:
        raise ValueError(f'config.divergence.loss_factor={c["divergence"]["loss_factor"]}: must exceed 1')
    _positive(c['divergence'], patience=1)
    _positive(c['evaluate'], batch_size=1)
    if c['micro_batch_size'] is not None and c['micro_batch_size'] > c['batch_size']:
        raise ValueError(
            f'config.micro_batch_size={c["micro_batch_size"]} is larger than batch_size={c["batch_size"]}; '
            'choose one that is not, or None to let the engine choose'
        )


def _ghost(c: Mapping[str, Any], model: Mapping[str, Any]) -> int | None:
    """The batch-norm group resolved, and the batch and micro-batch checked against it."""
    if not model.get('batch_norm'):
        return None
    ghost, micro = c['ghost_batch_size'] or c['batch_size'], c['micro_batch_size']
    if c['batch_size'] % ghost:
        raise ValueError(
            f'batch_size={c["batch_size"]} is not a whole number of batch-norm groups of ghost_batch_size={ghost}'
        )
    if micro is not None and micro % ghost:
        raise ValueError(
            f'micro_batch_size={micro} is not a whole number of batch-norm groups of ghost_batch_size={ghost}; '
            f'use a multiple of {ghost}, or set ghost_batch_size'
        )
    return ghost


def _warmup(c: Mapping[str, Any], length: units.Length) -> dict[str, Any]:
    """The warm-up's length in examples."""
    w = c['warmup']
    given = {k: w[k] for k in ('epochs', 'examples', 'steps') if w[k]}
    if len(given) > 1:
        raise ValueError(f'config.warmup needs at most one of epochs, examples, steps; given {given}')
    if w['convention'] not in schedules.CONVENTIONS:
        raise ValueError(f'config.warmup.convention={w["convention"]!r}: allowed are {", ".join(schedules.CONVENTIONS)}')
    if any(v < 0 for v in given.values()) or not 0 <= w['start'] <= 1:
        raise ValueError(f'config.warmup={w}: a length of at least 0 and a start in [0, 1] are needed')
    if 'steps' in given:
        examples = given['steps'] * length.batch_size
    else:
        examples = length.examples_of(epochs=given.get('epochs', 0)) or given.get('examples', 0)
    if examples > length.total_examples:
        raise ValueError(f'config.warmup {given} is longer than the run ({length.total_examples} examples)')
    return {'examples': examples, 'start': w['start'], 'convention': w['convention']}


def _scaled(c: Mapping[str, Any], rule: dict[str, Any]) -> float:
    reference = rule['reference_batch_size']
    if rule['name'] == 'none':
        return float(c['learning_rate'])
    if reference is None or reference < 1:
        raise ValueError(
            f'scaling.name={rule["name"]!r} needs scaling.reference_batch_size, the batch size at which '
            f'learning_rate={c["learning_rate"]} holds; given {reference}'
        )
    return getattr(scaling, rule['name'])(float(c['learning_rate']), c['batch_size'] / reference)


def _recording(c: Mapping[str, Any], length: units.Length) -> dict[str, Any]:
    """The recording sections, checked against the run's length."""
    for field in ('record', 'norms', 'evaluate', 'checkpoint', 'keep'):
        when.points(c[field], length, f'config.{field}')
    for name, spec in c['measure'].items():
        build = lookup.module('bsresearch.measure', 'build', name, 'measurement').build
        lookup.check_keywords(build, measure_keywords(spec), f'config.measure.{name}')
        when.points(spec, length, f'config.measure.{name}')
    return {k: c[k] for k in schema.RECORDING}


def measure_keywords(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a measurement's section holds beside its points."""
    return {k: v for k, v in spec.items() if k not in when.FIELDS}


def dataset(data: Mapping[str, Any]) -> select.Dataset:
    """The examples a resolved `data` section names (read-only; cached by the source)."""
    shared = schema.defaults().data.to_dict()
    own = {k: v for k, v in data.items() if k not in shared}
    picked = {k: data[k] for k in ('fraction', 'validation', 'split_seed')}
    return select.select(sources.resolve(data['name'], None, own), **picked)


def resolve(declared: Mapping[str, Any]) -> Plan:
    """A declared config without axes → a Plan.

    Raises:
      ValueError: any field that is unknown or cannot be; the message names it, what is allowed and the cure.
      FileNotFoundError: the data set is not prepared.
    """
    check_fields(declared)
    c = declared
    _check_numbers(c)
    parts = {section: _named(section, c[section]) for section in schema.NAMED}
    data = dataset(parts['data'])
    shape = data.train.inputs.shape[1:]
    preprocess.check(parts['data']['augment'], shape, parts['data']['mean'], parts['data']['std'])
    given = {k: c[k] for k in ('total_epochs', 'total_examples', 'total_steps')}
    length = units.length(len(data.train.labels), c['batch_size'], c['epoch_boundary'], **given)
    uses_momentum = getattr(lookup.module('bsresearch.optim', 'build', c['optimizer']['name'], 'optimizer'), 'USES_MOMENTUM', True)
    if c['momentum'] and not uses_momentum:
        raise ValueError(
            f'config.momentum={c["momentum"]} with optimizer.name={c["optimizer"]["name"]!r}, which has none; '
            'use optimizer.name=momentum'
        )
    warm = _warmup(c, length)
    schedules.table(parts['schedule'], warm, 1.0, length, 0, 1)
    return Plan(
        study=c['study'],
        seed=c['seed'],
        init_seed=c['seed'] if c['init_seed'] is None else c['init_seed'],
        data_seed=c['seed'] if c['data_seed'] is None else c['data_seed'],
        batch_size=c['batch_size'],
        ghost_batch_size=_ghost(c, parts['model']),
        epoch_size=length.epoch_size,
        epoch_boundary=c['epoch_boundary'],
        total_examples=length.total_examples,
        learning_rate=_scaled(c, parts['scaling']),
        momentum=float(c['momentum']),
        weight_decay=float(c['weight_decay']),
        **parts,
        dtype=c['dtype'],
        matmul_precision=c['matmul_precision'],
        clip=dict(c['clip']),
        warmup=warm,
        divergence=dict(c['divergence']),
        execution={k: c[k] for k in schema.EXECUTION},
        recording=_recording(c, length),
        example_shape=tuple(shape),
        num_outputs=data.num_outputs,
        data_checksum=data.checksum,
        declared=dict(declared),
    )
