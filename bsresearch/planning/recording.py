"""What is recorded of a run, resolved and checked before anything is made: when, which measurements, which probe."""

from collections.abc import Mapping
from typing import Any

import jax

from bsresearch.core import kinds, lookup, own_part, units, when
from bsresearch.core.field import unknown_field
from bsresearch.measure import Measure, builder, presets
from bsresearch.measure.probes import POINTS
from bsresearch.optim.policy import Policy, cycle_ends
from bsresearch.planning import schema, sections
from bsresearch.planning.probe import kind

# Examples of a measurement, drawn with replacement, where the training set has fewer.
MOST_DRAWN = 2**16


def _check_measure(
    name: str, settings: Mapping[str, Any], quantity: Measure, optimizer: str, epoch_size: int, ghost: int | None
) -> None:
    """Raises ValueError for a measurement that the optimizer or batch norm in training mode makes impossible."""
    having = lookup.members('bsresearch.optim', 'precondition')
    if quantity.preconditioned and optimizer not in having:
        raise ValueError(
            f'config.measure.{name}.preconditioned=True needs an optimizer with a preconditioner, which '
            f'{optimizer!r} has not; those that have: {", ".join(having)}'
        )
    if not ghost or quantity.statistics != 'batch':
        return
    cure = 'switch it off, or use a model without batch norm'
    if 'statistics' in lookup.keywords(builder(name, settings)[0]):
        cure = f'config.measure.{name}.statistics=running makes it with the running averages, as in evaluation'
    elif 'function' in settings:
        cure = (
            f"let {own_part.unplaced(settings['function'])} return Measure(…, statistics='running'), which takes the "
            'running averages of batch norm, as in evaluation'
        )
    if quantity.per_example:
        raise ValueError(
            f'config.measure.{name} takes the gradients of single examples apart, which batch norm in training '
            f'mode couples; {cure}'
        )
    size = quantity.unit or quantity.batch_size
    if size % ghost:
        raise ValueError(
            f'config.measure.{name}: its gradients of {size} examples are not a whole number of batch-norm groups '
            f'of {ghost}; use a multiple of {ghost}'
        )
    if quantity.whole and epoch_size % ghost:
        raise ValueError(
            f'config.measure.{name}: the {epoch_size} training examples are not a whole number of batch-norm groups '
            f'of {ghost}; {cure}'
        )


# What is made and traced once for all runs of a grid.
_MEASUREMENTS: dict[tuple[Any, str], Measure] = {}  # by `build` and settings
_MEASURABLE: dict[tuple[int, int], Any] = {}  # by the ids of a measurement and of shapes of weights, which are held


def _measurement(name: str, settings: Mapping[str, Any]) -> Measure:
    """A measurement with these settings.

    Raises:
      ValueError: one that it does not know, or refuses.
    """
    build, settings = builder(name, settings)
    key = build, repr(settings)
    if key not in _MEASUREMENTS:
        known, hints = lookup.keywords(build), lookup.hints(build)
        for field, value in settings.items():
            if field not in known:
                raise unknown_field(f'measure.{name}.{field}', (*when.FIELDS, *known), where=f'measure.{name}')
            kinds.check(f'config.measure.{name}.{field}', value, known[field], hints.get(field, Any))
        quantity = build(**settings)
        if not isinstance(quantity, Measure):
            raise ValueError(
                f'config.measure.{name}: its function returned {type(quantity).__name__}; allowed: a Measure '
                '(bsresearch/measure/__init__.py)'
            )
        _MEASUREMENTS[key] = quantity
    return _MEASUREMENTS[key]


def _check_weights(quantity: Measure, params: Any, function: str | None) -> None:
    """Raises the ValueError of a measurement that refuses weights of these shapes; `function`: where one's own lies."""
    key = id(quantity), id(params)
    if key not in _MEASURABLE:
        try:
            jax.eval_shape(quantity.init, params)
        except Exception as error:
            if function is None:
                raise
            raise own_part.failure(error, function, 'measurement') from error
        _MEASURABLE[key] = params


def _check_drawn(field: str, value: Any, epoch_size: int) -> None:
    """Raises ValueError for a batch beyond the training set, where it is no small one drawn with replacement."""
    most = max(epoch_size, MOST_DRAWN)
    if field.endswith(('batch_size', '.samples')) and value > most:
        raise ValueError(f'{field}={value}: at most {most}; the training set has {epoch_size} examples')


def resolve(
    config: Mapping[str, Any],
    policy: Policy,
    optimizer: str,
    length: units.Length,
    schedule: tuple[units.Length, int],
    ghost: int | None,
    params: Any,
) -> dict[str, Any]:
    """The recording sections, checked against the run.

    Args:
      config: the completed config.
      optimizer: its name. schedule: what the schedules stretch over (branch_length.schedule_length).
      ghost: examples of a batch-norm group, None without batch norm.
      params: shapes of the weights.

    Raises:
      ValueError: an unknown field, points outside the run, or a measurement or a probe that this run cannot have.
    """
    for field in ('record', 'norms', 'evaluate', 'checkpoint', 'keep'):
        when.points(config[field], length, f'config.{field}')
    config = {**config, 'measure': presets.apply(config['measure_preset'], config['measure'], ghost)}
    for name, spec in config['measure'].items():
        settings = when.rest(spec)
        quantity = _measurement(name, settings)
        for field, value in settings.items():
            _check_drawn(f'config.measure.{name}.{field}', value, length.epoch_size)
        if when.points(spec, length, f'config.measure.{name}'):
            _check_weights(quantity, params, settings.get('function'))
            _check_measure(name, settings, quantity, optimizer, length.epoch_size, ghost)
    probe = sections.complete('probe', config['probe'])
    for key, value in probe.items():
        _check_drawn(f'config.probe.{key}', value, length.epoch_size)
    _check_estimated(config, probe, ghost)
    if probe['name'] != 'none':
        kind(probe).check(params, length.epoch_size, ghost)
    points = {*probe_points(probe, length), *branch_points(config['branch'], length)}
    return schema.recorded(config) | {
        'probe': probe,
        'snapshots': _snapshots(config['snapshots'], policy, length, schedule),
        'keep': _kept(config['keep'], points, length),
    }


def _check_estimated(config: Mapping[str, Any], probe: Mapping[str, Any], ghost: int | None) -> None:
    """Raises ValueError for statistics estimated anew of a batch norm that is not the package's."""
    if not ghost or not own_part.is_path(config['model']['name']):
        return
    for field, asked, cure in (
        ("config.probe.statistics='estimated'", probe.get('statistics') == 'estimated', 'interpolated'),
        ('config.evaluate.estimated_statistics=True', config['evaluate']['estimated_statistics'], 'False'),
    ):
        if asked:
            raise ValueError(
                f"{field} is for the package's batch norm, whose averages keep 0.9 of the old value; of a network of "
                f'your own use {cure}'
            )


def _kept(spec: Mapping[str, Any], points: set[int], length: units.Length) -> dict[str, Any]:
    """The points whose checkpoints are kept: also those of probes and branches."""
    if not points - set(when.points(spec, length)):
        return dict(spec)
    return {**spec, 'at_steps': tuple(sorted({*spec['at_steps'], *points}))}


def probe_points(section: Mapping[str, Any], length: units.Length) -> list[int]:
    """The updates at whose θ_t a probe is made; without any, the end of the run."""
    if section['name'] == 'none':
        return []
    return _points(section, length, 'config.probe') or [length.total_steps]


def branch_points(section: Mapping[str, Any], length: units.Length) -> list[int]:
    """The updates at whose θ_t branches begin, those of named arms too."""
    points = set(_points(section, length, 'config.branch'))
    for name, arm in section.get('arms', {}).items():
        points |= set(_points({**dict.fromkeys(POINTS, ()), **arm}, length, f'config.branch.arms.{name}'))
    return sorted(points)


def _points(section: Mapping[str, Any], length: units.Length, field: str) -> list[int]:
    return when.points(when.OFF | {name: section[name] for name in POINTS}, length, field)


def declared_points(section: Mapping[str, Any], length: units.Length, field: str) -> dict[int, float]:
    """Update → the epoch that was declared for it; of one declared as an update, the epoch it is at."""
    at = lambda name, value: when.points(when.OFF | {name: (value,)}, length, field)[0]
    steps = {at('at_steps', step): length.epoch_at(step) for step in section['at_steps']}
    return dict(sorted((steps | {at('at_epochs', epoch): epoch for epoch in section['at_epochs']}).items()))


def _snapshots(
    spec: Mapping[str, Any], policy: Policy, length: units.Length, schedule: tuple[units.Length, int]
) -> dict[str, Any]:
    """With the ends of cycles as update numbers, so that runs of one group agree on them."""
    when.points(spec, length, 'config.snapshots')
    if not spec['cycle_ends']:
        return dict(spec)
    if policy.schedule['name'] != 'warm_restarts':
        raise ValueError(
            f'config.snapshots.cycle_ends=True needs schedule.name=warm_restarts, which has cycles; this one is '
            f'{policy.schedule["name"]!r}. Name the points instead, e.g. config.snapshots.at_epochs=5,10'
        )
    return {**spec, 'at_steps': tuple(sorted({*spec['at_steps'], *cycle_ends(policy, length, *schedule)}))}
