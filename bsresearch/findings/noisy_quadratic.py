"""Zhang et al., "Which Algorithmic Choices Matter at Which Batch Sizes?" (2019, arXiv:1907.04164): the noisy quadratic.

The model is trained by the engine and must do what its recurrence says; every replicate has a training set of its own.
"""

from bsresearch.analysis.contrasts import alone, at, every, ratio
from bsresearch.analysis.figures import special, versus
from bsresearch.analysis.of_courses import over_expected_loss
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantity import log
from bsresearch.analysis.statements import Statement

SOURCE = 'Zhang et al. 2019'
QUESTION = "Does training follow the noisy quadratic's recurrence, and does momentum help at small batches?"

LOSS = final('test_loss')
SIZES, ARMS = (1, 8, 64, 512), ('high_rate', 'momentum', 'low_rate')
CELLS = tuple(at(arm, batch_size=size) for arm in ARMS for size in SIZES)
MOMENTUM_OVER_NONE = every(ratio(at('momentum', batch_size=size), at('high_rate', batch_size=size)) for size in (1, 8))
NEAR, ALIKE = 0.25, 0.405  # 25 %; a factor of 1.5

CLAIMS = (
    Statement('recurrence', 'section 3, appendix', 'The mean loss at the end is what the recurrence expects, within '
              '25 %, for every batch size, rate and momentum.', over_expected_loss(), alone(*CELLS), -NEAR, NEAR),
    Statement('momentum', 'section 3.2', 'At equal ε/(1 − μ) momentum changes the loss at the end by less than a '
              'factor of 1.5 at small batches.', log(LOSS), MOMENTUM_OVER_NONE, -ALIKE, ALIKE),
)  # fmt: skip
FIGURES = (
    special('noisy_quadratic', title='Loss on the line that the recurrence predicts'),
    versus(LOSS, x='batch_size', by='arm', title='Loss at the end against batch size'),
)
HEADLINE = ('recurrence', 0)
