"""Schedule shapes against their closed forms at every update, and against torch, fastai and optax."""

import json
import math
import pathlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import numpy as np
import pytest

from bsresearch.core.units import Length, Span
from bsresearch.optim import schedules
from bsresearch.optim.schedules import Paired, cycle_ends, from_optax

GOLDENS = json.loads((pathlib.Path(__file__).parent / 'schedule_goldens.json').read_text())
CASES = [case for made in GOLDENS['cases'].values() for case in made]
LONG = 10**7

# One declaration of every member, for the contracts; each is right for 30 updates.
EXAMPLES: dict[str, list[dict[str, Any]]] = {
    'constant': [{}],
    'linear': [{}, {'start': 0.1, 'final': 0.7}],
    'polynomial': [{}, {'power': 2.0, 'final': 0.1}, {'power': 0.5, 'ends': 'past'}],
    'cosine': [{}, {'final': 0.1, 'ends': 'past'}],
    'exponential': [{}],
    'inverse_sqrt': [{'timescale_steps': 4}, {'timescale_epochs': 1.0}],
    'step': [{'at_epochs': (1.0, 2.5)}, {'at_fractions': (0.3,)}, {'at_examples': (8, 20)}, {'every_epochs': 0.7}],
    'exponential_rate': [{}, {'every_epochs': 0.7, 'staircase': True}],
    'warmup_stable_decay': [{}, {'warmup_fraction': 0.1, 'decay': 'sqrt'}, {'decay': 'cosine', 'final': 0.2}],
    'range_test': [{}, {'kind': 'linear'}],
    'one_cycle': [{}, {'three_phase': True}, {'anneal_strategy': 'linear', 'cycle_momentum': False}],
    'one_cycle_fastai': [{}],
    'one_cycle_smith': [{}],
    'one_cycle_optax': [{}, {'cosine': False}],
    'cyclical': [
        {'up_steps': 4},
        {'up_steps': 4, 'down_steps': 6, 'mode': 'triangular2'},
        {'up_epochs': 1.0, 'mode': 'exp_range', 'gamma': 0.9},
        {'up_steps': 9, 'mode': 'decay'},
    ],
    'warm_restarts': [
        {'first_cycle_steps': 4},
        {'first_cycle_epochs': 1.0, 'cycle_multiplier': 2, 'warmup_fraction': 0.2, 'final': 0.1, 'ends': 'last'},
    ],
    'optax': [{'function': 'cosine_decay_schedule', 'arguments': {'init_value': 1.0, 'decay_steps': 30}}],
    'join': [
        {'parts': ({'name': 'linear', 'start': 0.0, 'final': 1.0}, {'name': 'cosine'}), 'at_fractions': (0.3,)},
        {'parts': ({'name': 'one_cycle'}, {'name': 'one_cycle', 'times': 0.5}), 'at_epochs': (2.0,)},
    ],
}
EVERY = [(name, settings) for name, given in EXAMPLES.items() for settings in given]


def span_of(steps: int, epoch_steps: int = 7, start: int = 0, batch_size: int = 1) -> Span:
    """`steps` updates from `start`, `epoch_steps` of them an epoch."""
    length = Length(epoch_steps * batch_size, batch_size, (start + steps) * batch_size)
    return Span(length, start, start + steps)


def paired(name: str, t: np.ndarray, span: Span, **settings: Any) -> Paired:
    values = schedules.members()[name](t, span, **settings)
    return values if isinstance(values, Paired) else Paired(values, None)


def factors(name: str, span: Span, **settings: Any) -> np.ndarray:
    return paired(name, np.arange(span.steps), span, **settings).factor


def at(name: str, t: list[int], span: Span, **settings: Any) -> list[float]:
    return paired(name, np.array(t, np.int64), span, **settings).factor.tolist()


def assert_same(
    found: np.ndarray, scalar: Callable[[int], float | Fraction], t: range | list[int] | None = None
) -> None:
    """Within rounding of a value computed one update at a time in Python."""
    expected = [float(scalar(u)) for u in (range(len(found)) if t is None else t)]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


# --- contracts over every member


def test_every_member_has_an_example():
    assert set(EXAMPLES) == set(schedules.members())


@pytest.mark.parametrize(('name', 'settings'), EVERY)
def test_any_chunk_gives_the_same_bits(name: str, settings: dict):
    """Invariance, bitwise: single updates, halves, and updates out of order; on a span inside a longer run."""
    span = span_of(30, start=13)
    t = np.arange(30)
    whole = paired(name, t, span, **settings)
    order = np.random.default_rng(0).permutation(30)
    for chunks in (np.split(t, 30), np.split(t, [11, 12, 29]), [order]):
        parts = [paired(name, chunk, span, **settings) for chunk in chunks]
        back = np.argsort(np.concatenate(chunks))
        assert np.concatenate([p.factor for p in parts])[back].tobytes() == whole.factor.tobytes()
        if whole.momentum is not None:
            momentum = np.concatenate([p.momentum for p in parts if p.momentum is not None])
            assert momentum[back].tobytes() == whole.momentum.tobytes()
    assert paired(name, t[:0], span, **settings).factor.shape == (0,)


@pytest.mark.parametrize(('name', 'settings'), EVERY)
def test_values_are_float64_fractions_of_the_peak(name: str, settings: dict):
    """Invariance: (T,) float64 in [0, 1], momentum in [0, 1), over the whole span."""
    values = paired(name, np.arange(30), span_of(30), **settings)
    for row in (values.factor, values.momentum):
        if row is not None:
            assert row.shape == (30,)
            assert row.dtype == np.float64
            assert (row >= 0).all()
            assert (row <= 1).all()


@pytest.mark.parametrize(('name', 'settings'), EVERY)
def test_a_span_counts_from_its_start(name: str, settings: dict):
    """Invariance: the same span later in a run has the same values."""
    late, early = (paired(name, np.arange(30), span_of(30, start=s), **settings) for s in (14, 0))
    np.testing.assert_array_equal(late.factor, early.factor)


@pytest.mark.parametrize(('name', 'settings'), EVERY)
def test_short_spans_are_right_or_refused(name: str, settings: dict):
    """Every value finite and in [0, 1], or an error that names a field; the same whichever updates are asked for."""
    for steps in range(1, 11):
        span, found = span_of(steps), []
        for t in (np.arange(steps), np.arange(0), np.array([steps - 1])):
            try:
                values = paired(name, t, span, **settings).factor
            except ValueError as error:
                found.append(str(error))
            else:
                found.append('schedule is right')
                assert ((values >= 0) & (values <= 1)).all(), steps
        assert len(set(found)) == 1, steps
        assert 'schedule' in found[0], steps


# --- goldens of the references


@pytest.mark.parametrize('index', range(len(CASES)))
def test_goldens(index: int):
    """Independent libraries: torch 2.13 and fastai 2.8 (positions in float64)."""
    case = CASES[index]
    # Schedulers of epochs were stepped every two updates.
    span = span_of(case['steps'], 2)
    t = np.array(case.get('t', range(case['steps'])), np.int64)
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in case['settings'].items()}
    found = paired(case['shape'], t, span, **settings)
    np.testing.assert_allclose(found.factor, case['rates'], rtol=1e-12, atol=1e-16)
    if 'momenta' in case:
        assert found.momentum is not None
        np.testing.assert_allclose(found.momentum, case['momenta'], rtol=1e-12)
    else:
        assert found.momentum is None
    if 'recorded' in case:
        assert found.momentum is not None
        np.testing.assert_allclose(found.factor, case['recorded'], rtol=0, atol=3e-7)
        np.testing.assert_allclose(found.momentum, case['recorded_momenta'], rtol=0, atol=3e-7)


def test_the_goldens_hold_what_they_should():
    count = {shape: sum(c['shape'] == shape for c in CASES) for shape in {c['shape'] for c in CASES}}
    assert count['one_cycle'] > 40
    assert count['cyclical'] == 12
    assert max(max(c.get('t', [0])) for c in CASES) >= 5_000_000
    assert GOLDENS['versions'] == {'torch': '2.13.0+cpu', 'fastai': '2.8.12'}


# --- decays


LENGTHS = (2, 3, 4, 5, 9, 10, 31, 100)


@pytest.mark.parametrize('steps', LENGTHS)
def test_decays_by_their_closed_forms(steps: int):
    """Closed form, in fractions where it is rational; both ends exact."""
    span, last = span_of(steps), steps - 1
    p = lambda t: Fraction(t, last)
    assert_same(factors('constant', span), lambda t: 1.0)
    assert_same(factors('linear', span, start=0.25, final=0.75), lambda t: Fraction(1, 4) + p(t) / 2)
    assert_same(factors('polynomial', span, power=3.0, final=0.5), lambda t: (1 + (1 - p(t)) ** 3) / 2)
    assert_same(factors('polynomial', span, power=2.0, ends='past'), lambda t: Fraction(steps - t, steps) ** 2)
    assert_same(factors('cosine', span, final=0.2), lambda t: 0.2 + 0.8 * math.cos(math.pi * t / last / 2) ** 2)
    assert_same(factors('cosine', span, ends='past'), lambda t: math.cos(math.pi * t / steps / 2) ** 2)
    assert_same(factors('exponential', span, final=1e-3), lambda t: 10 ** (-3 * t / last))
    assert_same(factors('inverse_sqrt', span, timescale_steps=2), lambda t: 1.0 if t < 2 else math.sqrt(2 / t))
    assert_same(factors('range_test', span, start=1e-5), lambda t: 10 ** (-5 * (last - t) / last))
    assert_same(factors('range_test', span, start=0.5, kind='linear'), lambda t: (1 + p(t)) / 2)


@pytest.mark.parametrize(
    ('name', 'settings', 'first', 'final'),
    [
        ('linear', {'start': 0.3, 'final': 0.1}, 0.3, 0.1),
        ('polynomial', {'final': 0.1, 'power': 2.0}, 1.0, 0.1),
        ('cosine', {'final': 0.1}, 1.0, 0.1),
        ('exponential', {'final': 0.003}, 1.0, 0.003),
        ('range_test', {'start': 1e-7}, 1e-7, 1.0),
        ('range_test', {'start': 1e-7, 'kind': 'linear'}, 1e-7, 1.0),
    ],
)
def test_ends_are_exact(name: str, settings: dict, first: float, final: float):
    """Closed form, exactly: the first and the last update, and neither value anywhere near them."""
    for steps in (*range(2, 11), 101, LONG, LONG + 1, 10**12):
        near = at(name, [0, 1, steps - 2, steps - 1], span_of(steps), **settings)
        assert (near[0], near[-1]) == (first, final), steps
        if 2 < steps < LONG:
            assert first not in near[1:], steps
            assert final not in near[:-1], steps


@pytest.mark.parametrize('name', ['linear', 'polynomial', 'cosine', 'exponential', 'range_test'])
def test_one_update_cannot_have_two_ends(name: str):
    with pytest.raises(ValueError, match=rf'schedule\.name={name} needs at least 2 updates and has 1'):
        factors(name, span_of(1))


def test_a_past_end_is_defined_for_one_update():
    assert factors('cosine', span_of(1), ends='past').tolist() == [1.0]
    assert factors('polynomial', span_of(1), ends='past').tolist() == [1.0]


def test_inverse_sqrt_in_epochs_follows_the_batch_size():
    """Closed form: τ of 2 epochs of 24 examples is 12 updates of 4 and 6 of 8; zero_based warm-up makes Vaswani's."""
    for batch_size, scale in ((4, 12), (8, 6)):
        span = Span(Length(24, batch_size, 240), 0, 240 // batch_size)
        found = factors('inverse_sqrt', span, timescale_epochs=2.0)
        t = np.arange(1, span.steps)
        vaswani = np.minimum(t**-0.5, t * scale**-1.5) * scale**0.5
        np.testing.assert_allclose(found[1:] * np.minimum(1, t / scale), vaswani, rtol=1e-13)


# --- boundaries of the example stream


@pytest.mark.parametrize('boundary', ['through', 'partial', 'drop'])
@pytest.mark.parametrize('batch_size', [1, 3, 4, 7])
def test_step_and_exponential_rate_count_examples(boundary: str, batch_size: int):
    """Brute force: examples seen before each update, one update at a time, on a span that starts inside an epoch."""
    length = Length(10, batch_size, 90, boundary)
    span = Span(length, 2, length.total_steps)
    n = length.epoch_examples
    seen = [length.examples_at(2 + t) - length.examples_at(2) for t in range(span.steps)]
    passed = [sum(s >= Fraction(e) * n for e in ('1.5', '3.3')) for s in seen]
    found = factors('step', span, factor=0.5, at_epochs=(1.5, 3.3))
    assert_same(found, lambda t: 0.5 ** passed[t])
    assert_same(
        factors('step', span, factor=0.5, at_examples=(11, 30)), lambda t: 0.5 ** sum(seen[t] >= e for e in (11, 30))
    )
    for epochs in ('1.3', '2.1'):
        epoch = Fraction(epochs) * n
        whole = lambda t, epoch=epoch: seen[t] // epoch
        assert_same(factors('step', span, factor=0.5, every_epochs=float(epochs)), lambda t, k=whole: 0.5 ** k(t))
        settings = {'factor': 0.9, 'every_epochs': float(epochs)}
        assert_same(factors('exponential_rate', span, staircase=True, **settings), lambda t, k=whole: 0.9 ** k(t))
        assert_same(factors('exponential_rate', span, **settings), lambda t, e=epoch: 0.9 ** float(seen[t] / e))


def test_boundaries_within_a_batch_decay_together():
    """Closed form: 10 examples an epoch, B = 8: boundaries at 1, 4 and 17 examples are updates 1, 1 and 3."""
    span = Span(Length(10, 8, 40), 0, 5)
    assert factors('step', span, factor=0.5, at_examples=(1, 4, 17)).tolist() == [1, 0.25, 0.25, 0.125, 0.125]
    assert factors('step', span, factor=0.5, every_epochs=0.4).tolist() == [1, 0.25, 0.0625, 0.015625, 2.0**-8]


def test_boundaries_are_exact_far_out():
    """Closed form: decays every 0.1 epochs of 5·10⁸ examples, beyond 10¹² updates, at the very update."""
    span = span_of(10**12 + 10, 5 * 10**8)
    edge = 20_000 * 5 * 10**7 - 10**9
    settings = {'factor': 0.999, 'every_epochs': 0.1}
    found = at('step', [edge - 1, edge, edge + 1], span, **settings)
    count = edge // (5 * 10**7)
    assert found == [0.999 ** (count - 1.0), 0.999 ** float(count), 0.999 ** float(count)]


# --- warm-up, plateau, decay


@pytest.mark.parametrize(('decay', 'form'), [
    ('linear', lambda p: 1 - p), ('cosine', lambda p: math.cos(math.pi * p / 2) ** 2), ('sqrt', lambda p: 1 - p**0.5),
])  # fmt: skip
def test_warmup_stable_decay(decay: str, form: Callable):
    """Closed form: W = ⌈0.15·T⌉ rising to the peak at W − 1, T − ⌈0.7·T⌉ falling to `final` at T − 1."""
    settings = {'warmup_fraction': 0.15, 'decay_fraction': 0.3, 'final': 0.125, 'decay': decay}
    for steps in (2, 3):
        with pytest.raises(ValueError, match=r'decay_fraction=0.3: less than one of'):
            factors('warmup_stable_decay', span_of(steps), **settings)
    for steps in range(4, 40):
        rise, fall = math.ceil(Fraction(15, 100) * steps), math.ceil(Fraction(7, 10) * steps)
        found = factors('warmup_stable_decay', span_of(steps), **settings)
        shape = lambda t, fall=fall, steps=steps: 0.125 + 0.875 * form((t + 1 - fall) / (steps - fall))
        expected = [(t + 1) / rise if t < rise else 1.0 if t < fall else shape(t) for t in range(steps)]
        np.testing.assert_allclose(found, expected, rtol=1e-12, err_msg=str(steps))
        assert found[rise - 1] == found[fall - 1] == 1
        assert found[-1] == 0.125


# --- one-cycle


@pytest.mark.parametrize('three_phase', [False, True])
@pytest.mark.parametrize('strategy', ['cos', 'linear'])
@pytest.mark.parametrize(('steps', 'pct_start'), [(6, 0.5), (10, 0.3), (11, 0.35), (100, 0.3), (101, 0.2)])
def test_one_cycle_by_its_closed_form(three_phase: bool, strategy: str, steps: int, pct_start: float):
    """Closed form: phases whose ends are not rounded, walked one update at a time."""
    edges = [0.0, pct_start * steps - 1, *([2 * pct_start * steps - 2] if three_phase else []), steps - 1.0]
    low, end = 1 / 25, 1 / 250_000
    levels = [low, 1.0, low, end] if three_phase else [low, 1.0, end]

    def scalar(t: int, values: list[float]) -> float:
        phase = next(i for i, stop in enumerate(edges[1:]) if t <= stop)
        p = (t - edges[phase]) / (edges[phase + 1] - edges[phase])
        share = math.sin(math.pi * p / 2) ** 2 if strategy == 'cos' else p
        return values[phase] * (1 - share) + values[phase + 1] * share

    span = span_of(steps)
    found = paired(
        'one_cycle', np.arange(steps), span, pct_start=pct_start, three_phase=three_phase, anneal_strategy=strategy
    )
    momenta = [0.95, 0.85, 0.95, 0.95]
    np.testing.assert_allclose(found.factor, [scalar(t, levels) for t in range(steps)], rtol=1e-9)
    assert found.momentum is not None
    np.testing.assert_allclose(found.momentum, [scalar(t, momenta) for t in range(steps)], rtol=1e-12)
    alone = paired('one_cycle', np.arange(steps), span, pct_start=pct_start, cycle_momentum=False)
    assert alone.momentum is None


@pytest.mark.parametrize('steps', [10, 30, 1000, LONG])
def test_one_cycle_peaks_and_ends_at_whole_updates(steps: int):
    """Closed form, exactly: where pct_start·T is whole, the peak is update pct_start·T − 1; the minimum the last."""
    top = 3 * steps // 10 - 1
    span = span_of(steps)
    t = np.array([0, top - 1, top, top + 1, 2 * top, steps - 1])
    for settings in ({}, {'three_phase': True}):
        found = paired('one_cycle', t, span, **settings)
        assert found.momentum is not None
        assert found.factor[[2, 5]].tolist() == [1, 1 / 25 / 1e4]
        assert found.factor[0] == pytest.approx(1 / 25, rel=1e-14)
        np.testing.assert_allclose(found.momentum[[0, 2, 5]], [0.95, 0.85, 0.95], rtol=1e-15)
        assert (found.factor[[1, 3]] < 1).all()
        if settings:
            assert found.factor[4] == pytest.approx(1 / 25, rel=1e-12)


@pytest.mark.parametrize(('steps', 'pct_start', 'three_phase'), [
    (1, 0.3, False), (2, 0.3, False), (3, 0.3, False), (2, 0.5, False), (4, 0.25, False), (10, 0.1, False),
    (2, 0.6, False), (2, 0.9, False), (3, 0.5, True), (4, 0.3, True), (5, 0.3, True), (10, 0.6, True), (6, 0.25, True),
])  # fmt: skip
def test_one_cycles_too_short_are_refused(steps: int, pct_start: float, three_phase: bool):
    """Torch divides by zero here, starts in mid-fall, or passes the cycle between two updates."""
    with pytest.raises(
        ValueError, match=rf'schedule.pct_start={pct_start}: over {steps} updates the phases.*needed are'
    ):
        factors('one_cycle', span_of(steps), pct_start=pct_start, three_phase=three_phase)


@pytest.mark.parametrize('steps', [2, 4, 7, 40, 100])
def test_one_cycle_fastai_by_its_closed_form(steps: int):
    """Closed form: position t/T, a quarter up from 1/25, the rest down to 10⁻⁵."""

    def scalar(t: int, a: float, b: float, c: float) -> float:
        first = 4 * t < steps
        p = 4 * t / steps if first else (4 * t - steps) / (3 * steps)
        start, end = (a, b) if first else (b, c)
        return start + (end - start) * math.sin(math.pi * p / 2) ** 2

    found = paired('one_cycle_fastai', np.arange(steps), span_of(steps))
    assert found.momentum is not None
    assert_same(found.factor, lambda t: scalar(t, 1 / 25, 1, 1e-5))
    assert_same(found.momentum, lambda t: scalar(t, 0.95, 0.85, 0.95))
    if steps % 4 == 0:
        assert found.factor[steps // 4] == 1


@pytest.mark.parametrize('steps', [4, 10, 11, 37, 100, 101])
def test_one_cycle_smith(steps: int):
    """Closed form, in fractions: peak at E/2, minimum at E, a hundredth of it at T − 1, all exact."""
    fraction = 0.5 if steps == 4 else 0.9
    end = min(math.ceil(Fraction(str(fraction)) * steps), steps - 2) // 2 * 2
    low, half = Fraction(1, 10), end // 2

    def height(t: int) -> Fraction:
        return Fraction(t, half) if t <= half else Fraction(max(0, end - t), half)

    def scalar(t: int) -> Fraction:
        past = Fraction(t - end, steps - 1 - end)
        return low + (1 - low) * height(t) if t <= end else low * (1 - past * Fraction(99, 100))

    found = paired('one_cycle_smith', np.arange(steps), span_of(steps), cycle_fraction=fraction)
    assert found.momentum is not None
    assert_same(found.factor, scalar)
    assert_same(found.momentum, lambda t: Fraction(95, 100) - height(t) / 10)
    assert found.factor[[0, half, end, -1]].tolist() == [0.1, 1, 0.1, 0.1 * 0.01]
    assert found.momentum[[0, half, end, -1]].tolist() == [0.95, 0.85, 0.95, 0.95]


def test_one_cycle_smith_over_a_long_run():
    found = at('one_cycle_smith', [0, 4_499_999, 4_500_000, 4_500_001, 9 * 10**6, LONG - 1], span_of(LONG))
    assert found[2] == 1 > max(found[1], found[3])
    assert (found[0], found[4], found[5]) == (0.1, 0.1, 0.1 * 0.01)


@pytest.mark.parametrize('cosine', [True, False])
@pytest.mark.parametrize(
    ('steps', 'settings'), [(4, {}), (10, {}), (99, {}), (100, {'pct_start': 0.29, 'div_factor': 5.0})]
)
def test_one_cycle_optax_by_its_library(cosine: bool, steps: int, settings: dict):
    """Independent library, in float64, at every update."""
    function = f'{"cosine" if cosine else "linear"}_onecycle_schedule'
    arguments = {'transition_steps': steps, 'peak_value': 1.0} | settings
    expected = factors('optax', span_of(steps), function=function, arguments=arguments)
    found = factors('one_cycle_optax', span_of(steps), cosine=cosine, **settings)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert int(np.argmax(expected)) == int(settings.get('pct_start', 0.3) * steps)


@pytest.mark.parametrize(('steps', 'cosine'), [(1, True), (3, True), (1, False), (2, False), (3, False)])
def test_one_cycle_optax_too_short_is_refused(steps: int, cosine: bool):
    with pytest.raises(ValueError, match=f'over {steps} updates the phases of one_cycle_optax'):
        factors('one_cycle_optax', span_of(steps), cosine=cosine)


# --- cycles


@pytest.mark.parametrize('mode', ['triangular', 'triangular2', 'exp_range'])
@pytest.mark.parametrize(('up', 'down'), [(1, 1), (3, 3), (4, 7), (5, 1)])
@pytest.mark.parametrize('offset', [0, 10**12])
def test_cyclical_by_its_closed_form(mode: str, up: int, down: int, offset: int):
    """Closed form, in fractions, also 10¹² updates on: peak and base exactly where they belong."""
    settings: dict[str, Any] = {'mode': mode, 'up_steps': up, 'down_steps': down, 'base': 0.25}
    if mode == 'exp_range':
        settings['gamma'] = 0.97 if offset == 0 else 1 - 1e-12
    t = list(range(offset, offset + 40))
    found = paired('cyclical', np.array(t), span_of(offset + 40), **settings)

    def share(u: int) -> float:
        cycle, inside = divmod(u, up + down)
        s = min(Fraction(inside, up), Fraction(up + down - inside, down))
        scale = {'triangular': 1.0, 'triangular2': 0.5 ** min(cycle, 2000)}
        return float(s) * (scale[mode] if mode in scale else settings['gamma'] ** u)

    assert found.momentum is not None
    assert_same(found.factor, lambda u: 0.25 + 0.75 * share(u), t)
    assert_same(found.momentum, lambda u: 0.9 - (0.9 - 0.8) * share(u), t)
    if mode == 'triangular':
        assert [u for u, f in zip(t, found.factor, strict=True) if f == 1] == [u for u in t if u % (up + down) == up]
        assert [u for u, f in zip(t, found.factor, strict=True) if f == 0.25] == [u for u in t if u % (up + down) == 0]


def test_cyclical_decay_only():
    """Closed form: Smith's control falls once and stays; momentum at its maximum."""
    found = paired('cyclical', np.arange(10), span_of(10), mode='decay', base=0.5, up_steps=4)
    assert found.factor.tolist() == [1, 0.875, 0.75, 0.625, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    assert found.momentum is not None
    assert found.momentum.tolist() == [0.9] * 10


def test_cyclical_in_epochs_follows_the_batch_size():
    """Closed form: half an epoch of 24 examples up, a quarter down, is 3 and 2 updates of 4 examples (6 rounded up)."""
    span = Span(Length(24, 4, 240), 0, 60)
    by_epochs = factors('cyclical', span, up_epochs=0.5, down_epochs=0.25)
    np.testing.assert_array_equal(by_epochs, factors('cyclical', span, up_steps=3, down_steps=2))


# --- restarts


def walked(steps: int, first: int, multiplier: int) -> list[tuple[int, int, int]]:
    """(cycle, update within, its length) by walking, as torch's chained .step() does."""
    found, cycle, inside, length = [], 0, 0, first
    for _ in range(steps):
        found.append((cycle, inside, length))
        inside += 1
        if inside == length:
            cycle, inside, length = cycle + 1, 0, length * multiplier
    return found


@pytest.mark.parametrize('ends', ['past', 'last'])
@pytest.mark.parametrize('warmup', [0.0, 0.2])
@pytest.mark.parametrize(('first', 'multiplier'), [(3, 1), (7, 1), (3, 2), (4, 3)])
def test_warm_restarts_by_walking(ends: str, warmup: float, first: int, multiplier: int):
    """Brute force: cycle by cycle; restarts at the peak, and with `last` cycles end at `final`, exactly."""
    # Equal cycles are many: their peaks would fall below `final`.
    walk, decay = walked(90, first, multiplier), 0.75 if multiplier > 1 else 1.0

    def scalar(t: int) -> float:
        cycle, u, length = walk[t]
        rise = math.ceil(Fraction(str(warmup)) * length)
        p = (u - rise) / (length - rise - (ends == 'last'))
        level = u / rise if u < rise else math.cos(math.pi * p / 2) ** 2
        return 0.0625 + (decay**cycle - 0.0625) * level

    given = {'first_cycle_steps': first, 'cycle_multiplier': multiplier, 'final': 0.0625, 'warmup_fraction': warmup}
    found = factors('warm_restarts', span_of(90), peak_decay=decay, ends=ends, **given)
    assert_same(found, scalar)
    for t in range(90):
        cycle, u, length = walk[t]
        rise = math.ceil(Fraction(str(warmup)) * length)
        if u == rise:
            assert found[t] == pytest.approx(decay**cycle, rel=1e-15)
        if ends == 'last' and u == length - 1:
            assert found[t] == 0.0625
        if ends == 'past' and u >= rise:
            assert found[t] > 0.0625


@pytest.mark.parametrize(('first', 'multiplier'), [(1000, 1), (1, 2), (3, 2), (1, 3), (5, 3)])
def test_restarts_are_exact_to_five_million(first: int, multiplier: int):
    """Closed form, in Python's integers: at every restart, and one update on; goldens have those before.

    Logarithms misplace some: T_0 = 1, T_mult = 3, t = 121 is a restart.
    """
    restarts, lengths = [first], [first * multiplier]
    while restarts[-1] + lengths[-1] <= 5_000_000:
        restarts.append(restarts[-1] + lengths[-1])
        lengths.append(lengths[-1] * multiplier)
    assert (first, multiplier) != (1, 3) or 121 in restarts
    rates = lambda t: at('warm_restarts', t, span_of(5_000_002), first_cycle_steps=first, cycle_multiplier=multiplier)
    assert set(rates(restarts)) == {1.0}
    one_on = [(1 + math.cos(math.pi * (1 % n) / n)) / 2 for n in lengths]
    np.testing.assert_allclose(rates([t + 1 for t in restarts]), one_on, rtol=1e-12)


def test_restarts_far_out():
    """Closed form: the restart at 3·(2³⁸ − 1), and with a constant length at 10¹²."""
    span = span_of(10**12 + 5)
    edge = 3 * (2**38 - 1)
    found = at('warm_restarts', [edge - 1, edge, edge + 1], span, first_cycle_steps=3, cycle_multiplier=2)
    assert found[0] < 1e-20
    assert found[1] == 1
    found = at('warm_restarts', [10**12 - 1, 10**12, 10**12 + 1], span, first_cycle_steps=1000)
    np.testing.assert_allclose(found, [math.sin(math.pi / 2000) ** 2, 1, math.cos(math.pi / 2000) ** 2], rtol=1e-9)


@pytest.mark.parametrize(('first', 'multiplier'), [(4, 1), (3, 2), (1, 3), (30, 1)])
def test_cycle_ends(first: int, multiplier: int):
    """Brute force: t where the walk has just come to an end; the run's end counts."""
    walk = walked(30, first, multiplier)
    expected = [t + 1 for t, (_, u, length) in enumerate(walk) if u == length - 1]
    assert cycle_ends(span_of(30), first_cycle_steps=first, cycle_multiplier=multiplier) == expected
    epochs = cycle_ends(span_of(30, first), first_cycle_epochs=1.0, cycle_multiplier=multiplier)
    assert epochs == expected


# --- optax's


def test_optax_schedules_are_evaluated_in_float64():
    """Closed form: 2²⁴ and 2²⁴ + 1 are apart, to the last bits of a float64."""
    arguments = {'init_value': 1.0, 'end_value': 0.0, 'transition_steps': 2**26}
    t = [2**24 - 1, 2**24, 2**24 + 1, 2**26]
    found = at('optax', t, span_of(2**26 + 1), function='linear_schedule', arguments=arguments)
    np.testing.assert_allclose(found, [1 - u / 2**26 for u in t], rtol=1e-15)


@pytest.mark.parametrize('steps', [1, 2, 9, 30])
def test_optax_namesakes(steps: int):
    """Independent library: what the docstrings say is equal."""
    span = span_of(steps)
    made = lambda name, **arguments: factors('optax', span, function=name, arguments=arguments)
    cosine = made('cosine_decay_schedule', init_value=1.0, decay_steps=steps, alpha=0.1)
    np.testing.assert_allclose(factors('cosine', span, final=0.1, ends='past'), cosine, rtol=1e-14)
    power = made('polynomial_schedule', init_value=1.0, end_value=0.1, power=3, transition_steps=steps)
    np.testing.assert_allclose(factors('polynomial', span, final=0.1, power=3.0, ends='past'), power, rtol=1e-13)
    np.testing.assert_array_equal(factors('constant', span), made('constant_schedule', value=1.0))
    cycle = {'init_value': 0.1, 'peak_value': 1.0, 'end_value': 0.1, 'warmup_steps': 2, 'decay_steps': 8}
    rates = made('sgdr_schedule', cosine_kwargs=[cycle] * 4)
    given = {'first_cycle_steps': 8, 'warmup_fraction': 0.25, 'final': 0.1}
    np.testing.assert_allclose(factors('warm_restarts', span_of(30), **given)[:steps], rates, rtol=1e-12)
    if steps > 2:
        pieces = made('piecewise_constant_schedule', init_value=1.0, boundaries_and_scales={2: 0.5})
        np.testing.assert_array_equal(factors('step', span, factor=0.5, at_examples=(2,)), pieces)
        stairs = made('exponential_decay', init_value=1.0, transition_steps=2, decay_rate=0.5, staircase=True)
        found = factors('exponential_rate', span_of(steps, 2), factor=0.5, staircase=True)
        np.testing.assert_allclose(found, stairs, rtol=1e-14)


@pytest.mark.parametrize(
    ('function', 'arguments'),
    [
        ('cosine_decay_schedule', {'init_value': 1.0, 'decay_steps': 3000, 'exponent': 1.3}),
        ('exponential_decay', {'init_value': 1.0, 'transition_steps': 700, 'decay_rate': 0.3}),
        ('linear_onecycle_schedule', {'transition_steps': 3000, 'peak_value': 1.0}),
        ('sgdr_schedule', {'cosine_kwargs': [
            {'init_value': 0.1, 'peak_value': 1.0, 'warmup_steps': 50, 'decay_steps': 1500, 'end_value': 0.0}] * 2}),
    ],
)  # fmt: skip
def test_optax_values_do_not_depend_on_the_chunk(function: str, arguments: dict):
    """Invariance, bitwise: a run of several blocks against chunks that straddle them, and single updates."""
    span, t = span_of(3000), np.arange(3000)
    shape = lambda t: paired('optax', t, span, function=function, arguments=arguments).factor
    whole = shape(t)
    assert np.concatenate([shape(c) for c in np.split(t, [1, 1000, 1024, 1031, 2900])]).tobytes() == whole.tobytes()
    order = np.random.default_rng(1).permutation(3000)
    assert shape(order).tobytes() == whole[order].tobytes()


def test_from_optax_adapts_any_function_of_the_update():
    shape = from_optax(lambda count: 1 / (1 + count))
    t = np.array([0, 3, 1023, 1024, 10**12])
    np.testing.assert_allclose(shape(t, span_of(5)), 1 / (1 + t), rtol=1e-15)
    assert not jax.config.jax_enable_x64  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ValueError, match=r'value has shape \(2,\); a scalar is needed'):
        from_optax(lambda count: np.ones(2) * count)(t, span_of(5))
    with pytest.raises(ValueError, match='value at update 3 is inf'):
        from_optax(lambda count: 1 / (count - 3))(t, span_of(5))


# --- joins


def test_join_is_its_parts_side_by_side():
    """Invariance: each part's values on a span of its own, times its number; the boundary is the next part's first."""
    span = span_of(30, start=13)
    parts = (
        {'name': 'linear', 'start': 0.0, 'final': 1.0, 'times': 0.5},
        {'name': 'step', 'at_epochs': [1.0], 'factor': 0.5},
        {'name': 'cosine', 'times': 0.25},
    )
    found = factors('join', span, parts=parts, at_examples=(5, 19))
    line, step = factors('linear', span_of(5), start=0.0, final=1.0), [1.0] * 7 + [0.5] * 7
    cosine = factors('cosine', span_of(11))
    np.testing.assert_array_equal(found, [*(0.5 * line), *step, *(0.25 * cosine)])
    fractions = factors('join', span_of(100), parts=parts, at_fractions=(0.07, 0.55))
    assert int(np.argmax(fractions)) == 7
    assert fractions[6] == 0.5


def test_join_carries_momentum():
    parts = ({'name': 'one_cycle'}, {'name': 'cyclical', 'up_steps': 3})
    found = paired('join', np.arange(40), span_of(40), parts=parts, at_examples=(20,))
    first, second = (
        paired('one_cycle', np.arange(20), span_of(20)),
        paired('cyclical', np.arange(20), span_of(20), up_steps=3),
    )
    assert found.momentum is not None
    assert first.momentum is not None
    assert second.momentum is not None
    np.testing.assert_array_equal(found.momentum, [*first.momentum, *second.momentum])
    silent = ({'name': 'one_cycle', 'cycle_momentum': False}, {'name': 'constant', 'times': 0.001})
    assert paired('join', np.arange(40), span_of(40), parts=silent, at_examples=(20,)).momentum is None


# --- bad input

FLAT, AFTER = {'name': 'constant'}, {'at_epochs': (1.0,)}
BAD = [
    ('linear', {'start': 1.5}, r'schedule.start=1.5: must lie in \[0, 1\]'),
    ('linear', {'final': -0.1}, 'schedule.final=-0.1'),
    ('cosine', {'final': math.nan}, 'schedule.final=nan'),
    ('cosine', {'ends': 'lsat'}, "schedule.ends='lsat': did you mean 'last'"),
    ('polynomial', {'power': 0.0}, r'schedule.power=0.0: must lie in \(0, inf\)'),
    ('exponential', {'final': 0.0}, 'schedule.final=0.0.*never reaches 0'),
    ('inverse_sqrt', {}, 'schedule.timescale_epochs or schedule.timescale_steps is needed'),
    ('inverse_sqrt', {'timescale_epochs': 1.0, 'timescale_steps': 3}, 'says it too; give one'),
    ('inverse_sqrt', {'timescale_epochs': math.nan}, 'timescale_epochs=nan: a finite number'),
    ('inverse_sqrt', {'timescale_steps': 0}, 'schedule.timescale_steps=0: at least one update'),
    ('inverse_sqrt', {'timescale_steps': 31}, 'schedule.timescale_steps=31 lies outside the 30 updates'),
    ('inverse_sqrt', {'timescale_epochs': 5.0}, 'schedule.timescale_epochs=5.0 lies outside'),
    ('step', {}, 'needs at_epochs or at_fractions or at_examples or every_epochs, exactly one'),
    ('step', {'at_epochs': (1.0,), 'every_epochs': 1.0}, 'exactly one'),
    ('step', {'at_epochs': (2.0, 1.0)}, 'must rise'),
    ('step', {'at_examples': (7, 7)}, r'must rise .* of its 30 updates they fall on \[7, 7\]'),
    ('step', {'at_fractions': (1.0,)}, 'lie inside the run of'),
    ('step', {'at_examples': (31,)}, 'schedule.at_examples=31 lies outside'),
    ('step', {'at_epochs': (1.0, math.inf)}, 'at_epochs=inf: a finite number'),
    ('step', {'every_epochs': 5.0}, 'schedule.every_epochs=5.0 lies outside'),
    ('step', {'every_epochs': -1.0}, 'schedule.every_epochs=-1.0'),
    ('step', {'at_epochs': (1.0,), 'factor': 0.0}, r'schedule.factor=0.0: must lie in .*positive'),
    ('exponential_rate', {'factor': 1.1}, 'schedule.factor=1.1'),
    ('exponential_rate', {'every_epochs': 0.0}, 'schedule.every_epochs=0.0'),
    ('exponential_rate', {'every_epochs': 4.28, 'staircase': True}, 'would never decay'),
    ('warmup_stable_decay', {'warmup_fraction': 0.5, 'decay_fraction': 0.6}, 'warmup_fraction=0.5 that is more than'),
    ('warmup_stable_decay', {'decay_fraction': 0.0}, 'schedule.decay_fraction=0.0'),
    ('warmup_stable_decay', {'decay_fraction': 0.01}, 'less than one of 30 updates'),
    ('warmup_stable_decay', {'decay': 'sine'}, "schedule.decay='sine'"),
    ('range_test', {'start': 0.0}, 'schedule.start=0.0'),
    ('range_test', {'kind': 'log'}, "schedule.kind='log': allowed: exponential, linear"),
    ('one_cycle', {'pct_start': 1.0}, 'schedule.pct_start=1.0'),
    ('one_cycle', {'anneal_strategy': 'cosine'}, "schedule.anneal_strategy='cosine'"),
    ('one_cycle', {'div_factor': 0.5}, 'schedule.div_factor=0.5.*the peak would lie below the start'),
    ('one_cycle', {'final_div_factor': 0.01}, 'the peak would lie below the end'),
    ('one_cycle', {'max_momentum': 1.0}, r'schedule.max_momentum=1.0: must lie in \[0, 1\)'),
    ('one_cycle', {'base_momentum': -0.1}, 'schedule.base_momentum=-0.1'),
    ('one_cycle_fastai', {'moms': (0.9, 0.8)}, 'schedule.moms=.*three momenta'),
    ('one_cycle_fastai', {'moms': (0.9, 0.8, 1.0)}, 'schedule.moms=1.0'),
    ('one_cycle_fastai', {'pct_start': 0.99}, 'none of 30 updates would fall'),
    ('one_cycle_fastai', {'div': 0.5}, 'schedule.div=0.5'),
    ('one_cycle_smith', {'cycle_fraction': 1.0}, 'schedule.cycle_fraction=1.0'),
    ('one_cycle_smith', {'cycle_fraction': 0.03}, 'over 30 updates leaves 0 for the cycle, which needs 2'),
    ('one_cycle_smith', {'tail_factor': 2.0}, 'schedule.tail_factor=2.0'),
    ('one_cycle_optax', {'pct_final': 0.3, 'cosine': False}, r'would end at updates \[9, 9, 30\]'),
    ('cyclical', {}, 'schedule.up_epochs or schedule.up_steps is needed'),
    ('cyclical', {'up_steps': 16}, r'in a run of 30; shorten it .*up_steps=15\), or train for at least 32'),
    ('cyclical', {'up_steps': 4, 'down_steps': 2, 'down_epochs': 1.0}, 'schedule.down_epochs=1.0'),
    ('cyclical', {'up_steps': 4, 'base': 1.0}, r'schedule.base=1.0: must lie in \(0, 1\)'),
    ('cyclical', {'up_steps': 4, 'mode': 'triangle'}, "schedule.mode='triangle': did you mean 'triangular'"),
    ('cyclical', {'up_steps': 4, 'gamma': 0.9}, "schedule.gamma=0.9: schedule.mode='triangular' does not use it"),
    ('cyclical', {'up_steps': 4, 'gamma': 1.1, 'mode': 'exp_range'}, 'schedule.gamma=1.1'),
    ('cyclical', {'up_steps': 4, 'mode': 'decay', 'down_steps': 4}, "schedule.mode='decay': it has no fall"),
    ('cyclical', {'up_steps': 30, 'mode': 'decay'}, 'base would never be reached'),
    ('warm_restarts', {}, 'schedule.first_cycle_epochs or schedule.first_cycle_steps is needed'),
    ('warm_restarts', {'first_cycle_steps': 31}, 'schedule.first_cycle_steps=31 lies outside the 30 updates'),
    ('warm_restarts', {'first_cycle_steps': 4, 'cycle_multiplier': 1.5}, 'cycle_multiplier=1.5: a whole number'),
    ('warm_restarts', {'first_cycle_steps': 4, 'cycle_multiplier': True}, 'schedule.cycle_multiplier=True'),
    ('warm_restarts', {'first_cycle_steps': 4, 'cycle_multiplier': 0}, 'schedule.cycle_multiplier=0'),
    ('warm_restarts', {'first_cycle_steps': 1, 'ends': 'last'}, 'leave 1 for the cosine, which needs 2'),
    ('warm_restarts', {'first_cycle_steps': 4, 'warmup_fraction': 0.9}, 'leave 0 for the cosine, which needs 1'),
    ('warm_restarts', {'first_cycle_steps': 4, 'peak_decay': 0.5, 'final': 0.1}, 'peak_decay=0.5: the peak of cycle 7'),
    ('optax', {}, "schedule.function='': no schedule of optax"),
    ('optax', {'function': 'cosine_decay'}, "did you mean 'cosine_decay_schedule'"),
    ('optax', {'function': 'constant_schedule', 'arguments': {'val': 3}}, "'val'.*constant_schedule takes value"),
    ('join', {}, 'needs at least two parts'),
    ('join', {'parts': (FLAT,) * 2}, 'a boundary between each two'),
    ('join', {'parts': (FLAT,) * 2, 'at_epochs': (1.0, 2.0)}, 'a boundary between each two'),
    ('join', {'parts': (FLAT,) * 3, 'at_examples': (9, 9)}, r'fall on \[9, 9\]'),
    ('join', {'parts': (FLAT,) * 3, 'at_epochs': (1.1, 1.11)}, r'fall on updates \[8, 8\]: each part needs'),
    ('join', {'parts': (FLAT, {'name': 'cosin'}), **AFTER}, r"parts\[1\]: unknown schedule 'cosin'"),
    ('join', {'parts': (FLAT, {'name': 'cosine', 'fnal': 0}), **AFTER}, r"no field 'fnal'; did you"),
    ('join', {'parts': ({'name': 'constant', 'times': 0}, {'name': 'cosine'}), **AFTER}, r'parts\[0\]: times=0'),
    ('join', {'parts': (FLAT, {'name': 'cosine', 'final': 'a'}), **AFTER}, r"parts\[1\]: schedule.final='a': a value"),
    ('join', {'parts': (FLAT, {'name': 'cosine', 'final': True}), **AFTER}, 'final=True: a value like the default'),
    ('join', {'parts': (FLAT, {'final': 0.1}), **AFTER}, 'not a mapping with the name'),
    ('join', {'parts': (FLAT, {'name': 'one_cycle'}), **AFTER}, r'parts \[1\] schedule momentum'),
    ('join', {'parts': (FLAT, {'name': 'one_cycle'}), 'at_examples': (29,)}, r'parts\[1\]: schedule.pct_start'),
]  # fmt: skip


@pytest.mark.parametrize(('name', 'settings', 'message'), BAD)
def test_bad_input_names_the_field_and_the_cure(name: str, settings: dict, message: str):
    """Also where no update is asked for."""
    for t in (np.arange(30), np.arange(0)):
        with pytest.raises(ValueError, match=message):
            paired(name, t, span_of(30), **settings)
