"""K. Shen, "Effect of batch size on training dynamics" (2018), experiment D: 1000 trials of the gradient norm.

At two checkpoints of a large-batch run a trial walks through the same examples in batches of every size. Numbers in
brackets are Shen's, on MNIST.
"""

from typing import Any

import numpy as np

from bsresearch.analysis.contrasts import Contrasts, at
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
        _claim('D1', 'At the early checkpoint the mean walking norm rises with every batch size (epoch 2: from .14 at '
               'B = 1 to .364 at 1024, a factor 2.6).', rises('mean', early), low=0),
        _claim('D2a', 'At the late checkpoint the mean walking norm is flat or falls up to B ≈ 16, by less than 5 % up '
               '(epoch 30: ≈.13 at 1, .120 at 16).', rise_to('mean', late, 16), high=FLAT),
        _claim('D2b', 'From there on it rises with every batch size (to .240 at 1024).', rises('mean', late, above=16),
               low=0),
        _claim('D3', 'At every batch size the norm is larger at the early checkpoint than at the late one (.14 against '
               '.13 at B = 1, .364 against .240 at 1024).', larger_at_each_size('mean', early, late), low=0),
        _claim('D4', 'Standard deviation and coefficient of variation of the walking norm grow with B: an exponent '
               'above 0 (CV 2.4 % at 16, 4 % at 64, 15 % at 1024; 21 % at epoch 30).',
               (*growth_of('std', early, late), *growth_of('cv', early, late)), low=0,
               note='at small B a norm averages over the path, at the largest it is one draw: a part of the '
                    'difference'),
        _claim('D5', 'At the largest batch the norms of the trials are right-skewed: skewness above 0.',
               at_largest('skewness', early, late), low=0),
        _claim('D6', 'Single entries of the gradient have heavier tails at the largest batch than at the smallest: a '
               'higher kurtosis of the entries pooled over trials (entries up to ±.055 at 1024).',
               factor('kurtosis', early, late), low=0),
        _claim('D7', 'At frozen weights the average gradient of the same examples has one norm for every B that '
               'divides them.', frozen_range(early, late), 'follows from the definition', high=ROUNDING,
               note='an identity: so the inner steps make the walking norm depend on B'),
        _claim('D8', 'The mean square norm of one batch at frozen weights falls as ‖∇L‖² + tr Σ/B, both measured on '
               'the whole training set: typical departure below 25 %.', departure(early, late),
               'McCandlish et al. 2018, appendix A.1', high=NEAR),
        _claim('D9', 'The weights themselves move far less with large batches for the same examples at equal learning '
               'rate: by a factor of 10 at least.', factor('displacement', early, late, falling=True),
               f'{TRIED}, against its reading', low=FAR,
               note='"larger batches take larger steps" is about the average gradient, not about the weights'),
        _claim('D10', 'The squared walking norm is linear in B: a + b·B explains it better than a + b·√B at every η '
               'and checkpoint (his own points at epoch 2: R² 0.84 and 0.98).', linear_over_root(early, late),
               f'{TRIED}, probably', low=0, conditions=True),
    )  # fmt: skip


def _claim(key: str, sentence: str, contrasts: Contrasts, source: str = TRIED, **bounds: Any) -> Statement:
    return Statement(key, source, sentence, TRIALS, contrasts, **bounds)


CLAIMS = claims(at(point=2), at(point=30))
FIGURES = (special('gradient_norm', name='norms', title='Gradient norm against batch size'),)
HEADLINE = ('D1', 0)
