"""Values that make no sense: each is refused in one line, in bounded time, before anything is written or compiled."""

import math
from typing import Any

import fuzz
import pytest

from bsresearch.core import kinds
from bsresearch.core.units import Length, Span
from bsresearch.data import blobs, linear_regression, noisy_quadratic
from bsresearch.models import losses
from bsresearch.optim import batch_schedules, policy
from bsresearch.planning import schema, sections, sweep


def refused(overrides: dict[str, Any], *named: str) -> None:
    """One line, which holds every one of `named`."""
    said = fuzz.outcome(overrides, seconds=20.0)
    assert said != 'plans', overrides
    assert not said.startswith('!'), (overrides, said)
    assert all(word in said for word in named), said


def test_whatever_is_given_makes_plans_or_one_line():
    """A seeded sample of all fields times values of every kind: nothing but plans or a ValueError of one line."""
    fuzz.plan({})
    for overrides in fuzz.cases(seed=20, count=250):
        said = fuzz.outcome(overrides, seconds=20.0)
        assert not said.startswith('!'), (overrides, said)


@pytest.mark.slow
@pytest.mark.parametrize('part', range(8))
def test_all_fields_times_all_values_make_plans_or_one_line(part: int):
    """As above, all of them."""
    fuzz.plan({})
    for overrides in fuzz.cases(seed=20)[part::8]:
        said = fuzz.outcome(overrides, seconds=60.0)
        assert not said.startswith('!'), (overrides, said)


NAMED: dict[str, tuple[dict[str, Any], str]] = {
    'endless updates': ({'total_steps': 99999999999999999999}, 'total_steps'),
    'updates beyond int32': ({'total_steps': 2**31}, 'total_steps'),
    'epochs without end': ({'total_epochs': 1e30}, 'total_epochs'),
    'examples beyond int64': ({'total_examples': 2**62}, 'total_examples'),
    'points without end': ({'record.log_spaced': 2147483647}, 'config.record.log_spaced'),
    'a point at every update of many': ({'total_steps': 2**31 - 1, 'evaluate.every_epochs': 0.0,
                                         'checkpoint.every_epochs': 0.0, 'keep.every_steps': 1}, 'keep.every_steps=1'),
    'tiny distances': ({'evaluate.every_epochs': 1e-30}, 'config.evaluate.every_epochs'),
    'a huge batch': ({'batch_size': 2**63 - 1}, 'config.batch_size'),
    'a batch beyond memory': ({'batch_size': 2**31 - 1}, 'config.batch_size'),
    'a huge batch on the way': ({'batch_schedule.name': 'steps', 'batch_schedule.at_epochs': (1.0,),
                                 'batch_schedule.batch_sizes': (2**31 - 1,)}, '2147483647'),
    'a huge batch of a measurement': ({'measure.alpha.every_epochs': 1.0, 'measure.alpha.batch_size': 2**63 - 1},
                                      'config.measure.alpha.batch_size'),
    'a batch of a measurement beyond the data': ({'measure.alpha.every_epochs': 1.0, 'measure.alpha.batch_size': 2**17},
                                                 'config.measure.alpha.batch_size'),
    'a batch of an evaluation beyond the data': ({'evaluate.batch_size': 501}, 'config.evaluate.batch_size=501'),
    'a micro-batch beyond the batch': ({'micro_batch_size': 33}, 'config.micro_batch_size=33'),
    'samples of a probe': ({'probe.name': 'gradient_norm', 'probe.samples': 2**20}, 'config.probe.samples'),
    'smoothing of 1': ({'loss.label_smoothing': 1.0}, 'loss.label_smoothing'),
    'smoothing below 0': ({'loss.label_smoothing': -0.1}, 'loss.label_smoothing'),
    'a rate of 0 in float32': ({'learning_rate': 1e-46}, 'config.learning_rate'),
    'an infinite rate in float32': ({'learning_rate': 1e39}, 'config.learning_rate'),
    'a rate of 0 after scaling': ({'learning_rate': 1e-37, 'scaling.name': 'linear',
                                   'scaling.reference_batch_size': 32 * 1000}, 'config.learning_rate'),
    'an infinite rate after scaling': ({'learning_rate': 1e38, 'scaling.name': 'linear',
                                        'scaling.reference_batch_size': 1}, 'config.learning_rate'),
    'a rate of 0 after its schedule': ({'schedule.name': 'exponential', 'schedule.final': 1e-37,
                                        'learning_rate': 1e-3}, 'config.learning_rate'),
    'no_decay as a number': ({'no_decay': 3}, 'config.no_decay'),
    'no_decay of numbers': ({'no_decay': (3,)}, 'config.no_decay'),
    'a section as a number': ({'momentum_schedule': 0}, 'momentum_schedule'),
    'an axis of sections of numbers': ({'sweep.momentum_schedule': (0,)}, 'momentum_schedule'),
    'an axis of sections of words': ({'sweep.model': ('word',)}, 'model'),
    'growths without end': ({'batch_schedule.name': 'instead_of_decay', 'schedule.name': 'exponential',
                             'batch_schedule.max_growths': math.inf}, 'config.batch_schedule.max_growths'),
    'a cap that is a word': ({'batch_schedule.name': 'growth', 'batch_schedule.at_epochs': (1.0,),
                              'batch_schedule.max_batch_size': 'word'}, 'config.batch_schedule.max_batch_size'),
    'parts that are none': ({'schedule.name': 'join', 'schedule.parts': 3}, 'config.schedule.parts'),
    'a part with a word': ({'schedule.name': 'join', 'schedule.at_fractions': (0.5,),
                            'schedule.parts': ({'name': 'constant'}, {'name': 'linear', 'final': 'word'})}, 'final'),
    'a part with a huge number': ({'schedule.name': 'join', 'schedule.at_fractions': (0.5,),
                                   'schedule.parts': ({'name': 'constant'}, {'name': 'linear', 'final': 10**400})},
                                  'parts'),
    'words for optax': ({'schedule.name': 'optax', 'schedule.function': 'exponential_decay',
                         'schedule.arguments': {'init_value': 'word', 'transition_steps': 10, 'decay_rate': 0.5}},
                        'schedule.arguments'),
    'cycles without end': ({'total_steps': 2**31 - 1, 'evaluate.every_epochs': 0.0, 'checkpoint.every_epochs': 0.0,
                            'schedule.name': 'warm_restarts', 'schedule.first_cycle_steps': 2,
                            'snapshots.cycle_ends': True}, 'first_cycle'),
    'a layer beyond counting': ({'model.widths': (2**31 - 1, 2**31 - 1)}, 'config.model.widths'),
    'a layer beyond memory': ({'model.widths': (2**24, 2**24)}, 'bytes'),
    'a kernel beyond the image': ({'data.name': 'digits', 'model.name': 'cnn', 'model.kernel_size': 16},
                                  'kernel_size=16'),
    'a crop beyond the image': ({'data.name': 'digits', 'data.augment': ('crop',), 'data.crop_padding': 9},
                                'data.crop_padding=9'),
    'chunks without end': ({'reduction': 'ordered', 'reduction_chunks': 2**31}, 'config.reduction_chunks'),
    'data beyond memory': ({'data.num_examples': 2**31}, 'blobs'),
    'words for rates of a probe': ({'probe.name': 'gradient_norm', 'probe.learning_rates': ('word',)},
                                   'config.probe.learning_rates'),
}  # fmt: skip


@pytest.mark.parametrize('case', NAMED)
def test_a_value_that_makes_no_sense_is_refused(case: str):
    """By the name of the field."""
    overrides, named = NAMED[case]
    refused(overrides, named)


def test_values_that_make_sense_still_do():
    """The edges of what is allowed."""
    for overrides in (
        {'learning_rate': 1e-37},
        {'learning_rate': 1e38},
        {'dtype': 'float64', 'scaling.name': 'linear', 'scaling.reference_batch_size': 10**6, 'learning_rate': 1e-37},
        {'total_steps': 2**31 - 1, 'evaluate.every_epochs': 0.0, 'checkpoint.every_epochs': 0.0},
        {'loss.label_smoothing': 0.999},
        {'evaluate.batch_size': 500},
        {'micro_batch_size': 32},
        {'record.log_spaced': 1000},
        {'no_decay': ['bias']},
        {'data.random_state': 2**32 - 1},
        {'schedule.name': 'linear', 'schedule.final': 0},
    ):
        assert fuzz.outcome(overrides, seconds=20.0) == 'plans', overrides


@pytest.mark.parametrize('section', schema.PARTS)
def test_every_field_of_every_part_has_a_kind(section: str):
    """A contract: where the default is None the annotation says the kind, so a tuple of tuples fits none of them."""
    for name in fuzz._members(section):
        hints = sections.hints_of(section, name)
        for field, default in sections.defaults(section, name).items():
            assert field in hints, (section, name, field)
            kinds.check(field, default, default, hints[field])
            with pytest.raises(ValueError, match=field):
                kinds.check(field, object(), default, hints[field])


def test_growth_instead_of_decay_is_that_of_a_search_through_all_updates():
    """Brute force: at each growth the first update that wants as much; wherever the cap lies."""
    shape = {'name': 'warm_restarts', 'first_cycle_steps': 40, 'peak_decay': 0.6, 'final': 0.05}
    own = policy.Policy(
        0.1, 0.0, 0.0, {**sections.complete('schedule', shape)}, {'name': 'constant'}, {'name': 'constant'},
        warmup={'examples': 0, 'start': 0.0, 'convention': 'zero_based', 'shape': 'gradual', 'delays_schedule': False},
        batch_schedule={'name': 'instead_of_decay', 'as_learning_rate': False},
    )  # fmt: skip
    length = Length(2000, 8, 8 * 200)
    noise = policy.relative_noise(own, length)
    for factor in (1.01, 2.0, 3.0):
        for cap in (9, 13, 40, 200):
            found = batch_schedules.instead_of_decay(
                Span(length, 0, 200), lambda: noise, min_factor=factor, max_batch_size=cap
            )
            wanted, size, update, expected = [min(cap, int(8 / g * (1 + 1e-9))) for g in noise], 8, 0, []
            while True:
                due = [t for t in range(update, 200) if wanted[t] >= size * factor]
                if not due and size < cap and max(wanted[update:]) == cap:
                    due = [t for t in range(update, 200) if wanted[t] == cap]
                if not due:
                    break
                update, size = due[0], wanted[due[0]]
                expected.append((length.examples_at(update), size))
            assert list(found) == expected


@pytest.mark.parametrize('load', [blobs.load, linear_regression.load, noisy_quadratic.load])
def test_a_made_up_set_beyond_memory_is_refused_before_it_is_made(load: Any):
    """Its numbers are counted first."""
    with pytest.raises(ValueError, match='at most'):
        load(num_examples=2**40)


def test_smoothing_of_the_whole_target_is_refused():
    """ε = 1 leaves no class."""
    import jax.numpy as jnp

    for epsilon in (-1e-3, 1.0, math.nan):
        with pytest.raises(ValueError, match='label_smoothing'):
            losses.cross_entropy(jnp.zeros((1, 2)), jnp.zeros(1, int), label_smoothing=epsilon)


def test_a_section_of_a_config_file_that_is_a_word_is_refused():
    """As one of the command line."""
    for section in ('model', 'sweep', 'warmup', 'measure'):
        with pytest.raises(ValueError, match=f'{section}=.*section'):
            sweep.expand(fuzz.base() | {section: 'word'})
