"""What the figure scripts drew of a workdir, with the captions that their docstrings give.

Captions come from the script's docstring: its first line says what it shows; where it draws several figures, indented
lines `<file name>  <what it shows>` tell them apart, and an ending that only numbers them (`_0.01`) may be left off.
"""

import pathlib
import re
import traceback
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd


class Drawn(NamedTuple):
    """What one figure script made of a workdir.

    doc: its docstring. files: what it wrote, in order. found: the numbers it reports, if it does.
    study: whose runs it drew. question: key of the findings that declare the figure, '' for a script.
    refused: why it drew nothing, in its own words; '' where it drew. failed: that was a fault of its code.
    """

    script: str
    doc: str
    files: tuple[pathlib.Path, ...] = ()
    found: pd.DataFrame | str | None = None
    refused: str = ''
    failed: bool = False
    study: str = ''
    question: str = ''


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


def refusal(drawn: Drawn) -> str:
    """Why a script drew nothing, in one line."""
    how = 'failed' if drawn.failed else 'drew nothing'
    return f'{drawn.script} {how}: {" ".join(drawn.refused.split())}'
