"""Keskar et al. (2017, arXiv:1609.04836), section 4: large-batch training that begins where small-batch training was.

From the end of every small-batch epoch a branch trains on with a large batch, and one as before. There 100 epochs of
each, with 256 and 10 % of the data.
"""

from bsresearch.analysis.contrasts import minus, ratio
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantity import log
from bsresearch.analysis.statements import Statement

SOURCE = 'Keskar et al. 2017'
QUESTION = 'How long must training go on with a small batch until a large one keeps its quality?'

TEST, PHI = final('test_accuracy'), final('sharpness')
FIRST, LAST = 'all/large@1', 'all/large@10'
AFTER = ('examples after the branch',)
POINT = 0.01

CLAIMS = (
    Statement('later is better', 'section 4, figure 5', 'The more epochs of the small batch came before, the better '
              'the large batch ends: after ten better than after one.', TEST, minus(LAST, FIRST), low=0,
              held_fixed=AFTER),
    Statement('flatter', 'section 4, figure 5', 'And the less sharp is the point that it ends at.', log(PHI),
              ratio(LAST, FIRST), high=0, held_fixed=AFTER),
    Statement('one is not enough', 'section 4', 'After a single epoch of the small batch the large one ends below the '
              'small batch that went on.', TEST, minus('all/control@1', FIRST), low=0, held_fixed=AFTER),
    Statement('ten are enough', 'section 4', 'After enough of them, ten here, it ends no more than a point below.',
              TEST, minus(LAST, 'all/control@10'), low=-POINT, held_fixed=AFTER),
)  # fmt: skip
FIGURES = (
    versus(TEST, PHI, x='point', by='branch', name='ends',
           title='Test accuracy and sharpness at the end against the epochs of the small batch before'),
    curves('test_accuracy', 'train_loss', since_branch=True, cells=(FIRST, LAST, 'all/control@1', 'all/control@10'),
           name='after_the_branch', title='Training on, after one and after ten epochs of the small batch'),
)  # fmt: skip
HEADLINE = ('later is better', 0)
