"""Policies: schedules read together, batch-size schedules, noise temperature, scaling rules, as configs resolve."""

import math
from typing import Any

import numpy as np
import pytest

from bsresearch.core import lookup
from bsresearch.core.units import Length, Span
from bsresearch.optim import batch_schedules, noise, policy, scaling
from bsresearch.planning import edit, schema, sweep
from bsresearch.planning.plan import Plan


def one(**changes: Any) -> Plan:
    """A run of momentum SGD on 1,437 digits; dots written as two underscores."""
    base = {'model.name': 'linear', 'optimizer.name': 'momentum', 'total_epochs': 12.0, 'batch_size': 10}
    given = {k.replace('__', '.'): v for k, v in changes.items()}
    lengths = {k: v for k, v in given.items() if k in edit.LENGTHS}
    base = {k: v for k, v in base.items() if not lengths or k not in edit.LENGTHS}
    (plan,) = sweep.expand(schema.defaults().to_dict(), base | given)
    return plan


def values(plan: Plan) -> policy.Values:
    return plan.table(0, plan.length.total_steps)


def temperature(plan: Plan) -> np.ndarray:
    v = values(plan)
    return noise.temperature(v.learning_rate, v.momentum, plan.epoch_size, v.batch_size)


# --- schedules used together


def test_momentum_and_weight_decay_have_schedules_of_their_own():
    """Closed form: the declared value times the shape, the learning rate untouched."""
    plan = one(
        momentum=0.8, weight_decay=1e-3, momentum_schedule__name='linear', momentum_schedule__final=0.5,
        weight_decay_schedule__name='step', weight_decay_schedule__at_epochs=(6.0,),
    )  # fmt: skip
    v, total = values(plan), plan.length.total_steps
    np.testing.assert_allclose(v.momentum, np.linspace(0.8, 0.4, total), rtol=1e-12)
    seen = np.array([plan.length.examples_at(t) for t in range(total)])
    np.testing.assert_allclose(v.weight_decay, np.where(seen >= 6 * 1437, 1e-4, 1e-3), rtol=1e-12)
    assert (v.learning_rate == 0.1).all()


def test_a_schedule_that_cycles_momentum_needs_no_other():
    plan = one(schedule__name='one_cycle')
    assert plan.policy.momentum is None
    assert values(plan).momentum.max() == 0.95
    assert values(plan).momentum.min() == pytest.approx(0.85, abs=1e-4)
    fixed = one(schedule__name='one_cycle', schedule__cycle_momentum=False, momentum=0.7)
    assert (values(fixed).momentum == 0.7).all()
    for changes, message in (
        ({'momentum': 0.9}, 'momentum=0.9 would not be used'),
        ({'optimizer__name': 'sgd'}, 'cycles momentum, and sgd has none'),
        ({'momentum_schedule__name': 'cosine'}, 'both set it'),
        ({'scaling__momentum': 'half_life', 'scaling__reference_batch_size': 5}, 'brings its own momentum'),
    ):
        with pytest.raises(ValueError, match=message):
            one(schedule__name='one_cycle', **changes)


def test_a_warmup_may_delay_the_schedule():
    """Closed form: W updates of warm-up at the schedule's first value, then the whole schedule in what is left."""
    plan = one(total_steps=50, warmup__steps=10, warmup__delays_schedule=True, schedule__name='cosine')
    found = values(plan).learning_rate
    np.testing.assert_allclose(found[:10], 0.1 * np.arange(10) / 10)
    p = np.arange(40) / 39
    np.testing.assert_allclose(found[10:], 0.05 * (1 + np.cos(np.pi * p)), atol=1e-16)
    over = values(one(total_steps=50, warmup__steps=10, schedule__name='cosine')).learning_rate
    np.testing.assert_allclose(over[10:], 0.05 * (1 + np.cos(np.pi * np.arange(10, 50) / 49)), atol=1e-16)


def test_goyals_three_warmups():
    """Closed form: none, constant at a fraction, gradual."""
    flat = values(one(total_steps=20, warmup__steps=5, warmup__shape='constant', warmup__start=0.2)).learning_rate
    np.testing.assert_allclose(flat, [0.02] * 5 + [0.1] * 15)
    gradual = values(one(total_steps=20, warmup__steps=5, warmup__start=0.2)).learning_rate
    np.testing.assert_allclose(gradual, [*np.linspace(0.02, 0.1, 6)[:5], *[0.1] * 15])
    with pytest.raises(ValueError, match=r"config\.warmup\.shape='flat': allowed are gradual, constant"):
        one(warmup__shape='flat')


# --- batch-size schedules


def test_growth_is_a_list_of_batch_sizes():
    """Closed form: B·factor^i at each point, up to the cap; the learning rate stays."""
    plan = one(batch_schedule__name='growth', batch_schedule__factor=3.0, batch_schedule__at_epochs=(2.0, 4.0, 6.0))
    assert plan.policy.batch_changes == ((2 * 1437, 30), (4 * 1437, 90), (6 * 1437, 270))
    assert [b for _, _, b in plan.length.segments] == [10, 30, 90, 270]
    assert set(values(plan).learning_rate) == {0.1}
    capped = one(
        batch_schedule__name='growth', batch_schedule__factor=3.0, batch_schedule__every_epochs=2.0,
        batch_schedule__max_fraction=0.05,
    )  # fmt: skip
    assert capped.policy.batch_changes == ((2 * 1437, 30), (4 * 1437, 71))  # ⌊0.05·1437⌋, after which nothing changes
    tenths = one(batch_schedule__name='growth', batch_schedule__every_epochs=0.1, total_epochs=0.5)
    assert [e for e, _ in tenths.policy.batch_changes] == [144, 288, 432, 575]  # ⌈i·143.7⌉
    listed = one(
        batch_schedule__name='steps', batch_schedule__batch_sizes=(7, 500), batch_schedule__at_fractions=(0.1, 0.9)
    )
    assert listed.policy.batch_changes == ((1725, 7), (15520, 500))


@pytest.mark.parametrize('boundary', ['through', 'partial'])
@pytest.mark.parametrize('settings', [{}, {'max_growths': 1}, {'max_fraction': 0.1}, {'min_factor': 3.0}])
@pytest.mark.parametrize('schedule', ['step', 'cosine', 'one_cycle'])
def test_growing_the_batch_instead_has_the_same_noise_temperature(schedule: str, settings: dict, boundary: str):
    """Brute force: at every update g is that of the first batch size's run at the example it starts with."""
    own: dict[str, Any] = {'schedule__name': schedule, 'epoch_boundary': boundary}
    own |= {'schedule__factor': 0.2, 'schedule__at_fractions': (0.3, 0.6, 0.8)} if schedule == 'step' else {}
    own |= {'schedule__final': 0.01} if schedule == 'cosine' else {}
    base = one(**own)
    grown = one(
        **own, batch_schedule__name='instead_of_decay', **{f'batch_schedule__{k}': v for k, v in settings.items()}
    )
    assert grown.length.total_steps < base.length.total_steps
    sizes = values(grown).batch_size
    assert sizes.max() <= 1437 * settings.get('max_fraction', 1)
    assert len(set(sizes)) <= 1 + settings.get('max_growths', 99)
    starts = np.array([base.length.examples_at(t) for t in range(base.length.total_steps)])
    seen = np.array([grown.length.examples_at(t) for t in range(grown.length.total_steps)])
    expected = temperature(base)[np.searchsorted(starts, seen, side='right') - 1]
    np.testing.assert_allclose(temperature(grown), expected, rtol=1e-12)


def test_smiths_three_arms():
    """Closed form: batches ×5 at each stage up to a tenth of the set, and what is left decays the rate."""
    own = {'schedule__name': 'step', 'schedule__factor': 0.2, 'schedule__at_fractions': (0.3, 0.6, 0.8)}
    grow = {**own, 'batch_schedule__name': 'instead_of_decay', 'batch_schedule__max_fraction': 0.1}
    v = values(one(**grow))
    assert list(dict.fromkeys(v.batch_size)) == [10, 50, 143]
    np.testing.assert_allclose(sorted(set(v.learning_rate.round(12))), [0.1 * 143 / 1250, 0.1 * 143 / 250, 0.1])
    hybrid = values(one(**grow, batch_schedule__max_growths=1))
    assert list(dict.fromkeys(hybrid.batch_size)) == [10, 50]
    np.testing.assert_allclose(sorted(set(hybrid.learning_rate.round(12))), [0.004, 0.02, 0.1])


@pytest.mark.parametrize('name', ['growth', 'instead_of_decay'])
def test_a_batch_schedule_as_a_learning_rate_schedule(name: str):
    """The converter's other direction: B stays, the rate falls by B_first/B; equal g at the updates' first examples."""
    settings = {'growth': {'at_epochs': (2.0, 4.0), 'factor': 4.0}, 'instead_of_decay': {}}[name]
    own: dict[str, Any] = {f'batch_schedule__{k}': v for k, v in settings.items()} | {'batch_schedule__name': name}
    own |= {'schedule__name': 'step', 'schedule__at_epochs': (5.0,)}
    as_batch, as_rate = one(**own), one(**own, batch_schedule__as_learning_rate=True)
    assert set(values(as_rate).batch_size) == {10}
    starts = np.array([as_rate.length.examples_at(t) for t in range(as_rate.length.total_steps)])
    seen = np.array([as_batch.length.examples_at(t) for t in range(as_batch.length.total_steps)])
    # Compared away from the changes, where the two cut the stream differently.
    near = np.array([min(abs(s - e * 1437) for e in (2, 4, 5)) < 200 for s in seen])
    found = temperature(as_rate)[np.searchsorted(starts, seen, side='right') - 1]
    np.testing.assert_allclose(temperature(as_batch)[~near], found[~near], rtol=1e-12)
    assert as_batch.id != as_rate.id


def batch(name: str, **settings: Any) -> dict[str, Any]:
    """A batch schedule for `one`."""
    return {'batch_schedule__name': name} | {f'batch_schedule__{k}': v for k, v in settings.items()}


GROWS = batch('growth', at_epochs=(1.0,))
NORMED = {'model__name': 'mlp', 'model__batch_norm': True}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    'beyond the data': (batch('steps', batch_sizes=(2000,), at_epochs=(1.0,)), 'batches of 2000, more than the 1437'),
    'past the end': (batch('growth', at_epochs=(13.0,)), r'at_epochs=13\.0 lies outside'),
    'at the end': (batch('growth', at_epochs=(12.0,)), 'must rise and lie inside'),
    'falling': (batch('growth', at_epochs=(4.0, 2.0)), 'must rise'),
    'no points': (batch('growth'), 'needs its points'),
    'never': (batch('growth', every_epochs=12.0), r'every_epochs=12\.0: must be positive and shorter than the run'),
    'no examples': (batch('steps', batch_sizes=(20.5,), at_epochs=(1.0,)), 'whole numbers of examples'),
    'no cap': (GROWS | batch('growth', max_batch_size=0), 'cap of 0 examples'),
    'a flat warm-up at 0': ({'warmup__epochs': 1.0, 'warmup__shape': 'constant'}, 'learning rate of 0'),
    'no decay': ({'weight_decay_schedule__name': 'cosine'}, 'schedules nothing'),
    'no momentum': ({'optimizer__name': 'sgd', 'momentum_schedule__name': 'cosine'}, 'no momentum to schedule'),
    'no growth': ({'batch_schedule__as_learning_rate': True}, 'with a constant batch size'),
    'no warm-up': ({'scaling__name': 'legw', 'scaling__reference_batch_size': 5}, 'there is none'),
    'a wrong section': (
        {'weight_decay': 0.1, 'weight_decay_schedule__name': 'step', 'weight_decay_schedule__at_epochs': (13.0,)},
        r'^weight_decay_schedule\.at_epochs=13\.0 lies outside',
    ),
    'twice': (GROWS | batch('growth', every_epochs=1.0), 'is given beside other points'),
    'shrinking': (GROWS | batch('growth', factor=1.0), r'factor=1\.0: must exceed 1'),
    'too few sizes': (batch('steps', batch_sizes=(20,), at_epochs=(1.0, 2.0)), 'one for each of the 2 points'),
    'cap below': (GROWS | batch('growth', max_batch_size=5), 'cap of 5 examples lies below batch_size=10'),
    'nothing to grow': (batch('instead_of_decay'), 'nothing would grow'),
    'a rate of zero': (batch('instead_of_decay') | {'schedule__name': 'cosine'}, 'is 0 at update'),
    'in updates': (GROWS | {'total_steps': 999}, 'total_steps=999 with a batch size that changes'),
    'a warm-up in updates': (GROWS | {'warmup__steps': 30}, r'warmup\.steps=30 with a batch.*warmup\.epochs or'),
    'dropping': (GROWS | {'epoch_boundary': 'drop'}, 'epoch_boundary=drop'),
    'ghosts': (batch('steps', batch_sizes=(25,), at_epochs=(1.0,)) | NORMED, 'batch_size=25 is not a whole number'),
    'momentum of 1': (
        {'momentum': 0.95, 'momentum_schedule__name': 'step', 'momentum_schedule__at_epochs': (6.0,)}
        | {'momentum_schedule__factor': 1.1},
        r'momentum=1.* at update|factor=1\.1',
    ),
}


@pytest.mark.parametrize('case', BAD, ids=lambda c: c.replace(' ', '-'))
def test_impossible_policies_are_refused(case: str):
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        one(**changes)


def test_values_outside_their_range_are_found_at_the_ends_of_long_runs():
    """A single bad update in a run of ten million is found at its ends; short runs are looked at whole."""
    plan = one()
    bad = plan.policy._replace(momentum=1.0, momentum_schedule={'name': 'linear', 'start': 0.5, 'final': 1.0})
    with pytest.raises(ValueError, match='momentum=1 at update 9999999'):
        policy.check(bad, Length(10, 1, 10**7))
    with pytest.raises(ValueError, match='momentum=1 at update 99'):
        policy.check(bad, Length(10, 1, 100))


def test_growth_instead_of_decay_follows_a_delayed_schedule():
    """Closed form: the decay half-way through what the warm-up left is where B grows; the rate stays below its peak."""
    plan = one(
        total_examples=1600, batch_size=8, warmup__examples=800, warmup__delays_schedule=True, schedule__name='step',
        schedule__factor=0.2, schedule__at_fractions=(0.5,), batch_schedule__name='instead_of_decay',
    )  # fmt: skip
    assert plan.policy.batch_changes == ((1200, 40),)
    assert values(plan).learning_rate.max() == pytest.approx(0.1)


def test_growth_instead_of_decay_refuses_noise_that_rises_again():
    restarts = {'schedule__name': 'warm_restarts', 'schedule__first_cycle_epochs': 3.0, 'schedule__final': 0.01}
    with pytest.raises(ValueError, match=r'rises again after the batch has grown.* would exceed its peak of 0\.1'):
        one(**restarts, batch_schedule__name='instead_of_decay')


def test_as_a_learning_rate_the_schedule_is_read_where_it_was_declared_also_with_drop():
    own = {'schedule__name': 'step', 'schedule__factor': 0.2, 'schedule__at_epochs': (2.0, 4.0)}
    own |= {'batch_size': 1000, 'total_epochs': 6.0, 'epoch_boundary': 'drop'}
    grown = one(**own, batch_schedule__name='instead_of_decay', batch_schedule__as_learning_rate=True,
                batch_schedule__min_factor=1.2)  # fmt: skip
    np.testing.assert_allclose(values(grown).learning_rate, values(one(**own)).learning_rate, rtol=1e-12)


@pytest.mark.parametrize('delayed', [False, True])
@pytest.mark.parametrize('grows', [False, True])
def test_snapshots_are_where_cycles_end(delayed: bool, grows: bool):
    """The update at which the rate jumps back is the snapshot's, wherever the schedule is read."""
    plan = one(
        batch_size=32, schedule__name='warm_restarts', schedule__first_cycle_epochs=2.0, snapshots__cycle_ends=True,
        schedule__peak_decay=0.25 if grows else 1.0, schedule__final=1e-4,
        **({'warmup__epochs': 0.5, 'warmup__delays_schedule': True, 'warmup__start': 1.0} if delayed else {}),
        **(batch('instead_of_decay', max_batch_size=64, max_growths=1) if grows else {}),
    )  # fmt: skip
    rates = values(plan).learning_rate / values(plan).batch_size  # a growing batch takes the rate with it
    rises = np.flatnonzero(np.diff(rates) > 1e-9) + 1
    ends = plan.recording['snapshots']['at_steps']
    assert len(ends) >= 5
    assert [t for t in ends if t < len(rates)] == rises.tolist()


@pytest.mark.parametrize(('size', 'epochs', 'multiplier', 'ends'), [(64, 1.0, 1, 4), (64, 0.5, 1, 8), (50, 1.0, 3, 2)])
def test_cycles_in_epochs_fill_whole_epochs(size: int, epochs: float, multiplier: int, ends: int):
    """Closed form: cycle i ends with the first update that has seen its epochs; the run's last update ends a cycle."""
    plan = one(
        total_epochs=4.0, batch_size=size, schedule__name='warm_restarts', schedule__first_cycle_epochs=epochs,
        schedule__cycle_multiplier=multiplier, schedule__ends='last', snapshots__cycle_ends=True,
    )  # fmt: skip
    seen, expected = 0.0, []
    for i in range(ends):
        seen += epochs * multiplier**i
        expected.append(plan.length.step_at(math.ceil(seen * 1437)))
    assert list(plan.recording['snapshots']['at_steps']) == expected
    assert expected[-1] == plan.length.total_steps
    rates = values(plan).learning_rate
    assert [rates[t - 1] for t in expected] == [0.0] * ends
    assert [rates[t] for t in [0, *expected[:-1]]] == [0.1] * ends


def test_a_momentum_schedule_of_its_own_cannot_be_a_pair():
    with pytest.raises(ValueError, match=r'schedules a learning rate and its momentum together'):
        one(momentum_schedule__name='one_cycle')


# --- scaling rules


@pytest.mark.parametrize('k', [0.25, 1.0, 4.0])
def test_rules_in_closed_form(k: float):
    """Each rule's formulas, and that k = 1 changes nothing."""
    base = scaling.Scaled(0.1, 0.9, 1e-4, 1.0, 0.999, 1e-8)
    root = math.sqrt(k)
    expected = {
        'none': {},
        'linear': {'learning_rate': 0.1 * k},
        'sqrt': {'learning_rate': 0.1 * root},
        'adam_sde': {
            'learning_rate': 0.1 * root, 'momentum': 1 - 0.1 * k, 'beta2': 1 - 0.001 * k, 'epsilon': 1e-8 / root
        },
        'half_life': {'momentum': 0.9**k, 'beta2': 0.999**k},
        'legw': {'learning_rate': 0.1 * root, 'warmup': k},
        'critical': {'learning_rate': 0.1 * 2 / (1 + 1 / k)},
        'noise_temperature': {'learning_rate': 0.1 * k},
    }  # fmt: skip
    assert expected.keys() == lookup.functions(scaling, ('base', 'k')).keys()
    for name, changes in expected.items():
        assert getattr(scaling, name)(base, k) == pytest.approx(base._replace(**changes), rel=1e-12)
        assert getattr(scaling, name)(base, 1.0) == pytest.approx(base)
    rooted = scaling.critical(base, k, noise_scale=4.0, exponent=0.5)
    assert rooted == base._replace(learning_rate=pytest.approx(0.1 * math.sqrt(5 / (1 + 4 / k))))
    by_momentum = scaling.noise_temperature(base, k, by='momentum')
    g = noise.temperature(by_momentum.learning_rate, by_momentum.momentum, 1000, 32 * k)
    assert g == pytest.approx(noise.temperature(0.1, 0.9, 1000, 32))


def test_half_lives_in_examples_do_not_depend_on_the_batch_size():
    """Closed form: β(B) = β_ref^k halves over equally many examples."""
    for size in (5, 10, 40, 100):
        plan = one(batch_size=size, momentum=0.9, scaling__name='half_life', scaling__reference_batch_size=10)
        assert size * math.log(0.5) / math.log(plan.policy.momentum or 0) == pytest.approx(
            10 * math.log(0.5) / math.log(0.9)
        )


def test_rules_for_single_quantities_are_resolved_and_recorded():
    plan = one(
        batch_size=40, weight_decay=1e-3, warmup__epochs=1.0, momentum=0.9, scaling__name='linear',
        scaling__reference_batch_size=10, scaling__weight_decay='sqrt', scaling__warmup='linear',
        scaling__momentum='half_life',
    )  # fmt: skip
    assert plan.policy.learning_rate == pytest.approx(0.4)
    assert plan.policy.weight_decay == pytest.approx(2e-3)
    assert plan.policy.warmup['examples'] == 4 * 1437
    assert plan.policy.momentum == pytest.approx(0.9**4)
    adam = one(optimizer__name='adam', batch_size=40, scaling__name='adam_sde', scaling__reference_batch_size=10)
    assert adam.optimizer['beta2'] == pytest.approx(1 - 4e-3)
    assert adam.optimizer['epsilon'] == pytest.approx(0.5e-8)
    assert adam.policy.momentum == pytest.approx(0.6)


def rule(name: str, reference: int = 5, **changes: Any) -> dict[str, Any]:
    """A scaling rule for `one`."""
    return {'scaling__name': name, 'scaling__reference_batch_size': reference} | changes


ADAM = {'optimizer__name': 'adam', 'batch_size': 200}


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'scaling__weight_decay': 'linear'}, r'needs scaling\.reference_batch_size'),
        ({'scaling__regime_adaptation': True}, r'needs scaling\.reference_batch_size'),
        (rule('adam_sde'), 'adam_sde is for Adam'),
        (rule('adam_sde') | ADAM, r'gives momentum=-3 at batch_size=200'),
        (rule('noise_temperature', scaling__by='rate'), "by='rate'"),
        (rule('critical', scaling__noise_scale=0.0), r'scaling\.noise_scale=0\.0: a number above 0'),
        (rule('none', scaling__weight_decay='square'), "weight_decay='square': allowed are"),
        (rule('none', scaling__momentum='sqrt'), "momentum='sqrt': allowed are none, half"),
        (rule('legw', 1, warmup__epochs=2.0), 'times 10 by the scaling'),
    ],
)
def test_rules_that_cannot_be_are_refused(changes: dict, message: str):
    with pytest.raises(ValueError, match=message):
        one(**changes)


def test_regime_adaptation_makes_equal_updates():
    """Closed form: B_ref·k sees k times the epochs; every boundary lies at the same update."""
    own = {'schedule__name': 'step', 'schedule__at_epochs': (3.0, 6.0), 'warmup__epochs': 1.0}
    rule = {'scaling__regime_adaptation': True, 'scaling__reference_batch_size': 10}
    small, large = one(**own), one(**own, **rule, batch_size=40)
    assert large.length.total_steps == small.length.total_steps
    np.testing.assert_array_equal(values(small).learning_rate, values(large).learning_rate)
    assert large.total_examples == 4 * small.total_examples


@pytest.mark.parametrize(('size', 'reference'), [(160, 96), (80, 48), (224, 96), (32, 8)])
def test_regime_adaptation_is_exact(size: int, reference: int):
    """Updates and every table are those of B_ref: odd ratios, fields left at their defaults, parts of a join."""
    rule = {'scaling__regime_adaptation': True, 'scaling__reference_batch_size': reference}
    joined = ({'name': 'constant'}, {'name': 'exponential_rate', 'every_epochs': 0.5})
    schedules = ({'name': 'exponential_rate'}, {'name': 'join', 'parts': joined, 'at_epochs': (1.0,)})
    for schedule in schedules:
        config = schema.defaults().to_dict() | {'schedule': schedule, 'epoch_boundary': 'through'}
        make = lambda b, c=config: sweep.expand(c, {'total_epochs': 3.0, 'model.name': 'linear', 'batch_size': b, **{
            k.replace('__', '.'): v for k, v in rule.items()}})[0]  # fmt: skip
        large, small = make(size), make(reference)
        assert abs(large.length.total_steps - small.length.total_steps) <= 1
        count = min(large.length.total_steps, small.length.total_steps)
        np.testing.assert_allclose(values(large).learning_rate[:count], values(small).learning_rate[:count], rtol=1e-3)
    assert one(total_epochs=1.0, batch_size=size, **rule).total_examples == math.ceil(1437 * size / reference)


def test_warm_ups_in_updates_are_declared_at_the_reference():
    """LEGW at k = 4: 20 updates of B_ref are 160 examples, four times as many in all: 20 updates of B."""
    own = {'scaling__name': 'legw', 'scaling__reference_batch_size': 8, 'batch_size': 32}
    by_steps, by_examples = one(warmup__steps=20, **own), one(warmup__examples=160, **own)
    assert by_steps.policy.warmup['examples'] == by_examples.policy.warmup['examples'] == 640
    with pytest.raises(ValueError, match='would do so twice'):
        one(warmup__epochs=0.5, scaling__regime_adaptation=True, **own)


def test_half_life_needs_moments_and_knows_their_names():
    own = {'scaling__name': 'half_life', 'scaling__reference_batch_size': 5}
    with pytest.raises(ValueError, match='keeps no moment'):
        one(optimizer__name='sgd', **own)
    with pytest.raises(ValueError, match='brings its own momentum'):
        one(schedule__name='one_cycle', **own)
    assert one(optimizer__name='rmsprop', **own).optimizer['alpha'] == pytest.approx(0.99**2)
    assert one(optimizer__name='adadelta', **own).optimizer['rho'] == pytest.approx(0.9**2)


def test_a_joined_schedule_has_one_id():
    """Invariance: a part's default said or left out."""
    config = schema.defaults().to_dict()
    ids = set()
    for part in ({'name': 'cosine'}, {'name': 'cosine', 'final': 0.0, 'times': 1.0}):
        schedule = {'name': 'join', 'parts': ({'name': 'constant'}, part), 'at_fractions': (0.5,)}
        (plan,) = sweep.expand(config | {'schedule': schedule, 'total_epochs': 2.0})
        ids.add(plan.id)
    assert len(ids) == 1


# --- the average's weights


@pytest.mark.parametrize('half_life', [1, 25, 10**6])
def test_average_rates_are_the_normalized_exponential_weights(half_life: int):
    """Brute force: weights 2^(−age/H) of θ_1 … θ_T, age in examples, over their sum."""
    length = Length(23, 5, 61, 'partial', ((30, 9),))
    total = length.total_steps
    seen = np.array([length.examples_at(t) for t in range(total + 1)])
    rates = policy.ema_rate(half_life, seen[:-1], np.diff(seen))
    thetas = np.sin(np.arange(1, total + 1))
    average = 0.0
    for r, theta in zip(rates, thetas, strict=True):
        average += r * (theta - average)
    # θ_{t+1} has the weight of the examples that made it: those of its batch, at their ages.
    ages = seen[-1] - np.arange(1, seen[-1] + 1)
    weights = np.exp2(-ages / half_life)
    owner = np.searchsorted(seen[1:], np.arange(seen[-1]), side='right')
    assert average == pytest.approx((weights * thetas[owner]).sum() / weights.sum(), rel=1e-9)
    assert rates[0] == pytest.approx(1.0)


def test_every_batch_schedule_is_one_that_length_accepts():
    """The members' contract: any of them gives changes that Length accepts, for odd sizes."""
    length = Length(97, 3, 400)
    span = Span(length, 0, length.total_steps)
    flat = lambda: np.ones(length.total_steps)
    halving = lambda: 0.5 ** (np.arange(length.total_steps) // 30)
    found = {
        'constant': batch_schedules.constant(span, flat),
        'growth': batch_schedules.growth(span, flat, factor=1.7, at_examples=(5, 6, 399)),
        'instead_of_decay': batch_schedules.instead_of_decay(span, halving),
        'steps': batch_schedules.steps(span, flat, batch_sizes=(1, 97), at_examples=(7, 8)),
    }
    assert found.keys() == lookup.functions(batch_schedules, ('span', 'noise')).keys()
    assert found['constant'] == ()
    for changes in found.values():
        grown = Length(97, 3, 400, 'through', changes)
        assert sum(grown.batches(0, grown.total_steps)[2]) == 400
