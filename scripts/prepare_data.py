"""Prepares a TFDS image set once, as plain checksummed arrays that load in a fraction of a second and without TFDS.

    bsresearch prepare --name=fashion_mnist

Downloads through TFDS, which checks its registered sha256. Without a network: Fashion-MNIST comes from Debian's package
dataset-fashion-mnist, any set from files put into --manual_dir, or from a prepared folder copied from another machine.
Time: Fashion-MNIST 25 s on one core, and 55 MB. Exit code 2 and one message when it cannot be done.
"""

import pathlib

from absl import app, flags, logging

from bsresearch.core import flag_help, program
from bsresearch.data import prepared, preparing


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('name', None, 'TFDS name, or name/configuration')
    flags.DEFINE_string('data_dir', None, 'where the arrays go; default: $BSRESEARCH_DATA or ~/.cache/bsresearch/data')
    flags.DEFINE_string('manual_dir', None, 'folder with the files as downloaded by hand, under their upstream names')
    flags.DEFINE_string('debian_dir', '/usr/share/datasets/fashion-mnist', "Debian's dataset-fashion-mnist")
    flags.DEFINE_bool('keep_tfds', False, "keep TFDS's own files beside the arrays")


def main(argv: list[str]) -> int | None:
    """Flags to values; errors to one message and exit code 2."""
    f = flags.FLAGS
    folder = lambda given: pathlib.Path(given).expanduser().absolute() if given else None
    logging.set_verbosity(logging.FATAL)  # TFDS's and Pillow's remarks; failures arrive as exceptions.
    try:
        if len(argv) > 1:
            raise preparing.PrepareError(f'unexpected argument {argv[1]!r}; give the set as --name={argv[1]}')
        if not f.name:
            raise preparing.PrepareError('which set? Give its TFDS name, for example --name=fashion_mnist')
        data_dir = folder(f.data_dir) or prepared.default_dir()
        if (manual := folder(f.manual_dir)) and not manual.is_dir():
            raise preparing.PrepareError(f'--manual_dir={f.manual_dir}: no such folder')
        preparing.prepare(f.name, data_dir, manual, folder(f.debian_dir), f.keep_tfds)
    except (preparing.PrepareError, ValueError, OSError, ImportError) as error:
        return program.usage(error)
    return None


def parse_flags(argv: list[str]) -> list[str]:
    """For `app.run`: a bad flag is one line and exit code 2."""
    flag_help.show(argv, flags.FLAGS)
    return flag_help.parsed(argv, flags.FLAGS)


def enter(name: str) -> None:
    """The command, called `name`."""
    program.called(name)
    define_flags()
    app.run(main, flags_parser=parse_flags)


if __name__ == '__main__':
    enter('prepare_data')
