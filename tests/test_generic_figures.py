"""Colours, courses and generic figures of studies: plotted numbers against brute force, bands inside bounds."""

import dataclasses
import itertools
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import shen_records
from drawn import table
from fake_records import entry, member, write_run
from scipy import stats

from bsresearch.analysis import cells, courses, figures, points, statements, study
from bsresearch.analysis.contrasts import at, minus
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.fitted import at_value
from bsresearch.analysis.of_runs import at_epoch, final, to_target
from bsresearch.analysis.over import best_over
from bsresearch.analysis.quantity import LOSS
from bsresearch.analysis.statements import Statement
from bsresearch.analysis.study import Study
from bsresearch.core import lookup
from bsresearch.findings import shen as findings
from bsresearch.report import colours, plotting
from bsresearch.report.figures import curves as courses_drawn
from bsresearch.report.figures import drawing, pareto, scales

# Machado et al. 2009, full strength: linear sRGB → what is seen.
SEEN = {
    'all cones': np.eye(3),
    'deuteranopia': np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    'protanopia': np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    'tritanopia': np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


@pytest.fixture(scope='module')
def branched(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Five arms and six branches of three seeds."""
    workdir = tmp_path_factory.mktemp('branched')
    shen_records.write(workdir)
    return shen_records.load(workdir)


def accuracies(size: int, rate: float, seed: int) -> list[float]:
    """At epochs 0 to 4."""
    end = 0.99 - 0.001 * size - 0.02 * abs(np.log10(rate / 0.1)) + 0.004 * (seed - 1) * (1 + seed)
    return list(0.1 + (end - 0.1) * np.arange(5) / 4)


@pytest.fixture(scope='module')
def grid(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Batch sizes × rates; n = 3, but 2 at B = 32 and 1 at B = 64; at B = 16, rate 1 a run diverged after epoch 2."""
    workdir = tmp_path_factory.mktemp('grid')
    for size, rate in itertools.product((16, 32, 64), (0.01, 0.1, 1.0)):
        for seed in range({16: 3, 32: 2, 64: 1}[size]):
            gone = (size, rate, seed) == (16, 1.0, 2)
            values = accuracies(size, rate, seed)[: 3 if gone else 5]
            course = {
                'test_accuracy': values,
                'validation_accuracy': [0.9 * v for v in values],
                'train_loss': [1.5 - v for v in values],
                'test_loss': [1e-3 * (seed + 1) for _ in values],
            }
            end = {'status': 'diverged', 'diverged_step': 9} if gone else {}
            write_run(workdir, batch_size=size, learning_rate=rate, seed=seed, values=course, **end)
    return study.load(workdir, 'train')


def lab(colour: str, seen: np.ndarray) -> np.ndarray:
    """CIE Lab of '#rrggbb' as seen."""
    srgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ np.clip(seen @ linear, 0, 1) / np.array([0.95047, 1, 1.08883])
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def nearest(palette: Sequence[str]) -> float:
    """The smallest distance between two colours for any kind of sight."""
    pairs = itertools.combinations(palette, 2)
    return min(float(np.linalg.norm(lab(a, seen) - lab(b, seen))) for a, b in pairs for seen in SEEN.values())


def test_colours_of_arms_and_batch_sizes_stay_apart(branched: Study):
    """For all kinds of sight; the batch sizes go from dark to light."""
    looks = colours.looks(branched)
    sizes = [looks[arm, '', ''].colour for arm in ('small', 'middle', 'large')]
    assert nearest([*sizes, *colours.ARMS]) > 20
    lightness = [lab(colour, np.eye(3))[0] for colour in sizes]
    assert lightness == sorted(lightness)
    assert {look.colour for look in looks.values()} >= {*sizes, *colours.ARMS[:5]}


def test_a_colour_has_one_meaning_and_no_two_cells_look_alike(branched: Study, grid: Study):
    for one in (branched, grid):
        looks = colours.looks(one)
        assert len({(look.colour, look.dash) for look in looks.values()}) == len(looks) == len(cells.of(one))
        assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)
    of_sizes, of_rates = colours.of_values(grid, 'batch_size'), colours.of_values(grid, 'learning_rate')
    assert len({*of_sizes.values(), *of_rates.values()}) == 6
    assert {key[3]: look.colour for key, look in colours.looks(grid).items()} == of_sizes
    arms, branches = colours.of_values(branched, 'arm'), colours.of_values(branched, 'branch')
    assert len({*arms.values(), *branches.values()}) == 8
    assert branches['control'] == colours.looks(branched)['large', 'control', 2.0].colour


def test_a_course_is_the_mean_of_its_replicates(grid: Study):
    """Mean and Student's interval at every epoch against brute force; what diverged is counted and left out."""
    key = ('all', '', '', 16, 0.01)
    course = courses.of(grid, key, 'train_loss')
    every = np.array([[1.5 - v for v in accuracies(16, 0.01, seed)] for seed in range(3)])
    assert course['mean'].to_numpy() == pytest.approx(every.mean(axis=0))
    low, high = stats.t.interval(0.95, 2, every[:, 4].mean(), stats.sem(every[:, 4]))
    assert course[['low', 'high']].iloc[4].tolist() == pytest.approx([low, high])
    gone = courses.of(grid, ('all', '', '', 16, 1.0), 'train_loss')
    assert gone[['n', 'diverged']].to_numpy().tolist() == [[3, 0]] * 3 + [[2, 1]] * 2
    updates = courses.of(grid, key, 'train_loss', 'updates')
    assert updates['x'].tolist() == [0, 4, 8, 12, 16]


def test_bands_stay_inside_possible_values(grid: Study):
    """Two losses of 0.001 and 0.002 have an interval that reaches far below 0."""
    course = courses.of(grid, ('all', '', '', 32, 0.1), 'test_loss')
    assert course['low'].tolist() == [0.0] * 5
    assert (course['high'] > 0.007).all()
    for key in cells.of(grid):
        accuracy = courses.of(grid, key, 'test_accuracy')
        assert not (accuracy['high'] > 1).any()


def test_branches_begin_at_their_point(branched: Study):
    """A run from the start keeps its own epochs."""
    late = ('large', 'control', 8.0)
    for x, last in (('epochs', 8.0), ('updates', 8.0), ('examples', 512.0), ('seconds', 4.0)):
        at = courses.of(branched, late, 'test_accuracy', x, since_branch=True)['x']
        assert (at.iloc[0], at.iloc[-1]) == pytest.approx((0.0, last))
    assert courses.of(branched, ('small', '', ''), 'test_accuracy', since_branch=True)['x'].max() == 8
    norm = courses.of(branched, ('large', '', ''), 'parameter_norm', relative=True)
    assert norm['mean'].iloc[0] == 1
    assert norm['mean'].iloc[-1] == pytest.approx((44 + 0.01 * 0.5 * 1.001 * np.sqrt(8)) / 44, rel=1e-6)


def test_cells_have_an_order_and_names(grid: Study):
    assert [key[3:] for key in cells.of(grid)] == list(itertools.product((16, 32, 64), (0.01, 0.1, 1.0)))
    labels = cells.labels(grid)
    assert labels['all', '', '', 32, 0.1] == 'B = 32, lr 0.1'
    assert len(set(labels.values())) == len(labels)
    with pytest.raises(ValueError, match="'learning_rate'"):
        cells.values(grid, 'learning_rat')
    assert cells.of(cells.only(grid, lambda key: key[3] == 32)) == [('all', '', '', 32, r) for r in (0.01, 0.1, 1.0)]


TEST, VALIDATION = final('test_accuracy'), final('validation_accuracy')
Table = Callable[[Study, Figure], pd.DataFrame]


@pytest.fixture
def plotted(tmp_path: pathlib.Path, small_pictures: None) -> Table:
    """Draws a figure: the numbers beside it."""
    return lambda one, figure: table(one, figure, tmp_path)


def test_curves_write_what_they_draw(grid: Study, plotted: Table):
    """Per cent; the mean of three, both values of two, one alone; losses as they are."""
    table = plotted(grid, figures.curves('test_accuracy', 'test_loss'))
    end = table.query('learning_rate == 0.1 and metric == "test_accuracy" and epochs == 4').set_index('batch_size')
    expected = [100 * accuracies(16, 0.1, seed)[-1] for seed in range(3)]
    low, high = stats.t.interval(0.95, 2, np.mean(expected), stats.sem(expected))
    assert end.loc[16, ['mean', 'low', 'high']].tolist() == pytest.approx(
        [np.mean(expected), low, min(high, 100)], rel=1e-4
    )
    both = [100 * accuracies(32, 0.1, seed)[-1] for seed in range(2)]
    assert end.loc[32, ['value_1', 'value_2']].tolist() == pytest.approx(both)
    assert end.loc[[32, 64], ['low', 'high']].isna().all(axis=None)
    assert table.query('metric == "test_loss" and batch_size == 16 and learning_rate == 0.1')[
        'mean'
    ].unique() == pytest.approx([0.002])
    assert table.query('batch_size == 16 and learning_rate == 1')['diverged'].max() == 1


def test_curves_of_some_cells_against_updates(branched: Study, plotted: Table):
    figure = figures.curves('distance', cells=('small', 'adam', 'adam_low_rate'), x='updates', panel='optimizer.name')
    table = plotted(branched, figure)
    assert set(table['arm']) == {'small', 'adam'}
    small = table[table['arm'] == 'small']
    assert small['updates'].tolist() == [16 * epoch for epoch in range(1, 9)]
    assert small['mean'].to_numpy() == pytest.approx(0.5 * 1.001 * np.sqrt(small['updates'].to_numpy()), rel=1e-4)
    with pytest.raises(ValueError, match="'updates'"):
        plotted(branched, figures.curves('distance', x='update'))


def test_versus_writes_what_it_draws(grid: Study, plotted: Table):
    """A level is that of the survivors; of three replicates nothing is chosen."""
    table = plotted(grid, figures.versus(TEST, x='batch_size', by='learning_rate')).set_index(
        ['batch_size', 'learning_rate']
    )
    assert table.loc[(16, 1.0), ['n', 'runs', 'diverged']].tolist() == [2, 3, 1]
    assert table.loc[(64, 0.01), 'centre'] == pytest.approx(100 * accuracies(64, 0.01, 0)[-1])
    best = plotted(grid, figures.versus(best_over('learning_rate', TEST, by=VALIDATION), x='batch_size'))
    assert best[['edge', 'n', 'runs']].to_numpy().tolist() == [[False, 0, 9], [False, 0, 6], [False, 0, 3]]


def test_versus_takes_a_field_that_arms_set(branched: Study, plotted: Table):
    """Arms that differ in it alone are one line; what was not reached is a bound."""
    late = to_target('epochs', 'test_accuracy', 0.89)
    arms = ('small', 'middle', 'large', 'higher_rate')
    table = plotted(branched, figures.versus(TEST, late, x='batch_size', cells=arms)).set_index(['quantity', 'arm'])
    assert table.loc[TEST.name, 'batch_size'].tolist() == [4, 16, 64, 64]
    assert table.loc[TEST.name, 'centre'].tolist() == pytest.approx([90, 88, 85, 89.8], abs=1e-3)
    assert table.loc[late.name, 'censored'].tolist() == [0, 3, 3, 0]


@pytest.fixture(scope='module')
def optimizers(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two optimizers at three batch sizes, an arm for each, the rate in proportion."""
    workdir, rows, arms = tmp_path_factory.mktemp('optimizers'), [], {}
    for optimizer, size in itertools.product(('sgd', 'adam'), (16, 32, 64)):
        arm, rate = f'{optimizer}_{size}', size / 160
        arms[arm] = {'batch_size': size, 'learning_rate': rate, 'optimizer': {'name': optimizer}}
        for seed in range(3):
            course = {'test_accuracy': accuracies(size, rate, seed)}
            settings = {'batch_size': size, 'learning_rate': rate, 'optimizer': {'name': optimizer}}
            write_run(workdir, name=f'{arm}s{seed}', seed=seed, values=course, **settings)
            rows.append(member(f'{arm}s{seed}', arm, seed))
    return study.load(workdir, 'train', entry(rows, arms), 'own')


def legend(sheet: Any) -> list[str]:
    return [text.get_text() for text in sheet.figure.legends[0].get_texts()]


def test_a_line_joins_what_shares_its_colour_and_is_named_by_that(optimizers: Study):
    """No line from one arm to the next; through several arms it has the name of what they share."""
    by = lambda field, x='batch_size': drawing.sheet(optimizers, figures.versus(TEST, x=x, by=field))
    assert legend(by('arm')) == [f'{o} {size}' for o in ('sgd', 'adam') for size in (16, 32, 64)]
    for x in ('batch_size', 'learning_rate'):
        assert legend(by('optimizer.name', x)) == ['sgd', 'adam']
    through = lambda sheet: [
        len(line.get_xdata()) for line in sheet.figure.axes[0].lines if line.get_linewidth() == 0.9
    ]
    assert through(by('arm')) == [1] * 6
    assert through(by('optimizer.name')) == [3, 3]


def test_a_line_through_arms_of_one_value_beside_another_has_their_names_too(optimizers: Study):
    """At one momentum there are two: each is told by its arms."""
    sheet = drawing.sheet(optimizers, figures.versus(TEST, x='batch_size', by='momentum'))
    assert legend(sheet) == ['momentum 0 (sgd 16, 32, 64)', 'momentum 0 (adam 16, 32, 64)']


def test_one_evaluation_is_a_point(tmp_path: pathlib.Path):
    """Of one epoch against updates, whose axis has no place for 0: with its interval, and so in the legend."""
    for size, seed in itertools.product((16, 32), range(3)):
        write_run(tmp_path, batch_size=size, seed=seed, values={'test_accuracy': [0.1, 0.5 + 0.01 * seed]})
    of = study.load(tmp_path, 'train')
    for x, marker in (('updates', 'o'), ('epochs', '')):
        drawn: Any = drawing.sheet(of, figures.curves('test_accuracy', x=x)).figure
        ends = [line for line in drawn.axes[0].lines if np.isclose(line.get_ydata()[-1:], 51).any()]
        assert [line.get_marker() for line in ends] == [marker] * 2
        assert [handle.get_marker() for handle in drawn.legends[0].legend_handles] == [marker] * 2


def test_an_axis_has_room_for_the_bands(optimizers: Study):
    """Those of three seeds lie inside, and the first of five evaluations, at chance."""
    for key in cells.of(optimizers):
        course = courses.of(optimizers, key, 'test_accuracy')
        sheet = drawing.sheet(optimizers, figures.curves('test_accuracy', cells=(key[0],)))
        low, high = sheet.figure.axes[0].get_ylim()
        assert low <= 100 * course['low'].iloc[1:].min() <= 100 * course['high'].iloc[1:].max() <= high
        assert low < 100 * course['mean'].iloc[0]


def inside(ax: Any, values: Sequence[float]) -> bool:
    """Whether markers at these heights are seen whole."""
    half, place = ax.figure.dpi / 72 * 2.25, ax.transData.transform([(1, v) for v in values])[:, 1]
    return bool(ax.bbox.y0 + half <= place.min() <= place.max() <= ax.bbox.y1 - half)


PAIRS = {(16, 0): (0.40, 0.42), (16, 1): (0.41, 0.6583), (32, 0): (0.43, 0.5917), (32, 1): (0.0, 1.0)}


@pytest.fixture(scope='module')
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Two seeds of each of four cells; losses over two decades, distances a thousand times apart."""
    workdir = tmp_path_factory.mktemp('pairs')
    for ((size, place), ends), seed in itertools.product(PAIRS.items(), (0, 1)):
        rising = [0.1 + (ends[seed] - 0.1) * share for share in (0, 0.9, 0.95, 0.97, 1)]
        far = [1000.0**place * epoch * (1 + seed) for epoch in range(5)]
        course = {'test_accuracy': rising, 'distance': far}
        course['parameter_norm'] = [50.0 + (1 + place) * epoch for epoch in range(5)]
        course['test_loss'] = [5.0 * 0.4 ** (epoch * (1 + place) / 2) for epoch in range(5)]
        write_run(workdir, batch_size=size, learning_rate=10.0**-place, seed=seed, values=course)
    return study.load(workdir, 'train')


@pytest.mark.parametrize(
    'figure',
    [figures.curves('test_accuracy'), figures.versus(TEST, x='batch_size'), figures.pareto(final('distance'), TEST)],
)
def test_every_seed_of_two_lies_inside_the_axis(pairs: Study, figure: Figure):
    """Values far above the others' means, at 0 and at 100 %, with their markers."""
    sheet = drawing.sheet(pairs, figure)
    sheet.figure.draw_without_rendering()
    assert all(inside(ax, [100 * v for pair in PAIRS.values() for v in pair]) for ax in sheet.figure.axes)


def test_the_initial_weights_are_left_out_where_they_would_be_most_of_the_axis(tmp_path: pathlib.Path):
    for seed in (0, 1):
        write_run(tmp_path, seed=seed, values={'test_accuracy': [0.1, 0.93, 0.95, 0.96, 0.97 + 0.01 * seed]})
    low, high = drawing.sheet(study.load(tmp_path, 'train'), figures.curves('test_accuracy')).figure.axes[0].get_ylim()
    assert 90 < low < 93 < 98 < high


def test_panels_of_a_metric_share_their_axis_but_one_that_would_be_flat(pairs: Study):
    """Distances of 1 and 1,000 do not; norms of 54 and 58 do."""
    ends = lambda metric: [
        ax.get_ylim() for ax in drawing.sheet(pairs, figures.curves(metric, panel='learning_rate')).figure.axes
    ]
    assert len({*ends('parameter_norm')}) == 1
    assert len({*ends('test_loss')}) == 1
    small, large = sorted(high for _, high in ends('distance'))
    assert 8 < small < 10
    assert 8000 < large < 10000


@pytest.mark.parametrize(
    ('low', 'high'), [(776.0, 1301.0), (0.98, 1.2), (0.0061, 0.016), (0.5, 40.0), (0.1, 7.0), (1e-3, 1e3)]
)
def test_a_logarithmic_axis_has_three_ticks(low: float, high: float):
    ax = plotting.Figure().subplots()
    scales.limits(ax, LOSS, np.array([low, high]), log=True)
    bottom, top = ax.get_ylim()
    ticks = [tick for tick in ax.yaxis.get_majorticklocs() if bottom <= tick <= top]
    assert len(ticks) >= 3
    # From one end to the other: not on its upper part alone.
    assert np.log(ticks[-1] / ticks[0]) > 0.5 * np.log(top / bottom)


def test_a_heat_map_rings_the_best_of_each_column(grid: Study, plotted: Table):
    """By brute force; a cell with a run that diverged is never the best."""
    figure = figures.heat(TEST, x='batch_size', y='learning_rate')
    table = plotted(grid, figure).set_index(['batch_size', 'learning_rate'])
    assert table.index[table['best']].tolist() == [(16, 0.1), (32, 0.1), (64, 0.1)]
    assert not table['edge'].any()
    mean = np.mean([100 * accuracies(16, 0.01, seed)[-1] for seed in range(3)])
    assert table.loc[(16, 0.01), 'centre'] == pytest.approx(mean)
    assert table.loc[(16, 1.0), 'diverged'] == 1
    low = cells.only(grid, lambda key: key[4] < 1)
    flagged = plotted(low, figure)
    assert flagged[flagged['best']]['edge'].all()
    with pytest.raises(ValueError, match="'learning_rate'"):
        plotted(grid, figures.heat(TEST, x='batch_size', y='learning_rat'))


def test_the_unbeaten_are_joined(branched: Study, plotted: Table):
    """Against every pair; a point for every replicate of every cell."""
    rng = np.random.default_rng(0)
    means = pd.DataFrame(rng.random((40, 2)), columns=['x', 'y'])
    unbeaten = pareto.frontier(means, False, True)
    for i, (x, y) in means.iterrows():
        beaten = ((means['x'] < x) & (means['y'] > y)).any()
        assert (i in unbeaten.index) != beaten
    table = plotted(branched, figures.pareto(final('distance'), TEST))
    assert len(table) == 3 * 11
    assert not table['unbeaten'].any()


def test_a_front_of_reduced_quantities_has_the_cells_that_are_left(grid: Study, plotted: Table):
    """At one rate, two batch sizes with three and two seeds and one with one; a mixed pair is refused."""
    epochs, test = (at_value('learning_rate', 0.1, q) for q in (to_target('epochs', 'test_accuracy', 0.1), TEST))
    table = plotted(grid, figures.pareto(epochs, test, by='batch_size'))
    assert table.groupby('batch_size').size().to_dict() == {16: 3, 32: 2, 64: 1}
    assert 'learning_rate' not in table
    with pytest.raises(ValueError, match='is of arm, branch, point, batch_size'):
        plotted(grid, figures.pareto(epochs, TEST))


def test_courses_of_cells_that_colours_tell_share_a_panel(grid: Study, plotted: Table):
    """Of two batch sizes at different rates; of one batch size at two rates there is a panel for each."""
    apart = (at(batch_size=16, learning_rate=0.1), at(batch_size=32, learning_rate=1.0))
    prepared = courses_drawn.prepare(grid, figures.curves('test_accuracy', cells=apart))
    assert len(prepared.panels) == 1
    alike = (at(batch_size=16, learning_rate=0.1), at(batch_size=16, learning_rate=0.01))
    prepared = courses_drawn.prepare(grid, figures.curves('test_accuracy', cells=alike))
    assert [panel.value for panel in prepared.panels] == [0.01, 0.1]


def test_a_ridge_is_a_density(grid: Study, plotted: Table):
    """Each integrates to 1; of runs that diverged there is none."""
    table = plotted(grid, figures.ridge('test_accuracy', 'batch_size'))
    areas = ((table['high'] - table['low']) * table['density']).groupby([table['setting'], table['batch_size']]).sum()
    assert areas.to_numpy() == pytest.approx(np.ones(9))
    assert table.groupby(['batch_size', 'setting'])['n'].first().loc[16].tolist() == [3, 3, 2]


def test_ridges_of_arms_share_a_panel(optimizers: Study, plotted: Table):
    """All of them by arm; by the size that arms set, one for each optimizer."""
    table = plotted(optimizers, figures.ridge('test_accuracy', 'arm'))
    assert table[['setting', 'arm']].drop_duplicates().shape[0] == table['arm'].nunique() == 6
    by_size = plotted(optimizers, figures.ridge('test_accuracy', 'batch_size'))
    assert by_size.groupby('setting', sort=False)['batch_size'].unique().map(list).tolist() == [[16, 32, 64]] * 2


def test_a_forest_has_every_interval_of_every_claim(branched: Study, plotted: Table):
    """In the unit of the claim, with its bounds and verdict."""
    claims = [c for c in findings.CLAIMS if c.key in ('A1', 'B1', 'E5')]
    table = plotted(branched, figures.forest(*claims))
    judged = {c.key: statements.judge(c, branched) for c in claims}
    assert table.groupby('claim').size().to_dict() == {
        f'{key}: {v.verdict}': sum(not np.isnan(one.interval.centre) for one in v.judged) for key, v in judged.items()
    }
    first = table.iloc[0]
    assert first[['centre', 'least']].tolist() == pytest.approx([2.0, 0.0], abs=1e-3)
    assert first['low'] == pytest.approx(100 * judged['A1'].judged[0].interval.low)
    ratios = table[table['claim'].str.startswith('E5')]
    assert ratios['least'].unique() == pytest.approx([1 / 1.2])


def test_ticks_too_near_for_their_texts_are_left_out():
    """A twelfth of the axis apart, which for two decades is a factor of 1.45."""
    assert scales.apart([15, 30, 60, 150, 200, 600, 1500]) == [15, 30, 60, 150, 600, 1500]
    assert scales.apart([64.0]) == [64.0]
    assert scales.apart([2**k for k in range(11)]) == [2**k for k in range(11)]


def test_names_of_a_forest_are_whole_and_lie_apart(branched: Study):
    """Claims and names as long as the longest of the studies; numbers without a unit have an axis for each claim."""
    long = 'norm, batch size 600 over norm, batch size 30'
    parts = (*minus('higher_rate', 'small', label=long), *minus('small', 'large', label=f'{long} '))
    claims = [Statement(f'sharper at equal loss {q.name}', 'here', 'It is.', q, parts, low=0.0)
              for q in (TEST, final('test_loss'), final('train_loss'))]  # fmt: skip
    fig = drawing.sheet(branched, figures.forest(*claims)).figure
    fig.draw_without_rendering()
    texts = [text for ax in fig.axes for text in (*ax.texts, *ax.get_xticklabels())]
    boxes = [text.get_window_extent() for text in texts]
    assert not [(a, b) for (a, i), (b, j) in itertools.combinations(zip(texts, boxes, strict=True), 2) if i.overlaps(j)]
    assert all(fig.bbox.x0 <= box.x0 and box.x1 <= fig.bbox.x1 for box in boxes)
    assert [text.get_text().strip() for text in texts].count(long) == 6
    assert len(fig.axes) == 3
    assert min(ax.get_position().width for ax in fig.axes) > 0.2


def test_a_multiverse_judges_one_claim_under_each_rule(branched: Study, plotted: Table):
    claim = Statement('A', 'here', 'The small batch ends higher.', TEST, minus('higher_rate', 'small'), low=-0.001)
    rules = {'equal epochs': TEST, 'early': at_epoch('test_accuracy', 1), 'loss': final('train_accuracy')}
    table = plotted(branched, figures.multiverse(claim, rules))
    assert table['claim'].str.partition(':')[0].tolist() == list(rules)
    assert table['centre'].tolist() == pytest.approx([-0.2, -0.025, -1.2], abs=1e-3)


def test_a_rule_of_a_multiverse_may_compare_other_cells_or_say_why_nothing_is_told(branched: Study, plotted: Table):
    claim = Statement('A', 'here', 'The small batch ends higher.', TEST, minus('higher_rate', 'small'), low=-0.001)
    turned = dataclasses.replace(claim, contrasts=minus('small', 'higher_rate'))
    table = plotted(branched, figures.multiverse(claim, {'one': TEST, 'other': turned, 'tuned': 'one rate was tried'}))
    assert table['centre'].tolist() == pytest.approx([-0.2, 0.2], abs=1e-3)
    assert statements.judge(figures.under(claim, 'one rate was tried'), branched).remarks == ('one rate was tried',)


def test_the_figures_of_findings_are_of_known_kinds_and_drawn(
    branched: Study, tmp_path: pathlib.Path, small_pictures: None
):
    """Of Shen's: all of them, each with its files."""
    kinds = lookup.members('bsresearch.report.figures', 'draw')
    assert {figure.kind for figure in findings.FIGURES} <= set(kinds)
    drawn = drawing.each(branched, findings.FIGURES, tmp_path)
    assert [(one.name, len(one.files), one.refused) for one in drawn] == [(f.name, 3, '') for f in findings.FIGURES]
    recovery = pd.read_csv(tmp_path / 'recovery.csv')
    assert recovery.groupby(['arm', 'branch', 'point'], dropna=False).ngroups == 4


def test_one_that_cannot_be_drawn_costs_itself_alone(grid: Study, tmp_path: pathlib.Path, small_pictures: None):
    """And says why; two of one name are refused."""
    declared = [figures.curves('sharpness'), figures.curves('test_accuracy', title='accuracy'), figures.special('oops')]
    drawn = drawing.each(grid, declared, tmp_path)
    assert [len(one.files) for one in drawn] == [0, 3, 0]
    assert ('sharpness' in drawn[0].refused, 'oops' in drawn[2].refused) == (True, True)
    assert [one.name for one in drawn] == ['curves_1', 'curves_2', 'oops_1']
    with pytest.raises(ValueError, match="'a'"):
        drawing.named([figures.curves('x', name='a'), figures.curves('y', name='a')])


def test_points_are_the_intervals_of_statements(grid: Study):
    """Student's t of every cell that is left."""
    table = points.of(grid, TEST).set_index('key')
    row = table.loc[[('all', '', '', 16, 0.1)]].iloc[0]
    values = [accuracies(16, 0.1, seed)[-1] for seed in range(3)]
    low, high = stats.t.interval(0.95, 2, np.mean(values), stats.sem(values))
    assert row[['centre', 'low']].tolist() == pytest.approx([np.mean(values), low], rel=1e-4)
    assert row['high'] == pytest.approx(min(high, 1.0), rel=1e-4)
    assert statements.judge(
        Statement('x', '', '', TEST, minus(at('all', batch_size=16, learning_rate=0.1),
                                          at('all', batch_size=16, learning_rate=0.01)), low=0), grid
    ).verdict == 'holds'  # fmt: skip
