"""The schedules and hyperparameters of a declared config, every number resolved for its batch size."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from bsresearch import lookup, units
from bsresearch.optim import batch_schedules, policy, scaling
from bsresearch.optim.policy import Policy

Config = Mapping[str, Any]
# Sections whose lengths and boundaries regime adaptation stretches.
_STRETCHED = ('schedule', 'momentum_schedule', 'weight_decay_schedule', 'batch_schedule', 'warmup')
# By unit, at the end of a field's name.
_UNITS = ('epochs', 'examples')


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


def stretched(c: Config) -> dict[str, Any]:
    """Regime adaptation (Hoffer et al. 2017): every length and boundary in epochs or examples times B/B_ref.

    So runs of all batch sizes make the same updates. Fractions and updates stay as they are.
    """
    config = copy.deepcopy(dict(c))
    if not c['scaling']['regime_adaptation']:
        return config
    k = units.exact(c['batch_size']) / units.exact(c['scaling']['reference_batch_size'] or c['batch_size'])

    def times(value: Any, whole: bool) -> Any:
        if isinstance(value, list | tuple):
            return tuple(times(v, whole) for v in value)
        if value is None:
            return None
        exact = units.exact(value) * k
        return math.ceil(exact) if whole else float(exact)

    for field in ('total_epochs', 'total_examples'):
        config[field] = times(c[field], field == 'total_examples')
    for section in _STRETCHED:
        for key, value in config[section].items():
            if key.split('_')[-1] in _UNITS and not isinstance(value, str | bool):
                config[section][key] = times(value, key.endswith('examples'))
    return config


def _warmup(c: Config, length: units.Length, factor: float) -> dict[str, Any]:
    """The warm-up's length in examples, times `factor`."""
    w = c['warmup']
    given = {k: w[k] for k in ('epochs', 'examples', 'steps') if w[k]}
    if len(given) > 1:
        raise ValueError(f'config.warmup needs at most one of epochs, examples, steps; given {given}')
    for field, allowed in (('convention', policy.CONVENTIONS), ('shape', policy.WARMUPS)):
        if w[field] not in allowed:
            raise ValueError(f'config.warmup.{field}={w[field]!r}: allowed are {", ".join(allowed)}')
    if any(v < 0 for v in given.values()) or not 0 <= w['start'] <= 1:
        raise ValueError(f'config.warmup={dict(w)}: a length of at least 0 and a start in [0, 1] are needed')
    if 'steps' in given:
        endless = replace(length, total_examples=2**62)
        examples = endless.examples_at(given['steps'])
    else:
        examples = length.examples_of(epochs=given.get('epochs', 0)) or given.get('examples', 0)
    # Rounded before it is rounded up: √2·√2 is not to take one example more than 2.
    examples = math.ceil(units.exact(round(factor, 12)) * examples)
    if examples > length.total_examples:
        scaled = f', times {factor:g} by the scaling rule,' if factor != 1 else ''
        raise ValueError(f'config.warmup {given}{scaled} is longer than the run ({length.total_examples} examples)')
    if w['delays_schedule'] and examples == length.total_examples:
        raise ValueError('config.warmup.delays_schedule=True: the warm-up takes the whole run, no schedule is left')
    kept = {k: w[k] for k in ('start', 'convention', 'shape', 'delays_schedule')}
    return {'examples': examples, **kept}


def _momentum(c: Config, parts: Config, length: units.Length) -> float | None:
    """The config's momentum, or the optimizer's own; None where the schedule brings it."""
    module = lookup.module('bsresearch.optim', 'build', parts['optimizer']['name'], 'optimizer')
    name, schedule = parts['optimizer']['name'], parts['schedule']
    first = policy.shape(schedule, np.zeros(1, np.int64), units.Span(length, 0, length.total_steps))
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
    return float(module.MOMENTUM if c['momentum'] is None else c['momentum'])


def _scaled(c: Config, parts: Config, momentum: float | None) -> scaling.Scaled:
    """The hyperparameters after the rules of config.scaling."""
    rule, optimizer, k = parts['scaling'], parts['optimizer'], _k(c)
    own = {key: optimizer[key] for key in ('beta2', 'epsilon') if key in optimizer}
    base = scaling.Scaled(float(c['learning_rate']), momentum, float(c['weight_decay']), **own)
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


def _changes(parts: Config, length: units.Length, own: Policy) -> batch_schedules.Changes:
    """What the batch schedule resolves to."""
    section = parts['batch_schedule']
    function = lookup.functions(batch_schedules, ('length', 'noise'))[section['name']]
    settings = {k: section[k] for k in lookup.keywords(function)}
    changes = function(length, lambda: policy.relative_noise(own, length), **settings)
    for _, size in changes:
        if size > length.epoch_size:
            raise ValueError(
                f'batch_schedule.name={section["name"]!r} asks for batches of {size}, more than the '
                f'{length.epoch_size} training examples; lower it, or cap it with max_batch_size or max_fraction'
            )
    return changes


def resolve(c: Config, parts: Config, epoch_size: int) -> Resolved:
    """Length and policy of a declared config.

    Args:
      c: the config, `stretched`. parts: its named sections, completed. epoch_size: training examples.

    Raises:
      ValueError: a schedule, rule or length that cannot be; names the field and the cure.
    """
    given = {k: c[k] for k in ('total_epochs', 'total_examples', 'total_steps')}
    length = units.length(epoch_size, c['batch_size'], c['epoch_boundary'], **given)
    momentum = _momentum(c, parts, length)
    values = _scaled(c, parts, momentum)
    own = Policy(
        values.learning_rate,
        values.momentum,
        values.weight_decay,
        *(parts[s] for s in ('schedule', 'momentum_schedule', 'weight_decay_schedule')),
        warmup=_warmup(c, length, values.warmup),
        batch_schedule=parts['batch_schedule'],
    )
    changes = _changes(parts, length, own)
    if changes and not parts['batch_schedule']['as_learning_rate']:
        if c['total_steps'] is not None:
            raise ValueError(
                f'total_steps={c["total_steps"]} with a batch size that changes: how many examples that is would '
                'depend on the schedule; give total_epochs or total_examples'
            )
        length = units.Length(epoch_size, c['batch_size'], length.total_examples, c['epoch_boundary'], changes)
    own = own._replace(changes=changes)
    policy.check(own, length)
    changed = {k: v for k, v in (('beta2', values.beta2), ('epsilon', values.epsilon)) if v is not None}
    return Resolved(own, length, parts['optimizer'] | changed, _ema(c, length))


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
