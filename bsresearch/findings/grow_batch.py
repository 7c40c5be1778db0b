"""Smith, Kindermans, Ying & Le, "Don't Decay the Learning Rate, Increase the Batch Size" (2018, arXiv:1711.00489).

Section 5.1: where the learning rate would fall the batch grows instead, at one noise temperature. Curves against epochs
are to coincide, with a half of the updates and less. Masters & Luschi (2018, arXiv:1804.07612, section 2) expect that
only about, and where weights change little, so late. Written before any of the records of five seeds was looked at; the
first two claims and their margins are those of an earlier run of three seeds on the whole set, in which both held. Five
seeds left the accuracy of the early change and of the restarts open (an interval of 0.6 points either way); ten more of
these arms were then run, once, which was decided after the look.
"""

from bsresearch.analysis.contrasts import against, minus, ratio
from bsresearch.analysis.figures import curves, schedule
from bsresearch.analysis.of_runs import at_epoch, final, median_of_last
from bsresearch.analysis.quantity import TIMES, log
from bsresearch.analysis.statements import Statement

SOURCE = 'Smith et al. 2018'
QUESTION = 'Can the batch grow where the learning rate would fall, and training stay the same?'

TEST = final('test_accuracy')
LOSS = log(median_of_last('train_loss', 5)).named('training loss, median of the last 5 evaluations', TIMES)
SOON = log(at_epoch('train_loss', 2)).named('training loss an epoch after the change', TIMES)
LATE = ('decay', 'hybrid', 'grow')
EARLY, RESTARTS = ('early_grow', 'early_decay'), ('restart_batch', 'restart_rate')
EQUAL, ALIKE = 0.005, 0.0953  # half a point; 10 % of a loss, in logarithms
MORE = 'five seeds left it open, and ten more were added after that look; at 97 % for each of two looks it holds too'

CLAIMS = (
    Statement('accuracy', 'section 5.1', 'Growing the batch ends at the test accuracy that decaying the rate does, '
              'within half a point; so does the hybrid.', TEST, against(('grow', 'hybrid'), 'decay'), -EQUAL, EQUAL),
    Statement('loss', 'section 5.1, figure 2', 'The training losses end alike too, within 10 %.', LOSS,
              (*ratio('grow', 'decay'), *ratio('hybrid', 'decay')), -ALIKE, ALIKE),
    Statement('early accuracy', 'section 5.1', 'So it is where the change comes early, after the first of ten epochs: '
              'within half a point.', TEST, minus(*EARLY), -EQUAL, EQUAL, reason=MORE),
    Statement('early loss', 'section 5.1', 'The training losses end alike there too, within 10 %.', LOSS,
              ratio(*EARLY), -ALIKE, ALIKE),
    Statement('restart accuracy', 'section 5.1', 'Warm restarts of the batch end at the test accuracy of warm restarts '
              'of the rate, within half a point.', TEST, minus(*RESTARTS), -EQUAL, EQUAL, reason=MORE),
    Statement('restart loss', 'section 5.1', 'Their training losses are alike too, within 10 %.', LOSS,
              ratio(*RESTARTS), -ALIKE, ALIKE),
    Statement('apart soon', 'Masters & Luschi 2018, section 2', 'Early in training the two are alike only about: an '
              'epoch after the early change the growing batch has the higher training loss.', SOON, ratio(*EARLY),
              low=0),
)  # fmt: skip
FIGURES = (
    curves('train_loss', 'test_accuracy', cells=LATE, title='Training and test set against epochs'),
    curves('train_loss', 'test_accuracy', cells=LATE, x='updates', title='The same against updates'),
    curves('train_loss', 'test_accuracy', cells=(*EARLY, *RESTARTS), title='An early change, and restarts'),
    schedule('batch_size_used', 'learning_rate_used', title='Batch size and learning rate at every update'),
)
HEADLINE = ('accuracy', 0)
