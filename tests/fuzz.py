"""Overrides that make no sense: every field of the config and of every named part, times values of every kind."""

import contextlib
import itertools
import math
import pathlib
import random
import resource
import signal
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from bsresearch.core import lookup, when
from bsresearch.core.flat import flatten
from bsresearch.launching import fitting
from bsresearch.planning import schema, sections, sweep
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import runs_of

# Memory that a case may take; threads of JAX reserve some too.
MORE_BYTES = 2**32
VALUES: tuple[Any, ...] = (
    *(0, -1, 3, 2**24, 2**31 - 1, 2**32 - 1, 2**53 + 1, 2**62, 2**63 - 1, 10**20, 10**400),
    *(0.5, -0.5, 5e-324, 1e-46, 1e39, 1e300, -1e300, math.inf, -math.inf, math.nan),
    *(True, False, 'word', '', '[red]', None, {}, {'name': 'word'}, {'a': 1}),
    *((), (0,), (3,), (-1,), (0.5,), (2**63 - 1,), (10**20,), (math.inf,), (math.nan,)),
    *(('word',), (None,), ((1,),), (True,), (1, 1)),
)
# What some parts need before their own fields are looked at.
NEEDS: dict[str, dict[str, Any]] = {
    'schedule.name=step': {'schedule.at_epochs': (1.0,)},
    'schedule.name=cyclical': {'schedule.up_steps': 5, 'optimizer.name': 'momentum'},
    'schedule.name=inverse_sqrt': {'schedule.timescale_steps': 5},
    'schedule.name=warm_restarts': {'schedule.first_cycle_steps': 10},
    'schedule.name=one_cycle': {'optimizer.name': 'momentum'},
    'schedule.name=one_cycle_fastai': {'optimizer.name': 'momentum'},
    'batch_schedule.name=growth': {'batch_schedule.at_epochs': (1.0,), 'batch_schedule.max_batch_size': 64},
    'batch_schedule.name=steps': {'batch_schedule.at_epochs': (1.0,), 'batch_schedule.batch_sizes': (64,)},
    'batch_schedule.name=instead_of_decay': {'schedule.name': 'exponential'},
    'optimizer.name=adam': {},
    'model.name=cnn': {'data.name': 'digits', 'model.widths': (4,), 'model.dense_width': 4},
    'model.name=c1': {'data.name': 'digits', 'model.width': 2, 'model.dense_widths': (4,)},
    'model.name=resnet': {'data.name': 'digits', 'model.depth': 8, 'model.width': 2},
    'model.name=wide_resnet': {'data.name': 'digits', 'model.depth': 10, 'model.widening': 1},
    'probe.name=interpolation': {},
}


def base() -> dict[str, Any]:
    """A tiny MLP on 500 examples of blobs for three epochs."""
    config = schema.defaults().to_dict()
    config['model'] = {'name': 'mlp', 'widths': (4,)}
    config['data'] = {**config['data'], 'name': 'blobs'}
    return config | {'total_epochs': 3.0}


def settings() -> list[dict[str, Any]]:
    """For every field the overrides that bring it into play, the field itself last, its value its own default."""
    plain = flatten(base())
    found: list[dict[str, Any]] = [{name: value} for name, value in plain.items() if not name.startswith('measure.')]
    found += [{section: None} for section in (*schema.known(), 'sweep.zip', 'measure.distance')]
    for section in schema.PARTS:
        for name in _members(section):
            given = {f'{section}.name': name} | NEEDS.get(f'{section}.name={name}', {})
            if section == 'weight_decay_schedule':
                given['weight_decay'] = 0.1
            if section == 'momentum_schedule':
                given['optimizer.name'] = 'momentum'
            own = sections.defaults(section, name)
            found += [{**given, f'{section}.{key}': value} for key, value in own.items()]
    for name in lookup.members('bsresearch.measure', 'build'):
        build = lookup.module('bsresearch.measure', 'build', name, 'measurement').build
        given = {f'measure.{name}.every_epochs': 1.0}
        found += [{**given, f'measure.{name}.{key}': value} for key, value in lookup.keywords(build).items()]
    found += [{f'measure.distance.{key}': 0} for key in when.FIELDS]
    found += [{'study': 'reload', 'branch.at_epochs': (1.0,), 'branch.batch_sizes': (16,), f'branch.{key}': None}
              for key in schema.known()['branch']]  # fmt: skip
    found += [{'study': 'critical_batch_size', 'branch.at_epochs': (1.0,), 'branch.multiples': (2,), f'branch.{key}': 0}
              for key in schema.known()['branch']]  # fmt: skip
    arguments = {'init_value': 1.0, 'transition_steps': 10, 'decay_rate': 0.5}
    named = {'schedule.name': 'optax', 'schedule.function': 'exponential_decay'}
    found += [{**named, 'schedule.arguments': arguments}]
    part = {'name': 'linear', 'final': 0.5}
    joined = {'schedule.name': 'join', 'schedule.at_fractions': (0.5,), 'schedule.parts': (part, part)}
    found += [{**joined, f'schedule.{key}': None} for key in ('at_fractions', 'parts')]
    reference = {'scaling.reference_batch_size': 8}
    for name in ('linear', 'half_life', 'legw', 'adam_sde', 'noise_temperature', 'critical'):
        rule = {'scaling.name': name, 'optimizer.name': 'adam', 'warmup.steps': 2, **reference}
        fields = ('batch_size', 'scaling.reference_batch_size', 'learning_rate', 'optimizer.beta2', 'momentum')
        found += [{**rule, field: None} for field in fields]
    restarts = {'schedule.name': 'warm_restarts', 'schedule.first_cycle_steps': 10}
    found += [{**restarts, 'snapshots.cycle_ends': True, field: None} for field in (
        'schedule.first_cycle_steps', 'total_steps', 'total_examples')]  # fmt: skip
    found += [{**NEEDS['batch_schedule.name=instead_of_decay'], 'batch_schedule.name': 'instead_of_decay', field: None}
              for field in ('total_steps', 'total_examples', 'total_epochs', 'batch_size')]  # fmt: skip
    found += [{'model.batch_norm': True, field: None} for field in ('ghost_batch_size', 'workers', 'batch_size')]
    found += [{'reduction': 'ordered', field: None} for field in ('reduction_chunks', 'batch_size', 'devices')]
    found += [{'dtype': dtype, 'learning_rate': None} for dtype in ('bfloat16', 'float64')]
    found += [{'data.name': 'digits', 'data.augment': ('crop',), 'data.crop_padding': None}]
    found += [{'model.widths': (value, value), 'model.batch_norm': None} for value in (2**16, 2**31 - 1, 2**32 - 1)]
    found += [{'total_epochs': None}, {'total_examples': None}, {'total_steps': None}]
    found += [
        {f'sweep.{name}': None} for name in ('seed', 'batch_size', 'model', 'model.widths', 'zip.seed', 'measure')
    ]
    return found


def _members(section: str) -> tuple[str, ...]:
    try:
        sections.part(section, 'no such name')
    except ValueError as e:
        return tuple(str(e).rpartition('llowed: ')[2].partition(';')[0].split(', '))
    return lookup.members('bsresearch.data', 'load')


def cases(seed: int, count: int | None = None) -> list[dict[str, Any]]:
    """Overrides in a seeded order, all of them or the first `count`: each field with each value."""
    every = [{**given, list(given)[-1]: value} for given, value in itertools.product(settings(), VALUES)]
    random.Random(seed).shuffle(every)
    return every[:count]


class Slow(BaseException):
    """A case took longer than it may."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Ends what takes longer; refuses memory far beyond what the process has."""

    def stop(*_: Any) -> None:
        raise Slow

    size = int(pathlib.Path('/proc/self/statm').read_text(encoding='utf-8').split()[0]) * resource.getpagesize()
    before, limits = signal.signal(signal.SIGALRM, stop), resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size + MORE_BYTES, limits[1]))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, limits)
        signal.signal(signal.SIGALRM, before)


def plan(overrides: Mapping[str, Any]) -> list[Any]:
    """Everything that main.py does before it writes or compiles."""
    given = dict(overrides)
    config = base()
    config['study'] = given.pop('study', config['study'])
    plans = sweep.expand(config, given)
    with jax.enable_x64(any(p.dtype == 'float64' for p in plans)):
        return _staged(config['study'], plans)


def _staged(name: str, plans: list[Plan]) -> list[Any]:
    study = lookup.module('bsresearch.studies', 'stages', name, 'study')
    if hasattr(study, 'check'):
        study.check(plans)
    stages = list(study.stages(plans))
    fitting.groups([p for stage in stages for p in runs_of(stage)])
    return stages


def outcome(overrides: Mapping[str, Any], seconds: float = 5.0) -> str:
    """'plans', the one line of a refusal, or what went wrong, with an exclamation mark before it."""
    try:
        with limited(seconds):
            plan(overrides)
    except ValueError as e:
        return f'!{e}' if '\n' in str(e) or not str(e) or len(str(e)) > 1500 else str(e)
    except Slow:
        return '!slow'
    except Exception as e:
        return f'!{type(e).__name__}: {e}'
    return 'plans'
