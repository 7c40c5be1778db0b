"""From what the figure scripts drew to blocks: each figure with a caption and the file of its plotted numbers.

Captions come from the script's docstring: its first line says what it shows; where it draws several figures, indented
lines `<file name>  <what it shows>` tell them apart, and an ending that only numbers them (`_0.01`) may be left off.
"""

import pathlib
import re
import traceback
from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd

from bsresearch.report.blocks import Figure, Figures, Preformatted, Table, Text, png_size
from bsresearch.report.grid import value


class Drawn(NamedTuple):
    """What one figure script made of a workdir.

    doc: its docstring. files: what it wrote, in order. found: the numbers it reports, if it does.
    refused: why it drew nothing, in its own words; '' where it drew. failed: that was a fault of its code.
    """

    script: str
    doc: str
    files: tuple[pathlib.Path, ...] = ()
    found: pd.DataFrame | str | None = None
    refused: str = ''
    failed: bool = False


class FiguresFailed(ValueError):
    """Some figures of a script could not be drawn. files: what the others wrote."""

    def __init__(self, message: str, files: list[pathlib.Path]):
        super().__init__(message)
        self.files = files


def each(*figures: Callable[[], list[pathlib.Path]]) -> list[pathlib.Path]:
    """Draws figures one after another; one that cannot be drawn costs itself alone.

    Args:
      figures: functions that draw one and return the files they wrote.

    Raises:
      FiguresFailed: some could not be; the first error is its cause.
    """
    files: list[pathlib.Path] = []
    errors: list[Exception] = []
    for figure in figures:
        try:
            files += figure()
        except Exception as e:  # whatever it is, it must not cost the others
            errors.append(e)
    if errors:
        raise FiguresFailed(f'{len(errors)} of {len(figures)} figures could not be drawn', files) from errors[0]
    return files


def fault(error: BaseException) -> str:
    """An error that is a fault of the code, in one line, with the place it came from."""
    if error.__cause__ is not None:
        return f'{error}: {fault(error.__cause__)}'
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = ' '.join(str(error).split())
    return f'{type(error).__name__}: {said} ({pathlib.Path(place.filename).name}, line {place.lineno})'


def first_line(doc: str) -> str:
    """What a script shows, without the full stop or colon at its end."""
    return doc.strip().split('\n', 1)[0].rstrip('.:')


def caption(doc: str, name: str) -> str:
    """Of the figure file `name` (no suffix): its own line in the docstring, with what continues it, else ''."""
    own = {}
    for found in re.finditer(r'^ +(\w+) {2,}(\S.*(?:\n {12,}\S.*)*)$', doc, re.MULTILINE):
        own[found[1]] = ' '.join(found[2].split())
    # fig_norms_0.01 is a fig_norms, but a fig_norms_ridges is not.
    close = [n for n in own if name == n or name.startswith(f'{n}_')]
    said = own[max(close, key=len)].rstrip('.') if close else ''
    return said[:1].upper() + said[1:]


def blocks(drawn: Sequence[Drawn], out: pathlib.Path) -> list[Figures | Text | Table | Preformatted]:
    """The figures by script, what each reports, and who refused.

    Args:
      out: directory of the report, at or above the figures'.
    """
    found: list[Figures | Text | Table | Preformatted] = []
    for one in drawn:
        if one.refused and not one.files:
            continue
        shown = [_figure(one, file, out) for file in one.files if file.suffix == '.png']
        # Figures of a kind side by side: they have a shape in common, and are to be compared.
        kinds = [figure.caption for figure in shown]
        shown.sort(key=lambda figure: kinds.index(figure.caption))
        found.append(Figures(one.script, first_line(one.doc), tuple(shown)))
        if isinstance(one.found, str):
            text = one.found.strip('\n')
            found += [Preformatted(f'What {one.script} reports', text, folded=True)] if text else []
        elif one.found is not None:
            found.append(_table(one.script, one.found))
    return [*found, *(Text(refusal(one)) for one in drawn if one.refused)]


def refusal(drawn: Drawn) -> str:
    """Why a script drew nothing, in one line."""
    how = 'failed' if drawn.failed else 'drew nothing'
    return f'{drawn.script} {how}: {" ".join(drawn.refused.split())}'


def _figure(drawn: Drawn, file: pathlib.Path, out: pathlib.Path) -> Figure:
    png = file.read_bytes()
    numbers = file.with_suffix('.csv')
    link = lambda path: path.relative_to(out).as_posix()
    csv = link(numbers) if numbers in drawn.files else ''
    return Figure(file.stem, caption(drawn.doc, file.stem), png, link(file), csv, *png_size(png, str(file)))


def _table(script: str, frame: pd.DataFrame) -> Table:
    cell = lambda v: f'{v:.4g}' if isinstance(v, float) and not pd.isna(v) else value(v)
    rows = tuple(tuple(cell(v) for v in row) for row in frame.itertuples(index=False, name=None))
    columns = tuple(str(c).replace('_', ' ') for c in frame.columns)
    return Table(f'What {script} reports', columns, rows, folded=True)
