"""Colours, courses and generic figures of studies: plotted numbers against brute force, bands inside bounds."""

import itertools
import pathlib
from collections.abc import Sequence

import numpy as np
import pytest
import shen_records
from fake_records import write_run
from scipy import stats

from bsresearch.analysis import cells, courses, older_arms, study
from bsresearch.analysis.study import Study
from bsresearch.report import colours
from bsresearch.store import records

ARMS = {
    'small': {'batch_size': 4}, 'middle': {'batch_size': 16}, 'large': {'batch_size': 64},
    'higher_rate': {'batch_size': 64, 'learning_rate': 0.1},
    'adam': {'batch_size': 64, 'optimizer': {'name': 'adam'}},
}  # fmt: skip
BRANCHES = {
    'switch_small': {'of': ('large',), 'at_epochs': (2, 8), 'batch_size': 4},
    'switch_rate': {'of': ('large',), 'at_epochs': (2, 8), 'learning_rate': 0.1},
}
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


def shen(workdir: pathlib.Path) -> Study:
    table, declared, _ = records.read(workdir)
    runs = table.assign(declared_learning_rate=[c['learning_rate'] for c in declared])
    base = {'batch_size': 4, 'learning_rate': 0.01, 'optimizer': {'name': 'sgd'}}
    stored, _ = older_arms.stored(runs, ARMS, base, BRANCHES, ('epochs',))
    return study.load(workdir, 'shen', stored, 'shen')


@pytest.fixture(scope='module')
def branched(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Five arms and six branches of three seeds."""
    workdir = tmp_path_factory.mktemp('branched')
    shen_records.write(workdir)
    return shen(workdir)


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
    by_cell = colours.of(branched)
    sizes = [by_cell[arm, '', ''] for arm in ('small', 'middle', 'large')]
    assert nearest([*sizes, *colours.ARMS]) > 20
    lightness = [lab(colour, np.eye(3))[0] for colour in sizes]
    assert lightness == sorted(lightness)
    assert set(by_cell.values()) >= {*sizes, *colours.ARMS[:5]}


def test_a_colour_has_one_meaning_and_no_two_cells_look_alike(branched: Study, grid: Study):
    for one in (branched, grid):
        looks = colours.looks(one)
        assert len({(look.colour, look.dash) for look in looks.values()}) == len(looks) == len(cells.of(one))
        assert len({(look.colour, look.marker) for look in looks.values()}) == len(looks)
    of_sizes, of_rates = colours.of_values(grid, 'batch_size'), colours.of_values(grid, 'learning_rate')
    assert len({*of_sizes.values(), *of_rates.values()}) == 6
    assert {key[3]: colour for key, colour in colours.of(grid).items()} == of_sizes
    arms, branches = colours.of_values(branched, 'arm'), colours.of_values(branched, 'branch')
    assert len({*arms.values(), *branches.values()}) == 8
    assert branches['control'] == colours.of(branched)['large', 'control', 2.0]


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
