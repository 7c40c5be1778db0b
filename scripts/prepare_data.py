"""Prepares a data set once, as plain checksummed arrays that load in a fraction of a second: one of TFDS, or your own.

    bsresearch prepare --name=fashion_mnist
    bsresearch prepare --name=mine --npz=mine.npz --inputs=images --labels=labels --test_fraction=0.2
    bsresearch prepare --name=photos --images=photos/ --size=32      # a folder a class, or train/ and test/ of them
    bsresearch prepare --name=house --csv=table.csv --target=price   # or --parquet; classification or regression

Of TFDS: downloads through it, which checks its registered sha256. Without a network: Fashion-MNIST comes from Debian's
package dataset-fashion-mnist, any set from files put into --manual_dir, or from a prepared folder copied from another
machine. Time: Fashion-MNIST 25 s on one core, and 55 MB. Exit code 2 and one message when it cannot be done.
"""

from bsresearch.core import flag_help
from bsresearch.data import preparing
from bsresearch.data.own import request

REQUEST = request.Request


def enter(name: str) -> None:
    """The command, called `name`."""
    flag_help.enter(name, REQUEST, preparing.command)


if __name__ == '__main__':
    enter('prepare_data')
