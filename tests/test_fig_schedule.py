"""Schedule tables: noise temperatures compared exactly, and the figure's lines, words, files and errors."""

import pathlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from absl import flags

from bsresearch.analysis.quantities import noise_temperature
from bsresearch.launching import schedule_csv
from bsresearch.report.figures import panels
from bsresearch.report.figures.panels import Sheet
from scripts import fig_schedule

pytestmark = pytest.mark.usefixtures('small_pictures')
ROOT = pathlib.Path(__file__).parents[1]
N = 1000


def arm(
    run: str,
    batch_size: Callable[[int], int],
    lr: Callable[[int], float],
    total: int = 8000,
    momentum: float = 0.9,
    start: int = 0,
) -> pd.DataFrame:
    """A run's rows; batch size and learning rate are functions of the examples seen."""
    rows, seen = [], start
    while seen < total:
        b, e = batch_size(seen), lr(seen)
        g = e * N / (b * (1 - momentum))
        rows.append((run, len(rows), seen, seen / N, b, e, momentum, 0.0, e / (1 - momentum), g))
        seen += b
    return pd.DataFrame(rows, columns=list(noise_temperature.COLUMNS))


def one(*arms: pd.DataFrame) -> dict[str, Any]:
    """The only row of their comparison."""
    compared = noise_temperature.compare(pd.concat(arms, ignore_index=True))
    assert len(compared) == 1
    return {str(k): v for k, v in compared.iloc[0].items()}


def steps(seen: int) -> int:
    return (seen >= 2000) + (seen >= 4000)


# Decay by 5 twice, or grow the batch by 5 twice, at 2,000 and 4,000 examples.
DECAY = arm('decay', lambda x: 20, lambda x: 0.1 / 5 ** steps(x))
GROW = arm('grow', lambda x: 20 * 5 ** steps(x), lambda x: 0.1)


# --- the comparison


def test_columns_are_those_that_are_written() -> None:
    assert noise_temperature.COLUMNS == schedule_csv.COLUMNS


def test_growing_the_batch_keeps_the_temperature() -> None:
    row = one(DECAY, GROW)
    assert (row['a'], row['b'], row['examples']) == ('decay', 'grow', 8000)
    assert row['largest'] < 1e-15
    assert row['agree'] == 1.0
    assert (row['updates_a'], row['updates_b']) == (400, 100 + 20 + 8)
    assert row['updates_ratio'] == 400 / 128


def test_a_planted_ratio() -> None:
    """The batch grows by 4 where the rate falls by 5: the second stretch differs by 1 − 4/5, the third by 1 − 16/25."""
    row = one(DECAY, arm('less', lambda x: 20 * 4 ** steps(x), lambda x: 0.1))
    np.testing.assert_allclose(row['largest'], 9 / 25, rtol=1e-12)
    # 4,000 of 8,000 examples are in the third stretch: half of all differ by at most 1/5.
    np.testing.assert_allclose(row['median'], 1 / 5, rtol=1e-12)
    assert row['agree'] == 0.25


def test_the_order_of_a_pair_does_not_matter() -> None:
    other = arm('b', lambda x: 60, lambda x: 0.02)
    forward, backward = one(DECAY, other), one(other, DECAY)
    for column in ('largest', 'median', 'agree', 'examples'):
        assert forward[column] == backward[column]
    assert forward['updates_ratio'] * backward['updates_ratio'] == pytest.approx(1)


def test_a_boundary_passed_late_costs_the_examples_in_between() -> None:
    """Batches of 30 start at 1,980 and 2,010: that arm's change comes 10 examples after the other's."""
    late = arm('late', lambda x: 30, lambda x: 0.15 / 5 ** (x >= 2000), total=3000)
    row = one(arm('decay', lambda x: 20, lambda x: 0.1 / 5 ** (x >= 2000), total=3000), late)
    assert (row['examples'], row['agree']) == (3000, 1 - 10 / 3000)
    np.testing.assert_allclose(row['largest'], 0.8)
    assert row['median'] < 1e-15


def test_only_what_both_cover_is_compared() -> None:
    short = arm('short', lambda x: 7, lambda x: 0.035, total=100)
    row = one(DECAY, short)
    assert row['examples'] == 105  # the last of 15 batches of 7 ends there
    assert row['agree'] == 1.0
    far = one(short, arm('far', lambda x: 20, lambda x: 0.1, start=4000))
    assert far['examples'] == 0
    assert np.isnan([far['largest'], far['median'], far['agree']]).all()


def test_against_a_value_per_example() -> None:
    """Brute force over random step functions."""
    random = np.random.default_rng(0)
    for _ in range(20):
        sizes, rates = random.integers(1, 40, (2, 500)), random.integers(1, 4, (2, 500))
        pair = [arm(name, lambda x, s=s: int(s[x % 500]), lambda x, r=r: float(r[x % 500]), total=800)
                for name, s, r in zip('ab', sizes, rates, strict=True)]  # fmt: skip
        per_example = []
        for rows in pair:
            ends = [*rows['examples'][1:], rows['examples'].iloc[-1] + rows['batch_size'].iloc[-1]]
            per_example.append(np.repeat(rows['noise_temperature'].to_numpy(), np.diff([0, *ends])))
        shorter = min(len(g) for g in per_example)
        a, b = (g[:shorter] for g in per_example)
        difference = np.abs(a - b) / np.maximum(a, b)
        row = one(*pair)
        assert (row['examples'], row['largest']) == (shorter, difference.max())
        assert row['median'] == np.sort(difference)[(shorter + 1) // 2 - 1]
        assert row['agree'] == (difference <= 1e-5).mean()


def test_seeds_share_a_schedule() -> None:
    table = pd.concat([arm(f's{i}', lambda x: 20, lambda x: 0.1) for i in range(3)] + [GROW], ignore_index=True)
    found = noise_temperature.schedules(table)
    assert [s.runs for s in found] == [('s0', 's1', 's2'), ('grow',)]
    assert found[0].name == 's0 (+2)'
    assert len(noise_temperature.compare(table)) == 1
    assert not len(noise_temperature.compare(table[table['run'] != 'grow']))


def test_zero_and_undefined_temperatures() -> None:
    still = arm('still', lambda x: 20, lambda x: 0.0)
    assert one(still, still.assign(run='b', weight_decay=0.1))['agree'] == 1.0
    assert one(still, DECAY)['largest'] == 1.0
    row = one(DECAY, GROW.assign(noise_temperature=np.nan))
    assert np.isnan([row['largest'], row['median']]).all()
    assert row['agree'] == 0.0


# --- the figure


def labels(sheet: Sheet) -> list[str]:
    return [ax.get_ylabel().split('\n')[0] for ax in sheet.figure.axes]


def test_lines_are_steps_at_the_changes() -> None:
    sheet = fig_schedule.draw(pd.concat([DECAY, GROW, GROW.assign(run='again')]), 'epoch')
    assert labels(sheet) == ['learning rate', 'batch size', 'effective rate', 'noise temperature']
    rate, size = (sheet.figure.axes[i].get_lines() for i in (0, 1))
    assert {line.get_drawstyle() for line in rate} == {'steps-post'}
    np.testing.assert_allclose(np.asarray(rate[0].get_data()), [[0, 2, 4, 8], [0.1, 0.02, 0.004, 0.004]])
    assert np.asarray(size[1].get_data()).tolist() == [[0, 2, 4, 8], [20, 100, 500, 500]]
    assert np.asarray(size[0].get_data()).tolist() == [[0, 8], [20, 20]]
    [legend] = sheet.figure.legends
    assert [t.get_text() for t in legend.get_texts()] == [
        'decay: B 20, peak lr 0.1', 'grow (+1): B 20–500, peak lr 0.1'
    ]  # fmt: skip
    stored = sheet.numbers
    assert stored.columns.tolist() == ['schedule', 'quantity', 'epoch', 'value']
    own = stored[(stored['schedule'] == 'grow (+1)') & (stored['quantity'] == 'batch_size')]
    assert own['value'].tolist() == [20, 100, 500, 500]


@pytest.mark.parametrize(('x', 'end'), [('updates', 128), ('examples', 8000)])
def test_positions(x: str, end: int) -> None:
    [line] = fig_schedule.draw(GROW, x).figure.axes[0].get_lines()
    assert np.asarray(line.get_xdata()).tolist() == [0, end]


def test_panels_are_those_that_vary() -> None:
    plain = arm('plain', lambda x: 20, lambda x: 0.1, momentum=0.0)
    assert labels(fig_schedule.draw(plain, 'epoch')) == ['learning rate', 'noise temperature']
    arms = [arm(f'm{m}', lambda x: 20, lambda x: 0.1, momentum=m).assign(weight_decay=m) for m in (0.0, 0.9)]
    drawn = fig_schedule.draw(pd.concat(arms), 'epoch')
    assert labels(drawn) == ['learning rate', 'momentum', 'weight decay', 'effective rate', 'noise temperature']


def test_a_million_updates_keep_their_extremes() -> None:
    """A spike of one update among 10⁶ that all differ is drawn; the plotted numbers are few."""
    t = np.arange(10**6)
    lr = 1 + np.cos(np.pi * t / len(t))
    lr[345_678], lr[500_001] = 9.0, -1.0
    columns = {'run': 'big', 'step': t, 'examples': 8 * t, 'epoch': t / 100, 'batch_size': 8, 'lr': lr}
    flat = {'momentum': 0.0, 'weight_decay': 0.0, 'effective_lr': lr, 'noise_temperature': 1.0}
    sheet = fig_schedule.draw(pd.DataFrame(columns | flat), 'updates')
    x, y = np.asarray(sheet.figure.axes[0].get_lines()[0].get_data())
    assert len(x) < 7000
    assert y[x == 345_678].tolist() == [9.0]
    assert y[x == 500_001].tolist() == [-1.0]
    assert x[[0, -1]].tolist() == [0, 10**6]


def test_thinning_keeps_the_ends_and_extremes_of_every_strip() -> None:
    random = np.random.default_rng(0)
    x, y = np.sort(random.uniform(0, 10, 5000)), random.normal(size=5000)
    y[random.integers(0, 5000, 100)] = np.nan
    kept = panels.thin(x, y, columns=50)
    assert len(kept) <= 200
    strip = np.minimum(((x - x[0]) / (x[-1] - x[0]) * 50).astype(int), 49)
    for i in range(50):
        of_strip = np.flatnonzero(strip == i)
        expected = {of_strip[0], of_strip[-1], of_strip[np.nanargmin(y[of_strip])], of_strip[np.nanargmax(y[of_strip])]}
        assert set(kept[strip[kept] == i]) == expected
    assert panels.thin(x[:200], y[:200], columns=50).tolist() == list(range(200))


def test_many_schedules_are_counted() -> None:
    arms = [arm(f'r{i}', lambda x: 20, lambda x, i=i: 0.1 + i, total=100) for i in range(panels.MOST + 3)]
    sheet = fig_schedule.draw(pd.concat(arms), 'epoch')
    texts = [t.get_text() for t in sheet.figure.legends[0].get_texts()]
    assert len(texts) == panels.MOST
    assert texts[-1] == '… and 4 more'
    report = fig_schedule.report(noise_temperature.compare(pd.concat(arms[:15]))).splitlines()
    assert report[15:] == ['… and 91 pairs without the first schedule']


# --- the table and the command


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('', 'is no table: No columns to parse from file'),
        ('a,b\n1,2\n', 'has no column run, step, examples'),
        (DECAY[:0].to_csv(index=False), 'has no rows'),
        (
            DECAY[:2].drop(columns=['lr', 'epoch']).to_csv(index=False),
            'has no column epoch, lr; write it with bsresearch run',
        ),
        (DECAY[:2].assign(lr='high').to_csv(index=False), 'column lr holds something other than numbers'),
        (DECAY[:2].assign(examples=np.nan).to_csv(index=False), 'rows without run, step, examples or batch_size'),
    ],
)
def test_what_is_no_schedule_is_refused(text: str, message: str, tmp_path: pathlib.Path) -> None:
    path = tmp_path / 't.csv'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        noise_temperature.read(path)


def test_examples_that_do_not_rise_are_refused() -> None:
    with pytest.raises(ValueError, match='run decay: its examples do not rise from update 1 to 2'):
        noise_temperature.schedules(DECAY.assign(examples=[0, 20, 20, *range(60, 8000, 20)]))


def test_reading_gives_back_every_digit(tmp_path: pathlib.Path) -> None:
    DECAY.to_csv(tmp_path / 't.csv', index=False)
    found = noise_temperature.read(tmp_path / 't.csv')
    pd.testing.assert_frame_equal(found, DECAY, check_dtype=False, rtol=0, atol=0)


def test_command_compares_and_prints_paths(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'schedule.csv'
    pd.concat([DECAY, GROW]).to_csv(path, index=False)
    monkeypatch.setattr(flags, 'FLAGS', types.SimpleNamespace(csv=str(path), x='epoch', out=None))
    fig_schedule.main()
    said = capsys.readouterr().out
    assert said.splitlines()[-3:] == [str(tmp_path / f'fig_schedule.{s}') for s in ('pdf', 'png', 'csv')]
    assert '100.00%' in said
    assert len(noise_temperature.read(path)) == len(DECAY) + len(GROW)


@pytest.mark.parametrize(
    ('csv', 'message'),
    [
        (None, '--csv=<file> is needed'),
        ('fig_schedule.csv', 'another --out'),
        ('/none.csv', 'no such file; write it with bsresearch run'),
    ],
)
def test_flags_that_cannot_be(csv: str | None, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flags, 'FLAGS', types.SimpleNamespace(csv=csv, x='epoch', out=None))
    with pytest.raises((ValueError, OSError), match=message):
        fig_schedule.main()
