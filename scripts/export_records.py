"""All records of a workdir as one table, a row per run and recorded event (`records.load`), for tools of your own.

    bsresearch export --workdir=runs/sweep --out=table.csv      (or table.parquet)

Keeps a file that is there already unless --overwrite is given. Time: seconds.
"""

import pathlib

from absl import flags

from bsresearch.analysis import command
from bsresearch.store import export


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'file to write: .csv or .parquet')
    flags.DEFINE_bool('overwrite', False, 'replace the file if it is there')


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    if not out:
        raise ValueError('--out=<file>.csv or --out=<file>.parquet is needed')
    table = export.export(workdir, pathlib.Path(out), overwrite=flags.FLAGS.overwrite)
    print(f'{out}: {len(table):,} rows of {table["run"].nunique()} runs, {len(table.columns)} columns')


def enter(name: str) -> None:
    """The command, called `name`."""
    define_flags()
    command.run(name, main)


if __name__ == '__main__':
    enter('export_records')
