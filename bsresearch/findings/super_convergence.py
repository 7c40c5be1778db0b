"""Smith & Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates" (2017).

arXiv:1708.07120: one cycle of the learning rate up to a huge one, against step decay of several times the length, the
more so the fewer examples; and how much weight decay and momentum it bears. Written after the pilot that the config
tells of, before any of the records was looked at. An undecided headline gets five more seeds, once.
"""

from bsresearch.analysis.contrasts import against, every, interaction, minus
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.statements import Statement

SOURCE = 'Smith & Topin 2017'
QUESTION = 'Does one cycle at a huge learning rate beat step decay of four times the length, the more so on less data?'

# A run that diverged has the accuracy of chance.
TEST = final('test_accuracy', diverged=0.1)
CYCLE, SIZES, POINT = 'cycle_8000', (8000, 4000, 2000), 0.01
DECAYS, MOMENTA = ('hundredth_decay', 'tenth_decay', 'tenfold_decay'), ('momentum_80', 'momentum_85')
# Said after the records were seen.
SMALL_PEAK = (
    'protocol: the peak is 3 times the other rate, theirs 9 times: dense layers without batch norm bear no more; and '
    '640 updates are too few, 2,560 of step decay end higher by as much as one cycle does over 640 of it'
)
LITTLE = (
    'protocol: from below weight decay can do little here: rate × decay × updates is 0.1, theirs 1.5; of 10 times as '
    'much five seeds see that it is lower, not that it is a point lower'
)
FEWER = 'size: on 4,000 and 2,000 examples five seeds would have shown 3.1 and 2.3 points; 1.4 and 1.5 came out'
CLOSE = 'size: 0.6 and 0.5 points came out, and that far inside its bound five seeds cannot tell a point'


def gap(size: int, other: str = 'step') -> tuple[str, str]:
    """The arms of a training set: one cycle, and what it is compared to."""
    return f'cycle_{size}', f'{other}_{size}'


CLAIMS = (
    Statement('higher', 'section 5, figure 1', 'One cycle ends above step decay of four times the length (theirs, of '
              'eight times: 92.4 and 90.3 %).', TEST, minus(*gap(8000)), low=0, reason=SMALL_PEAK),
    Statement('gap grows', 'section 5, table 1', 'The gap grows as the training set shrinks: at 2,000 examples it is '
              'larger than at 8,000 (theirs, from 50,000 to 10,000: 2.1 and 9.5 points).', TEST,
              interaction(*gap(2000), *gap(8000)), low=0,
              reason='it grows from −1.8 to 0.8 points: below 0 at 8,000 and 4,000 examples'),
    Statement('gap on the way', 'section 5, table 1', 'So it does between: at 4,000 it is larger than at 8,000.', TEST,
              interaction(*gap(4000), *gap(8000)), low=0),
    Statement('equal length', 'section 5', 'At an equal number of updates one cycle ends above step decay, whatever '
              'the training set.', TEST, every(minus(*gap(size, 'short')) for size in SIZES), low=0, conditions=True,
              held_fixed=('updates',), reason=FEWER),
    Statement('narrow optimum', 'section 5, ablations', 'Weight decay has a narrow optimum: a tenth, a hundredth and '
              'ten times as much each end a point lower (theirs: 92.4, 88.3, 87.3 and 10 %).', TEST,
              every(minus(CYCLE, arm) for arm in DECAYS), low=POINT, conditions=True, reason=LITTLE),
    Statement('momentum', 'section 5, ablations', 'A momentum of 0.8 or 0.85 in place of 0.9 ends within a point '
              '(theirs: 91.9, 92.3 and 92.4 %).', TEST, against(MOMENTA, CYCLE), -POINT, POINT,
              reason=CLOSE),
    Statement('high momentum', 'section 5, ablations', 'One of 0.95 ends lower (theirs: 88 to 91 %).', TEST,
              minus('momentum_95', CYCLE), high=0),
)  # fmt: skip
FIGURES = (
    versus(TEST, x='data.fraction', by='schedule.name', cells=[arm for size in SIZES for arm in gap(size)],
           title='Test accuracy at the end against the training set'),
    versus(TEST, x='weight_decay', by='momentum', cells=(CYCLE, *DECAYS), title='One cycle against weight decay'),
    versus(TEST, x='momentum', by='weight_decay', cells=(CYCLE, 'momentum_80', 'momentum_85', 'momentum_95'),
           title='One cycle against momentum'),
    curves('test_accuracy', 'train_loss', x='updates', cells=(*gap(8000), 'short_8000', *gap(2000)),
           title='Training against updates'),
)  # fmt: skip
HEADLINE = ('gap grows', 0)
