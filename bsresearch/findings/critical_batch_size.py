"""How large a batch costs no loss as training goes on, does the noise scale tell, and is it the rate that ends it?

Merrill et al. (2025, arXiv:2505.23971), described at second hand: branches with k times the batch and the rate from
points of one run; B* is the largest that stays within 0.01 nats of all smaller ones. McCandlish, Kaplan et al. (2018,
arXiv:1812.06162): B_simple = tr Σ/|G|² gives the critical batch size to an order of magnitude. Theirs is another one
(examples over updates of a Pareto front), so that both sentences are put to the same B*. Shallue et al. (2019,
arXiv:1811.03600): rules for the rate do not hold everywhere, so that it is to be tuned at each batch size. Here B* is
told with the rate by the linear rule, held, and tuned, from the same points.

B* is known between two of the k tried, so that a sign test decides: from 5 replicates on one side, from 6 on two.
"""

import numpy as np

from bsresearch.analysis.contrasts import alone, at, ratio
from bsresearch.analysis.figures import special
from bsresearch.analysis.of_branches import critical_batch_size, curvature_noise_scale_near, noise_scale_near
from bsresearch.analysis.quantity import TIMES, log
from bsresearch.analysis.statements import Statement

SOURCE = 'Merrill et al. 2025, McCandlish et al. 2018'
QUESTION = 'How large a batch costs no loss as training goes on, and is that the noise scale?'

FIRST, LATE, LAST = at(point=0.125), at(point=4.0), at(point=8.0)
TRAINED = tuple(at(point=epoch) for epoch in (1.0, 2.0, 4.0, 8.0))  # no longer at the start
CRITICAL, HELD, TUNED = (critical_batch_size(rate) for rate in ('rule', 'held', 'tuned'))
SIMPLE, CURVED = noise_scale_near(), curvature_noise_scale_near()
OVER_SIMPLE = log(CRITICAL / SIMPLE).named('B* over B_simple', TIMES)
TUNED_OVER_SIMPLE = log(TUNED / SIMPLE).named('B* with the rate tuned over B_simple', TIMES)
TUNED_OVER_CURVED = log(TUNED / CURVED).named('B* with the rate tuned over B_noise', TIMES)
TUNED_OVER_RULE = log(TUNED / CRITICAL).named('B* with the rate tuned over that by the rule', TIMES)
RULE_OVER_HELD = log(CRITICAL / HELD).named('B* with the rate by the rule over that with it held', TIMES)
# k goes by factors of 2: what is nearer than that is not told apart.
FACTOR_4, FACTOR_10 = np.log(4.0), np.log(10.0)

CLAIMS = (
    Statement('rises', 'Merrill et al. 2025', 'B* is small at the start and rises as training goes on.', log(CRITICAL),
              ratio(LAST, FIRST), low=0),
    Statement('levels', 'Merrill et al. 2025', 'Later it levels off: over the second half of the run it changes by '
              'less than a factor of 4.', log(CRITICAL), ratio(LAST, LATE), -FACTOR_4, FACTOR_4),
    Statement('above the noise scale', 'Merrill et al. 2025', 'The noise scale is no stand-in for it: once training is '
              'under way B_simple lies below B*.', OVER_SIMPLE, alone(*TRAINED), low=0, conditions=True),
    Statement('order of magnitude', 'McCandlish et al. 2018, section 4', 'B_simple gives the critical batch size to an '
              'order of magnitude: within a factor of 10.', OVER_SIMPLE, alone(*TRAINED), -FACTOR_10, FACTOR_10,
              conditions=True),
    Statement('order of magnitude, tuned', 'McCandlish et al. 2018, section 4', 'So it does where the rate is tuned at '
              'each batch size, as theirs was: within a factor of 10.', TUNED_OVER_SIMPLE, alone(*TRAINED), -FACTOR_10,
              FACTOR_10, conditions=True),
    Statement('with curvature', 'McCandlish et al. 2018, section 2.2', 'B_noise = tr(HΣ)/GᵀHG gives it within a factor '
              'of 10 too.', TUNED_OVER_CURVED, alone(*TRAINED), -FACTOR_10, FACTOR_10, conditions=True),
    Statement('the rate ends it', 'Shallue et al. 2019', 'What ends B* by the linear rule is its rate: with the rate '
              'tuned at each batch size B* is larger.', TUNED_OVER_RULE, alone(*TRAINED), low=0, conditions=True),
    Statement('held is smaller', 'Goyal et al. 2017, section 2.1', 'k times the batch needs k times the rate: with the '
              'rate held B* is smaller.', RULE_OVER_HELD, alone(*TRAINED), low=0, conditions=True),
    Statement('noise scale grows', 'McCandlish et al. 2018, section 4.2', 'B_simple rises through training, by 10 '
              'times and more there; here by 2 at least.', log(SIMPLE), ratio(LAST, FIRST), low=np.log(2.0)),
)  # fmt: skip
FIGURES = (
    special(
        'critical_batch_size',
        name='critical_batch_size',
        title='B* of the branches at each rate, and noise scales of their parent',
    ),
)
HEADLINE = ('rises', 0)
