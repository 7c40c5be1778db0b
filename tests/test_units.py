"""Length arithmetic and points against brute-force enumeration of the example stream."""

import itertools
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsresearch.core import units, when
from bsresearch.core.units import Length
from bsresearch.planning import schema

# beartype looks at a random entry of a tuple, also where hypothesis draws a Length.
pytestmark = pytest.mark.filterwarnings('ignore:Do not use the `random` module')
quick = settings(deadline=None, database=None, derandomize=True, max_examples=60)

# Hand-written decimals, as a person writes them; most have no exact binary form.
DECIMALS = (0.1, 0.2, 0.25, 0.3, 0.7, 1.0, 1.1, 1.5, 2.0, 3.3)


@st.composite
def lengths(draw) -> Length:
    boundary = draw(st.sampled_from(units.BOUNDARIES))
    epoch_size = draw(st.integers(1, 14))
    batch_size = draw(st.integers(1, epoch_size if boundary == 'drop' else 40))
    total = draw(st.integers(1, 70))
    points = [] if boundary == 'drop' else draw(st.lists(st.integers(1, 70), max_size=4, unique=True))
    changes = tuple((e, draw(st.integers(1, 40))) for e in sorted(points) if e < total)
    return Length(epoch_size, batch_size, total, boundary, changes)


def enumerated(length: Length) -> list[list[tuple[int, int]]]:
    """Every update's (epoch, offset) pairs, walking the stream one example at a time."""
    n, b = length.epoch_size, length.batch_size
    per_epoch = n // b * b if length.boundary == 'drop' else n
    size = lambda seen: [b, *(new for e, new in length.changes if e <= seen)][-1]
    updates, seen = [[]], 0
    for epoch in itertools.count():
        for offset in range(per_epoch):
            if len(updates[-1]) == size(seen - len(updates[-1])):
                updates.append([])
            updates[-1].append((epoch, offset))
            seen += 1
            if seen == length.total_examples:
                return updates
        if length.boundary != 'through' and updates[-1]:
            updates.append([])
    raise AssertionError


def seen_before(length: Length) -> list[int]:
    """Examples seen at θ_0 … θ_T."""
    return [0, *itertools.accumulate(len(u) for u in enumerated(length))]


def first(seen: list[int], examples: Fraction | int) -> int:
    return next(t for t, s in enumerate(seen) if s >= examples)


# --- Length


@quick
@given(lengths())
def test_batches_are_the_enumerated_stream(length: Length):
    """Brute force: number of updates, what each reads, and how many of its examples are real."""
    updates = enumerated(length)
    assert length.total_steps == len(updates)
    epochs, offsets, counts = length.batches(0, length.total_steps)
    assert list(zip(epochs.tolist(), offsets.tolist(), strict=True)) == [u[0] for u in updates]
    assert counts.tolist() == [len(u) for u in updates]
    assert (epochs.dtype, offsets.dtype, counts.dtype) == (np.int64, np.int64, np.int32)


@quick
@given(lengths())
def test_positions_are_the_enumerated_ones(length: Length):
    """Brute force: examples_at and epoch_at for every θ_t, step_at for every number of examples (and past the end)."""
    seen = seen_before(length)
    assert [length.examples_at(t) for t in range(len(seen))] == seen
    assert [length.step_at(e) for e in range(length.total_examples + 1)] == [
        first(seen, e) for e in range(length.total_examples + 1)
    ]
    assert length.step_at(length.total_examples + 1000) == length.total_steps
    assert length.examples_at(length.total_steps + 1000) == length.total_examples
    per_epoch = length.epoch_examples
    assert [length.epoch_at(t) for t in range(len(seen))] == [s / per_epoch for s in seen]


@quick
@given(lengths())
def test_segments_are_the_enumerated_batch_sizes(length: Length):
    """Brute force: every update's batch size; segments touch, differ from their neighbours and fill the run."""
    seen = seen_before(length)[:-1]
    sizes = [[length.batch_size, *(b for e, b in length.changes if e <= s)][-1] for s in seen]
    assert [length.batch_size_at(t) for t in range(len(seen))] == sizes
    runs = [(b, len(list(g))) for b, g in itertools.groupby(sizes)]
    assert [(b, stop - start) for start, stop, b in length.segments] == runs
    assert length.segments[0][0] == 0
    assert length.segments[-1][1] == length.total_steps
    assert length.examples_before(np.arange(len(seen) + 1)).tolist() == [*seen, length.total_examples]


@quick
@given(lengths(), st.data())
def test_a_span_counts_from_its_own_start(length: Length, data: st.DataObject):
    """Brute force: the first θ of the span that has seen so many of the span's examples."""
    seen = seen_before(length)
    start = data.draw(st.integers(0, len(seen) - 2))
    stop = data.draw(st.integers(start + 1, len(seen) - 1))
    span = units.Span(length, start, stop)
    assert (span.steps, span.examples) == (stop - start, seen[stop] - seen[start])
    own = [s - seen[start] for s in seen[start : stop + 1]]
    wanted = data.draw(st.integers(0, span.examples))
    assert span.step_of('x', examples=wanted) == first(own, wanted)
    assert span.step_of('x', fraction=0.3) == first(own, Fraction(3, 10) * span.examples)
    assert span.step_of('x', steps=1) == 1
    outside: list[dict[str, Any]] = [{'examples': span.examples + 1}, {'fraction': 1.01}, {'steps': span.steps + 1}]
    for point in [*outside, {'epochs': -1.0}]:
        with pytest.raises(ValueError, match=r'x=.* lies outside the'):
            span.step_of('x', **point)


@pytest.mark.parametrize(
    ('changes', 'boundary', 'message'),
    [
        (((10, 4), (10, 8)), 'through', 'must rise'),
        (((0, 4),), 'through', 'lie inside the run'),
        (((30, 4),), 'partial', 'lie inside the run of 30'),
        (((10, 0),), 'partial', 'batch_size=0'),
        (((10, 4),), 'drop', 'epoch_boundary=drop with a batch size that changes'),
    ],
)
def test_impossible_changes_of_the_batch_size_are_refused(changes: tuple, boundary: str, message: str):
    with pytest.raises(ValueError, match=message):
        Length(10, 2, 30, boundary, changes)


@pytest.mark.parametrize(
    ('boundary', 'counts', 'starts'),
    [
        ('through', [4, 4, 4, 4, 4, 3], [(0, 0), (0, 4), (0, 8), (1, 2), (1, 6), (2, 0)]),
        ('partial', [4, 4, 2, 4, 4, 2, 3], [(0, 0), (0, 4), (0, 8), (1, 0), (1, 4), (1, 8), (2, 0)]),
        ('drop', [4, 4, 4, 4, 4, 3], [(0, 0), (0, 4), (1, 0), (1, 4), (2, 0), (2, 4)]),
    ],
)
def test_boundaries_by_hand(boundary: str, counts: list[int], starts: list[tuple[int, int]]):
    """Closed form: 10 examples, batches of 4, 23 examples in all; only the last batch is masked to the length."""
    length = Length(10, 4, 23, boundary)
    epochs, offsets, found = length.batches(0, length.total_steps)
    assert found.tolist() == counts
    assert list(zip(epochs.tolist(), offsets.tolist(), strict=True)) == starts


def test_batch_beyond_the_set():
    """Closed form: B = 25 over 10 examples spans epochs with `through`, is one short batch per epoch with `partial`."""
    through = Length(10, 25, 60)
    assert [x.tolist() for x in through.batches(0, 3)] == [[0, 2, 5], [0, 5, 0], [25, 25, 10]]
    partial = Length(10, 25, 30, 'partial')
    assert [x.tolist() for x in partial.batches(0, 3)] == [[0, 1, 2], [0, 0, 0], [10, 10, 10]]
    with pytest.raises(ValueError, match='batch_size=25 with epoch_boundary=drop leaves no batch'):
        Length(10, 25, 60, 'drop')


@pytest.mark.parametrize('boundary', units.BOUNDARIES)
def test_past_two_to_the_32(boundary: str):
    """Python's integers as the reference, far past every 32-bit position."""
    n, b, t = 60_000, 7, 2**33 + 5
    length = units.length(n, b, boundary, total_steps=2**34)
    epochs, offsets, counts = length.batches(t, t + 3)
    for i in range(3):
        if boundary == 'through':
            epoch, offset, count = *divmod((t + i) * b, n), b
        else:
            per_epoch = -(-n // b) if boundary == 'partial' else n // b
            epoch, inside = divmod(t + i, per_epoch)
            offset = inside * b
            count = min(b, n - offset)
        assert (epochs[i], offsets[i], counts[i]) == (epoch, offset, count)
        seen = epoch * length.epoch_examples + offset
        assert length.examples_at(t + i) == seen
        assert length.step_at(seen) == t + i
        assert length.step_at(seen + 1) == t + i + 1
    assert length.total_steps == 2**34


# --- one length, in one unit


@quick
@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 100), st.sampled_from(units.BOUNDARIES))
def test_steps_and_examples_declare_the_same(epoch_size: int, batch_size: int, steps: int, boundary: str):
    """Invariance: T updates, and the examples that T updates see, are the same run of exactly T updates."""
    if boundary == 'drop' and batch_size > epoch_size:
        return
    by_steps = units.length(epoch_size, batch_size, boundary, total_steps=steps)
    assert by_steps.total_steps == steps
    assert units.length(epoch_size, batch_size, boundary, total_examples=by_steps.total_examples) == by_steps
    # Its last batch is not cut by the length.
    room = by_steps.batches(steps - 1, steps)[2][0]
    longer = units.length(epoch_size, batch_size, boundary, total_steps=steps + 1)
    assert room == longer.batches(steps - 1, steps)[2][0]


def test_epochs_are_exact_decimals():
    """Closed form in rationals: the decimal that was written, not its binary neighbour."""
    for epochs in DECIMALS:
        for n in (10, 60_000, 1437):
            expected = math.ceil(Fraction(str(epochs)) * n)
            assert units.length(n, 1, total_epochs=epochs).total_examples == expected
    # Binary products lie above these: rounded up, one example too many.
    assert 0.07 * 100 > 7
    assert 0.55 * 100 > 55
    assert units.length(100, 1, total_epochs=0.07).total_examples == 7
    assert units.length(100, 1, total_epochs=0.55).total_examples == 55


def test_epochs_of_drop_count_what_is_left():
    """An epoch with `drop` is ⌊N/B⌋·B examples: 3 epochs are 3·⌊N/B⌋ updates."""
    length = units.length(10, 4, 'drop', total_epochs=3)
    assert (length.total_examples, length.total_steps, length.epoch_at(length.total_steps)) == (24, 6, 3.0)


@pytest.mark.parametrize(
    'given_',
    [{}, {'total_epochs': 1.0, 'total_steps': 3}, {'total_epochs': 1, 'total_examples': 1, 'total_steps': 1}],
)
def test_exactly_one_length(given_: dict):
    with pytest.raises(ValueError, match='exactly one length of total_epochs, total_examples, total_steps; given') as e:
        units.length(10, 2, **given_)
    assert all(f'{k}={v}' in str(e.value) for k, v in given_.items())
    assert given_ or 'none' in str(e.value)


@pytest.mark.parametrize(
    'given_',
    [
        {'total_epochs': 0.0},
        {'total_epochs': -1.0},
        {'total_epochs': float('nan')},
        {'total_epochs': float('inf')},
        {'total_steps': 0},
        {'total_examples': -5},
    ],
)
def test_lengths_that_are_none(given_: dict):
    """Not positive or not finite: refused, naming the field."""
    with pytest.raises(ValueError, match=next(iter(given_))):
        units.length(10, 2, **given_)


def test_impossible_lengths_are_refused():
    with pytest.raises(ValueError, match="epoch_boundary='throgh': allowed are through, partial, drop"):
        Length(10, 2, 5, 'throgh')
    with pytest.raises(ValueError, match='batch_size=0'):
        Length(10, 0, 5)
    with pytest.raises(ValueError, match='total_examples=0'):
        Length(10, 2, 0)


# --- points


def spec(**fields: object) -> dict:
    return schema.when(**fields).to_dict()


@quick
@given(
    lengths(),
    st.sampled_from((0.0, *DECIMALS)),
    st.integers(0, 9),
    st.integers(0, 9),
    st.lists(st.sampled_from(DECIMALS), max_size=2),
    st.lists(st.integers(0, 60), max_size=2),
    st.lists(st.integers(0, 60), max_size=2),
)
def test_points_are_the_first_updates_with_that_many_examples(
    length: Length, every_epochs, every_examples, every_steps, at_epochs, at_examples, at_steps
):
    """Brute force: every mark k·e up to the run's end, each at the first θ_t that has seen at least as much."""
    seen, total, n = seen_before(length), length.total_examples, length.epoch_examples
    steps = len(seen) - 1
    at_epochs = [e for e in at_epochs if Fraction(str(e)) * n <= total]
    at_examples = [e for e in at_examples if e <= total]
    at_steps = [s for s in at_steps if s <= steps]
    marks: set[Fraction | int] = set(at_examples) | {Fraction(str(e)) * n for e in at_epochs}
    for stride in (Fraction(str(every_epochs)) * n, every_examples):
        if stride:
            marks |= {m for k in range(total * 10 + 1) if (m := k * stride) <= total}
    expected = {first(seen, m) for m in marks} | set(at_steps)
    if every_steps:
        expected |= set(range(0, steps + 1, every_steps))
    found = when.points(
        spec(
            every_epochs=every_epochs,
            every_examples=every_examples,
            every_steps=every_steps,
            at_epochs=tuple(at_epochs),
            at_examples=tuple(at_examples),
            at_steps=tuple(at_steps),
        ),
        length,
    )
    assert found == sorted(expected)


def test_points_of_nothing():
    assert when.points(spec(), Length(10, 2, 30)) == []


def test_epoch_points_do_not_depend_on_float_addition():
    """Closed form: every tenth of an epoch of 1,000 examples, B = 1, is every 100 updates, to the very end."""
    assert when.points(spec(every_epochs=0.1), Length(1000, 1, 3000)) == list(range(0, 3001, 100))


@pytest.mark.parametrize(('steps', 'count'), [(1, 5), (7, 3), (100, 10), (90_000, 1000)])
def test_log_spaced_points(steps: int, count: int):
    """θ_0, the first update after it and θ_T are among them; at most `count` + 1; gaps never shrink by more than 1."""
    found = when.points(spec(log_spaced=count), Length(steps, 1, steps))
    assert found[:2] == [0, 1]
    assert found[-1] == steps
    assert len(found) == len(set(found)) <= count + 1
    gaps = np.diff(found[1:])
    assert np.all(np.diff(gaps) >= -1)
    # Evenly in the logarithm: each inner point is the nearest integer to its place.
    exact = [steps ** (k / (count - 1)) for k in range(count)]
    assert set(found[1:]) == {round(e) for e in exact}


@pytest.mark.parametrize(
    ('fields', 'limit'),
    [({'at_steps': (16,)}, '15'), ({'at_examples': (31,)}, '30'), ({'at_epochs': (3.1,)}, '3')],
)
def test_points_past_the_end_are_refused(fields: dict, limit: str):
    """The last possible point is accepted, the next one is refused with the field's name."""
    length = Length(10, 2, 30)
    assert when.points(spec(at_steps=(15,), at_examples=(30,), at_epochs=(3.0,)), length) == [15]
    name, (value,) = next(iter(fields.items()))
    with pytest.raises(ValueError, match=rf'config.keep.{name} has the point {value}, past the end.*\({limit}\)'):
        when.points(spec(**fields), length, 'config.keep')


@pytest.mark.parametrize(
    'fields', [{'at_steps': (-1,)}, {'every_epochs': -0.5}, {'at_steps': (1.5,)}, {'at_epochs': ('a',)}]
)
def test_numbers_that_make_no_sense_are_refused(fields: dict):
    with pytest.raises(ValueError, match=f'config.keep.{next(iter(fields))}='):
        when.points(spec() | fields, Length(10, 2, 30), 'config.keep')
