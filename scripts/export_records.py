"""All records of a workdir as one table, a row per run and recorded event (`records.load`), for tools of your own.

    python -m scripts.export_records --workdir=runs/sweep --out=table.csv      (or table.parquet)

Keeps a file that is there already unless --overwrite is given. Time: seconds.
"""

import os
import pathlib

import pandas as pd
from absl import flags

from bsresearch.analysis import command
from bsresearch.store import records

FORMATS = {
    '.csv': lambda table, path: table.to_csv(path, index=False, lineterminator='\n'),
    '.parquet': lambda table, path: table.to_parquet(path, index=False),
}


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'file to write: .csv or .parquet')
    flags.DEFINE_bool('overwrite', False, 'replace the file if it is there')


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


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    if not out:
        raise ValueError('--out=<file>.csv or --out=<file>.parquet is needed')
    table = export(workdir, pathlib.Path(out), overwrite=flags.FLAGS.overwrite)
    print(f'{out}: {len(table):,} rows of {table["run"].nunique()} runs, {len(table.columns)} columns')


if __name__ == '__main__':
    define_flags()
    command.run('export_records', main)
