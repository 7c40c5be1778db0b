"""LR range tests: fastai's rules against fastai, Smith's reading in closed form, the table and figure from records."""

import pathlib
from typing import Any

import drawn
import numpy as np
import pandas as pd
import pytest
from fake_records import write_run

from bsresearch.analysis import figures, study
from bsresearch.analysis.quantities import lr_range, smith
from bsresearch.report import plotting
from bsresearch.report.figures import drawing
from bsresearch.report.figures import lr_range as special
from bsresearch.store import records

pytestmark = pytest.mark.usefixtures('small_pictures')
NONE = pd.DataFrame({'step': pd.Series(dtype=int), 'learning_rate': pd.Series(dtype=float)})


def curve(n: int, blow_up: float, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Learning rates 1e-6 to 10 and losses that are flat, fall, and blow up; the noise is arithmetic."""
    k = np.arange(n)
    lrs = 1e-6 * 1e7 ** (k / n)
    u = np.log10(lrs)
    loss = 0.3 + 2.0 / (1 + np.exp(2.5 * (u + 2.2))) + blow_up * np.exp(3.0 * (u - 0.3))
    return lrs, loss + noise * (k * k * 7919 % 1009 / 1009 - 0.5)


def frame(lrs: Any, losses: Any) -> pd.DataFrame:
    """Points as `updates` gives them."""
    losses = np.asarray(losses, float)
    columns = {'step': np.arange(len(losses)), 'learning_rate': np.asarray(lrs, float), 'batch_loss': losses}
    return pd.DataFrame(columns).assign(smoothed_loss=lr_range.smooth(losses))


FIGURE = figures.special('lr_range', name='range')


def opened(workdir: pathlib.Path) -> study.Study:
    return study.load(workdir, 'lr_range')


# --- fastai's rules

# Made with fastai 2.8.12 and torch in float64: the losses of `curve` went through its AvgSmoothLoss(beta=0.98), the
# stop of LRFinder.after_batch, the trimming of Learner.lr_find, and its four functions.  (points, valley, slide,
# minimum, steep, smoothed loss of update 50).  Change only if fastai's rules do.
GOLDEN = {
    (100, 2.0, 0.2, None): (100, 0.0043651583224, 0.0186208713666, 0.104712854805, 0.0186208713666, 2.163221287665215),
    (100, 2.0, 0.2, 80): (100, 0.00269153480393, 0.0186208713666, 0.0338844156139, 0.0186208713666, 2.163221287665215),
    (100, 0.0, 0.2, None): (100, 0.00977237220956, 0.0186208713666, 0.380189396321, 0.0218776162395, 2.163153271201759),
    (137, 2.0, 0.5, None): (137, 0.00966944304927, 0.0446308375021, 0.0950828497916, 0.0174130927153, 2.26858672307786),
    (400, 8.0, 0.2, None): (367, 0.0049260634335, 0.109647819614, 0.0245470891569, 0.0171790838716, 2.294630763932473),
    (60, 2.0, 0.0, 52): (60, 0.00141253754462, 0.00707945784384, 0.0891250938134, 0.0271227257933, 1.4205929583686885),
}


@pytest.mark.parametrize('case', GOLDEN)
def test_rules_are_fastais(case: tuple[int, float, float, int | None]) -> None:
    n, blow_up, noise, lost = case
    lrs, losses = curve(n, blow_up, noise)
    losses[n if lost is None else lost :] = np.nan
    points = frame(lrs, losses)
    count, *expected, smoothed = GOLDEN[case]
    np.testing.assert_allclose(points['smoothed_loss'][50], smoothed, rtol=1e-12)
    assert lr_range.cut(points['smoothed_loss'].to_numpy()) == count
    # Stopping there or recording every other update changes nothing: the first tenth is of the updates planned.
    for recorded, planned in ((points, n), (points[:count], n), (points.assign(step=2 * points['step']), 2 * n)):
        found = np.array(lr_range.suggest(recorded, NONE, planned)[:4], float)
        np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_smoothing_and_cut_in_closed_form() -> None:
    np.testing.assert_allclose(lr_range.smooth(np.full(300, 1.7)), 1.7, rtol=1e-13)
    # Weights β^{k−j} of a ramp, normalized.
    weights = 0.9 ** np.arange(9, -1, -1.0)
    np.testing.assert_allclose(lr_range.smooth(np.arange(10.0), 0.9)[-1], (weights @ np.arange(10)) / weights.sum())
    assert np.isnan(lr_range.smooth(np.array([1.0, np.nan, 1.0]))).tolist() == [False, True, True]
    for losses, count in (([3, 1, 4, 4.1, 0.1], 4), ([3, 1, 4], 3), ([np.nan, 1, 4.1, 1], 3), ([], 0)):
        assert lr_range.cut(np.array(losses, float)) == count


def test_valley_against_its_quadratic_definition() -> None:
    """Loops over all pairs, with ties; the first end of the longest falling subsequence counts."""
    random = np.random.default_rng(0)
    for n in [3, 10, 40] * 40:
        losses = np.round(random.normal(size=n).cumsum(), int(random.integers(0, 3)))
        length = [1] * n
        for i in range(n):
            length[i] += max((length[j] for j in range(i) if losses[j] > losses[i]), default=0)
        most, end = max(length), length.index(max(length))
        expected = (end - most + most // 3 + most // 6, end == n - 1) if most > 2 else (None, False)
        assert lr_range.valley(np.arange(n), losses)[:2] == expected


def test_answers_at_the_ends_are_flagged() -> None:
    lrs = 10.0 ** np.linspace(-4, 0, 100)
    falling = lr_range.suggest(frame(lrs, np.linspace(3, 1, 100)), NONE)
    assert {'minimum', 'valley'} <= set(falling.edge)
    # From 1e-4 on, and lowest at 5e-4: a tenth of that was not tested.
    early = lr_range.suggest(frame(lrs, np.abs(np.log(lrs / 5e-4)) + 1), NONE)
    assert ((early.minimum or 1) < 1e-4, 'minimum' in early.edge) == (True, True)
    inside = lr_range.suggest(frame(*curve(100, 2.0, 0.2)), NONE)
    assert (inside.edge, inside.notes) == ((), ('smith: no accuracy was recorded',))
    # Slopes that nowhere differ by 0.005 give fastai's 16th point from the end, whatever the curve.
    flat = lr_range.suggest(frame(lrs, 2 - np.linspace(0, 1e-3, 100)), NONE)
    assert (flat.slide, 'slide' in flat.edge) == (lrs[-5 - 16], True)


def test_too_few_points_suggest_nothing() -> None:
    found = lr_range.suggest(frame([1e-3, 1e-2, 1e-1], [3.0, 2.0, 1.0]), NONE)
    assert (found[:7], found.edge) == ((None,) * 7, ())
    assert found.notes[1] == 'slide: 0 points are left after trimming, 16 are needed'
    assert lr_range.suggest(frame(*curve(100, 2.0, 0.2)), NONE, planned=970)[:4] == (None,) * 4


def test_what_steep_and_valley_do_not_find() -> None:
    rising = lr_range.suggest(frame(np.geomspace(1e-3, 1, 60), np.linspace(1, 2, 60)), NONE)
    assert {'steep: the loss never falls', 'valley: the loss has no valley'} <= set(rising.notes)
    stairs = lr_range.suggest(frame(np.repeat(np.geomspace(1e-3, 1, 20), 5), np.linspace(2, 1, 100)), NONE)
    assert 'steep: a learning rate is 0, or the same at two updates in a row' in stairs.notes


# --- Smith's reading

TRAPEZE = np.interp(np.arange(101.0), [0, 20, 40, 60, 80], [0.1, 0.1, 0.9, 0.9, 0.1])


def bounds(accuracy: np.ndarray, **options: Any) -> smith.Bounds:
    """Read at learning rates 1, 2, 3, …, so that a bound is the index + 1."""
    return smith.bounds(np.arange(1.0, len(accuracy) + 1), accuracy, **options)


def test_base_is_where_a_tenth_of_the_rise_is_passed() -> None:
    # 0.04 per point from index 20; the rise is 0.8: s(22) = 0.18 is not above, s(23) = 0.22 is.
    assert (bounds(TRAPEZE).base, bounds(TRAPEZE).edge) == (24, False)
    assert bounds(TRAPEZE[21:]).edge


def test_slowing_is_where_the_slope_is_a_quarter() -> None:
    """The ramp of slope 0.04 ends at index 40, from where on a median keeps it: 0.08/5 is left at 38, 0.04/5 at 39."""
    assert 0.08 / 5 > 0.25 * 0.04 > 0.04 / 5
    assert bounds(TRAPEZE).slows == 40
    # With 16 times the evaluations the window is 16 times as wide.
    fine = np.interp(np.arange(1616.0) / 16, np.arange(101.0), TRAPEZE)
    assert (bounds(fine).slows or 0) / 16 == pytest.approx(40, rel=0.06)


def test_max_where_it_falls_or_turns_ragged() -> None:
    ramp = np.linspace(0.1, 0.9, 101)
    # Off a cliff after index 60; a ramp up to it has not slowed.
    cliff = np.where(np.arange(101) <= 60, ramp, 0.1)
    for end in (101, 62):
        assert bounds(cliff[:end])[1:4] == (None, 61, 'falls')
    assert bounds(cliff[:61]).max is None
    # One accuracy below the others is ragged; one above is no level to fall from.
    dent = 0.15 * (np.arange(101) == 70)
    assert bounds(ramp - dent)[2:4] == (70, 'ragged')
    assert bounds(TRAPEZE)[2:4] == (63, 'falls')  # 0.9 − 0.04·2 is not below 0.9 − 0.08, the next is
    assert bounds(ramp + dent).by == ''


def test_no_max_is_invented() -> None:
    ramp = np.linspace(0.1, 0.9, 101)
    assert bounds(ramp)[1:3] == (None, None)
    assert bounds(ramp).note == 'accuracy neither turns ragged nor falls within the tested range'
    assert bounds(ramp, diverged=True)[2:4] == (101, 'diverged')
    # Growing by the same amount per factor of the learning rate is slowing per learning rate.
    rates = np.geomspace(1e-3, 1, 101)
    assert lr_range.exponential(rates)
    assert not any(map(lr_range.exponential, (ramp, ramp - 0.1, np.full(50, 0.1))))
    assert smith.bounds(rates, ramp, log=True).slows is None
    assert smith.bounds(rates, ramp, log=False).slows is not None


def test_nothing_to_read() -> None:
    noise = np.random.default_rng(0).normal(0.1, 0.02, 200)
    assert bounds(np.linspace(0, 1, 9)) == smith.Bounds(note='9 evaluations, 10 are needed')
    for accuracy in (np.full(50, 0.1), noise, -np.arange(50.0), [0.5] * 2 + [0.1] * 20):
        assert bounds(np.array(accuracy)) == smith.Bounds(note='accuracy does not rise above its scatter')


# --- records


def write(workdir: pathlib.Path, stop: int | None = None, **fields: Any) -> pathlib.Path:
    """A range test of 100 updates, all recorded, evaluated every 5; `stop`: diverged there."""
    size, last = fields.get('batch_size', 16), 100 if stop is None else stop
    fields |= {} if stop is None else {'status': 'diverged', 'diverged_step': stop}
    lrs, losses = curve(100, 2.0, 0.2)
    accuracy = np.interp(np.arange(101), [0, 30, 60], [0.1, 0.1, 0.9])
    rows = []
    for t in range(last + 1):
        at = {'step': t, 'examples': t * size, 'epoch': t * size / 64, 'seconds': 0.1 * t}
        rows += [{**at, 'test_accuracy': accuracy[t], 'test_loss': 1.0}] if t % 5 == 0 else []
        rows += [{**at, 'batch_loss': losses[t], 'learning_rate_used': lrs[t]}] if t < last else []
    return write_run(workdir, study='lr_range', total_examples=100 * size, rows=rows, **fields)


@pytest.fixture(scope='module')
def grid(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """B = 16 and 128; weight decays 0 and 0.01, whose runs have their own seeds; one of four diverges at update 90."""
    workdir = tmp_path_factory.mktemp('grid')
    for size in (16, 128):
        for decay in (0.0, 0.01):
            stop = 90 if (size, decay) == (128, 0.01) else None
            write(workdir, stop, batch_size=size, weight_decay=decay, seed=int(100 * decay))
    return workdir


def test_table(grid: pathlib.Path) -> None:
    table = lr_range.table(opened(grid))
    names = 'run batch_size weight_decay replicate status points lr_min lr_max diverged_at cut_at'
    assert list(table.columns[:10]) == names.split()
    assert table[['batch_size', 'weight_decay']].to_numpy().tolist() == [[16, 0], [16, 0.01], [128, 0], [128, 0.01]]
    lrs, losses = curve(100, 2.0, 0.2)
    done, gone = table.iloc[0], table.iloc[3]
    assert (done['points'], done['lr_min'], done['lr_max']) == (100, lrs[0], lrs[-1])
    assert np.isnan([done['diverged_at'], done['cut_at']]).all()
    suggested = done[['valley', 'slide', 'minimum', 'steep']].astype(float)
    np.testing.assert_allclose(suggested, GOLDEN[100, 2.0, 0.2, None][1:5])
    assert (gone['points'], gone['lr_max'], gone['diverged_at']) == (90, lrs[89], lrs[89])
    assert gone['minimum'] == lr_range.suggest(frame(lrs[:90], losses[:90]), NONE, planned=100).minimum
    # Evaluated at every fifth update, where the learning rate is that update's.
    assert (done['smith_base'], done['accuracy']) == (lrs[35], 'test_accuracy')
    assert len(lr_range.text(table).splitlines()) == 5 + 3  # in three runs accuracy rises to the end


def test_evaluations_have_the_learning_rate_of_their_update(tmp_path: pathlib.Path) -> None:
    write(tmp_path)
    write(tmp_path / 'short', stop=17)  # 7 of 17 updates come after the first tenth of 100
    assert np.isnan(lr_range.table(opened(tmp_path / 'short'))['minimum'][0])
    rows = records.load(tmp_path)
    found = lr_range.evaluations(rows, lr_range.updates(rows))
    lrs, losses = curve(100, 2.0, 0.2)
    assert found['step'].tolist() == list(range(0, 101, 5))
    assert found['learning_rate'].tolist() == [*lrs[::5], lrs[-1]]
    assert set(found) == {'step', 'learning_rate', 'test_accuracy', 'test_loss'}
    # Dense arrays stand for the rows of updates.
    dense = {'learning_rate_used': lrs, 'batch_loss': losses, 'momentum_used': lrs}
    pd.testing.assert_frame_equal(lr_range.updates(rows[:1], dense), frame(lrs, losses))


def test_what_is_no_range_test_is_refused(tmp_path: pathlib.Path) -> None:
    rows = pd.DataFrame({'run': 'a', 'step': [0, 1, 2], 'learning_rate_used': [0.1, 0.2, 0.15], 'batch_loss': 1.0})
    with pytest.raises(ValueError, match='run a: its learning rate falls at update 2; that is no range test'):
        lr_range.updates(rows)
    with pytest.raises(ValueError, match='run a has no recorded updates'):
        lr_range.updates(rows.drop(columns='learning_rate_used'))
    write_run(tmp_path, values={'test_loss': [1.0]})
    with pytest.raises(FileNotFoundError, match=r"no runs of study 'lr_range' in .*; it holds: train"):
        opened(tmp_path)
    write_run(tmp_path, study='lr_range', status='running')
    with pytest.raises(ValueError, match='have no records yet'):
        lr_range.table(opened(tmp_path))


# --- the figure


def test_figure(grid: pathlib.Path) -> None:
    """Titles, lines and marks are the table's and the plotted numbers."""
    figure, numbers = drawing.sheet(opened(grid), FIGURE)
    table = lr_range.table(opened(grid))
    axes = figure.axes
    assert [ax.get_title() for ax in axes[:2]] == ['decay 0', 'decay 0.01']
    assert {ax.get_xscale() for ax in axes} == {'log'}
    lines = [(line.get_marker(), line.get_color(), np.asarray(line.get_data())) for line in axes[1].get_lines()]
    marks = {(marker, color): data[0, 0] for marker, color, data in lines if marker != ''}
    small, large = plotting.palette([16, 128]).values()
    assert marks['o', large] == table['valley'][3]
    assert marks['s', small] == table['minimum'][1]
    assert marks['x', large] == table['lr_max'][3]
    assert ('x', small) not in marks
    mine = numbers.query('batch_size == 128 and weight_decay == 0.01')
    losses = sorted(data[1].tolist() for marker, color, data in lines if marker == '' and color == large)
    known = mine[mine['batch_loss'].notna()]
    assert losses == sorted(known[c].tolist() for c in ('batch_loss', 'smoothed_loss'))
    assert (len(mine), mine['test_accuracy'].notna().sum()) == (90, 18)  # the evaluation at which it diverged is none
    assert mine['learning_rate'].notna().all()


def test_figure_without_accuracy_has_one_row(tmp_path: pathlib.Path) -> None:
    path = write(tmp_path) / 'metrics.jsonl'
    path.write_text(''.join(line for line in path.read_text().splitlines(True) if 'accuracy' not in line))
    assert 'no accuracy was recorded' in lr_range.table(opened(tmp_path))['notes'][0]
    assert 'test_accuracy' not in drawn.table(opened(tmp_path), FIGURE, tmp_path / 'out')


def test_text_is_the_table(grid: pathlib.Path) -> None:
    told = special.text(opened(grid))
    assert all(run in told for run in lr_range.table(opened(grid))['run'])
    assert 'smith_max_by' in told
