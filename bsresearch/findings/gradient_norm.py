"""K. Shen, "Effect of batch size on training dynamics" (2018), experiment D: 1000 trials of the gradient norm.

At two checkpoints of a large-batch run a trial walks through the same examples in batches of every size. Numbers in
brackets are Shen's, on MNIST.
"""

import numpy as np

from bsresearch.analysis.contrasts import at
from bsresearch.analysis.figures import special
from bsresearch.analysis.of_probes import (
    TRIALS,
    at_largest,
    departure,
    factor,
    frozen_range,
    growth_of,
    larger_at_each_size,
    linear_over_root,
    rise_to,
    rises,
)  # fmt: skip
from bsresearch.analysis.selectors import Selector
from bsresearch.analysis.statements import Statement

SOURCE = 'Shen 2018'
QUESTION = 'How does the norm of the gradient over the same examples depend on the batch size that they are taken in?'

TRIED = 'the 1000 trials'
FLAT, ROUNDING, NEAR, FAR = 0.05, 1e-4, np.log(0.25), np.log(10.0)


def claims(early: Selector, late: Selector) -> tuple[Statement, ...]:
    """What Shen says of an early and a late checkpoint of one arm."""
    return (
        Statement(
            'D1',
            TRIED,
            'At the early checkpoint the mean walking norm rises with every batch size (epoch 2: from '
            '.14 at B = 1 to .364 at 1024, a factor 2.6).',
            TRIALS,
            rises('mean', early),
            low=0,
        ),
        Statement(
            'D2a',
            TRIED,
            'At the late checkpoint the mean walking norm is flat or falls up to B ≈ 16, by less than '
            '5 % up (epoch 30: ≈.13 at 1, .120 at 16).',
            TRIALS,
            rise_to('mean', late, 16),
            high=FLAT,
        ),
        Statement(
            'D2b',
            TRIED,
            'From there on it rises with every batch size (to .240 at 1024).',
            TRIALS,
            rises('mean', late, above=16),
            low=0,
        ),
        Statement(
            'D3',
            TRIED,
            'At every batch size the norm is larger at the early checkpoint than at the late one (.14 '
            'against .13 at B = 1, .364 against .240 at 1024).',
            TRIALS,
            larger_at_each_size('mean', early, late),
            low=0,
        ),
        Statement(
            'D4',
            TRIED,
            'Standard deviation and coefficient of variation of the walking norm grow with B: an '
            'exponent above 0 (CV 2.4 % at 16, 4 % at 64, 15 % at 1024; 21 % at epoch 30).',
            TRIALS,
            (*growth_of('std', early, late), *growth_of('cv', early, late)),
            low=0,
            note='at small B a norm averages over the path, at the largest it is one draw: a part of the difference',
        ),
        Statement(
            'D5',
            TRIED,
            'At the largest batch the norms of the trials are right-skewed: skewness above 0.',
            TRIALS,
            at_largest('skewness', early, late),
            low=0,
        ),
        Statement(
            'D6',
            TRIED,
            'Single entries of the gradient have heavier tails at the largest batch than at the '
            'smallest: a higher kurtosis of the entries pooled over trials (entries up to ±.055 at 1024).',
            TRIALS,
            factor('kurtosis', early, late),
            low=0,
        ),
        Statement(
            'D7',
            'follows from the definition',
            'At frozen weights the average gradient of the same examples has one norm for every B that divides them.',
            TRIALS,
            frozen_range(early, late),
            high=ROUNDING,
            note='an identity: so the inner steps make the walking norm depend on B',
        ),
        Statement(
            'D8',
            'McCandlish et al. 2018, appendix A.1',
            'The mean square norm of one batch at frozen weights '
            'falls as ‖∇L‖² + tr Σ/B, both measured on the whole training set: typical departure below 25 %.',
            TRIALS,
            departure(early, late),
            high=NEAR,
        ),
        Statement(
            'D9',
            f'{TRIED}, against its reading',
            'The weights themselves move far less with large batches for the '
            'same examples at equal learning rate: by a factor of 10 at least.',
            TRIALS,
            factor('displacement', early, late, falling=True),
            low=FAR,
            note='"larger batches take larger steps" is about the average gradient, not about the weights',
        ),
        Statement(
            'D10',
            f'{TRIED}, probably',
            'The squared walking norm is linear in B: a + b·B explains it better than '
            'a + b·√B at every η and checkpoint (his own points at epoch 2: R² 0.84 and 0.98).',
            TRIALS,
            linear_over_root(early, late),
            low=0,
            conditions=True,
        ),
    )


CLAIMS = claims(at(point=2), at(point=30))
FIGURES = (special('gradient_norm', name='norms', title='Gradient norm against batch size'),)
HEADLINE = ('D1', 0)
