"""Prepares a data set once, as plain checksummed arrays that load in a fraction of a second: one of TFDS, or your own.

    bsresearch prepare --name=fashion_mnist
    bsresearch prepare --name=mine --npz=mine.npz --inputs=images --labels=labels --test_fraction=0.2
    bsresearch prepare --name=photos --images=photos/ --size=32      # a folder a class, or train/ and test/ of them
    bsresearch prepare --name=house --csv=table.csv --target=price   # or --parquet; classification or regression

Of TFDS: downloads through it, which checks its registered sha256. Without a network: Fashion-MNIST comes from Debian's
package dataset-fashion-mnist, any set from files put into --manual_dir, or from a prepared folder copied from another
machine. Time: Fashion-MNIST 25 s on one core, and 55 MB. Exit code 2 and one message when it cannot be done.
"""

import functools
import pathlib
from collections.abc import Callable
from typing import Any

from absl import app, flags, logging

from bsresearch.core import flag_help, program
from bsresearch.data import own, prepared, preparing
from bsresearch.data.own import arrays, images, tables

OF_TFDS = ('manual_dir', 'keep_tfds')
SOURCES = {  # the flag of a source → those that go with it
    'npz': ('inputs', 'labels', 'standardize'),
    'images': ('size', 'grey'),
    'csv': ('target', 'drop', 'one_hot', 'standardize'),
    'parquet': ('target', 'drop', 'one_hot', 'standardize'),
}
CHOICES = own.Choices._fields


def define_flags(values: flags.FlagValues) -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    text, many, number, whole, yes = (
        functools.partial(define, flag_values=values)
        for define in (
            flags.DEFINE_string,
            flags.DEFINE_list,
            flags.DEFINE_float,
            flags.DEFINE_integer,
            flags.DEFINE_bool,
        )
    )
    text('name', None, 'TFDS name, or name/configuration; or the name of your own data from now on')
    text('data_dir', None, 'where the arrays go; default: $BSRESEARCH_DATA or ~/.cache/bsresearch/data')
    text('manual_dir', None, 'folder with the files as downloaded by hand, under their upstream names')
    text('debian_dir', '/usr/share/datasets/fashion-mnist', "Debian's dataset-fashion-mnist")
    yes('keep_tfds', False, "keep TFDS's own files beside the arrays")
    text('npz', None, 'your own arrays: a file that np.savez wrote')
    text('inputs', None, 'of --npz: the array of inputs, (N, …); default: the usual names')
    text('labels', None, 'of --npz: the array of labels, (N,): classes as numbers or words, or targets')
    text('images', None, 'your own images: a folder with a folder a class; or with train and test, each so')
    whole('size', None, 'of --images: pixels of a side; the shorter side is resized, the middle cut out')
    yes('grey', None, 'of --images: one channel; default: where all images are grey')
    text('csv', None, 'your own table, with a line of column names')
    text('parquet', None, 'your own table, as Parquet')
    text('target', None, 'of a table: the column to be predicted')
    many('drop', [], 'of a table: columns to leave out')
    many('one_hot', [], 'of a table: columns that become a 0/1 column for each of their values')
    yes('standardize', None, 'input columns and targets to mean 0, standard deviation 1; default: of tables')
    number('test_fraction', None, 'of your own data: drawn for testing; default: 0.2')
    whole('split_seed', 0, 'of that draw')
    text('task', None, 'of your own data: classification or regression; default: as the labels say')
    number('scale', None, 'of your own data: inputs are divided by it; default: 255 of 8-bit images, else 1')


def main(argv: list[str], f: flags.FlagValues) -> int | None:
    """Flags to values; errors to one message and exit code 2."""
    folder = lambda given: pathlib.Path(given).expanduser().absolute() if given else None
    logging.set_verbosity(logging.FATAL)  # TFDS's and Pillow's remarks; failures arrive as exceptions.
    try:
        if len(argv) > 1:
            raise preparing.PrepareError(f'unexpected argument {argv[1]!r}; give the set as --name={argv[1]}')
        source = _source(f)
        if not f.name:
            example = 'a name for your data, such as --name=mine' if source else 'its TFDS name: --name=fashion_mnist'
            raise preparing.PrepareError(f'which set? Give {example}')
        data_dir = folder(f.data_dir) or prepared.default_dir()
        if source is not None:
            preparing.prepare_own(f.name, data_dir, source, _choices(f))
            return None
        if (manual := folder(f.manual_dir)) and not manual.is_dir():
            raise preparing.PrepareError(f'--manual_dir={f.manual_dir}: no such folder')
        preparing.prepare(f.name, data_dir, manual, folder(f.debian_dir), f.keep_tfds)
    except (preparing.PrepareError, ValueError, OSError, ImportError) as error:
        return program.usage(error)
    return None


def _choices(f: flags.FlagValues) -> own.Choices:
    values: dict[str, Any] = {name: f[name].value for name in CHOICES}
    return own.Choices(**values)


def _source(f: flags.FlagValues) -> Callable[[], own.Source] | None:
    """What reads the user's own data; None for a set of TFDS.

    Raises:
      ValueError: flags that do not go together.
    """
    given = [flag for flag in SOURCES if f[flag].value is not None]
    if len(given) > 1:
        raise ValueError(f'--{given[0]} and --{given[1]}: a data set has one source')
    flag = given[0] if given else ''
    allowed = (*CHOICES, *SOURCES[flag]) if flag else OF_TFDS
    for name in {*OF_TFDS, *CHOICES, *(option for options in SOURCES.values() for option in options)} - {*allowed}:
        if f[name].present:
            sources = [f'--{source}' for source, options in SOURCES.items() if name in (*options, *CHOICES)]
            raise ValueError(f'--{name} goes with {" or ".join(sources) or "a set of TFDS"}')
    if not flag:
        return None
    file = pathlib.Path(str(f[flag].value)).expanduser()
    if flag == 'npz':
        return functools.partial(arrays.read, file, f.inputs, f.labels, bool(f.standardize))
    if flag == 'images':
        return functools.partial(images.read, file, f.size, f.grey)
    standardize = f.standardize is not False
    return functools.partial(tables.read, file, flag, f.target, f.drop, f.one_hot, standardize)


def parse_flags(argv: list[str], values: flags.FlagValues) -> list[str]:
    """For `app.run`: a bad flag is one line and exit code 2."""
    flag_help.show(argv, values)
    return flag_help.parsed(argv, values)


def enter(name: str) -> None:
    """The command, called `name`."""
    program.called(name)
    define_flags(flags.FLAGS)
    parser = functools.partial(parse_flags, values=flags.FLAGS)
    app.run(functools.partial(main, f=flags.FLAGS), flags_parser=parser)


if __name__ == '__main__':
    enter('prepare_data')
