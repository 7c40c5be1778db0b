"""All records of a workdir as one table in a file, for tools of the user's own."""

import os
import pathlib

import pandas as pd

from bsresearch.store import records

FORMATS = {
    '.csv': lambda table, path: table.to_csv(path, index=False, lineterminator='\n'),
    '.parquet': lambda table, path: table.to_parquet(path, index=False),
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
    temporary = out.with_name(f'.{out.name}.{os.getpid()}.tmp')
    try:
        FORMATS[out.suffix](table, temporary)
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return table
