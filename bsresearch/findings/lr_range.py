"""L. Smith, "Cyclical Learning Rates" (2017, arXiv:1506.01186, 3.3) and 2018 (arXiv:1803.09820): the range test.

What it suggests is read off one short run per batch size and weight decay; by convention, not by theory.
"""

from bsresearch.analysis.contrasts import at, every, ratio
from bsresearch.analysis.figures import special, versus
from bsresearch.analysis.of_courses import range_test_reading
from bsresearch.analysis.quantity import log
from bsresearch.analysis.statements import Statement

SOURCE = 'Smith 2017, 2018'
QUESTION = 'Which learning rates does a range test suggest, and do they change with batch size and weight decay?'

LARGEST, VALLEY = range_test_reading('smith_max'), range_test_reading('valley')
DECAYS = (0.0, 1e-4, 1e-3)
HALF = 0.405  # ln 1.5


def sizes(decay: float) -> tuple:
    """The largest batch over the smallest at one weight decay."""
    large, small = (at(batch_size=size, weight_decay=decay) for size in (512, 32))
    return ratio(large, small, label=f'B = 512 over 32, decay {decay:g}')


CLAIMS = (
    Statement('larger batch', 'Smith 2018, section 4.2', 'A larger batch bears a larger rate: accuracy turns ragged '
              'later at B = 512 than at 32.', log(LARGEST), every(map(sizes, DECAYS)), low=0),
    Statement('valley', 'fastai 2.8', 'fastai\'s valley suggests the same rate for both, within a factor of 1.5.',
              log(VALLEY), every(map(sizes, DECAYS)), -HALF, HALF),
)  # fmt: skip
FIGURES = (
    special('lr_range', title='Loss and accuracy against the learning rate, with what each rule suggests'),
    versus(LARGEST, VALLEY, x='batch_size', by='weight_decay', title='What is suggested, against batch size'),
)
HEADLINE = ('larger batch', 0)
