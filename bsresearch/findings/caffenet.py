"""caffenet-benchmark, BatchSize.md: accuracy at a fixed rate and at one in proportion to the batch size, equal epochs.

Of a table of single runs the direction is put to the test. Written before any of the records was looked at, but for the
pilot of the rate that the config tells of.
"""

from bsresearch.analysis.contrasts import minus
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.statements import Statement

SOURCE = 'Mishkin, caffenet-benchmark'
QUESTION = 'At equal epochs, does a large batch lose accuracy at a fixed learning rate, and keep it at a scaled one?'

TEST, POINT = final('test_accuracy'), 0.01
# Said after the records were seen.
FEW = (
    'size: 6,000 images are 47 updates of 1,024, at four times the rate: some seeds hardly train, others come '
    'near the reference; theirs are 1.28 million images'
)
SHORT = (
    'protocol: the reference makes 188 updates and is short of them, so that more updates count for more than their '
    'noise'
)

CLAIMS = (
    Statement('fixed', 'table of BatchSize.md', 'At a fixed rate B = 1,024 ends below B = 256 (theirs: 41.9 and '
              '47.1 %).', TEST, minus('fixed_1024', 'reference'), high=0),
    Statement('scaled', 'table of BatchSize.md', 'At four times the rate it ends within a point of it (theirs: 46.5 '
              'and 47.1 %).', TEST, minus('scaled_1024', 'reference'), -POINT, POINT, reason=FEW),
    Statement('gain', 'table of BatchSize.md', 'Scaling the rate brings B = 1,024 up (theirs: from 41.9 to 46.5 %).',
              TEST, minus('scaled_1024', 'fixed_1024'), low=0, reason=FEW),
    Statement('small, fixed', 'table of BatchSize.md', 'At the rate of B = 256 a batch of 32 ends lower (theirs: 46.3 '
              'and 47.1 %).', TEST, minus('fixed_32', 'reference'), high=0, reason=SHORT),
    Statement('small, scaled', 'table of BatchSize.md', 'At an eighth of the rate it ends within a point of B = 256 '
              '(theirs: 47.0 and 47.1 %).', TEST, minus('scaled_32', 'reference'), -POINT, POINT, reason=SHORT),
    Statement('one', 'table of BatchSize.md', 'So does B = 1 at the rate over 256 (theirs: 47.4 and 47.1 %).', TEST,
              minus('scaled_1', 'reference'), -POINT, POINT, reason=SHORT),
)  # fmt: skip
FIGURES = (
    versus(TEST, x='batch_size', by='scaling.name', title='Test accuracy at the end against batch size'),
    curves('test_accuracy', 'train_loss', title='Training against epochs'),
)
HEADLINE = ('gain', 0)
