"""J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size" (2019), on blobs.

Three flavours of gradient descent, and a panel over batch sizes; his numbers are one run each on 500 test examples, so
that 2 points count as equal, 5 to "about 60 %". A run that diverged is at chance, steadier than nothing, and reaches no
accuracy.
"""

from bsresearch.analysis.along_axis import trend
from bsresearch.analysis.contrasts import against, alone, minus, to_number
from bsresearch.analysis.figures import curves, ridge, versus
from bsresearch.analysis.of_runs import at_epoch, final, level, to_target, unsteadiness
from bsresearch.analysis.statements import Statement

SOURCE = 'Brownlee 2019'
QUESTION = 'How does the batch size change how steadily and how fast training settles, at one learning rate?'

CHANCE, EQUAL, ABOUT, FAR = 1 / 3, 0.02, 0.05, 0.1
TRAIN, TEST = (level(f'{split}_accuracy', diverged=CHANCE) for split in ('train', 'test'))
LATER = tuple(
    (final(f'{split}_accuracy') - at_epoch(f'{split}_accuracy', 100)).named(f'{split} accuracy gained after epoch 100')
    for split in ('train', 'test')
)
UNSTEADY, EPOCHS = unsteadiness('test_accuracy'), to_target('epochs', 'test_accuracy', 0.8)
PANEL = ('b4', 'b8', 'b16', 'mini_batch', 'b64', 'b128', 'b256', 'b450', 'batch')


def ends_at(arm: str, train: float, test: float) -> tuple:
    """Accuracies near the end against his of one run at the end."""
    return (*to_number(arm, train, quantity=TRAIN), *to_number(arm, test, quantity=TEST))


CLAIMS = (
    Statement('batch', 'printed accuracies', 'Batch gradient descent ends at 81.6 % train and 83.0 % test, within 2 '
              'points (here the mean over the last epochs).', TEST, ends_at('batch', 0.816, 0.830), -EQUAL, EQUAL),
    Statement('batch converged', 'first figure', 'Batch gradient descent has converged by about epoch 100: from then '
              'on it changes by less than 2 points.', LATER[1],
              (*alone('batch', label='train', quantity=LATER[0]), *alone('batch', label='test')), -EQUAL, EQUAL),
    Statement('stochastic fails', 'stochastic gradient descent', 'B = 1 at the learning rate of the others fails: at '
              'least 10 points below batch gradient descent (about 20).', TEST, minus('batch', 'stochastic'), low=FAR),
    Statement('stochastic level', 'printed accuracies', 'B = 1 at the learning rate of the others ends at about 60 %, '
              'within 5 points (61.2 % train, 60.6 % test).', TEST, ends_at('stochastic', 0.612, 0.606), -ABOUT, ABOUT),
    Statement('stochastic volatility', 'stochastic gradient descent', 'B = 1 at the learning rate of the others is '
              'volatile to the end, which makes a final model hard to choose; batch gradient descent is steady.',
              UNSTEADY, minus('stochastic', 'batch'), low=0),
    Statement('smaller rate', 'printed accuracies', 'B = 1 at a tenth of the learning rate ends at 81.6 % train and '
              '82.4 % test, within 2 points.', TEST, ends_at('slow', 0.816, 0.824), -EQUAL, EQUAL),
    Statement('smaller rate fast', 'stochastic gradient descent', 'B = 1 at a tenth of the learning rate reaches 80 % '
              'by about epoch 25, and before batch gradient descent does (epoch 100).', EPOCHS,
              (*to_number('slow', 25), *minus('slow', 'batch')), high=0),
    Statement('smaller rate volatility', 'stochastic gradient descent', 'B = 1 at a tenth of the learning rate is '
              'volatile to the end too, more than batch gradient descent.', UNSTEADY, minus('slow', 'batch'), low=0),
    Statement('mini-batch', 'printed accuracies', 'B = 32 ends at 83.2 % train and 81.2 % test, within 2 points.', TEST,
              ends_at('mini_batch', 0.832, 0.812), -EQUAL, EQUAL),
    Statement('mini-batch steadier', 'mini-batch gradient descent', 'B = 32 is steadier near the end than B = 1, at '
              'either rate.', UNSTEADY, against(('stochastic', 'slow'), 'mini_batch'), low=0),
    Statement('panel volatility', 'figure of eight batch sizes', 'The larger the batch, the steadier the accuracy at '
              'the end.', UNSTEADY, trend('batch_size', PANEL), high=0, note='at B = 450 the last update of an epoch, '
                   'before the accuracy is measured, is of 50 examples'),
    Statement('panel speed', 'figure of eight batch sizes', 'Small batches learn in few epochs, large ones more '
              'slowly.', EPOCHS, trend('batch_size', PANEL), low=0),
    Statement('default', 'Bengio 2012 (arXiv:1206.5533), section 3.1.1', 'B between 1 and a few hundred; 32 is a good '
              'default.', untested='a default is for tasks and learning rates in general; here is one of each'),
)  # fmt: skip
FIGURES = (
    curves('train_accuracy', 'test_accuracy', cells=('batch', 'stochastic', 'slow', 'mini_batch'), name='flavours',
           title='Batch, stochastic and mini-batch gradient descent'),
    versus(UNSTEADY, EPOCHS, x='batch_size', cells=PANEL, name='volatility',
           title='How unsteady the accuracy stays, and how soon it comes to 80 %'),
    curves('test_accuracy', cells=PANEL, name='panel', title='Batch sizes at one learning rate'),
    ridge('test_accuracy', 'arm', name='late', title='Where the test accuracy lies in the last quarter of training'),
)  # fmt: skip
HEADLINE = ('panel volatility', 1)
