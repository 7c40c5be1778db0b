"""How far training goes from its initial weights, at equal epochs.

K. Shen (2018), experiment E: SGD a few units, Adam far more; Hoffer et al. (2017, arXiv:1705.08741): distance grows as
log t, a random walk on a random landscape.
"""

import itertools

from bsresearch.analysis.along_axis import at_equal_updates
from bsresearch.analysis.contrasts import alone, at, every, ratio
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_courses import growth_exponent, power_over_logarithm, relative_change
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantity import log
from bsresearch.analysis.statements import Statement

SOURCE = 'Shen 2018, Hoffer et al. 2017'
QUESTION = 'How far does training go from its initial weights, and does that depend on the batch size or on updates?'

DISTANCE = final('distance')
SIZES, SGD = (64, 256, 1024), ('sgd', 'sgd_high_rate')
CELLS = tuple(at(arm, batch_size=size) for arm in SGD for size in SIZES)
PAIRS = tuple(
    (at(arm, batch_size=b), at(arm, batch_size=a)) for arm in SGD for a, b in itertools.combinations(SIZES, 2)
)
ADAM = {size: at('adam', batch_size=size) for size in SIZES}
FARTHER = every(ratio(ADAM[dict(cell.axes)['batch_size']], cell) for cell in CELLS)
COINCIDE, CONSTANT = 0.182, 0.02  # ln 1.2; 2 %

CLAIMS = (
    Statement('power law', 'Hoffer et al. 2017, section 4', 'Under SGD distance grows as a power of time and not as '
              'its logarithm (Hoffer: as the logarithm; Shen: exponent 0.32).', power_over_logarithm(), alone(*CELLS),
              low=0, conditions=True, note='points of a run are not independent: the AIC tells which curve is nearer'),
    Statement('exponent', 'Shen 2018, distance', 'Its exponent lies between 0.2 and 0.5, that of a free random walk '
              '(Shen: 0.32).', growth_exponent(), alone(*CELLS), 0.2, 0.5, conditions=True),
    Statement('coincide', 'Shen 2018, distance', 'Against updates the distances of different batch sizes at equal '
              'learning rate coincide, within a factor of 1.2.', log(DISTANCE),
              every(at_equal_updates('distance', a, b) for a, b in PAIRS), -COINCIDE, COINCIDE),
    Statement('Adam', 'Shen 2018, distance', 'Adam goes farther than SGD at either rate, at every batch size.',
              log(DISTANCE), FARTHER, low=0),
    Statement('norm', 'Shen 2018, distance', 'Under SGD the norm of the weights stays as it was, within 2 %.',
              relative_change('parameter_norm'), alone(*CELLS), -CONSTANT, CONSTANT, conditions=True),
)  # fmt: skip
FIGURES = (
    curves('distance', 'parameter_norm', x='updates', title='Distance from the initial weights against updates'),
    curves('distance', 'parameter_norm', title='The same against epochs'),
    versus(DISTANCE, x='batch_size', by='arm', title='Distance at the end against batch size'),
)
HEADLINE = ('coincide', 0)
