"""McCandlish, Kaplan et al., "An Empirical Model of Large-Batch Training" (2018, arXiv:1812.06162): the noise scale.

B_simple = tr Σ/|G|², in five windows of a run; ∞ where |G|² cannot be told from nothing.
"""

from bsresearch.analysis.contrasts import alone, at
from bsresearch.analysis.figures import special
from bsresearch.analysis.of_courses import noise_scale_in
from bsresearch.analysis.quantity import log
from bsresearch.analysis.statements import Statement

SOURCE = 'McCandlish et al. 2018'
QUESTION = 'How large is the gradient noise scale, and does it grow through training?'

FIRST, LAST = noise_scale_in(0), noise_scale_in(-1)
CELLS = tuple(at(batch_size=size) for size in (32, 128, 512))

CLAIMS = (
    Statement('grows', 'section 4.2, figure 8', 'B_simple is larger at the end of training than at the beginning, '
              'whatever the batch size.', (log(LAST) - log(FIRST)).named('ln of its growth'),
              alone(*CELLS), low=0),
    Statement('MNIST', 'table 1', 'At the end it is about 900, within a factor of 2 (theirs, on MNIST).', log(LAST),
              alone(*CELLS), 6.11, 7.5, conditions=True),
)  # fmt: skip
FIGURES = (special('noise_scale', title='B_simple, |G|², tr Σ and the training loss through training'),)
HEADLINE = ('grows', 0)
