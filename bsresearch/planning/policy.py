"""The schedules and hyperparameters of a declared config, every number resolved for its batch size."""

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from bsresearch import optim
from bsresearch.core import kinds, lookup, units
from bsresearch.optim import batch_schedules, policy, scaling
from bsresearch.optim.policy import Policy

Config = Mapping[str, Any]
# What optimizers call the decay of their second moment.
SECOND_MOMENTS = ('beta2', 'alpha', 'rho')


class Resolved(NamedTuple):
    """What a Plan takes. length: of the run. optimizer: the section, with what a rule changed. ema: as in Plan."""

    policy: Policy
    length: units.Length
    optimizer: dict[str, Any]
    ema: dict[str, Any]


def _batch_ratio(config: Config) -> float:
    """K = B/B_ref; 1 where nothing scales.

    Raises:
      ValueError: something scales, and there is no reference.
    """
    rule = config['scaling']
    own_rules = (rule['weight_decay'], rule['momentum'], rule['warmup'])
    if rule['name'] == 'none' and not rule['regime_adaptation'] and not any(own_rules):
        return 1.0
    reference = rule['reference_batch_size']
    if reference is None or reference < 1:
        named = f'scaling.name={rule["name"]!r}' if rule['name'] != 'none' else 'a rule in config.scaling'
        raise ValueError(
            f'{named} needs scaling.reference_batch_size, the batch size at which '
            f'learning_rate={config["learning_rate"]} holds; given {reference}'
        )
    return config['batch_size'] / reference


def _length(config: Config, epoch_size: int, stretch: Fraction) -> units.Length:
    """Of the run, at a batch size that does not change."""
    given: dict[str, Any] = {k: config[k] for k in ('total_epochs', 'total_examples', 'total_steps')}
    if given['total_epochs'] is not None and stretch != 1:
        given['total_epochs'] = units.exact(given['total_epochs']) * stretch
    if given['total_examples'] is not None:
        given['total_examples'] = math.ceil(given['total_examples'] * stretch)
    declared = ', '.join(f'{k}={float(v):g}' for k, v in given.items() if v is not None)
    length = units.length(epoch_size, config['batch_size'], config['epoch_boundary'], **given)
    return kinds.check_size(length, declared)


def _check_warmup(warmup: Config, given: Config, factor: float, stretch: Fraction) -> None:
    """Raises ValueError for a warm-up that no run can have; `given`: its lengths that are not 0."""
    if len(given) > 1:
        raise ValueError(f'config.warmup needs at most one of epochs, examples, steps; given {given}')
    for field, allowed in (('convention', policy.CONVENTIONS), ('shape', policy.WARMUPS)):
        if warmup[field] not in allowed:
            raise ValueError(f'config.warmup.{field}={warmup[field]!r}: allowed are {", ".join(allowed)}')
    if any(v < 0 for v in given.values()) or not 0 <= warmup['start'] <= 1:
        raise ValueError(f'config.warmup={dict(warmup)}: a length of at least 0 and a start in [0, 1] are needed')
    if factor != 1 and stretch != 1:
        raise ValueError(
            f'scaling.regime_adaptation and a rule that lengthens the warm-up (times {factor:g}) would do so twice; '
            'set scaling.warmup=none, or leave regime adaptation'
        )
    if warmup['shape'] == 'constant' and given and not warmup['start']:
        raise ValueError('config.warmup.shape=constant with start=0 trains at a learning rate of 0; set warmup.start')


def _examples_of_steps(config: Config, length: units.Length, factor: float, counted_at: int) -> int:
    """warmup.steps in examples: updates are declared at the reference batch size where a rule makes more of them."""
    steps = config['warmup']['steps']
    size = length.batch_size if factor == 1 else config['scaling']['reference_batch_size']
    if factor == 1 and size != counted_at:
        raise ValueError(
            f'config.warmup.steps={steps} in a branch at batch_size={size} that keeps a schedule counted '
            f'at {counted_at}; give warmup.steps=0 and warmup.examples={steps * counted_at}, or set '
            'branch.schedule=rebase'
        )
    return replace(length, batch_size=size, total_examples=2**62).examples_at(steps)


def _warmup(config: Config, length: units.Length, factor: float, stretch: Fraction, counted_at: int) -> dict[str, Any]:
    """The warm-up's length in examples, times `factor` of the scaling rule; `counted_at` as in `resolve`."""
    warmup = config['warmup']
    given = {k: warmup[k] for k in ('epochs', 'examples', 'steps') if warmup[k]}
    _check_warmup(warmup, given, factor, stretch)
    if 'steps' in given:
        declared = _examples_of_steps(config, length, factor, counted_at)
    else:
        epochs, examples = units.exact(given.get('epochs', 0)), given.get('examples', 0)
        declared = stretch * (epochs * length.epoch_examples + examples)  # one of them is 0
    # Rounded before it is rounded up: √2·√2 is not to take one example more than 2.
    examples = math.ceil(units.exact(round(factor, 12)) * declared)
    if examples > length.total_examples:
        scaled = f', times {factor:g} by the scaling rule,' if factor != 1 else ''
        raise ValueError(f'config.warmup {given}{scaled} is longer than the run ({length.total_examples} examples)')
    if warmup['delays_schedule'] and examples == length.total_examples:
        raise ValueError('config.warmup.delays_schedule=True: the warm-up takes the whole run, no schedule is left')
    return {'examples': examples, **{k: warmup[k] for k in ('start', 'convention', 'shape', 'delays_schedule')}}


def _momentum(config: Config, parts: Config, span: units.Span) -> float | None:
    """The config's momentum, or the optimizer's own; None where the schedule brings it."""
    name, schedule = parts['optimizer']['name'], parts['schedule']
    optimizer = optim.member(name)
    given, scheduled = config['momentum'], parts['momentum_schedule']['name'] != 'constant'
    if policy.shape(schedule, np.zeros(1, np.int64), span).momentum is not None:
        off = 'schedule.cycle_momentum=False'
        if not optimizer.HAS_MOMENTUM:
            raise ValueError(f'schedule.name={schedule["name"]!r} cycles momentum, and {name} has none; set {off}')
        if given is not None:
            raise ValueError(
                f'config.momentum={given} would not be used: schedule.name={schedule["name"]!r} brings its own '
                f'(its fields say which); leave it None, or set {off}'
            )
        if scheduled:
            raise ValueError(f'config.momentum_schedule and schedule.name={schedule["name"]!r} both set it; set {off}')
        return None
    if given and not optimizer.HAS_MOMENTUM:
        raise ValueError(
            f'config.momentum={given} with optimizer.name={name!r}, which has none; use '
            '--config.optimizer.name=momentum'
        )
    if scheduled and not optimizer.HAS_MOMENTUM:
        raise ValueError(f'config.momentum_schedule with optimizer.name={name!r}, which has no momentum to schedule')
    return float(optimizer.MOMENTUM if given is None else given)


def _scaled(config: Config, parts: Config, momentum: float | None) -> scaling.Scaled:
    """The hyperparameters after the rules of config.scaling."""
    rule, optimizer, k = parts['scaling'], parts['optimizer'], _batch_ratio(config)
    base = scaling.Scaled(
        float(config['learning_rate']),
        momentum,
        float(config['weight_decay']),
        beta2=next((optimizer[name] for name in SECOND_MOMENTS if name in optimizer), None),
        epsilon=optimizer.get('epsilon'),
    )
    function = getattr(scaling, rule['name'])
    scaled = function(base, k, **{field: rule[field] for field in lookup.keywords(function)})
    for field in ('weight_decay', 'warmup'):
        if rule[field] is not None:
            scaled = scaled._replace(**{field: getattr(base, field) * scaling.power(field, rule[field], k)})
    if rule['momentum'] is not None:
        if momentum is None:
            raise ValueError(f'scaling.momentum={rule["momentum"]!r}: the schedule brings its own momentum')
        if rule['momentum'] not in scaling.MOMENTA:
            raise ValueError(f'scaling.momentum={rule["momentum"]!r}: allowed are {", ".join(scaling.MOMENTA)}')
        scaled = scaled._replace(momentum=scaling.MOMENTA[rule['momentum']](momentum, k))
    for field, value in (('momentum', scaled.momentum), ('beta2', scaled.beta2)):
        if value is not None and not 0 <= value < 1:
            raise ValueError(
                f'scaling.name={rule["name"]!r} gives {field}={value:g} at batch_size={config["batch_size"]} '
                f'({k:g} times the reference): it must lie in [0, 1); this rule does not reach so far'
            )
    return scaled


def _check_used(parts: Config, schedules: Policy) -> None:
    """Raises ValueError for what would change the run's id and nothing else."""
    if parts['weight_decay_schedule']['name'] != 'constant' and not schedules.weight_decay:
        raise ValueError('config.weight_decay_schedule with weight_decay=0 schedules nothing; set weight_decay')
    batch = parts['batch_schedule']
    if batch['as_learning_rate'] and batch['name'] == 'constant':
        raise ValueError('batch_schedule.as_learning_rate=True with a constant batch size; name a batch schedule')
    lengthens = parts['scaling']['warmup'] not in (None, 'none') or parts['scaling']['name'] == 'legw'
    if lengthens and not schedules.warmup['examples']:
        raise ValueError(
            f'scaling.name={parts["scaling"]["name"]!r} lengthens a warm-up and there is none; set config.warmup, or '
            'use --config.scaling.name=sqrt'
        )


def _batch_changes(config: Config, length: units.Length, schedules: Policy) -> batch_schedules.Changes:
    """What the batch schedule resolves to."""
    section = schedules.batch_schedule
    function = lookup.functions(batch_schedules, ('span', 'noise'))[section['name']]
    settings = {k: section[k] for k in lookup.keywords(function)}
    span = units.Span(length, 0, length.total_steps, schedules.stretch)
    changes = function(span, lambda: policy.relative_noise(schedules, length), **settings)
    for _, size in changes:
        if size > length.epoch_size:
            raise ValueError(
                f'batch_schedule.name={section["name"]!r} asks for batches of {size}, more than the '
                f'{length.epoch_size} training examples; lower it, or cap it with max_batch_size or max_fraction'
            )
    in_steps = {'total_': config['total_steps'], 'warmup.': config['warmup']['steps']}
    for unit, value in in_steps.items():
        if value and changes and not section['as_learning_rate']:
            raise ValueError(
                f'config.{unit}steps={value} with a batch size that changes: how many examples that is would '
                f'depend on the schedule; give {unit}epochs or {unit}examples'
            )
    return changes


def resolve(config: Config, parts: Config, epoch_size: int, counted_at: int | None = None) -> Resolved:
    """Length and policy of a declared config.

    Args:
      config: completed. parts: its named sections, completed. epoch_size: training examples.
      counted_at: of the updates that a kept schedule counts, in a branch: its parent's; None: the config's.

    Raises:
      ValueError: a schedule, rule or length that cannot be; names the field and the cure.
    """
    _batch_ratio(config)  # for its error, where a rule lacks its reference
    stretch = scaling.stretch(config['scaling'], config['batch_size'])
    length = _length(config, epoch_size, stretch)
    momentum = _momentum(config, parts, units.Span(length, 0, length.total_steps, stretch))
    scaled = _scaled(config, parts, momentum)
    schedules = Policy(
        scaled.learning_rate,
        scaled.momentum,
        scaled.weight_decay,
        *(parts[s] for s in ('schedule', 'momentum_schedule', 'weight_decay_schedule')),
        warmup=_warmup(config, length, scaled.warmup, stretch, counted_at or config['batch_size']),
        batch_schedule=parts['batch_schedule'],
        stretch=stretch,
    )
    _check_used(parts, schedules)
    schedules = schedules._replace(batch_changes=_batch_changes(config, length, schedules))
    if not parts['batch_schedule']['as_learning_rate']:
        length = replace(length, changes=schedules.batch_changes)
    policy.check(schedules, length, config['dtype'])
    optimizer = dict(parts['optimizer'])
    optimizer |= {name: scaled.beta2 for name in SECOND_MOMENTS if name in optimizer}
    optimizer |= {'epsilon': scaled.epsilon} if 'epsilon' in optimizer else {}
    return Resolved(schedules, length, optimizer, _ema(config['ema'], length))


def _ema(section: Config, length: units.Length) -> dict[str, Any]:
    """The half-life of the weights' moving average in examples."""
    epochs, examples = section['half_life_epochs'], section['half_life_examples']
    if epochs is not None and examples is not None:
        raise ValueError(f'config.ema needs at most one of half_life_epochs, half_life_examples; given {dict(section)}')
    for field, value in section.items():
        if value is not None and not value > 0:
            raise ValueError(f'config.ema.{field}={value}: must be positive, or None for no average')
    return {'half_life_examples': examples if epochs is None else length.examples_of(epochs=epochs)}
