"""Spambase: 4,601 e-mails, spam or not, by 57 numbers: shares of 48 words and 6 characters, runs of capital letters.

Of Debian's r-cran-kernlab, the R package's `data/spam.rda`. 39.4 % are spam (label 1). Inputs are standardized by the
training part.

Reference: Hopkins, Reeber, Forman & Suermondt (1999), UCI Machine Learning Repository, "Spambase".
"""

import pathlib

from bsresearch.data.own import Source
from bsresearch.data.upstream import rda

PACKAGE, FOLDER = 'r-cran-kernlab', '/usr/lib/R/site-library/kernlab'
FILES = ('spam.rda',)
CONFIGURATIONS = ()
SHA256 = 'a7d5cd629958a7e83f92f05db76066bd9085215754744f6211efc2eeb0520119'


def load(files: dict[str, pathlib.Path], configuration: str) -> Source:
    """As rda.source; errors as rda.read."""
    del configuration
    return rda.source(rda.read(files[FILES[0]], 'spam', 'type', SHA256), 'spam')
