"""Keskar et al. (2017, arXiv:1609.04836), figures 3 and 7: the loss between a small- and a large-batch solution.

Both arms of a seed start from the same weights. α = 0 is the small batch's solution, α = 1 the large one's.
"""

from bsresearch.analysis.contrasts import alone, at, minus
from bsresearch.analysis.figures import special
from bsresearch.analysis.of_probes import INTERPOLATION, of_probe, rise_on_line, sharper_at_large
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantity import SHARE
from bsresearch.analysis.statements import Statement

SOURCE = 'Keskar et al. 2017'
QUESTION = 'Is there a barrier between a small-batch and a large-batch solution, and which side is the sharper?'

LARGE = at('all', point='end', batch_size=6000)
RISE = of_probe(INTERPOLATION, rise_on_line, 'rise of the training loss above its higher end', SHARE)
SHARPER = of_probe(INTERPOLATION, sharper_at_large, 'second difference of the training loss, large − small')

CLAIMS = (
    Statement('no barrier', 'figure 3', 'On the line between the two the training loss rises by less than 10 % above '
              'its higher end.', RISE, alone(LARGE, label='rise'), high=0.1),
    Statement('sharper side', 'figure 3', 'The loss bends more at the large-batch solution.', SHARPER,
              alone(LARGE, label='large − small'), low=0, note='one direction of many; the two end at unequal losses'),
    Statement('test accuracy', 'table 2', 'The small batch has the higher test accuracy.', final('test_accuracy'),
              minus(at(batch_size=256), at(batch_size=6000)), low=0),
)  # fmt: skip
FIGURES = (special('interpolation', title='Loss and accuracy on the line and on a curve between the two solutions'),)
HEADLINE = ('no barrier', 0)
