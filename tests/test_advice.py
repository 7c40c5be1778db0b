"""Advice on tables whose truth is known: what is named, what is refused, and the models that it is made from."""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from test_advice_coverage import hyperbola, pace

from bsresearch.advice import choice, command, estimates, rates, reading, table
from bsresearch.advice.advise import advise
from bsresearch.advice.fits import curve, levels, regions, surface
from bsresearch.advice.fits.levels import Sample, Shape
from bsresearch.advice.table import Refusal

ROOT = pathlib.Path(__file__).parent.parent
SIZES = 2.0 ** np.arange(4, 11)
COLUMNS = reading.Columns('bs', epochs='epochs', seconds='seconds', run='seed')


def runs(length: Any = None, seeds: int = 4, spread: float = 0.05, sizes: np.ndarray = SIZES) -> pd.DataFrame:
    """A row per batch size and seed: epochs by a law of ln length, and seconds."""
    rng, size = np.random.default_rng(0), np.repeat(sizes, seeds)
    epochs = np.exp((length or hyperbola(300))(size) + spread * rng.normal(size=len(size)))
    return pd.DataFrame({
        'bs': size.astype(int), 'seed': np.tile(np.arange(seeds), len(sizes)), 'epochs': epochs,
        'seconds': epochs * pace(size),
    })  # fmt: skip


def losses(seeds: int = 1, noise: float = 0.002) -> pd.DataFrame:
    """Of B and rate: least at B = 128 and, at each B, at the rate 0.1·√(B/128); those of four times that diverge."""
    rng = np.random.default_rng(1)
    rows = [(b, lr, seed) for b in SIZES for lr in 0.1 * 2.0 ** np.arange(-5, 6) for seed in range(seeds)]
    size, lr, seed = np.array(rows).T
    off = np.log(lr / 0.1) - 0.5 * np.log(size / 128)
    loss = 2 + 0.01 * np.log(size / 128) ** 2 + 0.02 * off**2 + noise * rng.normal(size=len(rows))
    return pd.DataFrame({'bs': size.astype(int), 'lr': lr, 'seed': seed, 'loss': np.where(off > 1.9, 7.0, loss)})


# --- what is named


def test_the_least_time_is_named():
    """In closed form: 40(1 + B/300)·(5 + 2000/B + B/400) is least at B = 256 of the powers of two."""
    told = advise(reading.runs(runs(), COLUMNS))
    cost = np.exp(hyperbola(300)(SIZES)) * pace(SIZES)
    assert told.goal == 'time'
    assert told.batch_size.choice == SIZES[cost.argmin()] == 256
    assert told.batch_size.low <= 256 <= told.batch_size.high
    assert told.batch_size.high / told.batch_size.low <= 4
    seconds = told.row.expected['seconds']
    assert seconds.low < cost.min() < seconds.high
    assert seconds.choice == pytest.approx(cost.min(), rel=0.05)
    assert told.others['examples'] == 16


def test_a_batch_size_that_was_left_out_is_named_where_it_is_better():
    """Of 16, 64, 1024 a power of two between: 256 costs a third less than 64 and 1024."""
    told = advise(reading.runs(runs(sizes=np.array([16.0, 64, 1024])), COLUMNS))
    assert told.batch_size.choice == 256
    assert told.row.runs == 0


def test_one_that_was_left_out_is_not_named_for_a_little():
    """Expected a little better than the tried ones, less than the margin: what was tried is named."""
    cost = np.array([0.0, -0.03, 0.01]) + 0.01 * np.random.default_rng(0).normal(size=(500, 3))
    every, tried = np.ones(3, bool), np.array([True, False, True])
    assert choice.choose(cost, every, 0.05).named == 1
    assert choice.choose(cost, every, 0.05, tried).named == 0
    assert choice.choose(cost, every, 0.02, tried).named == 1


def test_what_cannot_be_told_apart_is_as_good():
    """Draws of costs: one is dearer in two thirds of them, one in all by more than the margin, one by less."""
    rng = np.random.default_rng(0)
    cost = np.column_stack([np.zeros(400), rng.normal(0.1, 0.3, 400), np.full(400, 0.06), np.full(400, 0.02)])
    found = choice.choose(cost, np.ones(4, bool), 0.05)
    assert found.named == 0
    assert found.as_good.tolist() == [True, True, False, True]
    assert (found.low, found.high) == (0, 3)


def test_the_gain_of_a_run_is_that_of_two_normal_costs():
    """Costs 0 and N(m, s²): knowing the second exactly gains s·φ(m/s) − m·Φ(−m/s)."""
    m, s = 0.1, 0.3
    rng = np.random.default_rng(0)
    cost = np.column_stack([np.zeros(200_000), rng.normal(m, s, 200_000)])
    run = np.column_stack([rng.normal(size=200_000), cost[:, 1]])
    gain = choice.gains(cost, run, np.ones(2, bool))
    assert gain[1] == pytest.approx(s * stats.norm.pdf(m / s) - m * stats.norm.cdf(-m / s), rel=0.03)
    assert gain[0] == pytest.approx(0, abs=1e-3)


# --- the law


def test_the_law_and_its_refusals():
    """B_crit of 300 is held; flat lengths bound it from below; a U, a fall, and rising steps have none."""
    told = advise(reading.runs(runs(), COLUMNS)).growth
    assert told is not None
    assert told.law.low <= 300 <= told.law.high < 450
    assert told.law.examples == pytest.approx(40, rel=0.1)
    assert told.law.steps == pytest.approx(told.law.examples / told.law.critical)
    assert np.abs(told.law.residuals).max() < 0.1
    for length, words in (
        (lambda b: np.full(len(b), 3.0), 'B_crit > 1,024, the largest tried'),
        (lambda b: 3 + 0.2 * np.log(b / 128) ** 2, 'U-shaped in B'),
        (lambda b: 5 - 0.3 * np.log(b), 'is falling in B'),
        (lambda b: 3 + 1.4 * np.log(b), 'more steps are needed at B = '),
    ):
        growth = advise(reading.runs(runs(length), COLUMNS), 'examples').growth
        assert growth is not None
        assert words in growth.law.text


def test_three_batch_sizes_have_no_law():
    growth = advise(reading.runs(runs(sizes=SIZES[:3]), COLUMNS)).growth
    assert growth is not None
    assert growth.law.refusal == '3 batch sizes reached the target, and a law of two numbers needs 4'


def test_regions_are_those_of_the_law():
    """On S_min(1 + B_crit/B) the slope is −B_crit/(B + B_crit): perfect up to B_crit/4, none from 4·B_crit."""
    size = 2.0 ** np.arange(0, 14)
    exact = np.log1p(size / 64)[None] + np.zeros((100, 1))
    named = {(s.smaller, s.larger): s.region for s in regions.stretches(size, exact)}
    assert named[8, 16] == 'perfect scaling'
    assert named[64, 128] == 'diminishing returns'
    assert named[256, 512] == 'no returns'
    assert regions.text(regions.stretches(size, exact)) == (
        '1 to 16 perfect scaling; 16 to 256 diminishing returns; 256 to 8192 no returns'
    )
    unsure = exact + np.random.default_rng(0).normal(size=exact.shape)
    assert {s.region for s in regions.stretches(size, unsure)} == {'undecided'}


# --- censoring, rounding, extrapolation


def test_runs_that_did_not_reach_the_target_count():
    """At B = 1024 half of them stop at 160 epochs of a mean of 176: survivors alone would say 150 or less."""
    frame = runs(spread=0.15, seeds=8)
    short = frame['epochs'] > 160
    frame['done'], frame['epochs'] = ~short, frame['epochs'].clip(upper=160.0)
    told = advise(reading.runs(frame, COLUMNS._replace(reached='done')))
    row = next(row for row in told.rows if row.batch_size == 1024)
    survivors = frame[(frame['bs'] == 1024) & ~short]['epochs'].mean()
    assert 0 < row.reached < row.runs == 8
    assert row.expected['length'].choice > survivors + 15
    assert row.expected['length'].choice == pytest.approx(np.exp(hyperbola(300)(1024)), rel=0.12)


def test_a_batch_size_that_never_reached_it_is_not_named():
    """Nor one between it and the next: its time is not known from both sides."""
    frame = runs(sizes=np.array([16.0, 64, 256, 1024]))
    frame.loc[frame['bs'] == 1024, 'epochs'] = np.nan
    told = advise(reading.runs(frame, COLUMNS))
    assert told.batch_size.high <= 256
    assert {row.batch_size: row.reached for row in told.rows}[1024] == 0


def test_intervals_of_whole_epochs_are_whole():
    frame = runs(hyperbola(300, 2.5))
    frame['epochs'] = np.ceil(frame['epochs'])
    told = advise(reading.runs(frame, COLUMNS), at=[24])
    for row in told.rows:
        low, high = row.expected['length'][1:3]
        assert low == int(low) >= 1
        assert high == int(high) >= low
    whole = reading.runs(frame, COLUMNS)
    assert (np.exp(whole.high) - np.exp(whole.low)).tolist() == pytest.approx([1.0] * len(frame))


def test_nothing_is_told_further_than_a_factor_of_two_outside():
    told = advise(reading.runs(runs(), COLUMNS), at=[8, 4, 96, 2048, 4096])
    rows = {row.batch_size: row for row in told.rows}
    assert rows[4096].refusal == (
        'B = 4096 lies 4 times beyond the batch sizes tried, 16 to 1024: nothing is told beyond 2 times'
    )
    assert rows[4].refusal
    assert rows[4].expected == {}
    for size in (8, 96, 2048):
        low, high = rows[size].expected['length'][1:3]
        assert low < np.exp(hyperbola(300)(size)) < high


def test_lengths_in_steps_are_those_in_examples():
    """Steps that were counted every 50 are rounded up to that; unequal batch sizes make them examples."""
    frame = runs()
    frame['steps'] = np.ceil(frame['epochs'] * 1000 / frame['bs'] / 50) * 50
    told = reading.runs(frame, COLUMNS._replace(epochs='', steps='steps'))
    assert told.unit == 'examples'
    assert told.length.tolist() == (frame['steps'] * frame['bs']).tolist()
    assert set(told.granularity / told.batch_size) == {50.0}


# --- models


def test_levels_are_those_of_the_closed_form():
    """400 runs at two of three points tell their spread: (C⁻¹ + n/s²)⁻¹; the third follows by its covariance."""
    rng, spread, n = np.random.default_rng(0), 0.5, 400
    prior = 0.001 * np.array([[1.0, 0.8, 0.6], [0.8, 1.0, 0.8], [0.6, 0.8, 1.0]])
    shape = Shape(np.zeros(1), np.zeros(1), np.full((1, 3), 0.5), prior[None])
    place = np.repeat([0, 2], n)
    y = rng.normal(0.55, spread, 2 * n)
    draws = levels.draw(shape, Sample(place, y, y), spread)
    gain = prior[:, [0, 2]] @ np.linalg.inv(prior[np.ix_([0, 2], [0, 2])] + spread**2 / n * np.eye(2))
    mean = 0.5 + gain @ (np.array([y[:n].mean(), y[n:].mean()]) - 0.5)
    deviation = np.sqrt(np.diag(prior - gain @ prior[[0, 2]]))
    assert draws.level.mean(axis=0) == pytest.approx(mean, abs=0.1 * deviation.min())
    assert draws.level.std(axis=0) == pytest.approx(deviation, rel=0.08)
    assert draws.spread[:, [0, 2]].mean(axis=0) == pytest.approx([spread, spread], rel=0.06)


def test_hidden_values_are_truncated_normals():
    """Against SciPy's moments, in both tails; where next to nothing is left, the nearer end."""
    rng = np.random.default_rng(0)
    ends = [(-1.0, 0.5), (2.0, 3.0), (-np.inf, -2.0), (1.5, np.inf), (6.0, np.inf)]
    low, high = (np.repeat(np.array(end)[:, None], 20_000, axis=1) for end in zip(*ends, strict=True))
    drawn = levels.truncated(rng, np.zeros_like(low), np.ones_like(low), low, high)
    for (a, b), own in zip(ends, drawn, strict=True):
        true = stats.truncnorm(a, b)
        assert own.mean() == pytest.approx(true.mean(), abs=5 * true.std() / np.sqrt(len(own)))
        assert own.std() == pytest.approx(true.std(), rel=0.05)
    far = levels.truncated(rng, np.zeros(2), np.ones(2), np.array([50.0, -60.0]), np.array([60.0, -50.0]))
    assert far.tolist() == [50.0, -50.0]


def test_the_curve_has_the_covariance_of_an_integrated_walk():
    """Monte Carlo of the slope's random walk, without level, slope and quirk."""
    size = np.array([1.0, 4.0, 32.0])
    shape = curve.smooth(size, 0.0)
    i = int(np.argmax((shape.parameter == curve.ROUGHNESS) & (shape.covariance[:, 0, 0] > curve.ANYWHERE**2)))
    x = np.log(size)
    base = curve.ANYWHERE**2 + curve.SLOPE**2 * np.outer(x, x)
    found = (
        shape.covariance[i] - base - (shape.covariance[i, 0, 0] - curve.ANYWHERE**2) * np.eye(3)
    ) / shape.parameter[i] ** 2
    steps = 400
    grid = np.linspace(0, x[-1], steps + 1)
    walk = np.cumsum(np.random.default_rng(0).normal(size=(20_000, steps)) * np.sqrt(grid[1]), axis=1)
    integral = np.cumsum(walk, axis=1) * grid[1]
    own = integral[:, np.searchsorted(grid[1:], x[1:] - 1e-9)]
    assert found[1:, 1:] == pytest.approx(np.cov(own, rowvar=False), rel=0.05)
    assert found[0] == pytest.approx(np.zeros(3), abs=1e-9)


def test_the_surface_is_that_of_universal_kriging():
    """One setting of the hyperparameters against the linear system of kriging with a plane (Cressie 1993, 3.4.5)."""
    rng = np.random.default_rng(0)
    points, values = rng.normal(size=(12, 2)), rng.normal(size=12)
    _, component = surface._component(points, values, (0.8, 1.3), 0.1)
    at = rng.normal(size=(4, 2))
    mean, covariance = surface.Surface(points, np.zeros(2), [component], np.ones(1))._of(component, at)
    kernel = lambda a, b: np.exp(-(((a[:, None] - b[None]) / [0.8, 1.3]) ** 2).sum(axis=-1) / 2)
    plane = lambda p: np.column_stack([np.ones(len(p)), p])
    whole = np.block([[kernel(points, points) + (0.1 + surface.JITTER) * np.eye(12), plane(points)],
                      [plane(points).T, np.zeros((3, 3))]])  # fmt: skip
    right = np.vstack([kernel(points, at), plane(at).T])
    weights = np.linalg.solve(whole, right)
    assert mean == pytest.approx(weights[:12].T @ values)
    assert covariance / component.variance == pytest.approx(kernel(at, at) - right.T @ weights)


def test_granularity_is_the_greatest_common_divisor():
    assert table.granularity([50, 100, 150, 250, 300, 450, 600, 700]) == 50
    assert table.granularity([50, 100]) == 0, 'too few to tell'
    assert table.granularity([1.5, *range(20)]) == 0


# --- rates


def test_the_rate_at_a_left_out_batch_size():
    """The valley's floor lies at 0.1·√(B/128); diverged runs beside it do not move it."""
    frame = losses()
    shown = frame[~frame['bs'].isin([64, 256])]
    told = advise(reading.runs(shown, reading.Columns('bs', 'lr', loss='loss')), at=[64, 256])
    assert told.goal == 'accuracy'
    for row in told.rows:
        true = 0.1 * np.sqrt(row.batch_size / 128)
        assert abs(np.log(row.rate.choice / true)) < np.log(1.35)
        assert row.rate.low <= true <= row.rate.high
        assert row.edge == ''
    assert told.batch_size.low <= 128 <= told.batch_size.high


def test_a_rate_on_the_edge_is_flagged():
    """Only rates below the best ones were tried."""
    frame = losses()
    frame = frame[frame['lr'] < 0.04]
    told = advise(reading.runs(frame, reading.Columns('bs', 'lr', loss='loss')))
    assert {row.batch_size: row.edge for row in told.rows}[1024] == 'largest'


def test_rates_of_lengths_to_a_target():
    """A tuned rate per batch size, and the time that goes with it: both minima are known."""
    rows = [(b, lr, seed) for b in SIZES for lr in 0.1 * 2.0 ** np.arange(-3, 4) for seed in range(2)]
    size, lr, seed = np.array(rows).T
    off = np.log(lr / 0.1) - 0.5 * np.log(size / 128)
    epochs = np.exp(hyperbola(300)(size) + 0.1 * off**2 + 0.03 * np.random.default_rng(2).normal(size=len(size)))
    frame = pd.DataFrame(
        {'bs': size.astype(int), 'lr': lr, 'seed': seed, 'epochs': epochs, 'seconds': epochs * pace(size)}
    )
    told = advise(reading.runs(frame, COLUMNS._replace(learning_rate='lr')))
    assert told.batch_size.low <= 256 <= told.batch_size.high
    true = 0.1 * np.sqrt(told.batch_size.choice / 128)
    assert told.row.rate.low / 1.2 <= true <= told.row.rate.high * 1.2


def test_too_few_cells_have_no_rate():
    found = rates.cells(np.array([16.0, 16, 32]), np.array([0.1, 0.2, 0.1]), np.array([1.0, 2, 3]))
    with pytest.raises(
        Refusal, match=r'^3 cells of batch size and learning rate, 2 rates, come near the best: a rate is'
    ):
        rates.at(found, np.array([16.0, 32.0]), 5.0)


def test_an_accuracy_is_best_when_highest():
    """The same table with the sign turned gives the same advice."""
    frame = losses()
    frame['accuracy'] = 3 - frame.pop('loss')
    told = advise(reading.runs(frame, reading.Columns('bs', 'lr', loss='accuracy')))
    straight = advise(reading.runs(losses(), reading.Columns('bs', 'lr', loss='loss')))
    assert not told.runs.falling
    assert told.batch_size == straight.batch_size
    assert told.row.rate.choice == pytest.approx(straight.row.rate.choice, rel=0.3)


# --- the command


def typed(folder: pathlib.Path, frame: pd.DataFrame, **flags: Any) -> str:
    frame.to_csv(folder / 'runs.csv', index=False)
    return command.run(command.Request(**{'table': f'{folder}/runs.csv', 'batch_size': 'bs', **flags}))


def test_the_page_and_the_json_say_the_same(tmp_path: pathlib.Path):
    frame = runs()
    frame['dataset'], frame['lr'] = 'digits', 0.1
    page = typed(tmp_path, frame, epochs='epochs', seconds='seconds', run='seed', learning_rate='lr', at=['96', '4096'],
                 json=f'{tmp_path}/advice.json', price_per_hour=3.6)  # fmt: skip
    told = json.loads((tmp_path / 'advice.json').read_text())
    size = told['batch_size']
    assert page.startswith(
        f'use B = {size["choice"]:g} ({size["low"]:g} to {size["high"]:g} as good), lr 0.1 (the only one tried)\n'
    )
    assert 'held fixed: one learning rate, 0.1, at every batch size; dataset=digits\n' in page
    assert told['cost']['choice'] == pytest.approx(told['seconds']['choice'] / 1000)
    assert told['refusal'] is None
    rows = {row['batch_size']: row for row in told['batch_sizes']}
    assert rows[96]['epochs']['refusal'] is None
    assert rows[96]['learning_rate'] == {
        'choice': None,
        'low': None,
        'high': None,
        'refusal': 'no rate was tried there',
    }
    assert rows[4096]['refusal'] in page
    assert told['critical_batch_size']['told'] in page


def test_the_seal_is_of_the_content(tmp_path: pathlib.Path):
    """The sha256 stands for all else in the file, the time among it."""
    typed(tmp_path, runs(), epochs='epochs', json=f'{tmp_path}/advice.json')
    told = json.loads((tmp_path / 'advice.json').read_text())
    seal = told.pop('sha256')
    assert hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest() == seal
    assert told['table_sha256'] == hashlib.sha256((tmp_path / 'runs.csv').read_bytes()).hexdigest()
    assert told['time'].endswith('+00:00')


def test_parquet_and_conditions(tmp_path: pathlib.Path):
    """As the CSV of those rows alone."""
    frame = runs()
    both = pd.concat([frame.assign(target=0.5), frame.assign(target=0.6, epochs=2 * frame['epochs'])])
    both.to_parquet(tmp_path / 'runs.parquet')
    request = command.Request(table=f'{tmp_path}/runs.parquet', batch_size='bs', epochs='epochs', seconds='seconds',
                              run='seed', where=('target=5e-1',))  # fmt: skip
    page = typed(tmp_path, frame, epochs='epochs', seconds='seconds', run='seed')
    assert command.run(request).replace('; target=0.5', '') == page


def test_the_command_loads_no_jax():
    """Advice on a table starts in a second."""
    code = 'import sys, bsresearch.advice.command; sys.exit("jax" in sys.modules)'
    assert subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=False).returncode == 0


E = {'epochs': 'epochs'}
BAD: dict[str, tuple[pd.DataFrame, dict[str, Any], str]] = {
    'no such column': (runs(), {'epochs': 'epoch'},
                       "--epochs=epoch: the table has no such column; did you mean 'epochs'"),
    'one batch size': (runs(sizes=SIZES[:1]), E,
                       'one batch size, B = 16, and nothing to compare it with: train at B = 8 and 32 too'),
    'never reached': (runs().assign(done=False), {**E, 'reached': 'done'},
                      'none of 28 runs reached the target, the longest went to 185 epochs: take a target that some'),
    'reached at one': (runs().assign(done=runs()['bs'] == 16), {**E, 'reached': 'done'},
                       'only runs at B = 16 reached the target: of those tried it is the one to use'),
    'mixed rates': (pd.concat([runs().assign(lr=0.1), runs().assign(lr=0.2)]), E,
                    'lr has 2 values at B = 16 and was not named: runs of different rates do not repeat one another; '
                    'give --learning_rate=lr'),
    'twice': (pd.concat([runs().assign(target=1), runs().assign(target=2)]), {**E, 'run': 'seed'},
              'rows 1 and 29 are one run twice (bs 16, seed 0); they differ in target: --where=target=1 keeps one'),
    'less than a batch': (runs().assign(n=10), {'examples': 'n'},
                          '--examples=n: row 1 has 10 examples, less than one update of B = 16; give --steps=n or'),
    'broken steps': (runs().assign(n=1.5), {'steps': 'n'},
                     '--steps=n: row 1 has 1.5, and steps are whole; give --epochs=n if they are those'),
    'direction': (runs().assign(score=1.0), {'loss': 'score'},
                  '--loss=score: is it best when lowest or when highest? Give --higher_is_better=false or true'),
    'no length': (runs(), {},
                  'which column says how long a run took to its target? Give --steps, --epochs or --examples; where'),
    'two lengths': (runs(), {**E, 'steps': 'seed'}, '--steps and --epochs: the length of a run is one column'),
    'words': (runs().assign(bs='many'), E, "--batch_size=bs: row 1 has 'many'; a number is needed"),
    'a broken size': (runs().assign(bs=1.5), E,
                      '--batch_size=bs: row 1 has 1.5; a whole number of at least 1 is needed'),
    'no size': (runs().assign(bs=np.nan), E, '--batch_size=bs: row 1 is empty'),
    'negative time': (runs().assign(seconds=-1.0), {**E, 'seconds': 'seconds'},
                      '--seconds=seconds: row 1 has -1; a number above 0 is needed'),
    'goal': (runs(), {**E, 'goal': 'energy'}, '--goal=energy: no run tells it; name its column, --joules or --watts'),
    'no goal': (runs(), {**E, 'goal': 'tme'}, "--goal=tme: did you mean 'time'"),
    'no end': (runs().assign(done=True, epochs=np.nan), {**E, 'reached': 'done'},
               '--reached=done: row 1 reached its target, but its length is empty'),
    'no truth': (runs().assign(done='perhaps'), {**E, 'reached': 'done'},
                 "--reached=done: row 1 has 'perhaps'; true or false is needed"),
    'no condition': (runs(), {**E, 'where': ('bs',)}, '--where=bs: a condition is column=value or column=value,value'),
    'no such row': (runs(), {**E, 'where': ('bs=17',)},
                    '--where=bs=17: no row has it (with the conditions before it); bs is 16, 32, 64, 128, 256, 512'),
    'at': (runs(), {**E, 'at': ['-3']}, '--at=-3: whole numbers of at least 1 are needed'),
    'per': (runs(), {**E, 'seconds': 'seconds', 'seconds_per': 'step'},
            '--seconds_per=step: the length is in epochs: run or epoch'),
    'price': (runs(), {**E, 'price_per_hour': -1.0}, '--price_per_hour=-1: a number above 0 is needed'),
}  # fmt: skip


@pytest.mark.parametrize('name', BAD)
def test_bad_input_is_one_line(name: str, tmp_path: pathlib.Path):
    frame, flags, words = BAD[name]
    with pytest.raises(ValueError, match=f'^{re.escape(words)}') as error:
        typed(tmp_path, frame, **flags)
    assert '\n' not in str(error.value)


def test_a_refusal_stands_in_the_json_too(tmp_path: pathlib.Path):
    with pytest.raises(Refusal) as error:
        typed(tmp_path, runs(sizes=SIZES[:1]), epochs='epochs', json=f'{tmp_path}/advice.json')
    assert json.loads((tmp_path / 'advice.json').read_text())['refusal'] == str(error.value)


def test_lengths_that_grow_with_nothing_are_answered():
    """Examples that do not: all batch sizes are within a few per cent. Steps that do not: the smallest costs least."""
    told = advise(reading.runs(runs(lambda b: np.full(len(b), 3.0)), COLUMNS), 'examples')
    assert told.batch_size.high / told.batch_size.low >= 16
    assert max(abs(row.dearer) for row in told.rows) < 0.1
    told = advise(reading.runs(runs(lambda b: np.log(b)), COLUMNS), 'examples')
    assert told.batch_size == (16, 16, 16, '')
    assert told.growth is not None
    assert {s.region for s in told.growth.stretches} <= {'no returns', 'undecided'}


def test_batch_sizes_that_may_be_named():
    """Powers of two between neighbours more than a factor of 2 apart."""
    assert estimates.candidates(np.array([16.0, 32, 192, 256, 1000])).tolist() == [16, 32, 64, 128, 192, 256, 512, 1000]
