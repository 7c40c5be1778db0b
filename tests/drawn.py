"""Figures in tests: drawn, and the numbers beside them."""

import pathlib

import pandas as pd

from bsresearch.analysis.figures import Figure
from bsresearch.analysis.study import Study
from bsresearch.report.figures import drawing


def tables(study: Study, figure: Figure, out: pathlib.Path) -> dict[str, pd.DataFrame]:
    """Draws a figure: name of a picture → the plotted numbers; each has its three files, none empty."""
    (figure,) = drawing.named([figure])
    files = drawing.one(study, figure, out)
    names = list(dict.fromkeys(file.stem for file in files))
    assert [file.name for file in files] == [f'{name}.{suffix}' for name in names for suffix in ('pdf', 'png', 'csv')]
    assert all(file.stat().st_size > 0 for file in files)
    return {name: pd.read_csv(out / f'{name}.csv') for name in names}


def table(study: Study, figure: Figure, out: pathlib.Path) -> pd.DataFrame:
    """The plotted numbers of a figure of one picture."""
    (numbers,) = tables(study, figure, out).values()
    return numbers
