"""All records of a workdir as one table, a row per run and recorded event (`records.load`), for tools of your own.

    bsresearch export --workdir=runs/sweep --out=table.csv      (or table.parquet)
    bsresearch export --workdir=runs/shen --keep=docs/studies/shen
    bsresearch export --workdir=runs/sweep --to=wandb           (or tensorboard, mlflow, several by commas, or your own)

--to writes what `config.loggers` does in training (docs/configs.md), to <out>/<logger> or to the tracker's server; runs
that are there already stay unless --overwrite is given. --keep writes the runs and probes of a study, without
checkpoints, so that figures and reports can be made from that folder alone: --workdir=docs/studies/shen. A file that is
there stays unless --overwrite is given. Time: seconds.
"""

import pathlib

from absl import flags

from bsresearch.analysis import command
from bsresearch.loggers import exporting
from bsresearch.store import export, kept, records


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('workdir', None, command.WORKDIR)
    flags.DEFINE_string('out', None, 'file to write: .csv or .parquet; with --to the folder, here without it')
    flags.DEFINE_list('to', [], 'loggers to write all runs for')
    flags.DEFINE_string('keep', None, 'folder to keep the records of a study in, as Parquet')
    flags.DEFINE_string('study', None, 'which study to keep; default: the only one')
    flags.DEFINE_bool('overwrite', False, 'replace the file, or the runs, if they are there')


def main() -> None:
    """Flags to values."""
    workdir, out = command.workdir(), flags.FLAGS.out
    if flags.FLAGS.keep:
        _keep(workdir, pathlib.Path(flags.FLAGS.keep))
        return
    if flags.FLAGS.to:
        _log(workdir, flags.FLAGS.to, pathlib.Path(out or ''))
        return
    if not out:
        raise ValueError('--out=<file>.csv or --out=<file>.parquet is needed, or --keep=<folder>, or --to=<logger>')
    table = export.export(workdir, pathlib.Path(out), overwrite=flags.FLAGS.overwrite)
    print(f'{out}: {len(table):,} rows of {table["run"].nunique()} runs, {len(table.columns)} columns')


def _log(workdir: pathlib.Path, names: list[str], out: pathlib.Path) -> None:
    for name, written in exporting.export(workdir, names, out, overwrite=flags.FLAGS.overwrite).items():
        there = (
            f'; {written.there} there already, left as they are (--overwrite replaces them)' if written.there else ''
        )
        print(f'{name}: {written.rows:,} rows of {written.runs} runs{there}')


def _keep(workdir: pathlib.Path, folder: pathlib.Path) -> None:
    studies = sorted({d.parent.name for d in records.run_dirs(workdir)})
    study = flags.FLAGS.study or (studies[0] if len(studies) == 1 else '')
    if study not in studies:
        raise ValueError(f'--study={study}: {workdir} holds {", ".join(studies)}; name one of them')
    for file in kept.keep(workdir, study, folder):
        print(f'{file}: {file.stat().st_size / 1e6:.2f} MB')


def enter(name: str) -> None:
    """The command, called `name`."""
    define_flags()
    command.run(name, main)


if __name__ == '__main__':
    enter('export_records')
