"""Smith & Le, "A Bayesian Perspective on Generalization and Stochastic Gradient Descent" (2018, arXiv:1710.06451).

The best batch size is that of one noise temperature, g = εN/(B(1 − m)): it is in proportion to ε, N and 1/(1 − m). The
knee is the batch size at which test accuracy comes to within 5 points of the highest along the axis, linear in ln B
between those tried. Written after the pilot that the config tells of, before any of the records was looked at.
"""

import numpy as np

from bsresearch.analysis.along_axis import optimum_over
from bsresearch.analysis.contrasts import Contrasts, ratio
from bsresearch.analysis.figures import versus
from bsresearch.analysis.fitted import knee
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantity import log
from bsresearch.analysis.statements import Statement

SOURCE = 'Smith & Le 2018'
QUESTION = 'Does the best batch size follow the noise temperature εN/(B(1 − m)) on little data?'

# A run that diverged has the accuracy of chance.
TEST, LOSS = final('test_accuracy', diverged=0.1), final('test_loss')
KNEE = log(knee('batch_size', TEST, within=0.05))
RATE, DATA, MOMENTUM = (
    ('double_rate', 'half_rate'), ('double_data', 'half_data'), ('more_momentum', 'less_momentum')
)  # fmt: skip
# From the half to the double of each the best size is to grow by 4; an exponent of 1 within a third.
FOUR, THIRD = np.log(4.0), np.log(4.0) / 3


def proportional(key: str, what: str, contrasts: Contrasts, bounds: tuple[float, float], reason: str = '') -> Statement:
    """That the knee is in proportion to something."""
    sentence = f'The knee of test accuracy is in proportion to {what}: four times as much, four times the batch size.'
    return Statement(key, 'section 5, figure 5', sentence, KNEE, contrasts, *bounds, reason=reason)


def best(key: str, what: str, pair: tuple[str, str]) -> Statement:
    """The same of the least test loss, which is known to a factor of 2 at best."""
    sentence = f'The batch size of the least test loss grows with {what}: by 2 to 8 for four times as much.'
    contrasts = optimum_over('batch_size', *pair)
    return Statement(key, 'section 5', sentence, LOSS, contrasts, np.log(2.0), np.log(8.0), reason=LEVEL)


EXPONENT = FOUR - THIRD, FOUR + THIRD
# Said after the records were seen.
LEVEL = (
    'estimator: above the knee the test loss is level up to 256, the largest size tried, so that its place is one of '
    'four sizes or more'
)
WHY = (
    'protocol: at so few updates the knee is where the noise of a step, ε/(B(1 − m)), undoes what was learned, and '
    'that does not know N while B is far below it; theirs is an optimum between that noise and overfitting, which N '
    'moves'
)
CLAIMS = (
    proportional('knee, rate', 'the learning rate', ratio(*RATE), EXPONENT),
    proportional('knee, set', 'the size of the training set', ratio(*DATA), EXPONENT, reason=WHY),
    proportional('knee, momentum', 'the inverse of 1 − m', ratio(*MOMENTUM), EXPONENT),
    best('loss, rate', 'the learning rate', RATE),
    best('loss, set', 'the size of the training set', DATA),
    best('loss, momentum', 'the inverse of 1 − m', MOMENTUM),
)
FIGURES = (
    versus(TEST, x='batch_size', by='arm', title='Test accuracy after 1,000 updates'),
    versus(LOSS, x='batch_size', by='arm', title='Test loss after 1,000 updates'),
)
HEADLINE = ('knee, rate', 0)
