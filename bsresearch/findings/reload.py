"""K. Shen, "Effect of batch size on training dynamics" (2018), experiment C: is a large-batch model stuck?

Weights of a large-batch run at epochs 2 and 30 are trained 30 epochs longer with a small batch, with ten times the
learning rate, and without a change. Numbers in brackets are Shen's, on MNIST.
"""

from bsresearch.analysis.contrasts import alone, every, minus
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_runs import final, start
from bsresearch.analysis.statements import Statement

SOURCE = 'Shen 2018'
QUESTION = 'Is a model that was trained with a large batch stuck, or does a smaller batch or a higher rate free it?'

TEST = final('test_accuracy')
GAIN = (TEST - start('test_accuracy')).named('gain since the branch point')
POINTS, CHANGES = (2, 30), ('switch_small', 'switch_rate')
SWITCHED = tuple(f'all/{change}@{epoch}' for epoch in POINTS for change in CHANGES)
AFTER = ('examples after the branch',)
POINT = 0.01

CLAIMS = (
    Statement('not stuck', 'takeaway 3', 'Switched to the small batch or to the higher rate, early or late, it ends '
              'above the control without a change (≈97.9 % against ≈96.3 %).', TEST,
              every(minus(cell, f'all/control@{cell.partition("@")[2]}') for cell in SWITCHED), low=0,
              held_fixed=AFTER),
    Statement('early or late', 'takeaway 3', 'It does not matter when: a switch at epoch 30 ends as one at epoch 2 '
              'does, within 1 point (all ≈97.9 to 98.0 %).', TEST,
              every(minus(f'all/{change}@30', f'all/{change}@2') for change in CHANGES), -POINT, POINT,
              held_fixed=AFTER),
    Statement('batch or rate', 'takeaway 3', 'Nor does it matter which: the higher rate ends as the small batch does, '
              'within 1 point.', TEST,
              every(minus(f'all/switch_rate@{e}', f'all/switch_small@{e}') for e in POINTS), -POINT, POINT,
              held_fixed=AFTER),
    Statement('longer helps', 'figure recovery', 'Trained on without a change from epoch 30 it still gains a little '
              '(from ≈95.3 to ≈96.3 %).', GAIN, alone('all/control@30'), low=0),
)  # fmt: skip
FIGURES = (
    curves('test_accuracy', 'train_accuracy', 'test_loss', 'train_loss', since_branch=True,
           cells=(*SWITCHED, *(f'all/control@{e}' for e in POINTS)), name='recovery',
           title='What each change does after the branch point, beside the control'),
    versus(TEST, x='point', by='branch', name='ends', title='Test accuracy at the end against the branch point'),
)  # fmt: skip
HEADLINE = ('not stuck', 0)
