"""`bsresearch advise --config=…`: makes the runs of an advice (studies/advise.py), then gives the advice on them."""

import pathlib
import time
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from bsresearch.advice import command as advice
from bsresearch.advice import of_workdir
from bsresearch.advice.advise import GOALS
from bsresearch.core import lookup, program
from bsresearch.launching import command, flag_parser
from bsresearch.planning import edit, resolve, schema
from bsresearch.report import advised
from bsresearch.studies.advise import NO_TARGET, STUDY

SEEDS = tuple(range(10))  # as many as there is time for
EVALUATIONS = 50  # in a run, at least: what it takes to a target is known to one of them
BATCH_SIZES = tuple(4**i for i in range(1, 8))  # where the config has no axis of them; up to a quarter of an epoch
FEWEST_SIZES = 4
DECADES = 1.5  # on both sides of the declared learning rate, where the config has no range or axis
VALIDATION = 0.1


class Request(NamedTuple):
    """What the command is asked for beside the config: its flags."""

    workdir: Annotated[str | None, 'Where its runs are written, and found again.'] = None
    budget_minutes: Annotated[float, 'In which the runs are made.'] = 10.0
    goal: Annotated[str | None, f'{", ".join(GOALS)}; default: time.'] = None
    target: Annotated[
        str | None, '<metric>:<value> that a run is to come to; default: one that nearly all batch sizes reach.'
    ] = None
    at: Annotated[Sequence[str], 'Batch sizes to be told of beside those tried.'] = ()
    price_per_hour: Annotated[float | None, 'Of the device: time is also told as a cost.'] = None
    json: Annotated[str | None, 'File for the same as JSON.'] = None
    figure: Annotated[str | None, 'Name for a figure of it, without suffix: PDF and PNG.'] = None


def advise(flag: Any, request: Request) -> int:
    """Makes the runs, prints the advice; the exit code. `flag`: --config, as ml_collections has it."""
    if flag.value is None or not request.workdir:
        return program.usage('--config=<name or file> and --workdir=<directory> are needed: what to train, and where')
    try:
        _check(request)
        config = asked(*flag_parser.declared(flag), request.budget_minutes)
        target = NO_TARGET if request.goal == 'accuracy' else request.target or ''
        flag.parser.declared = config | {'tune': config['tune'] | {'target': target}}
    except ValueError as error:
        return program.usage(str(error))
    begun = time.monotonic()
    if code := command.run(flag, command.Request(workdir=request.workdir)):
        return code
    if (minutes := (time.monotonic() - begun) / 60) > 1.2 * request.budget_minutes:
        print(
            f'it took {minutes:.3g} minutes: {request.budget_minutes:g} are too few to compile and try all batch sizes'
        )
    try:
        target = request.target or ('' if request.goal == 'accuracy' else _target(request))
    except (ValueError, OSError) as error:
        return program.usage(str(error))
    shared = {name: getattr(request, name) for name in ('workdir', 'goal', 'at', 'price_per_hour', 'json', 'figure')}
    return advice.command(advice.Request(**shared, study=STUDY, target=target or None), advised.draw) or 0


def _target(request: Request) -> str:
    target = of_workdir.reachable(pathlib.Path(str(request.workdir)), STUDY)
    print(f'--target={target}: what nearly all batch sizes come to')
    return target


def _check(request: Request) -> None:
    """Raises ValueError for what would be refused after the runs."""
    if request.goal is not None and request.goal not in GOALS:
        raise ValueError(f'--goal={request.goal}: {lookup.nearest(request.goal, GOALS)}')
    if request.goal == 'energy':
        raise ValueError('--goal=energy: runs do not record it; give a table with --joules or --watts')
    if not request.budget_minutes > 0:
        raise ValueError(f'--budget_minutes={request.budget_minutes:g}: more than 0 is needed')
    if request.target:
        of_workdir.Target.of(request.target)
    advice.check(request.at, request.price_per_hour, request.json)


def asked(config: dict[str, Any], overrides: dict[str, Any], minutes: float) -> dict[str, Any]:
    """A config as the study takes it: batch sizes, ten seeds, a range of rates, a validation set; no rule for rates.

    Overrides of the command line (dotted path → value) come on top of it later; here they are what the rest follows.

    Raises:
      ValueError: batch sizes that change within a run.
    """
    axes = {path: value for path, value in overrides.items() if path.startswith('sweep.')}
    file, config = config, edit.assign(config, {path: v for path, v in overrides.items() if path not in axes})
    if config['batch_schedule']['name'] != 'constant':
        raise ValueError(
            f'batch_schedule.name={config["batch_schedule"]["name"]!r}: an advice is on a batch size that stays; give '
            '--config.batch_schedule.name=constant'
        )
    usual = schema.defaults().to_dict()
    tune = config['tune'] | {'budget_minutes': minutes}
    if not tune['learning_rate']:
        swept = () if 'learning_rate' in overrides else file['sweep'].get('learning_rate')
        rates = swept or (config['learning_rate'],)
        tune['learning_rate'] = (min(rates) / 10**DECADES, max(rates) * 10**DECADES)
    data = dict(config['data'])
    if not data.get('validation'):
        data['validation'] = VALIDATION
    fresh = {name: usual[name] for name in ('arms', 'branch', 'probe', 'scaling', 'measure', 'norms', 'findings')}
    fresh['evaluate'] = {**config['evaluate'], 'train': False}
    if config['total_epochs'] is not None:
        given = config['evaluate']['every_epochs'] or config['total_epochs']
        fresh['evaluate']['every_epochs'] = min(given, config['total_epochs'] / EVALUATIONS)
    fresh['held_fixed'] = ('epochs',)
    declared = file | fresh | {'study': STUDY, 'data': data, 'tune': tune}
    sizes = tuple(axes.get('sweep.batch_size') or file['sweep'].get('batch_size') or ())
    if len(sizes) < FEWEST_SIZES:
        alone = {name: value for name, value in declared.items() if name != 'sweep'}
        epoch = resolve.resolve(alone | {'study': 'train'}).epoch_size
        sizes = tuple(size for size in BATCH_SIZES if size <= epoch / 4)
    declared['sweep'] = usual['sweep'] | {'batch_size': sizes, 'seed': SEEDS}
    return declared
