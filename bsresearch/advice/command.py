"""The command behind scripts/advise.py: flags in, a page and a file out; a user's error is one line."""

import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from bsresearch.advice import reading
from bsresearch.advice.advise import advise
from bsresearch.advice.columns import Columns
from bsresearch.advice.table import Refusal
from bsresearch.advice.telling import as_json, page
from bsresearch.core import program


class Request(NamedTuple):
    """What the command is asked for: its flags."""

    table: Annotated[str | None, 'The table of runs, a row each: CSV, or Parquet (.parquet).'] = None
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


def run(request: Request) -> str:
    """The page. Writes the file that was asked for, also where the advice is refused.

    Raises:
      ValueError, OSError: a user's error. Refusal: the table tells nothing.
    """
    if not request.table:
        raise ValueError('--table=<file> is needed: a row for each run, CSV or Parquet')
    if not request.batch_size:
        raise ValueError('--batch_size=<column> is needed: which column holds the batch size')
    if request.price_per_hour is not None and not request.price_per_hour > 0:
        raise ValueError(f'--price_per_hour={request.price_per_hour:g}: a number above 0 is needed')
    file = pathlib.Path(request.table)
    rows = reading.read(file, request.where)
    table = {'table': file.name, 'table_sha256': hashlib.sha256(file.read_bytes()).hexdigest()}
    columns = Columns(**{name: getattr(request, name) or '' for name in Columns._fields})
    falling = None if request.higher_is_better is None else not request.higher_is_better
    try:
        runs = reading.runs(rows, columns, per=request.seconds_per, falling=falling)
        advice = advise(runs, request.goal, _sizes(request.at))
    except Refusal as refusal:
        _write(request, table | {'refusal': str(refusal)})
        raise
    _write(request, table | as_json.content(advice, request.price_per_hour))
    return page.text(advice, request.price_per_hour)


def _sizes(given: Sequence[str]) -> list[float]:
    sizes = []
    for word in given:
        if not word.strip().isdigit() or not int(word):
            raise ValueError(f'--at={word}: whole numbers of at least 1 are needed')
        sizes.append(float(word))
    return sizes


def _write(request: Request, content: dict[str, Any]) -> None:
    if request.json:
        text = json.dumps(as_json.sealed(content), indent=1, ensure_ascii=False, allow_nan=False)
        pathlib.Path(request.json).write_text(text + '\n', encoding='utf-8')


def command(request: Request) -> int | None:
    """Prints the page; the exit code of what is wrong, told in one line."""
    try:
        print(run(request))
    except (ValueError, OSError) as error:
        return program.usage(' '.join(str(error).split()))
    return None
