"""Yaqub et al., "State-of-the-Art CNN Optimizer for Brain Tumor Segmentation" (2020, Brain Sci. 10(7):427).

Each optimizer at the rate that won by validation with the first seed, told of five others. Seeds are added to no claim.
Written before any of the records was looked at.
"""

from bsresearch.analysis.contrasts import against, every, minus
from bsresearch.analysis.figures import best_of, versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.searched import won
from bsresearch.analysis.statements import Statement

SOURCE = 'Yaqub et al. 2020'
QUESTION = 'Which optimizer is best when each has its tuned learning rate?'

TEST, VALIDATION = final('test_accuracy', diverged=0.1), final('validation_accuracy')
TUNED, LOSS = won(TEST, by=VALIDATION), won(final('train_loss'), by=VALIDATION)
PLAIN, MOMENTA = ('sgd',), ('momentum', 'nesterov')
ADAPTIVE = ('adagrad', 'adadelta', 'rmsprop', 'adamw', 'lion', 'lamb', 'lars')
POINT = 0.01
# Said after the records were seen.
NOISE = (
    'runs of a constant rate end noisily, and a rate is chosen by one seed on 2,400 images (of momentum one that is no '
    'better than the usual, of LAMB one beside rates that fail): 5 seeds would have shown 1 to 2.3 points, and '
    'differences of optimizers are smaller'
)

CLAIMS = (
    Statement('Adam is best', 'results', 'Adam ends above every other optimizer (theirs: 99.2 %, the highest of ten).',
              TUNED, every(minus('adam', other) for other in (*PLAIN, *MOMENTA, *ADAPTIVE)), low=0, conditions=True,
              note=NOISE),
    Statement('none better', 'results', 'No optimizer ends more than a point above Adam.', TUNED,
              against((*PLAIN, *MOMENTA, *ADAPTIVE), 'adam'), high=POINT, note=NOISE),
    Statement('SGD is as good', 'the other side', 'Tuned, SGD with momentum ends within a point of Adam, and so does '
              'it without.', TUNED, against((*PLAIN, 'momentum'), 'adam'), -POINT, POINT, conditions=True, note=NOISE),
    Statement('Adam fits faster', 'inferred', 'Adam ends with a lower training loss than plain SGD.', LOSS,
              minus('adam', 'sgd'), high=0, note=NOISE),
    Statement('others', 'results', 'Adamax, Nadam and cyclic rates end below Adam.',
              untested='this library has no Adamax and no Nadam; a cyclic rate is a schedule here, not an optimizer'),
)  # fmt: skip
FIGURES = (
    versus(TUNED, x='arm', title='Test accuracy of each optimizer at its tuned rate'),
    best_of(VALIDATION, by='arm', title='Validation accuracy of the best of k trials'),
)
HEADLINE = ('Adam is best', 0)
