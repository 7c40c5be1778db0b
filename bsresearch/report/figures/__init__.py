"""Figures, a file per kind with `draw(study, figure, out)`, and what came of drawing one."""

import pathlib
import traceback
from collections.abc import Callable
from typing import NamedTuple


class Drawn(NamedTuple):
    """One figure as it came out.

    name: of its files. title: what it shows. files: what was written, in order. text: what it reports in words.
    study: whose runs it is of. question: key of the findings that declare it.
    refused: why nothing was drawn, in its own words; '' where it was. failed: that was a fault of its code.
    """

    name: str
    title: str
    files: tuple[pathlib.Path, ...] = ()
    text: str = ''
    refused: str = ''
    failed: bool = False
    study: str = ''
    question: str = ''


class FiguresFailed(ValueError):
    """Some of the figures of one kind could not be drawn. files: what the others wrote."""

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


def refusal(drawn: Drawn) -> str:
    """Why there is no figure, in one line."""
    how = 'failed' if drawn.failed else 'drew nothing'
    return f'{drawn.name} {how}: {" ".join(drawn.refused.split())}'
