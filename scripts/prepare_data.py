"""Prepares a data set once, as plain checksummed arrays that load in a fraction of a second: published, or your own.

    bsresearch prepare --name=fashion_mnist
    bsresearch prepare --name=natural_patches                        # docs/data.md lists the sets
    bsresearch prepare --name=cifar10 --manual_dir=FOLDER            # of files that are here
    bsresearch prepare --name=mine --npz=mine.npz --inputs=images --labels=labels --test_fraction=0.2
    bsresearch prepare --name=photos --images=photos/ --size=32      # a folder a class, or train/ and test/ of them
    bsresearch prepare --name=house --csv=table.csv --target=price   # or --parquet; classification or regression

Of TFDS: downloads through it, which checks its registered sha256. Without a network: Fashion-MNIST, natural_patches,
spam and pima come from packages of Debian, any set from files put into --manual_dir, where TFDS may have prepared it,
or from a prepared folder copied from another machine. Time: Fashion-MNIST 25 s on one core, and 55 MB. Exit code 2 and
one message when it cannot be done.
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
