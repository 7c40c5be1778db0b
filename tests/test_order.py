"""The example stream: invariant 1, and what its permutations are."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsresearch.core.units import BOUNDARIES, Length
from bsresearch.data import order

quick = settings(deadline=None, database=None, derandomize=True, max_examples=100)

N = 10


def visited(data_seed: int, length: Length) -> list[int]:
    """Ids in the order in which a run sees them, padding left out."""
    batches = order.batches(data_seed, length, 0, length.total_steps)
    return [int(i) for row, count in zip(batches.ids, batches.counts, strict=True) for i in row[:count]]


def stream(data_seed: int, epoch_size: int, total: int, per_epoch: int | None = None) -> list[int]:
    """Permutation after permutation, each cut to `per_epoch`."""
    epochs = (order.permutation(data_seed, epoch_size, e)[:per_epoch].tolist() for e in itertools.count())
    return list(itertools.islice(itertools.chain.from_iterable(epochs), total))


@pytest.mark.parametrize('boundary', ['through', 'partial'])
@pytest.mark.parametrize('batch_size', [1, 2, 3, 7, 10, 11, 25, 64, 1000])
def test_invariant_1_the_visited_examples_are_the_same_stream_for_every_batch_size(boundary: str, batch_size: int):
    """Invariance: concatenated batches are the permutations one after another, whatever B, beyond the set too."""
    length = Length(N, batch_size, 47, boundary)
    assert visited(5, length) == stream(5, N, 47)


@quick
@given(st.integers(1, 12), st.integers(1, 40), st.integers(1, 60), st.sampled_from(['through', 'partial']))
def test_invariant_1_for_any_sizes(epoch_size: int, batch_size: int, total: int, boundary: str):
    assert visited(3, Length(epoch_size, batch_size, total, boundary)) == stream(3, epoch_size, total)


@pytest.mark.parametrize('batch_size', range(1, N + 1))
def test_invariant_1_drop_leaves_out_the_end_of_each_epoch_and_nothing_else(batch_size: int):
    """Closed form: the same permutations, each cut to ⌊N/B⌋·B examples."""
    length = Length(N, batch_size, 26, 'drop')
    assert visited(5, length) == stream(5, N, 26, N // batch_size * batch_size)


@pytest.mark.parametrize('boundary', BOUNDARIES)
@pytest.mark.parametrize('batch_size', [1, 4, 10, 23])
def test_chunk_boundaries_do_not_matter(boundary: str, batch_size: int):
    """Invariance: every start ≤ t < stop gives the rows of the whole."""
    if boundary == 'drop' and batch_size > N:
        return
    length = Length(N, batch_size, 43, boundary)
    whole = order.batches(1, length, 0, length.total_steps)
    for start in range(length.total_steps):
        for stop in range(start + 1, length.total_steps + 1):
            part = order.batches(1, length, start, stop)
            for found, expected in zip(part, whole, strict=True):
                np.testing.assert_array_equal(found, expected[start:stop])


def test_shapes_types_and_padding():
    """(K, B) and (K,), int32; padding is row 0, which always exists."""
    length = Length(N, 7, 24, 'partial')
    b = order.batches(0, length, 0, length.total_steps)
    assert (b.ids.shape, b.counts.tolist()) == ((5, 7), [7, 3, 7, 3, 4])
    assert (b.epochs.tolist(), b.offsets.tolist()) == ([0, 0, 1, 1, 2], [0, 7, 0, 7, 0])
    assert {x.dtype for x in b} == {np.dtype(np.int32)}
    assert all((row[count:] == 0).all() for row, count in zip(b.ids, b.counts, strict=True))


def test_each_epoch_is_a_permutation_of_its_own():
    orders = [order.permutation(0, 1000, e) for e in range(6)]
    assert all(sorted(o.tolist()) == list(range(1000)) for o in orders)
    assert len({tuple(o.tolist()) for o in orders}) == 6
    assert orders[0].dtype == np.int32


def test_a_position_is_any_example_equally_often():
    """Monte Carlo over 4,000 epochs: each of 5 examples is first within 4 standard errors of 1 in 5."""
    n = 4000
    firsts = np.bincount([order.permutation(0, 5, e)[0] for e in range(n)], minlength=5) / n
    assert np.abs(firsts - 0.2).max() < 4 * np.sqrt(0.2 * 0.8 / n)


def test_the_data_seed_changes_the_order_and_alone_does():
    orders = {tuple(order.permutation(seed, 100, 0).tolist()) for seed in range(5)}
    assert len(orders) == 5
    length = Length(100, 8, 300)
    assert visited(1, length) != visited(2, length)
    assert visited(1, length) == visited(1, length)


def test_a_permutation_cannot_be_changed_by_its_user():
    """It is cached: a write would change every later run of the process."""
    with pytest.raises(ValueError, match='read-only'):
        order.permutation(0, 10, 0)[0] = 1


def test_far_into_the_stream():
    """Past 2³² examples: the right epoch's permutation at the right place."""
    length = Length(60_000, 1, 2**34)
    t = 2**33 + 12_345
    epoch, offset = divmod(t, 60_000)
    batch = order.batches(0, length, t, t + 2)
    assert batch.ids[:, 0].tolist() == order.permutation(0, 60_000, epoch)[offset : offset + 2].tolist()
    assert (batch.epochs[0], batch.offsets[0]) == (epoch, offset)


def test_golden_ids():
    """Golden numbers.

    When to change me: never for the same schema version. Whoever changes the order makes every stored run impossible
    to continue and to compare; if it must be, raise paths.SCHEMA_VERSION with it.
    """
    assert order.permutation(0, 10, 0).tolist() == [8, 2, 9, 6, 0, 4, 5, 7, 3, 1]
    assert order.permutation(1, 60_000, 3)[:5].tolist() == [38664, 11140, 28715, 12608, 24225]
