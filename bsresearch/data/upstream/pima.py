"""Diabetes of Pima women: 768 of them, positive or not, by 8 numbers.

Of Debian's r-cran-mlbench, `PimaIndiansDiabetes2`: the table in which what cannot be 0 (glucose, pressure, triceps,
insulin, mass) is missing where `PimaIndiansDiabetes` has 0: 652 numbers, 374 of them insulin. Here they are the
training part's mean of the column, 0 after standardization. 34.9 % are positive (label 1).

Reference: Smith, Everhart, Dickson, Knowler & Johannes (1988), Proc. Symp. Computer Applications in Medical Care, 261.
"""

import pathlib

import numpy as np

from bsresearch.data.own import Source
from bsresearch.data.upstream import rda

PACKAGE, FOLDER = 'r-cran-mlbench', '/usr/lib/R/site-library/mlbench'
FILES = ('PimaIndiansDiabetes2.rda',)
CONFIGURATIONS = ()
SHA256 = '14b80a53690f1804ccfc60248c8af272efab9b2e3d98082cd07f6ea3e48e6910'


def load(files: dict[str, pathlib.Path], configuration: str) -> Source:
    """The rows of the two parts, missing numbers filled in; errors as rda.read."""
    del configuration
    table = rda.read(files[FILES[0]], 'PimaIndiansDiabetes2', 'diabetes', SHA256)
    train, test = rda.parts(table)
    mean = np.nanmean(train[0], 0)
    missing = int(np.isnan(table.inputs).sum())
    note = f'{missing} missing numbers are filled in with the mean of their column in the training part'
    filled = [(np.where(np.isnan(inputs), mean, inputs), labels) for inputs, labels in (train, test)]
    about = {'columns': table.columns, 'missing': missing, 'missing_filled_by': 'mean of the training part'}
    return Source(filled[0], filled[1], True, about, (note, rda.balance('pos', train, test)))
