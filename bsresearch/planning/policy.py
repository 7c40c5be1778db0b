"""The schedules and hyperparameters of a declared config, every number resolved for its batch size."""

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

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


def _k(c: Config) -> float:
    """B/B_ref; 1 where nothing scales."""
    s = c['scaling']
    needs = s['name'] != 'none' or s['regime_adaptation'] or any(s[q] for q in ('weight_decay', 'momentum', 'warmup'))
    reference = s['reference_batch_size']
    if not needs:
        return 1.0
    if reference is None or reference < 1:
        rule = f'scaling.name={s["name"]!r}' if s['name'] != 'none' else 'a rule in config.scaling'
        raise ValueError(
            f'{rule} needs scaling.reference_batch_size, the batch size at which '
            f'learning_rate={c["learning_rate"]} holds; given {reference}'
        )
    return c['batch_size'] / reference


def _length(c: Config, epoch_size: int, longer: Fraction) -> units.Length:
    given: dict[str, Any] = {k: c[k] for k in ('total_epochs', 'total_examples', 'total_steps')}
    if given['total_epochs'] is not None and longer != 1:
        given['total_epochs'] = units.exact(given['total_epochs']) * longer
    if given['total_examples'] is not None:
        given['total_examples'] = math.ceil(given['total_examples'] * longer)
    declared = ', '.join(f'{k}={float(v):g}' for k, v in given.items() if v is not None)
    return kinds.check_size(units.length(epoch_size, c['batch_size'], c['epoch_boundary'], **given), declared)


def _warmup(c: Config, length: units.Length, factor: float, longer: Fraction, counted_at: int) -> dict[str, Any]:
    """The warm-up's length in examples, times `factor` of the scaling rule; `counted_at` as in `resolve`."""
    w = c['warmup']
    given = {k: w[k] for k in ('epochs', 'examples', 'steps') if w[k]}
    if len(given) > 1:
        raise ValueError(f'config.warmup needs at most one of epochs, examples, steps; given {given}')
    for field, allowed in (('convention', policy.CONVENTIONS), ('shape', policy.WARMUPS)):
        if w[field] not in allowed:
            raise ValueError(f'config.warmup.{field}={w[field]!r}: allowed are {", ".join(allowed)}')
    if any(v < 0 for v in given.values()) or not 0 <= w['start'] <= 1:
        raise ValueError(f'config.warmup={dict(w)}: a length of at least 0 and a start in [0, 1] are needed')
    if factor != 1 and longer != 1:
        raise ValueError(
            f'scaling.regime_adaptation and a rule that lengthens the warm-up (times {factor:g}) would do so twice; '
            'set scaling.warmup=none, or leave regime adaptation'
        )
    if 'steps' in given:
        # Updates are declared at the reference batch size where a rule makes more of them.
        size = length.batch_size if factor == 1 else c['scaling']['reference_batch_size']
        if factor == 1 and size != counted_at:
            raise ValueError(
                f'config.warmup.steps={given["steps"]} in a branch at batch_size={size} that keeps a schedule counted '
                f'at {counted_at}; give warmup.steps=0 and warmup.examples={given["steps"] * counted_at}, or set '
                'branch.schedule=rebase'
            )
        declared = replace(length, batch_size=size, total_examples=2**62).examples_at(given['steps'])
    else:
        epochs, examples = units.exact(given.get('epochs', 0)), given.get('examples', 0)
        declared = longer * (epochs * length.epoch_examples + examples)  # one of them is 0
    # Rounded before it is rounded up: √2·√2 is not to take one example more than 2.
    examples = math.ceil(units.exact(round(factor, 12)) * declared)
    if examples > length.total_examples:
        scaled = f', times {factor:g} by the scaling rule,' if factor != 1 else ''
        raise ValueError(f'config.warmup {given}{scaled} is longer than the run ({length.total_examples} examples)')
    if w['shape'] == 'constant' and given and not w['start']:
        raise ValueError('config.warmup.shape=constant with start=0 trains at a learning rate of 0; set warmup.start')
    if w['delays_schedule'] and examples == length.total_examples:
        raise ValueError('config.warmup.delays_schedule=True: the warm-up takes the whole run, no schedule is left')
    kept = {k: w[k] for k in ('start', 'convention', 'shape', 'delays_schedule')}
    return {'examples': examples, **kept}


def _momentum(c: Config, parts: Config, span: units.Span) -> float | None:
    """The config's momentum, or the optimizer's own; None where the schedule brings it."""
    module = lookup.module('bsresearch.optim', 'build', parts['optimizer']['name'], 'optimizer')
    name, schedule = parts['optimizer']['name'], parts['schedule']
    first = policy.shape(schedule, np.zeros(1, np.int64), span)
    if first.momentum is not None:
        off = 'schedule.cycle_momentum=False'
        if not module.HAS_MOMENTUM:
            raise ValueError(f'schedule.name={schedule["name"]!r} cycles momentum, and {name} has none; set {off}')
        if c['momentum'] is not None:
            raise ValueError(
                f'config.momentum={c["momentum"]} would not be used: schedule.name={schedule["name"]!r} brings its own '
                f'(its fields say which); leave it None, or set {off}'
            )
        if parts['momentum_schedule']['name'] != 'constant':
            raise ValueError(f'config.momentum_schedule and schedule.name={schedule["name"]!r} both set it; set {off}')
        return None
    if c['momentum'] and not module.HAS_MOMENTUM:
        raise ValueError(
            f'config.momentum={c["momentum"]} with optimizer.name={name!r}, which has none; use optimizer.name=momentum'
        )
    if parts['momentum_schedule']['name'] != 'constant' and not module.HAS_MOMENTUM:
        raise ValueError(f'config.momentum_schedule with optimizer.name={name!r}, which has no momentum to schedule')
    return float(module.MOMENTUM if c['momentum'] is None else c['momentum'])


def _scaled(c: Config, parts: Config, momentum: float | None) -> scaling.Scaled:
    """The hyperparameters after the rules of config.scaling."""
    rule, optimizer, k = parts['scaling'], parts['optimizer'], _k(c)
    second = next((key for key in SECOND_MOMENTS if key in optimizer), None)
    base = scaling.Scaled(
        float(c['learning_rate']),
        momentum,
        float(c['weight_decay']),
        beta2=optimizer[second] if second else None,
        epsilon=optimizer.get('epsilon'),
    )
    settings = {key: rule[key] for key in lookup.keywords(getattr(scaling, rule['name']))}
    found = getattr(scaling, rule['name'])(base, k, **settings)
    for field in ('weight_decay', 'warmup'):
        if rule[field] is not None:
            found = found._replace(**{field: getattr(base, field) * scaling.power(field, rule[field], k)})
    if rule['momentum'] is not None:
        if momentum is None:
            raise ValueError(f'scaling.momentum={rule["momentum"]!r}: the schedule brings its own momentum')
        if rule['momentum'] not in scaling.MOMENTA:
            allowed = ', '.join(scaling.MOMENTA)
            raise ValueError(f'scaling.momentum={rule["momentum"]!r}: allowed are {allowed}')
        found = found._replace(momentum=scaling.MOMENTA[rule['momentum']](base.momentum, k))
    for field in ('momentum', 'beta2'):
        value = getattr(found, field)
        if value is not None and not 0 <= value < 1:
            raise ValueError(
                f'scaling.name={rule["name"]!r} gives {field}={value:g} at batch_size={c["batch_size"]} '
                f'({k:g} times the reference): it must lie in [0, 1); this rule does not reach so far'
            )
    return found


def _check_used(parts: Config, own: Policy) -> None:
    """Raises ValueError for what would change the run's id and nothing else."""
    if parts['weight_decay_schedule']['name'] != 'constant' and not own.weight_decay:
        raise ValueError('config.weight_decay_schedule with weight_decay=0 schedules nothing; set weight_decay')
    batch = parts['batch_schedule']
    if batch['as_learning_rate'] and batch['name'] == 'constant':
        raise ValueError('batch_schedule.as_learning_rate=True with a constant batch size; name a batch schedule')
    lengthens = parts['scaling']['warmup'] not in (None, 'none') or parts['scaling']['name'] == 'legw'
    if lengthens and not own.warmup['examples']:
        raise ValueError(
            f'scaling.name={parts["scaling"]["name"]!r} lengthens a warm-up and there is none; set config.warmup, or '
            'use scaling.name=sqrt'
        )


def _changes(parts: Config, length: units.Length, own: Policy) -> batch_schedules.Changes:
    """What the batch schedule resolves to."""
    section = parts['batch_schedule']
    function = lookup.functions(batch_schedules, ('span', 'noise'))[section['name']]
    settings = {k: section[k] for k in lookup.keywords(function)}
    span = units.Span(length, 0, length.total_steps, own.stretch)
    changes = function(span, lambda: policy.relative_noise(own, length), **settings)
    for _, size in changes:
        if size > length.epoch_size:
            raise ValueError(
                f'batch_schedule.name={section["name"]!r} asks for batches of {size}, more than the '
                f'{length.epoch_size} training examples; lower it, or cap it with max_batch_size or max_fraction'
            )
    return changes


def resolve(c: Config, parts: Config, epoch_size: int, counted_at: int | None = None) -> Resolved:
    """Length and policy of a declared config.

    Args:
      c: the config. parts: its named sections, completed. epoch_size: training examples.
      counted_at: of the updates that a kept schedule counts, in a branch: its parent's; None: the config's.

    Raises:
      ValueError: a schedule, rule or length that cannot be; names the field and the cure.
    """
    _k(c)  # for its error, where a rule lacks its reference
    longer = scaling.stretch(c['scaling'], c['batch_size'])
    length = _length(c, epoch_size, longer)
    momentum = _momentum(c, parts, units.Span(length, 0, length.total_steps, longer))
    values = _scaled(c, parts, momentum)
    own = Policy(
        values.learning_rate,
        values.momentum,
        values.weight_decay,
        *(parts[s] for s in ('schedule', 'momentum_schedule', 'weight_decay_schedule')),
        warmup=_warmup(c, length, values.warmup, longer, counted_at or c['batch_size']),
        batch_schedule=parts['batch_schedule'],
        stretch=longer,
    )
    _check_used(parts, own)
    changes = _changes(parts, length, own)
    if changes and not parts['batch_schedule']['as_learning_rate']:
        for unit, value in (('total_', c['total_steps']), ('warmup.', c['warmup']['steps'])):
            if value:
                raise ValueError(
                    f'config.{unit}steps={value} with a batch size that changes: how many examples that is would '
                    f'depend on the schedule; give {unit}epochs or {unit}examples'
                )
        length = units.Length(epoch_size, c['batch_size'], length.total_examples, c['epoch_boundary'], changes)
    own = own._replace(batch_changes=changes)
    policy.check(own, length, c['dtype'])
    optimizer = dict(parts['optimizer'])
    optimizer |= {key: values.beta2 for key in SECOND_MOMENTS if key in optimizer}
    optimizer |= {'epsilon': values.epsilon} if 'epsilon' in optimizer else {}
    return Resolved(own, length, optimizer, _ema(c, length))


def _ema(c: Config, length: units.Length) -> dict[str, Any]:
    """The half-life of the weights' moving average in examples."""
    a = c['ema']
    if a['half_life_epochs'] is not None and a['half_life_examples'] is not None:
        raise ValueError(f'config.ema needs at most one of half_life_epochs, half_life_examples; given {dict(a)}')
    for field, value in a.items():
        if value is not None and not value > 0:
            raise ValueError(f'config.ema.{field}={value}: must be positive, or None for no average')
    epochs = a['half_life_epochs']
    return {'half_life_examples': a['half_life_examples'] if epochs is None else length.examples_of(epochs=epochs)}
