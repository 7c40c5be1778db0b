"""Diabetes of Pima women: 768 of them, positive or not, by 8 numbers.

Of Debian's r-cran-mlbench, `PimaIndiansDiabetes2`: the table in which what cannot be 0 (glucose, pressure, triceps,
insulin, mass) is missing where `PimaIndiansDiabetes` has 0: 652 numbers, 374 of them insulin. Here they are the
training part's mean of the column, 0 after standardization. 34.9 % are positive (label 1).

Reference: Smith, Everhart, Dickson, Knowler & Johannes (1988), Proc. Symp. Computer Applications in Medical Care, 261.
"""

import pathlib

from bsresearch.data.own import Source
from bsresearch.data.upstream import rda

PACKAGE, FOLDER = 'r-cran-mlbench', '/usr/lib/R/site-library/mlbench'
FILES = ('PimaIndiansDiabetes2.rda',)
CONFIGURATIONS = ()
SHA256 = '14b80a53690f1804ccfc60248c8af272efab9b2e3d98082cd07f6ea3e48e6910'


def load(files: dict[str, pathlib.Path], configuration: str) -> Source:
    """As rda.source; errors as rda.read."""
    del configuration
    return rda.source(rda.read(files[FILES[0]], 'PimaIndiansDiabetes2', 'diabetes', SHA256), 'pos')
