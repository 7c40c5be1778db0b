"""`bsresearch advise --config`: what the config becomes, and the way from it to the page."""

import json
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import toy

from bsresearch.launching import advising, flag_parser
from bsresearch.planning import sweep
from bsresearch.planning.plan import Plan


def config(name: str = 'quickstart', **fields: Any) -> dict[str, Any]:
    declared = flag_parser.load(flag_parser.file_of_config(name)).to_dict()
    return declared | fields


def plans(declared: dict[str, Any]) -> list[Plan]:
    return sweep.expand(declared)


def test_a_config_becomes_batch_sizes_and_seeds_at_one_length():
    """Quickstart has three batch sizes, too few for a law; two rates, and no validation set."""
    asked = advising.asked(config(), {}, 10.0)
    made = plans(asked)
    assert {plan.batch_size for plan in made} == {4, 16, 64, 256}
    assert {plan.declared['seed'] for plan in made} == set(advising.SEEDS)
    assert asked['tune']['learning_rate'] == pytest.approx((0.01 / 10**1.5, 0.1 * 10**1.5))
    assert {plan.data['validation'] for plan in made} == {0.1}
    assert len({plan.policy.learning_rate for plan in made}) == 1


def test_what_the_config_says_is_kept():
    given = config()
    given['sweep']['batch_size'] = (8, 16, 32, 64)
    given['data']['validation'] = 0.25
    given['tune']['learning_rate'] = (0.01, 0.5)
    asked = advising.asked(given, {}, 10.0)
    assert {plan.batch_size for plan in plans(asked)} == {8, 16, 32, 64}
    assert asked['tune']['learning_rate'] == (0.01, 0.5)
    assert asked['data']['validation'] == 0.25


def test_rules_arms_and_measurements_are_left_out():
    """A rule would move the rates that are searched."""
    given = config()
    given['scaling'] = {**given['scaling'], 'name': 'linear', 'reference_batch_size': 16}
    given['measure']['distance']['every_epochs'] = 1.0
    made = plans(advising.asked(given, {}, 10.0))
    assert {plan.scaling['name'] for plan in made} == {'none'}
    assert not made[0].recording['measure']['distance']['every_epochs']


def test_evaluations_are_close_enough_to_tell_when_a_target_was_reached():
    asked = advising.asked(config(total_epochs=30.0), {}, 10.0)
    assert asked['evaluate']['every_epochs'] == 30.0 / advising.EVALUATIONS
    shorter = advising.asked(config(total_epochs=30.0), {'total_epochs': 5.0, 'learning_rate': 0.2}, 10.0)
    assert shorter['evaluate']['every_epochs'] == 5.0 / advising.EVALUATIONS
    assert shorter['tune']['learning_rate'] == pytest.approx((0.2 / 10**1.5, 0.2 * 10**1.5))


def test_a_batch_size_that_changes_is_refused():
    given = config()
    given['batch_schedule'] = {'name': 'steps'}
    with pytest.raises(ValueError, match=r'batch_schedule\.name'):
        advising.asked(given, {}, 10.0)


@pytest.mark.parametrize(('given', 'said'), [
    ({'goal': 'tim'}, "'time'"),
    ({'goal': 'energy'}, '--table|table'),
    ({'budget_minutes': 0.0}, 'more than 0'),
    ({'target': 'test_accuracy'}, '<metric>:<value>'),
    ({'at': ['many']}, '--at=many'),
])  # fmt: skip
def test_what_would_fail_after_the_runs_is_refused_before(given: dict[str, Any], said: str):
    with pytest.raises(ValueError, match=said):
        advising._check(advising.Request(workdir='runs/a')._replace(**given))


@pytest.mark.slow
def test_from_a_config_to_an_advice_and_again(tmp_path: pathlib.Path):
    """Done twice, the second makes no run and says the same."""
    flags = ['--config=quickstart', '--config.total_epochs=4.0', '--config.model.widths=(32,)', '--budget_minutes=0.7',
             f'--workdir={tmp_path}/runs', '--target=validation_accuracy:0.6']  # fmt: skip
    told = []
    for number in range(2):
        file = tmp_path / f'{number}.json'
        command = [sys.executable, '-m', 'bsresearch', 'advise', *flags, f'--json={file}']
        subprocess.run(command, check=True, env=toy.environment(), cwd=toy.ROOT, capture_output=True)
        told.append(json.loads(file.read_text()))
        runs = sorted(path.name for path in (tmp_path / 'runs' / 'advise').iterdir())
        told[-1]['runs'] = runs
    for one in told:
        del one['time'], one['sha256']
    assert told[0] == told[1]
    assert told[0]['batch_size']['choice'] in (4, 8, 16, 32, 64, 128, 256)
