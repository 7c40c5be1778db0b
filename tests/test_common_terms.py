"""Other readings of the same runs against closed forms: a common horizon, a best rate among arms, a passed minimum."""

import pathlib
from typing import Any

import numpy as np
import planted
import pytest
from fake_records import write_run

from bsresearch.analysis import pace, study
from bsresearch.analysis.common_terms import at_common, best_of_arms
from bsresearch.analysis.contrasts import at
from bsresearch.analysis.of_minima import BEYOND, optimum_of, to_optimum
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import Study
from bsresearch.store import paths

INF, NAN = np.inf, np.nan
SMALL, LARGE = at(batch_size=16), at(batch_size=64)  # 4 updates and 1 of an epoch


@pytest.fixture
def two_sizes(tmp_path: pathlib.Path) -> Study:
    """A metric that is ln of the updates, whatever the batch size, over 4 epochs."""
    for batch_size in (16, 64):
        steps = np.arange(5) * 64 / batch_size
        values = {'test_loss': [9.0, *np.log(steps[1:])]}
        write_run(tmp_path, batch_size=batch_size, values=values, seconds_per_update=batch_size / 64)
    return study.load(tmp_path, 'train')


def of_sizes(quantity: Quantity, of: Study) -> list[float]:
    table = quantity.of(of).low
    return [float(table.xs(size, level='batch_size').iloc[0, 0]) for size in (16, 64)]


@pytest.mark.parametrize(
    ('x', 'expected'),
    [
        ('epochs', (np.log(16), np.log(4))),
        ('examples', (np.log(16), np.log(4))),
        ('updates', (np.log(4), np.log(4))),
        ('seconds', (np.log(16), np.log(4))),  # both end after 4 of them
    ],
)
def test_a_common_horizon_is_where_the_first_run_ends(two_sizes: Study, x: str, expected: tuple[float, float]):
    quantity = at_common(x, 'test_loss', SMALL, LARGE)
    assert of_sizes(quantity, two_sizes) == pytest.approx(expected)
    assert quantity.higher_is_better is False


def test_a_horizon_of_one_cell_alone_is_its_own(two_sizes: Study):
    """Others are read there too, between their evaluations, and have nothing beyond their end."""
    assert of_sizes(at_common('updates', 'test_loss', SMALL), two_sizes) == pytest.approx(
        (np.log(16), NAN), nan_ok=True
    )
    halfway = at_common('epochs', 'test_loss', LARGE).of(two_sizes)
    assert set(halfway.remarks.values()) == {'read at 4 epochs'}


def test_nothing_is_told_between_the_initial_weights_and_the_first_evaluation(tmp_path: pathlib.Path):
    write_run(tmp_path, batch_size=16, values={'test_loss': [9.0, 1.0, 1.0, 1.0, 1.0]})
    write_run(tmp_path, batch_size=64, values={'test_loss': [9.0, 1.0]})
    of = study.load(tmp_path, 'train')
    array = at_common('updates', 'test_loss', SMALL, LARGE).of(of)  # where the large one was evaluated last: update 1
    assert np.isnan(array.low.xs(16, level='batch_size').iloc[0, 0])
    assert any('no evaluation yet' in remark for remark in array.remarks.values())


def test_a_pace_is_the_median_of_what_updates_took_in_training(tmp_path: pathlib.Path):
    """16 updates of 2 replicas in 8, 16 and 96 seconds: 0.25, 0.5 and 3 of one; else as it was calibrated."""
    for seed, seconds in enumerate((8.0, 16.0, 96.0)):
        directory = write_run(tmp_path, seed=seed, values={'test_loss': [1.0] * 5})
        meta = paths.read_json(directory / 'meta.json') | {'replicas': 2, 'seconds': {'updates': seconds}}
        paths.write_json(directory / 'meta.json', meta)
    write_run(tmp_path, batch_size=64, values={'test_loss': [1.0] * 5}, seconds_per_update=0.7)
    of = study.load(tmp_path, 'train')
    assert pace.of_kinds(of) == pytest.approx({(16.0, 'sgd'): 0.5, (64.0, 'sgd'): 0.7})


def test_an_arm_stands_for_the_best_of_several_rates():
    """Brute force: by the mean, and for each half of the replicates by the other half."""
    index = planted.index([(arm, '', '') for arm in ('small', 'large', 'fast', 'faster')])
    rates = dict(zip(('small', 'large', 'fast', 'faster'), (0.1, 0.1, 0.4, 1.6), strict=True))
    of = planted.study(index, 6, fields={arm: {'learning_rate': rate} for arm, rate in rates.items()})
    rng = np.random.default_rng(1)
    for _ in range(20):
        values = rng.normal(size=(4, 6))
        quantity = planted.quantity(planted.table(values, index), higher_is_better=True)
        array = best_of_arms(
            {'small': ('small',), 'large': ('large', 'fast', 'faster')}, quantity, as_source=True
        ).of(of)  # fmt: skip
        best = int(values[1:].mean(axis=1).argmax())
        rows = {key[0]: array.low.loc[key].to_numpy() for key in array.low.index}
        assert rows['large'] == pytest.approx(values[1 + best])
        assert rows['fast'] == pytest.approx(values[2])
        assert {key[0] for key in array.edges} == ({'small'} if best == 1 else {'small', 'large'})
        first, second = (1 + int(values[1:, half].mean(axis=1).argmax()) for half in (slice(0, 3), slice(3, 6)))
        assert array.halves is not None
        halved = array.halves.low.loc[('large', '', '')].to_numpy()
        assert halved == pytest.approx([*values[second, :3], *values[first, 3:]])


def test_a_best_of_arms_is_not_told_of_few_replicates_nor_chosen_on_the_test_set():
    index = planted.index([('small', '', ''), ('large', '', '')])
    of = planted.study(index, 3, fields={arm: {'learning_rate': 0.1} for arm in ('small', 'large')})
    quantity = planted.quantity(planted.table(np.ones((2, 3)), index), higher_is_better=True)
    array = best_of_arms({'small': ('small', 'large')}, quantity, as_source=True).of(of)
    assert array.low.loc[('small', '', '')].isna().all()
    with pytest.raises(ValueError, match='what the best is chosen by is missing'):
        best_of_arms({'small': ('small',)}, quantity)


def minima(load: Study, metric: str) -> list[tuple[float, ...]]:
    """(least, most) of the best, and of the epochs to it, by replicate."""
    arrays = [quantity.of(load) for quantity in (optimum_of(metric), to_optimum('epochs', metric))]
    return [tuple(float(v) for a in arrays for v in (a.low[r].iloc[0], a.high[r].iloc[0])) for r in arrays[0].low]


def test_a_run_that_has_not_passed_its_minimum_is_censored(tmp_path: pathlib.Path):
    """At epoch 3 of 4, 4/3 of the way, it was passed; at epoch 4 it was not."""
    assert 1 < BEYOND < 4 / 3
    courses: list[dict[str, Any]] = [
        {'test_loss': (3.0, 2.0, 1.5, 1.0, 1.2)}, {'test_loss': (3.0, 2.0, 1.5, 1.0, 0.5)},
        {'test_loss': (3.0, 2.0)},
    ]  # fmt: skip
    for seed, values in enumerate(courses):
        write_run(tmp_path, seed=seed, values=values, status='done' if seed < 2 else 'diverged')
    told = minima(study.load(tmp_path, 'train'), 'test_loss')
    assert told[0] == (1.0, 1.0, 3.0, 3.0)
    assert told[1] == (0.0, 0.5, 4.0, INF)
    assert np.isnan(told[2]).all()


def test_of_an_accuracy_it_is_the_maximum(tmp_path: pathlib.Path):
    write_run(tmp_path, seed=0, values={'test_accuracy': (0.1, 0.5, 0.75, 0.5, 0.5)})
    write_run(tmp_path, seed=1, values={'test_accuracy': (0.1, 0.5, 0.75, 0.8, 0.9)})
    assert minima(study.load(tmp_path, 'train'), 'test_accuracy') == [(0.75, 0.75, 2.0, 2.0), (0.9, 1.0, 4.0, INF)]
    with pytest.raises(ValueError, match='distance has no best'):
        optimum_of('distance')
    with pytest.raises(ValueError, match='there are updates, examples, epochs, seconds'):
        to_optimum('steps', 'test_loss')
