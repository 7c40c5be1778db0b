"""Stages that depend on results: main.py and a launch make the same runs, whatever kills them and how often."""

import pathlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import toy
from test_arms import base
from test_grid import Here

from bsresearch import studies
from bsresearch.core import lookup
from bsresearch.launching import command, finished, planner
from bsresearch.launching.console import Console
from bsresearch.launching.forecast import Forecast
from bsresearch.launching.jobs import launcher, status
from bsresearch.planning.stages import probes_of, variant
from bsresearch.store import open_stages, study_file
from bsresearch.studies import gradient_norm

# Twice the batch of the run with the lowest last test loss, then four times that of one that this loss decides on.
DOUBLED = """
from bsresearch.planning.stages import variant


def stages(plans):
    results = yield plans
    ranked = sorted(plans, key=lambda plan: results[plan.id].final('test_loss'))
    doubled = variant(ranked[0], batch_size=2 * ranked[0].batch_size)
    results = yield [doubled]
    solved = results[doubled.plan.id].final('test_loss') < 0.01
    yield [variant(ranked[0 if solved else -1], batch_size=4 * ranked[0].batch_size)]
"""


@pytest.fixture(autouse=True, scope='module')
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The procedure of that name, in a folder of its own."""
    folder = tmp_path_factory.mktemp('studies')
    (folder / 'doubled.py').write_text(DOUBLED)
    studies.__path__.append(str(folder))
    lookup.members.cache_clear()
    yield
    studies.__path__.remove(str(folder))
    lookup.members.cache_clear()


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A workdir that main.py's command made without a stop."""
    workdir = tmp_path_factory.mktemp('whole') / 'workdir'
    assert command.execute(Console(quiet=True), workdir, planned(workdir)) == 0
    return workdir


def config() -> dict[str, Any]:
    """Two learning rates, of which one is much too small."""
    c = base()
    c.study, c.findings, c.batch_size, c.total_epochs = 'doubled', 'doubled', 64, 0.5
    c.evaluate.every_epochs, c.sweep.seed, c.strategy = 0.5, (0,), 'sequential'
    c.sweep.learning_rate = (1e-5, 0.1)
    return c.to_dict()


def planned(workdir: pathlib.Path | None) -> planner.Study:
    return planner.study(config(), {}, workdir, with_findings=False)


def cells(workdir: pathlib.Path) -> list[tuple[float, int]]:
    """Learning rate and batch size of each row of study.json."""
    rows = study_file.read(workdir / 'doubled')['doubled']['rows']
    return [(row['axes']['learning_rate'], row['axes']['batch_size']) for row in rows]


def recorded(workdir: pathlib.Path) -> dict[str, list[tuple[int, float]]]:
    """Test losses of each run of a workdir."""
    by_id = {plan.id: toy.rows(workdir, plan) for plan in planned(workdir).runs}
    assert by_id.keys() == {file.parent.name for file in workdir.glob('doubled/*/config.json')}
    return {run: [(r['step'], r['test_loss']) for r in rows if 'test_loss' in r] for run, rows in by_id.items()}


def kill(*_: Any) -> None:
    raise KeyboardInterrupt


def killed_after_a_stage(patching: pytest.MonkeyPatch, do: Callable[[], Any]) -> None:
    """Where the stage has ended and the next one is not known."""
    with patching.context() as here:
        here.setattr(planner, 'further', kill)
        with pytest.raises(KeyboardInterrupt):
            do()


def test_later_stages_follow_from_recorded_losses(whole: pathlib.Path):
    """By hand: the rate 0.1 learns, so it is doubled; 128 does not come below 0.01, so the other is quadrupled."""
    before, after = planned(None), planned(whole)
    assert (len(before.stages), before.awaits_results, len(before.runs)) == (1, True, 2)
    assert (len(after.stages), after.awaits_results) == (3, False)
    expected = [(1e-5, 64), (0.1, 64), (0.1, 128), (1e-5, 256)]
    assert [(p.policy.learning_rate, p.batch_size) for p in after.runs] == cells(whole) == expected
    # The batch size is an axis of all rows now, and so in no base.
    assert 'batch_size' not in study_file.read(whole / 'doubled')['doubled']['base']
    assert (open_stages.read(whole / 'doubled'), Forecast().outlook(whole, after.runs).later()) == ({}, 0)


def test_main_killed_after_each_stage_makes_the_same(
    whole: pathlib.Path, workdir: pathlib.Path, patching: pytest.MonkeyPatch
):
    """Started again each time: runs, records and study.json as without a stop; status tells of later stages."""
    for known in (1, 2):
        study = planned(workdir)
        assert len(study.stages) == known
        killed_after_a_stage(patching, lambda study=study: command.execute(Console(quiet=True), workdir, study))
        assert list(open_stages.read(workdir / 'doubled').values()) == [known]
        assert planner.LATER in status.text(workdir)
    assert command.execute(Console(quiet=True), workdir, planned(workdir)) == 0
    assert planner.LATER not in status.text(workdir)
    assert (recorded(workdir), cells(workdir)) == (recorded(whole), cells(whole))


def test_a_launch_makes_what_main_makes(whole: pathlib.Path, workdir: pathlib.Path, patching: pytest.MonkeyPatch):
    """As jobs, killed after the first stage, started again."""
    study, engine = planned(workdir), Here(workdir).engine
    killed_after_a_stage(patching, lambda: launcher.run(toy.Quiet(), workdir, study, engine))
    assert list(open_stages.read(workdir / 'doubled').values()) == [1]
    assert launcher.run(toy.Quiet(), workdir, planned(workdir), engine) == 0
    assert (recorded(workdir), cells(workdir)) == (recorded(whole), cells(whole))
    assert open_stages.read(workdir / 'doubled') == {}


def test_study_json_is_made_anew_with_later_stages(whole: pathlib.Path):
    """--rebuild: the rows that the launch wrote."""
    assert planner.rebuilt(config(), {}, whole).entry == study_file.read(whole / 'doubled')['doubled']


def test_no_stage_follows_from_what_is_not_all_there(workdir: pathlib.Path):
    """A job fails: the launch ends incomplete, and nothing of the second stage is written."""
    study = planned(workdir)
    failing: Any = SimpleNamespace(run=lambda jobs, *_: iter(()), platform=lambda: 'cpu')
    engine = Here(workdir).engine._replace(module=failing)
    assert launcher.run(toy.Quiet(), workdir, study, engine) == 1
    assert {file.parent.name for file in workdir.glob('doubled/*/config.json')} == {plan.id for plan in study.plans}


def test_results_of_runs_and_probes(workdir: pathlib.Path):
    """What is recorded, as it is; a run that is not finished, and a probe that was not made, are not told."""
    (plan,) = toy.plans(total_steps=4, keep__at_steps=(4,), probe__name='gradient_norm', probe__at_steps=(4,),
                        probe__batch_sizes=(4, 8), probe__trials=4, probe__seed=0)  # fmt: skip
    stages = list(gradient_norm.stages([plan]))
    (probe,) = probes_of(stages[1])
    runs, probes = (finished.Results(workdir, stage) for stage in stages)
    for results in (runs, probes):
        with pytest.raises(finished.Unfinished):
            list(results.values())
    toy.train(workdir, [plan])
    last = [row['batch_loss'] for row in toy.rows(workdir, plan) if 'batch_loss' in row][-1]
    assert (runs[plan.id].status, runs[plan.id].final('batch_loss'), runs[plan.id].final('none')) == (
        'done', last, None,
    )  # fmt: skip
    with pytest.raises(finished.Unfinished):
        list(probes.values())
    toy.train(workdir, stages[1])
    stored = np.load(next(workdir.glob(f'*/{probe.id}/arrays/*.npz')))
    toy.assert_equal(dict(probes[probe.id].arrays), dict(stored))


def test_a_run_that_diverged_is_a_result(workdir: pathlib.Path):
    """A probe of it is left out."""
    (plan,) = toy.plans(total_steps=8, learning_rate=1e30, probe__name='gradient_norm', probe__at_steps=(8,))
    stages = list(gradient_norm.stages([plan]))
    toy.train(workdir, [plan])
    runs, probes = (finished.Results(workdir, stage) for stage in stages)
    assert (runs[plan.id].status, *(result.status for result in probes.values())) == ('diverged', 'left out')


def test_a_branch_has_no_variant():
    """It begins with another run's state."""
    (plan,) = toy.plans(study='reload', branch__at_steps=(20,), branch__batch_sizes=(16,), branch__more_epochs=0.1)
    branch = list(studies.module('reload').stages([plan]))[1][0].plan
    with pytest.raises(ValueError, match='is a branch'):
        variant(branch, batch_size=2)
