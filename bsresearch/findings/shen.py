"""K. Shen, "Effect of batch size on training dynamics" (2018): experiments A to F of the article.

A: batch size; B: a higher rate; C: switches during training; D: gradient norms; E: distance from the initial weights;
F: the line between two solutions. Numbers in brackets are Shen's, on MNIST. One evaluation is noisy: the figures have
all of them.
"""

import itertools
from dataclasses import replace

import numpy as np

from bsresearch.analysis.along_axis import at_equal_updates
from bsresearch.analysis.common_terms import at_common
from bsresearch.analysis.contrasts import against, alone, at, every, minus, ratio, steps
from bsresearch.analysis.figures import curves, multiverse, pareto, special
from bsresearch.analysis.of_courses import power_over_logarithm, relative_change
from bsresearch.analysis.of_probes import INTERPOLATION, of_probe, rise_on_line, sharper_at_large
from bsresearch.analysis.of_runs import final, start
from bsresearch.analysis.quantity import SHARE, TIMES, log
from bsresearch.analysis.statements import Statement
from bsresearch.findings import gradient_norm

SOURCE = 'Shen 2018'
QUESTION = 'At equal epochs and learning rate, does a larger batch end worse, and does a larger rate repair it?'

TEST, TRAIN = final('test_accuracy'), final('train_accuracy')
GAP = (TRAIN - TEST).named('generalization gap')
GAIN = (TEST - start('test_accuracy')).named('gain since the branch point')
DISTANCE = log(final('distance')).named('distance from the initial weights', TIMES._replace(level=''))

SIZES, SGD = ('small', 'middle', 'large'), ('small', 'middle', 'large', 'higher_rate')
ADAM = (('', 'adam', 'at the same rate'), ('b', 'adam_low_rate', 'at a tenth of the rate'))
SWITCHED = tuple(f'large/{arm}@{epoch}' for epoch in (2, 30) for arm in ('switch_small', 'switch_rate'))
RUNS = (*SGD, 'adam', 'adam_low_rate')
CONTROLS = tuple(f'large/control@{epoch}' for epoch in (2, 2, 30, 30))
EARLY, LATE = at('large', point=2), at('large', point=30)
KESKAR = 'Keskar et al. 2017; in Shen 2018 unconfirmed'
LINE = LATE  # from the small batch's end to the large one's
AFTER = ('examples after the branch',)  # a branch is compared with as much training from scratch
POINT = 0.01  # accuracies that differ by less than a point count as equal; Shen's control lies 1.6 points below
COINCIDE, FARTHER, FEW_UNITS, CONSTANT = np.log(1.2), np.log(3.0), np.log(10.0), 0.02
# Said after the records were seen.
SWINGS = (
    'size: three seeds, and one evaluation at the end, which swings by a point and more; medians of the last five '
    'would say more'
)
FARTHEST = 'protocol: the small batch makes the most updates and goes the farthest, 8.0 from the initial weights'
OF_NORMS = {
    'D2a': 'data: on these images the large batch is far from fitted at epoch 30 (training accuracy 87 %, his 95.5 %), '
    'so that a walk of small batches probably still changes its gradient',
    'D2b': 'size: three seeds; from 16 to 32 the mean rises by 0.6 %, of which 8 % would have shown',
    'D3': 'size: three seeds; up to 64 it is so, above 20 % and more would have shown',
    'D5': 'estimator: a skewness has no interval of as few trials; both are above 0',
    'D8': 'size: departures of 5 and 7 % with intervals over three seeds that end at 26 and 28 %',
    'D10': 'protocol: it depends on how far a walk goes: √B explains more at the rate 0.001, B at 0.01',
}

CLAIMS = (
    Statement('A1', 'takeaway 1', 'At equal epochs and learning rate a larger batch ends with a lower test accuracy '
              '(≈97.9, 97.2 and 95.2 % at B = 64, 256 and 1024).', TEST, steps(*SIZES), low=0),
    Statement('A2', 'figures', 'The large batch is under-trained: its training accuracy is lower than the small '
              'batch\'s too (≈99.9 % at B = 64, ≈95.5 % at 1024).', TRAIN, minus('small', 'large'), low=0),
    Statement('A3', 'figures', 'The generalization gap, training minus test accuracy, is smallest for the largest '
              'batch (≈0.3 points at B = 1024, ≈2 at 64).', GAP, against(SIZES[:-1], 'large'), low=0),
    Statement('B1', 'takeaway 2', 'Ten times the learning rate gives the large batch the small one\'s test accuracy, '
              'within 1 point (≈97.7 to 97.8 % against ≈97.9 %).', TEST, minus('higher_rate', 'small'), -POINT, POINT,
              reason=SWINGS),
    Statement('B2', 'takeaway 2', 'The higher rate raises the large batch\'s test accuracy (from ≈95.2 to ≈97.7 %).',
              TEST, minus('higher_rate', 'large'), low=0),
    Statement('C1', 'takeaway 3', 'A start with the large batch does not trap the model: switched to the small batch '
              'or the higher rate, early or late, it ends no more than 1 point below the small batch from scratch '
              '(all ≈97.9 to 98.0 %).', TEST, against(SWITCHED, 'small'), low=-POINT, held_fixed=AFTER,
              reason=SWINGS),
    Statement('C2', 'takeaway 3', 'The control, trained as long without a change, ends below every switched run '
              '(≈96.3 % against ≈97.9 %).', TEST,
              every(map(minus, SWITCHED, CONTROLS)), low=0, held_fixed=AFTER, reason=SWINGS),
    Statement('C3', 'figure recovery', 'The control of the last branch point ends above its own start: longer '
              'training helps a little (from ≈95.3 to ≈96.3 %).', GAIN, alone('large/control@30'), low=0),
    *(replace(claim, reason=OF_NORMS.get(claim.key, '')) for claim in gradient_norm.claims(EARLY, LATE)),
    Statement('E1', 'distance', 'Under SGD the weights end a few units from where they began: between 1 and 10 (≈6.7 '
              'at epoch 30).', DISTANCE, alone(*SGD), 0.0, FEW_UNITS, conditions=True),
    Statement('E2', 'distance', 'Under SGD the norm of the weights stays as it was, within 2 %: they move along the '
              'sphere of the initial radius (from 43.9 to ≈44).', relative_change('parameter_norm'), alone(*SGD),
              -CONSTANT, CONSTANT, conditions=True, reason=FARTHEST),
    *(Statement(f'E3{key}', 'distance', f'Adam {rate} goes much farther than SGD ever does: by a factor of 3 at least '
                '(254 against 6.7).', DISTANCE, every(ratio(arm, b) for b in SGD), low=FARTHER)
      for key, arm, rate in ADAM),
    *(Statement(f'E4{key}', 'distance', f'The test accuracy of Adam {rate} is lower than that of the small batch under '
                'SGD, for which its large weights are a reason.', TEST, minus('small', arm), low=0, reason=SWINGS)
      for key, arm, rate in ADAM),
    Statement('E5', 'distance', 'Against updates the distances of different batch sizes at equal learning rate '
              'coincide, within a factor of 1.2: reach is a matter of steps.', DISTANCE,
              every(at_equal_updates('distance', b, a) for a, b in itertools.combinations(SIZES, 2)),
              -COINCIDE, COINCIDE),
    Statement('E6', 'distance; log: Hoffer et al. 2017', 'Distance grows as a power of time and not as its logarithm: '
              'the power law has the lower AIC (exponent ≈0.32).', power_over_logarithm(), alone(*SGD), low=0,
              conditions=True, note='points of a run are not independent: the AIC tells which curve is nearer'),
    Statement('E7', 'distance', 'The large batch at the low rate stops short of where the small batch and the higher '
              'rate end (good solutions lie ≈6 away, out of its reach in 30 epochs).', DISTANCE,
              (*ratio('small', 'large'), *ratio('higher_rate', 'large')), low=0),
    Statement('F1', KESKAR, 'On the line between the small- and the large-batch solution the training loss has no '
              'barrier: it rises by less than 1 % above its higher end.',
              of_probe(INTERPOLATION, rise_on_line, 'rise', SHARE), alone(LINE, label='rise'), high=0.01,
              note='the ends have unequal losses: one that changes one way all along the line has no barrier',
              reason='size: in none of three seeds does it rise, of which a sign test needs five'),
    Statement('F2', KESKAR, 'Along that line the large-batch solution is the sharper one: a larger second difference '
              'of the training loss.', of_probe(INTERPOLATION, sharper_at_large, 'second difference, large − small'),
              alone(LINE, label='large − small'), low=0, note='one direction of many; the ends have unequal losses, '
                   'and the large-batch end is no minimum',
              reason='size: −0.07 came out; three seeds would have shown 1.06'),
)  # fmt: skip
GAP = Statement('gap', 'takeaway 1', 'The large batch ends below the small one.', TEST, minus('small', 'large'), low=0)
READINGS = {
    'equal epochs': TEST,
    'equal updates': at_common('updates', 'test_accuracy', 'small', 'large'),
    'equal seconds': at_common('seconds', 'test_accuracy', 'small', 'large'),
    'large at ten times the rate': replace(GAP, contrasts=minus('small', 'higher_rate')),
    'best rate': 'three seeds, of five that the choice of a rate needs, and one rate of the small batch',
}
METRICS = ('test_accuracy', 'train_accuracy', 'test_loss', 'train_loss')
FIGURES = (
    curves(*METRICS, cells=SIZES, name='compare_batch_size',
           title='Accuracy and loss in training at one learning rate'),
    curves(*METRICS, cells=('small', 'large', 'higher_rate'), name='compare_learning_rate',
           title='The small batch, the large one, and the large one at a higher rate'),
    curves(*METRICS, cells=('small', *dict.fromkeys((*SWITCHED, *CONTROLS))), since_branch=True, ends_of=('large',),
           name='recovery', title='Branches of the large batch, and the small batch from scratch'),
    curves('distance', cells=RUNS, panel='optimizer.name', name='distance',
           title='Distance from the initial weights'),
    curves('distance', cells=RUNS, panel='optimizer.name', x='updates', log=True, name='distance_updates',
           title='Distance from the initial weights against updates'),
    curves('parameter_norm', cells=RUNS, panel='optimizer.name', relative=True, name='norm',
           title='Norm of the weights over the initial one'),
    pareto(final('distance'), TEST, name='accuracy_against_distance',
           title='Test accuracy and distance from the initial weights at the end of every run'),
    multiverse(GAP, READINGS, name='gap_multiverse', title='The gap on other terms: it is not seen at equal updates '
               'nor at ten times the rate; seconds are those of a CPU that other programs shared'),
    special('competing_gradients', name='hypothesis',
            title='The hypothesis that the article tests: gradients in one batch compete; a schematic'),
)  # fmt: skip
HEADLINE = ('A1', 0)
