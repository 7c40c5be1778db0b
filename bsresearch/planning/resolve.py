"""A declared config → a Plan. The only reader of declared configs; every field is checked before anything is made."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from bsresearch import loggers, models
from bsresearch.core import kinds, lookup, own_part, rng, units, when
from bsresearch.core.field import unknown_field
from bsresearch.core.flat import value_at
from bsresearch.core.target import Target
from bsresearch.data import preprocess, select, sources
from bsresearch.data.own import Prepared
from bsresearch.models import losses
from bsresearch.planning import (
    batch_norm,
    evaluation,
    first_weights,
    policy,
    recording,
    schema,
    sections,
    targets,
    trying,
)
from bsresearch.planning.branch_length import continued, schedule_length
from bsresearch.planning.plan import Plan

CHOICES = {
    'strategy': ('auto', 'vmap', 'sequential'),
    'data_residence': ('auto', 'device', 'host'),
    'parallel': ('jit', 'pmap'),
    'reduction': ('psum', 'ordered'),
    'uneven_batch': ('pad', 'refuse'),
    'dtype': ('float32', 'bfloat16', 'float64'),
    'matmul_precision': ('default', 'high', 'highest'),
}
# Fields of a Plan that are as declared.
AS_DECLARED = ('study', 'seed', 'batch_size', 'epoch_boundary', 'dtype', 'matmul_precision', 'stop_at_target')
PATTERNS = ('no_decay', 'layer_rates', 'init_new')
# Bounds of fields that are given.
LEAST = {
    'batch_size': 1, 'ghost_batch_size': 1, 'micro_batch_size': 1, 'workers': 1, 'max_replicas': 1, 'devices': 1,
    'mesh.replica': 1, 'mesh.batch': 1, 'reduction_chunks': 1, 'weight_decay': 0, 'evaluate.batch_size': 1,
    'divergence.patience': 1, 'data.split_seed': 0, 'data.crop_padding': 0,
}  # fmt: skip
ABOVE = {'learning_rate': 0, 'seconds_per_update': 0, 'clip.norm': 0, 'clip.value': 0, 'divergence.loss_factor': 1}


def check_fields(declared: Mapping[str, Any]) -> None:
    """Raises ValueError for a field that the schema lacks, naming the nearest one."""

    def walk(given: Mapping[str, Any], allowed: Mapping[str, Any], hints: Mapping[str, Any], path: str) -> None:
        for key, value in given.items():
            if key in allowed and kinds.alike(value, allowed[key]):
                continue
            if key not in allowed and path.startswith('measure.'):
                continue  # a field of the measurement itself, checked by `recording.resolve`
            if key not in allowed:
                raise unknown_field(f'{path}{key}', allowed, where=path.rstrip('.'))
            if isinstance(allowed[key], dict) != isinstance(value, Mapping):
                kind = 'a section' if isinstance(allowed[key], dict) else 'a value'
                raise ValueError(f'config field {path}{key}={kinds.brief(value)}: {kind} is needed')
            if isinstance(value, Mapping) and f'{path}{key}' not in schema.OPEN:
                walk(value, allowed[key], hints[key], f'{path}{key}.')
            elif not isinstance(value, Mapping):
                kinds.check(f'config.{path}{key}', value, allowed[key], hints[key])

    walk(declared, schema.known(), schema.hints(), '')


def _check_numbers(config: Mapping[str, Any]) -> None:
    for field, least in LEAST.items():
        if (value := value_at(config, field)) is not None and value < least:
            raise ValueError(f'config.{field}={value}: must be at least {least}')
    for field, bound in ABOVE.items():
        if (value := value_at(config, field)) is not None and not value > bound:
            raise ValueError(f'config.{field}={value}: must be {"positive" if bound == 0 else f"above {bound}"}')
    kinds.check_most('config', config, batch_size=kinds.MOST_BATCH, reduction_chunks=kinds.MOST_CHUNKS)
    if config['momentum'] is not None and not 0 <= config['momentum'] < 1:
        raise ValueError(f'config.momentum={config["momentum"]}: must lie in [0, 1)')
    for field in ('seed', 'init_seed', 'data_seed'):
        if config[field] is not None and not 0 <= config[field] <= rng.MAX_SEED:
            raise ValueError(f'config.{field}={config[field]}: must lie in [0, {rng.MAX_SEED}]')
    for field, allowed in CHOICES.items():
        if config[field] not in allowed:
            raise ValueError(f'config.{field}={config[field]!r}; {lookup.nearest(str(config[field]), allowed)}')
    for name in loggers.wanted(config):
        loggers.check(name, 'config.loggers')
    if config['micro_batch_size'] is not None and config['micro_batch_size'] > config['batch_size']:
        raise ValueError(
            f'config.micro_batch_size={config["micro_batch_size"]} is larger than batch_size={config["batch_size"]}; '
            'choose one that is not, or None to let the engine choose'
        )


def _completed(declared: Mapping[str, Any]) -> dict[str, Any]:
    """A declared config with what it lacks: fields added since a branch's parent was declared, shared ones of sections.

    The value of an axis may be a section given in part.
    """
    known = schema.known()
    filled = {k: {**{f: v for f, v in known[k].items() if f != 'name'}, **value} for k, value in declared.items()
              if isinstance(value, Mapping) and k in known and k not in ('measure', 'sweep', 'arms')}  # fmt: skip
    given = declared.get('measure', {})
    every = {**dict.fromkeys(given, when.OFF), **known['measure']}
    points = {name: {**usual, **given.get(name, {})} for name, usual in every.items()}
    return {**known, **declared, **filled, 'measure': points}


def _checked_dataset(config: Mapping[str, Any], parts: Mapping[str, Any]) -> select.Dataset:
    """The data set of completed `parts`, whose examples can be augmented and evaluated as the config says."""
    section = parts['data']
    data = dataset(section)
    shape = data.train.inputs.shape[1:]
    preprocess.check(section['augment'], shape, section['mean'], section['std'], section['crop_padding'])
    evaluation.check(config, parts['loss']['name'], data)
    return data


_LAST: list[Any] = []  # source, selection and what was selected


def dataset(data: Mapping[str, Any]) -> select.Dataset:
    """The examples a resolved `data` section names (read-only); of one grid the same object again."""
    splits = sources.resolve(data['name'], None, _settings(data))
    selection = {k: data[k] for k in ('fraction', 'validation', 'split_seed', 'classes')}
    if not _LAST or _LAST[0] is not splits or _LAST[1] != selection:
        _LAST[:] = splits, selection, select.select(splits, **selection)
    return _LAST[2]


def own_set(data: Mapping[str, Any]) -> Prepared | None:
    """Of a resolved `data` section what became of what a user's function gave; None where it names no function."""
    return sources.own_set(data['name'], _settings(data)) if own_part.is_path(data['name']) else None


def _settings(data: Mapping[str, Any]) -> dict[str, Any]:
    shared = schema.known()['data']
    return {k: v for k, v in data.items() if k not in shared}


def _length(declared: units.Length, parent: dict[str, Any] | None, config: Mapping[str, Any]) -> units.Length:
    """The run's length: the declared one; for a branch its parent's up to the branch point, then the declared one."""
    if parent is None:
        return declared
    first, changes = continued(parent, declared.batch_size, declared.changes)
    endless = replace(declared, batch_size=first, total_examples=2**62, changes=changes)
    total = declared.total_examples
    if config['total_steps'] is not None:  # updates, whatever they hold
        total = endless.examples_at(config['total_steps'])
    if total <= parent['examples']:
        field = next(k for k in ('total_epochs', 'total_examples', 'total_steps') if config[k] is not None)
        raise ValueError(
            f'the branch at epoch {parent["epoch"]:g} of run {parent["run"]} would end where it begins, or before: its '
            f'{field}={config[field]} counts from the beginning of its parent; raise it'
        )
    return kinds.check_size(replace(endless, total_examples=total), f'the branch of run {parent["run"]}')


def _check_batches(length: units.Length, start: int) -> None:
    """Raises ValueError where no batch from update `start` on would hold as many examples as it is counted for.

    More than the training set has it may hold with `through`: it goes on into the next permutation.
    """
    size, left = length.batch_size_at(start), length.total_examples - length.examples_at(start)
    for segment in length.segments:
        if length.boundary == 'partial' and segment.stop > start and segment.batch_size > length.epoch_size:
            raise ValueError(
                f'batch_size={segment.batch_size} with epoch_boundary=partial is never filled: a batch ends with its '
                f'epoch of {length.epoch_size} examples, however long the run, while rules and figures would count '
                f'{segment.batch_size}; use batch_size={min(left, length.epoch_size)} or less, or '
                f'--config.epoch_boundary=through in a run of at least {segment.batch_size} examples'
            )
    if left < size:
        raise ValueError(
            f'batch_size={size} is never filled: the run sees {left} examples in all, of a training set of '
            f'{length.epoch_size}, while rules and figures would count {size}; use batch_size={left} or less, or train '
            f'longer: {size} examples at least'
        )


class Outline(NamedTuple):
    """What is known of a run before its network is tried: the completed config and its named sections, data, length."""

    config: dict[str, Any]
    parts: dict[str, dict[str, Any]]
    data: select.Dataset
    resolved: policy.Resolved
    length: units.Length


def outline(declared: Mapping[str, Any], parent: dict[str, Any] | None = None) -> Outline:
    """The part of `resolve` that traces and compiles nothing; arguments and errors as there."""
    check_fields(declared)
    config = _completed(declared)
    if config['total_seconds'] is not None:
        raise ValueError(
            f'total_seconds={config["total_seconds"]:g} is for runs of a config; give this one its length in updates'
        )
    parts = {section: sections.complete(section, config[section]) for section in schema.NAMED}
    _check_numbers(config | parts)
    data = _checked_dataset(config, parts)
    kept = parent['schedule_length'] if parent is not None and parent['state']['schedule'] == 'keep' else None
    resolved = policy.resolve(config, parts, len(data.train.labels), kept and kept['batch_size'])
    length = _length(resolved.length, parent, config)
    _check_batches(length, 0 if parent is None else parent['step'])
    return Outline(config, parts, data, resolved, length)


def resolve(declared: Mapping[str, Any], parent: dict[str, Any] | None = None) -> Plan:
    """A declared config without axes → a Plan; `parent` as in Plan, for a branch.

    Raises:
      ValueError: any field that is unknown or cannot be; the message names it, what is allowed and the cure.
      FileNotFoundError: the data set is not prepared.
    """
    config, parts, data, resolved, length = outline(declared, parent)
    shape = data.train.inputs.shape[1:]
    params = trying.parameters(parts['model'], data.num_outputs, shape)
    model = sections.settings(parts['model'])
    models.check_dtype(parts['model']['name'], model, config['dtype'], data.num_outputs, shape)
    trying.check_optimizer(config, parts['optimizer'], params)
    sections.built('optimizer', resolved.optimizer)  # as the scaling rules left it, for its errors alone
    trying.check_loss(parts, data, bool(when.points(config['snapshots'], length)) or config['snapshots']['cycle_ends'])
    if config['stop_at_target']:
        targets.check(
            Target.of(config['stop_at_target'], 'config.stop_at_target'), 'config.stop_at_target', config | parts,
            classes=losses.classifies(parts['loss']['name'], data.num_outputs),
        )  # fmt: skip
    start = 0 if parent is None else parent['step']
    ghost = batch_norm.ghost_batch_size(config, parts['model'], length, data.num_outputs, shape, start)
    same: dict[str, Any] = {field: config[field] for field in AS_DECLARED}
    same |= {field: tuple(config[field]) for field in PATTERNS}
    same |= {section: parts[section] for section in ('data', 'model', 'loss', 'scaling')}
    return Plan(
        **same,
        init_seed=config['seed'] if config['init_seed'] is None else config['init_seed'],
        data_seed=config['seed'] if config['data_seed'] is None else config['data_seed'],
        ghost_batch_size=ghost,
        epoch_size=length.epoch_size,
        total_examples=length.total_examples,
        policy=resolved.policy,
        init_from=first_weights.resolve(config, parts['model'], data.num_outputs, shape, parent),
        ema=resolved.ema,
        optimizer=resolved.optimizer,
        clip=dict(config['clip']),
        divergence=dict(config['divergence']),
        execution={k: config[k] for k in schema.EXECUTION},
        recording=recording.resolve(
            config, resolved.policy, resolved.optimizer['name'], length, schedule_length(parent, length), ghost, params
        ),
        example_shape=tuple(shape),
        num_outputs=data.num_outputs,
        data_checksum=data.checksum,
        own_data=data.own,
        declared=dict(declared),
        parent=parent,
    )
