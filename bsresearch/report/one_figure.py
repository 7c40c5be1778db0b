"""A figure that a user asks for in a line: y against x, a colour per value of a field.

x is a position in training (epochs, updates, examples, seconds): curves; an axis or a field: a mean with its interval
for each value; another metric: a point for each run.
"""

import pathlib
import re
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple

from bsresearch import findings
from bsresearch.analysis import axis_labels, cells, courses, figures, of_runs
from bsresearch.analysis import study as studies
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import Quantity
from bsresearch.analysis.study import Study
from bsresearch.core import lookup
from bsresearch.report.figures import drawing
from bsresearch.store import records

END, BEST, MEDIAN, EPOCH = 'end', 'best_validation', 'median_last', 'epoch'
READINGS = f'{END}, {BEST}, {MEDIAN}:5, {EPOCH}:10'


class Request(NamedTuple):
    """What is to be drawn, in the words of the flags.

    y: metrics. at: which evaluation of a run is its number (READINGS). where: 'field=value' or 'field=value,value'.
    study: '' for the only one.
    """

    y: tuple[str, ...]
    x: str
    color: str = ''
    panel: str = ''
    at: str = END
    where: tuple[str, ...] = ()
    study: str = ''


def draw(workdir: pathlib.Path, request: Request, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it into a directory: PDF, PNG and CSV.

    Raises:
      ValueError: a name is unknown, or the records lack something. FileNotFoundError: no runs.
    """
    study = _where(_study(workdir, request.study), request.where)
    return drawing.one(study, figure(study, request), out)


def named(
    workdir: pathlib.Path, name: str, options: Sequence[str], study: str, out: pathlib.Path
) -> tuple[list[pathlib.Path], str]:
    """Draws a figure that has a name: a special kind, or one that the findings of the runs declare.

    Args:
      options: 'name=value', of a special kind.

    Returns:
      its files, and what it reports in words.

    Raises:
      ValueError: there is no such figure or option, or the records lack what it is about.
    """
    opened = _study(workdir, study)
    declared, kinds = {figure.name: figure for figure in drawing.named(_declared(opened))}, drawing.special()
    if name not in declared and name not in kinds:
        raise ValueError(f'{workdir} has no figure {name!r}; {lookup.nearest(name, [*kinds, *declared])}')
    title = next((figure.title for figure in declared.values() if figure.kind == name), '')
    chosen = declared.get(name) or figures.special(name, title=title, name=name)
    for option in options:
        field, equals, value = option.partition('=')
        if not equals or chosen.kind not in kinds:
            raise ValueError(f'--option={option}: --option=<name>=<value> of {", ".join(kinds)} is needed')
        chosen = chosen._replace(options=chosen.options | {field: value})
    return drawing.one(opened, chosen, out), drawing.text(opened, chosen)


def _declared(study: Study) -> Sequence[Figure]:
    """The figures of the findings that a study is of."""
    known = study.name in findings.members() or findings.is_own(study.name)
    return findings.load(study.name).FIGURES if known else ()


def figure(study: Study, request: Request) -> Figure:
    """What is asked for, of a study.

    Raises:
      ValueError: a metric, field or reading is unknown; names the nearest.
    """
    metrics = _metrics(study)
    for y in request.y:
        if y not in metrics:
            raise ValueError(f'--y={y}: no run has recorded it; {lookup.nearest(y, metrics)}')
    x = {column: name for name, (column, _) in courses.POSITIONS.items()}.get(request.x, request.x)
    for flag, field in (('color', request.color), ('panel', request.panel)):
        _check(study, flag, field)
    name = _name(request, x)
    shared: dict[str, Any] = {'by': request.color, 'panel': request.panel, 'name': name}
    if x in courses.POSITIONS:
        if request.at != END:
            raise ValueError(f'--at={request.at} needs an x that is no position in training: --x=batch_size')
        return figures.curves(*request.y, x=x, **shared)
    read = _reading(request.at)
    quantities = [read(y) for y in request.y]
    if x in metrics and x not in study.runs:
        if len(quantities) > 1 or request.panel:
            raise ValueError(f'--x={x} is a metric: runs are drawn as points of one --y against it, in one panel')
        return figures.pareto(read(x), quantities[0], by=request.color, name=name)
    _check(study, 'x', x, [*courses.POSITIONS, *metrics])
    return figures.versus(*quantities, x=x, **shared)


def _name(request: Request, x: str) -> str:
    """Of the files: no two requests of a study have the same."""
    parts = [*request.y, 'against', x, *filter(None, [request.color])]
    parts += ['panel', request.panel] if request.panel else []
    parts += ['at', request.at] if request.at != END else []
    parts += ['where', *request.where] if request.where else []
    return re.sub(r'\W+', '_', '_'.join(parts))


def _check(study: Study, flag: str, field: str, others: Sequence[str] = ()) -> None:
    """Raises ValueError where there is no such field, with the nearest of those that could be meant."""
    if field and field not in study.parts and field not in study.runs:
        known = [*dict.fromkeys([*cells.varying(study), *others])]
        every = [*known, *(c for c in study.runs if c not in known)]
        raise ValueError(f'--{flag}={field}: there is no such column; {lookup.nearest_of(field, every, known)}')


def _metrics(study: Study) -> list[str]:
    """Recorded columns of numbers that are no positions."""
    numbers = dict.fromkeys(c for rows in study.rows.values() for c in rows.select_dtypes('number'))
    return [c for c in numbers if c in study.recorded and c not in records.POSITION]


def _reading(at: str) -> Callable[[str], Quantity]:
    """Metric → the quantity that reads it so."""
    kind, _, number = at.partition(':')
    if at == END:
        return of_runs.final
    if at == BEST:
        return of_runs.at_best
    if kind == MEDIAN and number.isdigit() and int(number):
        return lambda metric: of_runs.median_of_last(metric, int(number))
    if kind == EPOCH and re.fullmatch(r'\d+(\.\d+)?', number):
        return lambda metric: of_runs.at_epoch(metric, float(number))
    raise ValueError(f'--at={at} is no way to read a run; {lookup.nearest(at, READINGS.split(", "))}')


def _study(workdir: pathlib.Path, name: str) -> Study:
    """The named one, or the only one; with its arms where the launch wrote them down."""
    there = sorted(records.runs(workdir)['study'].unique())
    if name and name not in there:
        raise ValueError(f'--study={name}: {workdir} has no runs of it; {lookup.nearest(name, there)}')
    if not name and len(there) > 1:
        raise ValueError(f'{workdir} holds the studies {", ".join(there)}: name one, --study={there[0]}')
    return studies.launched(workdir, name or there[0])


def _where(study: Study, conditions: Sequence[str]) -> Study:
    """The study of the cells that meet all conditions."""
    for condition in conditions:
        field, equals, given = condition.partition('=')
        if not equals:
            raise ValueError(f'--where={condition}: it is written --where=<column>=<value>')
        _check(study, 'where', field)
        wanted = given.split(',')
        there = cells.values(study, field)
        meets = [value for value in there if any(_is(value, text) for text in wanted)]
        if not meets:
            known_values = ', '.join(axis_labels.text(value).replace(',', '') for value in there[:20])
            raise ValueError(f'--where={condition}: no run has it; {field} has {known_values or "no value of its own"}')
        study = cells.only(study, lambda key, f=field, v=meets, s=study: cells.value(s, key, f) in v)
    return study


def _is(value: Any, text: str) -> bool:
    """Whether a value is what a user has typed."""
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            return float(value) == float(text)
        except ValueError:
            return False
    return str(value) == text
