"""Smith, Kindermans, Ying & Le, "Don't Decay the Learning Rate, Increase the Batch Size" (2018, arXiv:1711.00489).

Section 5.1: where the learning rate would fall the batch grows instead, at one noise temperature. Curves against epochs
are to coincide, with a half of the updates and less.
"""

from bsresearch.analysis.contrasts import against, ratio
from bsresearch.analysis.figures import curves, schedule
from bsresearch.analysis.of_runs import final, median_of_last
from bsresearch.analysis.quantity import TIMES, log
from bsresearch.analysis.statements import Statement

SOURCE = 'Smith et al. 2018'
QUESTION = 'Can the batch grow where the learning rate would fall, and training stay the same?'

TEST = final('test_accuracy')
LOSS = log(median_of_last('train_loss', 5)).named('training loss, median of the last 5 evaluations', TIMES)
EQUAL, ALIKE = 0.005, 0.0953  # half a point; 10 % of a loss, in logarithms

CLAIMS = (
    Statement('accuracy', 'section 5.1', 'Growing the batch ends at the test accuracy that decaying the rate does, '
              'within half a point; so does the hybrid.', TEST, against(('grow', 'hybrid'), 'decay'), -EQUAL, EQUAL),
    Statement('loss', 'section 5.1, figure 2', 'The training losses end alike too, within 10 %.', LOSS,
              (*ratio('grow', 'decay'), *ratio('hybrid', 'decay')), -ALIKE, ALIKE),
)  # fmt: skip
FIGURES = (
    curves('train_loss', 'test_accuracy', title='Training and test set against epochs'),
    curves('train_loss', 'test_accuracy', x='updates', title='The same against updates'),
    schedule('batch_size_used', 'learning_rate_used', title='Batch size and learning rate at every update'),
)
HEADLINE = ('accuracy', 0)
