"""Keskar et al., "On Large-Batch Training for Deep Learning" (2017, arXiv:1609.04836): are large-batch minima sharper?

Their φ at ε = 1e-3 (measure/sharpness.py), with Adam, at equal epochs; small batch 256, large 10 % of the data. The two
end at unequal losses, and φ is relative to 1 + loss: the curves against loss tell more than the ends.
"""

from bsresearch.analysis.contrasts import at, minus, ratio
from bsresearch.analysis.figures import curves, special
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantity import log
from bsresearch.analysis.statements import Statement

SOURCE = 'Keskar et al. 2017'
QUESTION = 'Do large batches find sharper minima than small ones, at equal epochs and learning rate?'

PHI, EIGENVALUE, TEST = final('sharpness'), final('hessian_eigenvalue/0'), final('test_accuracy')
SMALL, LARGE = at(batch_size=256), at(batch_size=6000)

CLAIMS = (
    Statement('sharper', 'table 3', 'The large batch ends at a sharper point (φ of 205 against 1.2 on MNIST).',
              log(PHI), ratio(LARGE, SMALL), low=0),
    Statement('eigenvalue', 'section 2.2.2', 'Its largest eigenvalue of the Hessian is larger too.', log(EIGENVALUE),
              ratio(LARGE, SMALL), low=0),
    Statement('test accuracy', 'table 2', 'The small batch has the higher test accuracy.', TEST, minus(SMALL, LARGE),
              low=0),
)  # fmt: skip
FIGURES = (
    special('sharpness', title='Sharpness at the end, against training loss, and through training'),
    curves('train_loss', 'test_accuracy', title='Training'),
)
HEADLINE = ('sharper', 0)
