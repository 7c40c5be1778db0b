"""One-cycle against step decay and a constant rate, each at its best peak learning rate.

L. Smith, "A disciplined approach to neural network hyper-parameters" (2018, arXiv:1803.09820); Smith & Topin,
"Super-convergence" (2017, arXiv:1708.07120). Peaks are chosen on the validation set.
"""

from bsresearch.analysis.along_axis import optimum_over
from bsresearch.analysis.contrasts import minus
from bsresearch.analysis.figures import curves, schedule, versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.over import best_over
from bsresearch.analysis.statements import Statement

SOURCE = 'Smith & Topin 2017, Smith 2018'
QUESTION = 'Does one-cycle beat step decay when each has its best peak learning rate?'

TEST, CHOICE = final('test_accuracy'), final('validation_accuracy')
BEST = best_over('learning_rate', TEST, by=CHOICE)
SMALL = 0.005

CLAIMS = (
    Statement('one-cycle', 'Smith & Topin 2017, section 5', 'One-cycle ends above step decay, each at its best peak.',
              BEST, minus('one_cycle', 'step'), low=0),
    Statement('step', 'common practice', 'Step decay ends above a constant rate, each at its best peak.', BEST,
              minus('step', 'constant'), low=0),
    Statement('higher peak', 'Smith & Topin 2017, section 3', 'One-cycle has its best peak at a higher rate than a '
              'constant rate has.', CHOICE, optimum_over('learning_rate', 'one_cycle', 'constant'), low=0),
    Statement('momentum', 'Smith 2018, section 4.3', 'Cycling the momentum changes the test accuracy by less than '
              'half a point.', BEST, minus('one_cycle', 'one_cycle_fixed'), -SMALL, SMALL),
    Statement('fewer updates', 'Smith & Topin 2017, section 5', 'One-cycle reaches in a tenth of the epochs what step '
              'decay does.', untested='the grid holds epochs fixed: no run has another length'),
)  # fmt: skip
FIGURES = (
    versus(TEST, x='learning_rate', by='arm', title='Test accuracy at the end against the peak learning rate'),
    schedule(title='Learning rate and momentum at every update'),
    curves('test_accuracy', 'train_loss', title='Training at every peak'),
)
HEADLINE = ('one-cycle', 0)
