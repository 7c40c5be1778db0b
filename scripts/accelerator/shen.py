"""Shen's article whole, at 5 seeds and 1,000 trials of its probe: how long it would take, and, if that fits, made."""

import pathlib
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from bsresearch.launching import flag_parser, forecast, planner
from bsresearch.planning.stages import probes_of
from bsresearch.store import kept

from .work import Row, Work, called, ended

FULL: dict[str, Any] = {'sweep.seed': (0, 1, 2, 3, 4), 'probe.trials': 1000}
TOY: dict[str, Any] = {
    'sweep.seed': (0,), 'probe.trials': 1, 'probe.samples': 16, 'probe.batch_sizes': (8, 16), 'total_epochs': 2.0,
    'branch.more_epochs': 1.0, 'arms.large.branch.at_epochs': (2,), 'arms.large.probe.at_epochs': (2,),
}  # fmt: skip
VERDICTS = ('holds', 'does not hold', 'depends', 'undecided', 'not measured')


def made(config: str, changes: dict[str, Any], work: Work) -> Iterator[Row]:
    """Runs the command, in what is left of the time; its records are kept under <out>/shen."""
    workdir = pathlib.Path(work.folder) / 'shen'
    overrides = [
        f'--config.{k}={",".join(map(str, v)) + "," if isinstance(v, tuple) else v}' for k, v in changes.items()
    ]
    flags = [f'--config={config}', f'--workdir={workdir}', *overrides]
    start = time.time()
    try:
        done = called('bsresearch', 'run', *flags, seconds=work.left)
    except subprocess.TimeoutExpired:
        yield {'what': 'made', 'skipped': f'not done after {time.time() - start:.0f} s'}
        return
    if done.returncode:
        yield {'what': 'made', 'skipped': ended(done.returncode, done.stderr)}
        return
    yield {'what': 'made', 'seconds': time.time() - start}
    lines = done.stdout.splitlines()
    counts = {verdict: sum(f'  {verdict:<13}  ' in line for line in lines) for verdict in VERDICTS}
    yield from ({'verdict': verdict, 'claims': count} for verdict, count in counts.items() if count)
    if not work.toy:
        kept.keep(workdir, 'shen', pathlib.Path(work.out) / 'shen')


def rows(work: Work) -> Iterator[Row]:
    """The forecast, then what came of it."""
    config, changes = ('shen_digits', TOY) if work.toy else ('shen', FULL)
    try:
        file = flag_parser.file_of_config(config)
        study = planner.study(flag_parser.load(file).to_dict(), dict(changes), None)
    except (ValueError, OSError) as e:
        yield {'what': config, 'skipped': str(e)}
        return
    start = time.time()
    probes = probes_of(study.members)
    seconds = forecast.Forecast().outlook(None, study.runs, probes).later()
    yield {
        'what': 'forecast',
        'seconds': seconds,
        'runs': len(study.runs),
        'probes': len(probes),
        'forecasting, s': time.time() - start,
    }
    if seconds is None or seconds > work.left:
        needed = 'an unknown time' if seconds is None else f'{seconds:.0f} s'
        yield {'what': 'made', 'skipped': f'it would take {needed}, {max(0.0, work.left):.0f} s are left'}
        return
    yield from made(config, changes, work)
