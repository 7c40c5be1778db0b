"""The search for the best values at every batch size: driven by made-up results, without training."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bsresearch.advice import rates
from bsresearch.planning import resolve, schema, search
from bsresearch.planning.plan import Plan
from bsresearch.planning.stages import Result, runs_of, variants_of
from bsresearch.studies import advise, tune

RATES = (0.001, 1.0)


def plan(batch_size: int, seed: int = 0, **tune_fields: Any) -> Plan:
    c = schema.defaults()
    c.data.name, c.data.validation, c.total_epochs, c.study = 'digits', 0.2, 2.0, 'tune'
    c.batch_size, c.seed = batch_size, seed
    c.tune.update({'learning_rate': RATES} | tune_fields)
    declared = c.to_dict()
    del declared['sweep']
    return resolve.resolve(declared)


def grid(sizes: tuple[int, ...] = (16, 64), seeds: int = 3, **fields: Any) -> list[Plan]:
    return [plan(size, seed, **fields) for size in sizes for seed in range(seeds)]


def result(run: Plan, accuracy: float, seconds: float = 1e-3, wall: float = 1.0) -> Result:
    steps = run.length.total_steps
    row = {'step': steps, 'epoch': 2.0, 'seconds': steps * seconds, 'wall_seconds': wall}
    return Result('done' if np.isfinite(accuracy) else 'diverged', rows=[row | {'validation_accuracy': accuracy}])


def driven(stages: Any, of_run: Callable[[Plan], Result]) -> list[list[Any]]:
    """All stages, each sent what `of_run` makes of its runs."""
    made = [next(stages)]
    while True:
        try:
            made.append(stages.send({run.id: of_run(run) for run in runs_of(made[-1])}))
        except StopIteration:
            return made


def rate(run: Plan) -> float:
    return run.policy.learning_rate


def peak(best: float, lost: float = np.inf) -> Callable[[Plan], Result]:
    """Accuracy that falls with the distance from the best rate; rates above `lost` diverge."""
    return lambda run: result(run, np.nan if rate(run) > lost else 0.9 - 0.1 * abs(np.log10(rate(run) / best)))


def test_where_runs_stop_at_a_target_the_first_to_come_there_is_best():
    """Not the one that ends higher; one that never came there is as bad as one that diverged."""
    stopping = [dataclasses.replace(run, stop_at_target='validation_accuracy:0.8') for run in grid((16,), trials=8)]

    def of_run(run: Plan) -> Result:
        steps = round(20 + 30 * abs(np.log10(rate(run) / 0.03)))
        accuracy = 0.75 if steps > 50 else 0.8 + steps / 1000
        return Result('done', rows=[{'step': steps, 'validation_accuracy': accuracy, 'wall_seconds': 1.0}])

    *trials, repeats = driven(tune.stages(stopping), of_run)
    tried = [rate(run) for stage in trials for run in runs_of(stage)]
    expected = min(tried, key=lambda value: abs(np.log10(value / 0.03)))
    assert {rate(one.plan) for one in variants_of(repeats)} == {expected}
    scores = [tune.score(of_run(run), 'validation_accuracy', 'validation_accuracy:0.8') for run in runs_of(trials[0])]
    assert {*np.isfinite(scores)} == {True, False}


def test_every_cell_gets_the_same_number_of_trials_and_the_winner_the_other_seeds():
    """Shallue et al. 2019: equal budgets at every batch size."""
    stages = driven(tune.stages(grid(trials=10, at_once=4)), peak(0.03))
    assert [len(stage) for stage in stages] == [8, 8, 4, 8]
    trials = [run for stage in stages[:3] for run in runs_of(stage)]
    assert [sum(run.batch_size == size for run in trials) for size in (16, 64)] == [10, 10]
    assert {run.declared['seed'] for run in trials} == {0}
    # The run as declared and the winner, with seeds 1 and 2.
    last = runs_of(stages[3])
    assert {run.declared['seed'] for run in last} == {1, 2}
    winner = max(trials, key=lambda run: peak(0.03)(run).final('validation_accuracy') or 0)
    assert {rate(run) for run in last} == {0.1, rate(winner)}


def test_all_cells_try_the_same_points():
    stage = driven(tune.stages(grid(trials=8, at_once=8)), peak(0.03))[0]
    of_size = [[rate(run) for run in runs_of(stage) if run.batch_size == size] for size in (16, 64)]
    assert of_size[0] == of_size[1]
    assert all(RATES[0] <= r <= RATES[1] for r in of_size[0])


@pytest.mark.parametrize(('best', 'beyond'), [(10.0, lambda r: r > RATES[1]), (1e-4, lambda r: r < RATES[0])])
def test_where_the_best_lies_on_the_edge_the_next_trials_go_beyond(best: float, beyond: Callable[[float], bool]):
    """Invariant 12: an optimum on the edge of its grid is no optimum."""
    stages = driven(tune.stages(grid((16,), trials=24, at_once=8)), peak(best))
    first, second = ([rate(run) for run in runs_of(stage)] for stage in stages[:2])
    assert not any(map(beyond, first))
    assert any(map(beyond, second))
    found = max((run for stage in stages[:3] for run in runs_of(stage)), key=lambda run: -abs(np.log(rate(run) / best)))
    assert abs(np.log10(rate(found) / best)) < 0.5


def test_what_diverged_is_never_chosen():
    stages = driven(tune.stages(grid(trials=10, at_once=5)), peak(0.5, lost=0.4))
    repeated = {rate(run) for run in runs_of(stages[-1])}
    assert max(repeated) <= 0.4


def test_a_stage_follows_from_the_results_alone():
    """Killed and begun anew, the same stages come out."""
    ids = [[[run.id for run in runs_of(s)] for s in driven(tune.stages(grid(trials=12)), peak(3.0))] for _ in range(2)]
    assert ids[0] == ids[1]


def test_a_range_is_uniform_on_its_scale():
    inside = search.ranges({'learning_rate': (0.01, 1.0), 'momentum': (0.0, 0.99), 'weight_decay': (),
                            'warmup_epochs': (0.0, 4.0)})  # fmt: skip
    middle = search.at(inside, np.full(3, 0.5))
    assert middle == pytest.approx({'learning_rate': 0.1, 'momentum': 0.9, 'warmup.epochs': 2.0})
    for one in inside:
        assert one.place(one.value(0.25)) == pytest.approx(0.25, abs=1e-3)


def test_a_moved_range_stays_where_there_is_something():
    inside = search.ranges(
        {'learning_rate': (), 'momentum': (0.0, 0.9), 'weight_decay': (), 'warmup_epochs': (0.0, 4.0)}
    )
    best, other = {'momentum': 0.0, 'warmup.epochs': 4.0}, {'momentum': 0.5, 'warmup.epochs': 2.0}
    assert search.moved(inside, {}, [best]) == inside
    moved = search.moved(inside, best, [best, other])
    assert [one.value(0.0) for one in moved] == [0.0, 2.0]
    assert [one.value(1.0) for one in moved] == pytest.approx([0.9, 6.0])


@pytest.mark.parametrize('sequence', search.SEQUENCES)
def test_more_points_begin_with_the_fewer(sequence: str):
    few, many = (search.points(sequence, 2, count, 0) for count in (5, 21))
    assert (many[:5] == few).all()
    # Quasi-random: of 16 points each quarter of the square has four, give or take one.
    quarters = np.histogram2d(*search.points(sequence, 2, 16, 1).T, bins=2, range=[[0, 1], [0, 1]])[0]
    assert np.abs(quarters - 4).max() <= 1


@pytest.mark.parametrize(('fields', 'said'), [
    ({'learning_rate': ()}, 'config.tune.learning_rate'),
    ({'learning_rate': (1.0, 0.1)}, 'rising'),
    ({'learning_rate': (0.0, 0.1)}, 'above 0'),
    ({'momentum': (0.5, 1.0)}, r'\[0, 1\)'),
    ({'trials': 1}, 'at least 2'),
    ({'by': 'distance'}, 'no best'),
    ({'sequence': 'sobbol'}, "'sobol'"),
])  # fmt: skip
def test_a_search_that_cannot_be_is_refused(fields: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        tune.check(grid(**fields))


# --- study=advise


def advised(minutes: float, of_run: Callable[[Plan], Result], sizes: tuple[int, ...] = (8, 32, 128)) -> list[list[Any]]:
    return driven(advise.stages(grid(sizes, seeds=4, budget_minutes=minutes)), of_run)


def test_an_advice_goes_from_short_runs_everywhere_to_whole_ones_near_the_best():
    pace, coarse, whole, repeats = advised(60, peak(0.03))
    assert {run.length.total_steps for run in runs_of(pace)} == {advise.PACE_UPDATES, plan(128).length.total_steps}
    assert len(coarse) == 3 * advise.FEW
    assert len({run.length.total_steps for run in runs_of(coarse) if run.batch_size == 8}) == 1
    full = plan(8).length.total_steps
    assert {run.length.total_steps for run in runs_of(whole) if run.batch_size == 8} == {full}
    nearest = min(abs(np.log10(rate(run) / 0.03)) for run in runs_of(whole) if run.batch_size == 8)
    assert nearest < 0.35
    assert {run.declared['seed'] for run in runs_of(repeats)} == {1, 2, 3}
    assert len({rate(run) for run in runs_of(repeats) if run.batch_size == 8}) == 1


def test_less_time_makes_fewer_and_shorter_runs():
    slow = lambda run: result(run, 0.9 - 0.1 * abs(np.log10(rate(run) / 0.03)), seconds=0.02, wall=2.0)
    updates = [sum(run.length.total_steps for stage in advised(minutes, slow) for run in runs_of(stage))
               for minutes in (60, 1, 0.5)]  # fmt: skip
    assert updates[0] > updates[1] > updates[2]
    few = {run.batch_size for run in runs_of(advised(0.5, slow)[1])}
    assert few == {32, 128}  # the smallest takes longest


def test_no_rate_is_named_where_runs_are_known_to_fail():
    """Accuracies of a quarter of a run on digits: the larger the better up to 0.3162, and chance at 1.468.

    Of the largest batch size all are at chance. The surface, which is fitted to the good ones, would go on rising.
    """
    tried = [0.0006813, 0.003162, 0.01468, 0.06813, 0.3162, 1.468]
    accuracy = {
        16: [0.1167, 0.2222, 0.6722, 0.9028, 0.9444, 0.1083],
        64: [0.1083, 0.1167, 0.175, 0.3333, 0.5139, 0.1083],
        256: [0.1083, 0.1111, 0.1111, 0.1083, 0.1083, 0.1083],
    }
    trials = [advise.Tried(b, lr, 0.25, score) for b in accuracy for lr, score in zip(tried, accuracy[b], strict=True)]
    best = advise._best_rates(trials, [16, 64, 256])
    assert 0.06 < best[16] < 0.7
    assert 0.06 < best[64] < 0.7


def test_no_run_for_the_pace_is_longer_than_a_whole_one():
    """It would be taken for the whole one, and all others for shorter."""
    plans = grid((16, 256), budget_minutes=60.0)
    (pace, *_) = driven(advise.stages(plans), peak(0.03))
    for run in runs_of(pace):
        lead = next(plan for plan in plans if plan.batch_size == run.batch_size)
        assert run.length.total_steps == min(advise.PACE_UPDATES, lead.length.total_steps)
    assert min(plan.length.total_steps for plan in plans) < advise.PACE_UPDATES


def test_a_shorter_run_has_a_shorter_warm_up():
    c = schema.defaults()
    c.data.name, c.total_epochs, c.warmup.epochs = 'digits', 4.0, 2.0
    declared = c.to_dict()
    del declared['sweep']
    lead = resolve.resolve(declared)
    short = advise._shorter(lead, lead.length.total_steps // 4)
    assert short.changes['warmup.epochs'] == pytest.approx(0.5, rel=0.05)
    assert variants_of([short])


def test_only_batch_sizes_and_seeds_are_axes_of_an_advice():
    with pytest.raises(ValueError, match='one, 16'):
        advise.check(grid((16,)))
    with pytest.raises(ValueError, match='budget_minutes=0'):
        advise.check(grid(budget_minutes=0.0))


def test_the_rate_that_came_to_the_target_first_is_repeated():
    """Not the one that ended best: at 0.03; at the larger rates runs are there earlier."""

    def of_run(run: Plan) -> Result:
        ends, arrives = peak(0.03)(run).final('validation_accuracy') or 0.0, 1.0 / rate(run)
        steps = run.length.total_steps
        ended = {'wall_seconds': 1.0, 'seconds': 1.0, 'validation_accuracy': ends}
        rows = [ended | {'step': steps // 2, 'epoch': arrives}, ended | {'step': steps, 'epoch': 2.0}]
        return Result('done', rows=rows)

    *_, whole, repeats = driven(
        advise.stages(grid(seeds=3, budget_minutes=60.0, target='validation_accuracy:0.5')), of_run
    )
    for size in (16, 64):
        tried = [rate(run) for run in runs_of(whole) if run.batch_size == size]
        assert {rate(run) for run in runs_of(repeats) if run.batch_size == size} == {max(tried)}
    *_, whole, repeats = driven(advise.stages(grid(seeds=3, budget_minutes=60.0, target=advise.NO_TARGET)), of_run)
    best = max(runs_of(whole), key=lambda run: of_run(run).final('validation_accuracy') or 0.0)
    assert rate(best) in {rate(run) for run in runs_of(repeats)}


def test_a_rate_that_was_repeated_is_named_and_none_beyond_what_diverged():
    """One lucky run of a larger rate does not outweigh ten; beyond a rate that diverged the surface knows nothing."""
    size = np.repeat([16.0, 64.0, 256.0], 4)
    rate_tried = np.tile([0.05, 0.1, 0.2, 0.4], 3)
    value = np.log(3.0) + 0.1 * np.abs(np.log2(rate_tried / 0.2)) - 0.1 * (rate_tried == 0.4)
    value[rate_tried == 0.4] = [np.log(2.5), np.log(2.5), np.inf]
    many = np.where(rate_tried == 0.1, 10, 1)
    columns = [np.repeat(x, many) for x in (size, rate_tried, value)]
    found = rates.at(rates.cells(*columns), np.array([16.0, 64.0, 256.0]), np.log(2), np.log(1.05))
    assert found.choice == pytest.approx([0.1] * 3, rel=0.1)
    once = rates.at(rates.cells(size, rate_tried, value), np.array([16.0, 64.0, 256.0]), np.log(2), np.log(1.05))
    assert once.choice[2] <= 0.2 * 1.08
    assert once.high[2] <= 0.2 * 1.08


def test_a_run_that_came_to_the_target_and_then_diverged_is_not_repeated():
    """Nor is its batch size left without repeats: the rate that came there next is."""

    def of_run(run: Plan) -> Result:
        steps, lost = run.length.total_steps, rate(run) > 0.05
        row = {'wall_seconds': 1.0, 'seconds': 1.0, 'validation_accuracy': peak(0.03)(run).final('validation_accuracy')}
        rows = [row | {'step': steps // 2, 'epoch': 1.0 / rate(run)}, row | {'step': steps, 'epoch': 2.0}]
        return Result('diverged' if lost else 'done', rows=rows)

    *_, whole, repeats = driven(
        advise.stages(grid(seeds=3, budget_minutes=60.0, target='validation_accuracy:0.5')), of_run
    )
    for size in (16, 64):
        trained = [rate(run) for run in runs_of(whole) if run.batch_size == size and rate(run) <= 0.05]
        assert {rate(run) for run in runs_of(repeats) if run.batch_size == size} == {max(trained)}
    assert any(rate(run) > 0.05 for run in runs_of(whole))


@pytest.mark.parametrize(('target', 'said'), [
    ('validation_acuracy:0.9', 'validation_accuracy'),
    ('validation_accuracy:nan', 'is no number'),
    ('validation_accuracy', '<metric>:<value>'),
    ('train_loss:0.1', 'not evaluated'),
])  # fmt: skip
def test_a_target_that_no_run_will_have_is_refused_before_any_is_made(target: str, said: str):
    plans = [resolve.resolve(plan.declared | {'evaluate': {**plan.declared['evaluate'], 'train': False}})
             for plan in grid(target=target)]  # fmt: skip
    with pytest.raises(ValueError, match=said):
        advise.check(plans)
