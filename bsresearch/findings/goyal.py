"""Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour" (2017, arXiv:1706.02677).

The median of the last 5 evaluations, as theirs; a run that diverged is at chance. Written before any of the records was
looked at, but for the pilot of the rate that the config tells of.
"""

from bsresearch.analysis.common_terms import at_common
from bsresearch.analysis.contrasts import against, every, minus
from bsresearch.analysis.figures import curves, multiverse, versus
from bsresearch.analysis.of_runs import final, median_of_last
from bsresearch.analysis.quantity import TIMES, log
from bsresearch.analysis.statements import Statement

SOURCE = 'Goyal et al. 2017'
QUESTION = 'How far does linear scaling of the learning rate go, and does it need a warm-up?'

TEST = median_of_last('test_accuracy', 5, diverged=0.1)
TRAIN = log(final('train_loss')).named('training loss at the end', TIMES)
ONE, WORKERS, POINT = 'one_worker', (4, 16, 64), 0.01
GRADUAL = tuple(f'gradual_{k}' for k in WORKERS)

# Said after the records were seen.
BREAK = (
    'size: the break lies between 4 and 16 workers: at 16 the scaled rate, 0.8, is more than this net stands (0.32 '
    'did not train one worker), whatever the warm-up, and a batch is 9 % of the set; theirs is 0.6 % at 8,192'
)
NONE_TRAINS = 'size: at 16 and 64 workers, beyond the break, none of them trains, so that there is nothing to compare'

CLAIMS = (
    Statement('flat', 'section 5.3, figure 1', 'With a gradual warm-up accuracy stays that of one worker up to a large '
              'batch: within a point at 4 and 16 workers (theirs: up to 8,192 of 1.28 million).', TEST,
              against(GRADUAL[:2], ONE), -POINT, POINT, conditions=True, reason=BREAK),
    Statement('breaks', 'section 5.3, figure 1', 'Beyond, it falls: at 64 workers by more than a point (theirs: from '
              '16,384 on).', TEST, minus('gradual_64', ONE), high=-POINT),
    Statement('gradual over none', 'section 5.1, table 1', 'The gradual warm-up ends above none, the more so the more '
              'workers (theirs, error at 8,192: 23.74 and 24.84 %).', TEST,
              every(minus(f'gradual_{k}', f'none_{k}') for k in (16, 64)), low=0, conditions=True,
              reason=NONE_TRAINS),
    Statement('none over constant', 'section 5.1, table 1', 'A constant warm-up ends below none (theirs: 25.88 and '
              '24.84 %).', TEST, every(minus(f'none_{k}', f'constant_{k}') for k in (16, 64)), low=0, conditions=True,
              reason=NONE_TRAINS),
    Statement('curves', 'section 5.2', 'Where training ends with the loss of one worker, within 10 %, the accuracy is '
              'the same: put to the test at 4 workers.', TRAIN, minus('gradual_4', ONE), -0.0953, 0.0953),
)  # fmt: skip
FOUR = Statement('4 workers', 'figure 1', 'With 4 workers accuracy ends no more than a point below that of one.', TEST,
                 minus('gradual_4', ONE), low=-POINT)  # fmt: skip
READINGS = {
    'equal epochs': TEST,
    'equal updates': at_common('updates', 'test_accuracy', 'gradual_4', ONE),
    'equal seconds': at_common('seconds', 'test_accuracy', 'gradual_4', ONE),
    'best rate': 'each number of workers has one rate, that of the rule',
}
FIGURES = (
    versus(TEST, x='batch_size', by='warmup.shape', title='Test accuracy against batch size'),
    curves('train_loss', 'test_accuracy', cells=(ONE, *GRADUAL), title='Training with a gradual warm-up'),
    curves('train_loss', 'test_accuracy', cells=(ONE, 'gradual_16', 'constant_16', 'none_16'),
           title='The three warm-ups at 16 workers'),
    multiverse(FOUR, READINGS, title='The gap at 4 workers on other terms: it turns at equal updates, where one worker '
               'is cut short; on a CPU equal seconds are nearly equal epochs'),
)  # fmt: skip
HEADLINE = ('flat', 1)
