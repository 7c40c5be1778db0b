"""L. Smith, "A disciplined approach to neural network hyper-parameters" (2018, arXiv:1803.09820): which batch size?

Every batch size at the peak rate that validation chooses, at equal seconds of updates; a run that diverged is at
chance. Seeds are added to no claim; two lower peaks were added to every batch size after the first look, where the
best lay on the edge. Written before any of the records was looked at, but for the pilots that the config tells of.
"""

from bsresearch.analysis.along_axis import optimum_over, trend
from bsresearch.analysis.contrasts import against, at, minus
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.over import best_over
from bsresearch.analysis.statements import Statement

SOURCE = 'Smith 2018'
QUESTION = 'Which batch size is best at equal seconds under one-cycle, by accuracy and by loss?'

CHOICE = final('validation_accuracy', diverged=0.1)
TEST = best_over('learning_rate', final('test_accuracy', diverged=0.1), by=CHOICE)
TRAIN_LOSS, TEST_LOSS = (best_over('learning_rate', final(f'{split}_loss'), by=CHOICE) for split in ('train', 'test'))
SMALL, MIDDLE, LARGE = ('b8', 'b16', 'b32'), 'b64', ('b128', 'b256')
EVERY = (*SMALL, MIDDLE, *LARGE)
POINT, HALF_POINT = 0.01, 0.005
# Said after the records were seen.
NO_BENEFIT = 'the larger batch is no better at all: there is no benefit that could taper'
FITTED = (
    'data: in 3 seconds larger batches see more examples, 35 epochs at 256 and 16 at 8, and fit nearly all of this '
    'set, which does not carry over to the test set; theirs are 50,000 images, for which more epochs may still help'
)
WHICH_LOSS = 'estimator: the loss that is lower for small batches here is that of the test set alone: they fit less'
BEST = (('b8', 0.0125), ('b32', 0.1), ('b64', 0.4), ('b256', 0.8))
TRAINED = (*EVERY[:-1], *(at('b256', learning_rate=rate) for rate in (0.1, 0.2, 0.4, 0.8, 1.6)))

CLAIMS = (
    Statement('nearly equal', 'section 4.2', 'At equal seconds final accuracies are nearly equal: each batch '
              'size within a point of 64.', TEST, against((*SMALL, *LARGE), MIDDLE), -POINT, POINT, conditions=True),
    Statement('rising', 'section 4.2', 'They are slightly better for larger batches: accuracy rises with the '
              'batch size.', TEST, trend('batch_size', EVERY), low=0, reason=FITTED),
    Statement('larger is better', 'section 4.2', 'The largest batch ends above the smallest.', TEST,
              minus('b256', 'b8'), low=0, reason=FITTED),
    Statement('test loss', 'section 4.2', 'The final loss is lower for small batches: the test loss rises with the '
              'batch size.', TEST_LOSS, trend('batch_size', EVERY), low=0),
    Statement('training loss', 'section 4.2', 'So does the training loss.', TRAIN_LOSS, trend('batch_size', EVERY),
              low=0, reason=WHICH_LOSS),
    Statement('tapers', 'section 4.2', 'The benefit tapers at the largest: 256 ends no more than half a point above '
              '128.', TEST, minus('b256', 'b128'), high=HALF_POINT, reason=NO_BENEFIT),
    Statement('larger rate', 'section 4.2', 'Larger batches tolerate a larger rate: the best peak of 256 is above that '
              'of 8.', CHOICE, optimum_over('learning_rate', 'b256', 'b8'), low=0),
)  # fmt: skip
FIGURES = (
    versus(TEST, TEST_LOSS, TRAIN_LOSS, x='batch_size', title='Each batch size at its best peak, at equal seconds'),
    versus(
        CHOICE,
        x='learning_rate',
        by='arm',
        cells=TRAINED,
        title='Validation accuracy at every peak, but for 3.2 at B = 256, at which seeds fail',
    ),
    curves(
        'test_accuracy',
        'train_loss',
        x='seconds',
        cells=[at(arm, learning_rate=rate) for arm, rate in BEST],
        title='Training against seconds, at the best peak of each',
    ),
)
HEADLINE = ('nearly equal', 0)
