"""All records of a workdir as one table in a file, for tools of the user's own."""

import pathlib

import pandas as pd

from bsresearch.store import paths, records

FORMATS = {
    '.csv': lambda table, file: table.to_csv(file, mode='wb', index=False, lineterminator='\n'),
    '.parquet': lambda table, file: table.to_parquet(file, index=False),
}


def export(workdir: pathlib.Path, out: pathlib.Path, *, overwrite: bool) -> pd.DataFrame:
    """Writes the table, whole or not at all; returns it.

    Raises:
      FileNotFoundError: no runs.
      FileExistsError: the file is there, and `overwrite` is off.
      ValueError: a suffix other than .csv and .parquet.
    """
    if out.suffix not in FORMATS:
        raise ValueError(f'--out={out}: the suffix must be {" or ".join(FORMATS)}')
    if out.exists() and not overwrite:
        raise FileExistsError(f'--out={out} is there already; add --overwrite to replace it')
    table = records.load(workdir)
    out.parent.mkdir(parents=True, exist_ok=True)
    with paths.replacing(out) as file:
        FORMATS[out.suffix](table, file)
    return table
