"""The command behind scripts/advise.py: flags in, a page and a file out; a user's error is one line."""

import functools
import hashlib
import json
import math
import pathlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from bsresearch.advice import of_workdir, reading
from bsresearch.advice.advise import advise
from bsresearch.advice.answer import Advice
from bsresearch.advice.columns import Columns
from bsresearch.advice.critical import of_runs, side_by_side
from bsresearch.advice.critical.side_by_side import SideBySide
from bsresearch.advice.table import Refusal, Runs
from bsresearch.advice.telling import as_json, page
from bsresearch.core import program
from bsresearch.store import paths

Draw = Callable[[Advice, pathlib.Path, float | None], list[pathlib.Path]]
OF_WORKDIR = ('study', 'target', 'branches')  # flags that only a workdir has


class Request(NamedTuple):
    """What the command is asked for: its flags."""

    table: Annotated[str | None, 'The table of runs, a row each: CSV, or Parquet (.parquet).'] = None
    workdir: Annotated[str | None, 'In its place, the runs of a launch: what it was given as --workdir.'] = None
    study: Annotated[str | None, 'Of a workdir: which study, where it holds several.'] = None
    target: Annotated[str | None, 'Of a workdir: <metric>:<value> that a run is to come to, test_accuracy:0.95.'] = None
    branches: Annotated[
        str | None, 'Of a workdir: another one with branches of the same task (config critical_batch_size).'
    ] = None
    where: Annotated[tuple[str, ...], 'column=value[,value]: the rows that are meant; may be given again.'] = ()
    batch_size: Annotated[str | None, 'Column of the batch size.'] = None
    learning_rate: Annotated[str | None, 'Column of the learning rate.'] = None
    steps: Annotated[str | None, 'Column of the updates to the target; empty or nan where it was not reached.'] = None
    epochs: Annotated[str | None, 'The same in epochs.'] = None
    examples: Annotated[str | None, 'The same in examples.'] = None
    reached: Annotated[str | None, 'Column of true or false: whether that was the target, or the end of the run.'] = (
        None
    )
    seconds: Annotated[str | None, 'Column of the time that the run took up to there.'] = None
    joules: Annotated[str | None, 'Column of the energy that the run took up to there.'] = None
    watts: Annotated[str | None, 'Column of the mean power, in the place of --joules.'] = None
    seconds_per: Annotated[str, 'What --seconds and --joules are of: run, epoch, step or example.'] = 'run'
    loss: Annotated[str | None, 'Column of what a run ended with: a loss, or another metric.'] = None
    higher_is_better: Annotated[bool | None, 'Of that metric, where its name does not say so.'] = None
    run: Annotated[str | None, 'Column that tells runs of one setting apart, as the seed.'] = None
    goal: Annotated[str | None, 'time, examples, energy or accuracy; default: the first that the table tells.'] = None
    at: Annotated[Sequence[str], 'Batch sizes to be told of beside those tried.'] = ()
    price_per_hour: Annotated[float | None, 'Of the device: time is also told as a cost.'] = None
    json: Annotated[str | None, 'File for the same as JSON.'] = None
    figure: Annotated[str | None, 'Name for a figure of it, without suffix: PDF and PNG.'] = None


def run(request: Request, draw: Draw | None = None) -> str:
    """The page. Writes the file that was asked for, also where the advice is refused; `draw`: the figure, its name.

    Raises:
      ValueError, OSError: a user's error. Refusal: the table tells nothing.
    """
    check(request.at, request.price_per_hour, request.json)
    if bool(request.table) == bool(request.workdir):
        raise ValueError(
            '--table=<file>, a row for each run, or --workdir=<directory> of a launch is needed: one of them'
        )
    falling = None if request.higher_is_better is None else not request.higher_is_better
    source, read = (_of_table if request.table else _of_workdir)(request, falling)
    try:
        runs = read()
        advice = advise(runs, request.goal, sizes(request.at))
    except Refusal as refusal:
        _write(request, source | {'refusal': str(refusal)})
        raise
    beside = _beside(request, advice, falling)
    _write(request, source | as_json.content(advice, request.price_per_hour) | side_by_side.as_json(beside))
    drawn = draw(advice, pathlib.Path(request.figure), request.price_per_hour) if draw and request.figure else []
    page_lines = [page.text(advice, request.price_per_hour), *side_by_side.lines(beside, request.target or '')]
    return '\n'.join([*map(str, drawn), *page_lines])


def _beside(request: Request, advice: Advice, falling: bool | None) -> SideBySide:
    """The critical batch sizes of the runs, and of branches."""
    if not request.workdir:
        return side_by_side.of(advice)
    folder = pathlib.Path(request.branches or request.workdir)
    if not folder.is_dir():
        raise FileNotFoundError(f'--branches={folder}: no such directory')
    study = of_workdir.opened(pathlib.Path(request.workdir), request.study or '')
    table = of_workdir.chosen(study, request.where)
    named = request.target or of_workdir.stopping(table)
    if not named:
        return side_by_side.of(advice, table)
    target = of_workdir.Target.of(named)
    measured = of_runs.scales(study, of_workdir.arrivals(study, table, target, falling), *target)
    return side_by_side.of_workdir(advice, table, measured, folder, target)


def _of_table(request: Request, falling: bool | None) -> tuple[dict[str, Any], Callable[[], Runs]]:
    """What the advice is from, and how it is read."""
    for name in OF_WORKDIR:
        if getattr(request, name):
            raise ValueError(
                f'--{name} is for --workdir; of a table --where picks rows, and columns say what was reached'
            )
    if not request.batch_size:
        raise ValueError('--batch_size=<column> is needed: which column holds the batch size')
    file = pathlib.Path(str(request.table))
    rows = reading.read(file, request.where)
    columns = Columns(**{name: getattr(request, name) or '' for name in Columns._fields})
    source = {'table': file.name, 'table_sha256': hashlib.sha256(file.read_bytes()).hexdigest()}
    return source, functools.partial(reading.runs, rows, columns, per=request.seconds_per, falling=falling)


def _of_workdir(request: Request, falling: bool | None) -> tuple[dict[str, Any], Callable[[], Runs]]:
    """The same of the runs of a launch."""
    for name in Columns._fields:
        if name != 'loss' and getattr(request, name):
            raise ValueError(f'--{name} names a column of a --table; of a workdir it is known')
    workdir = pathlib.Path(str(request.workdir))
    asked = {name: getattr(request, name) or '' for name in ('study', 'target')} | {'metric': request.loss or ''}
    read = functools.partial(of_workdir.runs, workdir, **asked, falling=falling, where=request.where, goal=request.goal)
    return {'workdir': workdir.name, 'study': request.study, 'target': request.target}, read


def check(at: Sequence[str], price_per_hour: float | None, json_file: str | None) -> None:
    """Raises ValueError for flags that cannot be, whatever the runs."""
    sizes(at)
    if price_per_hour is not None and not 0 < price_per_hour < math.inf:
        raise ValueError(f'--price_per_hour={price_per_hour:g}: a number above 0 is needed')
    if json_file and pathlib.Path(json_file).is_dir():
        raise ValueError(f'--json={json_file} is a directory: the name of a file is needed')


def sizes(given: Sequence[str]) -> list[float]:
    """Batch sizes of --at, each once; raises ValueError for what is none."""
    for word in given:
        if not word.strip().isdecimal() or not 1 <= float(word) < math.inf:
            raise ValueError(f'--at={word}: whole numbers of at least 1 are needed')
    return list(dict.fromkeys(map(float, given)))


def _write(request: Request, content: dict[str, Any]) -> None:
    if request.json:
        text = json.dumps(as_json.sealed(content), indent=1, ensure_ascii=False, allow_nan=False)
        file = pathlib.Path(request.json)
        file.parent.mkdir(parents=True, exist_ok=True)
        paths.write_text(file, text + '\n')


def command(request: Request, draw: Draw | None = None) -> int | None:
    """Prints the page; the exit code of what is wrong, told in one line."""
    try:
        text = run(request, draw)
    except (ValueError, OSError) as error:
        return program.usage(' '.join(str(error).split()))
    print(text)
    return None
