"""Keskar et al. (2017, arXiv:1609.04836), section 4: large-batch training that begins where small-batch training was.

From points of small-batch training a branch trains on with a large batch, and one as before. There 100 epochs of each,
with 256 and 10 % of the data. The claims were written before any record was looked at; an undecided headline gets 5
more seeds, once.
"""

import numpy as np

from bsresearch.analysis.contrasts import minus, ratio
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_runs import final, median_of_last
from bsresearch.analysis.quantity import log
from bsresearch.analysis.statements import Statement

SOURCE = 'Keskar et al. 2017'
QUESTION = 'How long must training go on with a small batch until a large one keeps its quality?'

TEST, PHI = median_of_last('test_accuracy', 5), final('sharpness')
NEVER, FIRST, LAST = 'all/large@0', 'all/large@1', 'all/large@32'
AFTER = ('examples after the branch',)
HALF_POINT, ALIKE, HALF = 0.005, np.log(1.5), np.log(0.5)
# Said after the first look at the records.
TOO_FEW = 'size: five seeds cannot tell: 0.66 points, or 1.6 times, beyond the bound could be seen'

CLAIMS = (
    Statement('one does not help', 'section 4, figure 5', 'After a single epoch of the small batch the large one ends '
              'no more than half a point above where it ends from the start.', TEST, minus(FIRST, NEVER),
              high=HALF_POINT, held_fixed=AFTER, reason=TOO_FEW),
    Statement('nor makes it flat', 'section 4, figure 5', 'And at a point as sharp, within a factor of 1.5.', log(PHI),
              ratio(FIRST, NEVER), -ALIKE, ALIKE, held_fixed=AFTER, reason=TOO_FEW),
    Statement('later is better', 'section 4, figure 5', 'After 32 epochs of the small batch the large one ends better '
              'than after one.', TEST, minus(LAST, FIRST), low=0, held_fixed=AFTER),
    Statement('flatter', 'section 4, figure 5', 'And at a point that is half as sharp at most.', log(PHI),
              ratio(LAST, FIRST), high=HALF, held_fixed=AFTER),
    Statement('one is not enough', 'section 4', 'After a single epoch of the small batch the large one ends below the '
              'small batch that went on.', TEST, minus('all/control@1', FIRST), low=0, held_fixed=AFTER),
    Statement('enough', 'section 4', 'After enough of them, 32 here, it ends no more than half a point below.', TEST,
              minus(LAST, 'all/control@32'), low=-HALF_POINT, held_fixed=AFTER),
)  # fmt: skip
FIGURES = (
    versus(TEST, PHI, x='point', by='branch', name='ends',
           title='Test accuracy and sharpness at the end against the epochs of the small batch before'),
    curves('test_accuracy', 'train_loss', since_branch=True, name='after',
           cells=(NEVER, FIRST, LAST, 'all/control@1', 'all/control@32'),
           title='Training on, after none, one and 32 epochs of the small batch'),
)  # fmt: skip
HEADLINE = ('later is better', 0)
