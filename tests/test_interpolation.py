"""Interpolation between two solutions: its ends are the runs, closed forms between, batch norm, bad input, figure."""

import math
import pathlib
from typing import Any

import drawn
import numpy as np
import pytest
import toy

from bsresearch.analysis import figures
from bsresearch.analysis import study as studies
from bsresearch.analysis.quantities import interpolation
from bsresearch.launching import runner
from bsresearch.measure.probes.interpolation import mix
from bsresearch.planning.plan import Plan
from bsresearch.report.figures import interpolation as special
from bsresearch.store import paths, records
from bsresearch.studies import interpolation as study


def plans(seeds: tuple[int, ...] = (0,), **changes: Any) -> list[Plan]:
    """Two arms per seed."""
    base = toy.BARE | {'evaluate__every_epochs': 1.0} | {
        'study': 'interpolation', 'model': {'name': 'mlp', 'widths': (8,)}, 'total_steps': None, 'total_epochs': 1.0,
        'probe__name': 'interpolation', 'probe__num_points': 7, 'sweep__batch_size': (8, 32), 'sweep__seed': seeds,
    }  # fmt: skip
    return toy.plans(**(base | changes))


def made(workdir: pathlib.Path, runs: list[Plan]) -> list[interpolation.Interpolation]:
    """Trained, probed and loaded."""
    study.check(runs)
    for stage in study.stages(runs):
        runner.launch(workdir, stage, toy.Quiet())
    return loaded(workdir)


def loaded(workdir: pathlib.Path) -> list[interpolation.Interpolation]:
    return interpolation.of_study(studies.launched(workdir, 'interpolation'))


def flat(tree: Any) -> np.ndarray:
    import jax

    return np.concatenate([np.ravel(x).astype(np.float64) for x in jax.tree.leaves(tree)])


@pytest.fixture(scope='module')
def pairs(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A workdir with the pairs of two seeds."""
    workdir = tmp_path_factory.mktemp('pairs')
    made(workdir, plans(seeds=(0, 1)))
    return workdir


def check_ends(workdir: pathlib.Path, runs: list[Plan], found: interpolation.Interpolation) -> None:
    """At α = 0 and 1 on both paths the losses that the runs recorded; distance and angle from the weights."""
    assert found.alpha == pytest.approx([-1, -0.5, 0, 0.5, 1, 1.5, 2])
    for run, place in ((runs[0], 2), (runs[1], 4)):
        last = records.last_row(paths.run_dir(workdir, run.study, run.id))
        for path in ('linear', 'curved'):
            for metric in interpolation.METRICS:
                assert found.values[f'{path}/{metric}'][place] == pytest.approx(last[metric], rel=1e-5, abs=1e-7)
    small, large = (flat(toy.final(workdir, run)) for run in runs)
    assert found.distance == pytest.approx(np.linalg.norm(small - large), rel=1e-6)
    assert found.cosine == pytest.approx(small @ large / np.linalg.norm(small) / np.linalg.norm(large), rel=1e-6)


def test_the_ends_are_the_runs(pairs: pathlib.Path):
    runs = plans()
    (found,) = (f for f in loaded(pairs) if f.small == runs[0].id)
    assert found.large == runs[1].id
    check_ends(pairs, runs, found)


def test_with_batch_norm_statistics_are_interpolated_or_estimated_anew(tmp_path: pathlib.Path):
    """From training batches at the point itself: near the ends' running averages, and not the same."""
    changes: dict[str, Any] = {'model': {'name': 'mlp', 'widths': (8,), 'batch_norm': True}, 'ghost_batch_size': 8}
    runs = plans(**changes, probe__statistics='interpolated')
    (between,) = made(tmp_path, runs)
    check_ends(tmp_path, runs, between)
    *_, probes = study.stages(plans(**changes, probe__batch_size=64, probe__batches=40))
    runner.launch(tmp_path, probes, toy.Quiet())
    (anew,) = (f for f in loaded(tmp_path) if f.id != between.id)
    # Running averages lag behind the weights they belong to: close at the ends, not the same.
    ends, name = [2, 4], 'linear/train_loss'
    assert anew.values[name][ends] == pytest.approx(between.values[name][ends], rel=0.2)
    assert (anew.values[name] != between.values[name]).all()


def test_other_arms_are_trained_alone():
    """Of those with the probe each seed has its pair; a grid without any is refused."""
    net = {'name': 'mlp', 'widths': (8,)}
    alone = toy.plans(**toy.BARE, study='interpolation', model=net, batch_size=16, sweep__seed=(0, 1))
    runs = plans(seeds=(0, 1))
    study.check([*runs, *alone])
    assert study.pairs([*runs, *alone]) == study.pairs(runs)
    with pytest.raises(ValueError, match="it is 'none'"):
        study.check(alone)


def test_points_between_are_evaluated_at_the_mixed_weights():
    """Closed forms of both paths."""
    a, b = np.array([1.0, 2.0]), np.array([3.0, -2.0])
    assert mix('linear', 0.25, a, b) == pytest.approx([1.5, 1.0])
    assert mix('linear', -1.0, a, b) == pytest.approx([-1.0, 6.0])
    half = math.sqrt(0.5)
    assert mix('curved', 0.5, a, b) == pytest.approx([4 * half, 0.0])
    assert mix('curved', 2.0, a, b) == pytest.approx(-a, abs=1e-12)


def test_pairs_are_made_within_seeds_and_the_figure_is_of_all(pairs: pathlib.Path, tmp_path: pathlib.Path):
    """Two seeds: two probes, intervals, a figure with both paths; the smaller batch is α = 0."""
    found = loaded(pairs)
    assert len(found) == 2
    table = interpolation.table(found)
    assert set(table['n']) == {2}
    assert (table['low'] <= table['mean']).all()
    study_of_pairs = studies.launched(pairs, 'interpolation')
    plotted = drawn.table(study_of_pairs, figures.special('interpolation', name='between'), tmp_path)
    assert plotted.shape == table.shape
    assert special.text(study_of_pairs).count('distance') == 2
    runs = records.runs(pairs).set_index('run')['batch_size']
    assert all(runs[f.small] == 8 and runs[f.large] == 32 for f in found)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'sweep__batch_size': (8, 16, 32)}, 'seed 0 has 3'),
        ({'sweep__batch_size': (8, 32), 'probe__at_epochs': (1,)}, 'looks at the ends'),
        ({'probe__name': 'gradient_norm'}, 'needs config.probe.name=interpolation'),
    ],
)
def test_what_is_no_pair_is_refused(changes: dict[str, Any], message: str):
    """Before anything is done."""
    if changes.get('probe__name') == 'gradient_norm':
        changes = changes | {'probe__num_points': 7}
        with pytest.raises(ValueError, match='num_points'):
            plans(**changes)
        return
    with pytest.raises(ValueError, match=message):
        study.check(plans(**changes))


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        ({'low': 2.0}, 'low must lie below high'),
        ({'num_points': 1}, 'at least 2'),
        ({'paths': ('straight',)}, "'straight'.*allowed|'straight'.*linear"),
        ({'statistics': 'running'}, 'statistics'),
    ],
)
def test_bad_settings_are_refused(setting: dict[str, Any], message: str):
    """The message names the value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        plans(**{f'probe__{k}': v for k, v in setting.items()})
