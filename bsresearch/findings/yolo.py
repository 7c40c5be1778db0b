"""YOLOv5's nominal batch (G. Jocher 2021, ultralytics/yolov5 issue #2377, discussion #2452).

The arms are named after the batch B that batch norm sees; B = 40 is accumulated to 80, 96 and 128 are not accumulated.
Seeds are added to no claim. Written before any of the records was looked at, but for the pilot of the rate that the
config tells of.
"""

from bsresearch.analysis.contrasts import Contrasts, against, every, minus
from bsresearch.analysis.figures import curves, versus
from bsresearch.analysis.of_runs import at_epoch, final
from bsresearch.analysis.statements import Statement

SOURCE = 'YOLOv5, Jocher 2021'
QUESTION = 'Does accumulating gradients to a nominal batch make training the same at every batch size?'

TEST, EARLY = final('test_accuracy'), at_epoch('test_accuracy', 0.5)
LOSS, EARLY_LOSS = final('train_loss'), at_epoch('train_loss', 0.25)
SIZES = (4, 16, 40, 96, 128)  # beside the nominal one
ACCUMULATED = (4, 16)  # to the nominal batch to the example
POINT, ROUNDING = 0.01, 1e-3

# Said after the records were seen.
OVER_FOUR = (
    'protocol: it holds from 16 on, the smallest batch of theirs; batch norm over 4 examples is so noisy that the '
    'training accuracy ends at 87 % where that over 64 ends at 97 %'
)
FLIPS = (
    'estimator: losses are equal to 1e-7 for an epoch and more; then paths part in most runs, probably where rounding '
    'lets one ReLU flip, and losses differ by some 0.001, with no sign'
)


def to_nominal(net: str, sizes: tuple[int, ...]) -> Contrasts:
    """Each batch size minus the nominal one, with batch norm or without."""
    return against([f'{net}_{size}' for size in sizes], f'{net}_64')


CLAIMS = (
    Statement('equal at the end', 'issue #2377', 'With batch norm all batch sizes end within a point of the nominal '
              'one, 64 (theirs: nearly identical mAP from 16 to 128).', TEST, to_nominal('norm', SIZES), -POINT, POINT,
              conditions=True, reason=OVER_FOUR),
    Statement('plain equal at the end', 'issue #2377', 'Without batch norm they do.', TEST,
              to_nominal('plain', SIZES), -POINT, POINT, conditions=True),
    Statement('early curves differ', 'issue #2377', 'With batch norm the curves differ early: at half an epoch every '
              'batch size has another test accuracy than 64.', EARLY, to_nominal('norm', SIZES), differs_from=0),
    Statement('the same without batch norm', 'Run:AI 2020; issue #1630', 'Without batch norm B = 4 and 16 accumulated '
              'to 64 examples are trained as 64 is, to rounding: after a fourth of an epoch and at the end training '
              'losses differ by less than 0.001.', LOSS,
              every(minus(f'plain_{size}', 'plain_64', quantity=loss) for loss in (EARLY_LOSS, LOSS)
                    for size in ACCUMULATED), -ROUNDING, ROUNDING, reason=FLIPS),
    Statement('the same for an epoch', 'asked of the records', 'Over the first epoch they are: training losses then '
              'differ by less than 0.000001.', at_epoch('train_loss', 1.0), to_nominal('plain', ACCUMULATED), -1e-6,
              1e-6, later=True),
    Statement('not with batch norm', 'issue #1630', 'With batch norm they are not: their training losses at the end '
              'differ from that of 64.', LOSS, to_nominal('norm', ACCUMULATED), differs_from=0),
    Statement('rounding of 64/B', 'derived', 'B = 40 is accumulated to 80, not to 64: without batch norm too it is '
              'trained otherwise, told by the training loss after a fourth of an epoch.', EARLY_LOSS,
              minus('plain_40', 'plain_64'), differs_from=0),
    Statement('smaller is noisier', 'inferred', 'Batch norm over 4 examples ends below that over 64, updates being of '
              '64 examples in both.', TEST, minus('norm_4', 'norm_64'),
              high=0),
    Statement('fewer than 64', 'asked of the records', 'Batch norm over 16 ends above that over 64, updates being of '
              '64 examples in both.', TEST, minus('norm_16', 'norm_64'), low=0,
              later=True),
    Statement('objectness', 'issue #2377', 'The validation loss of objectness depends on the batch size.',
              untested='a loss of detection; classification has none'),
)  # fmt: skip
FIGURES = (
    versus(TEST, x='micro_batch_size', by='model.batch_norm', title='Test accuracy at the end, by what is accumulated'),
    curves('test_accuracy', cells=[f'norm_{size}' for size in (4, 16, 64, 128)], log=True,
           title='With batch norm over 4 to 128'),
    curves('test_accuracy', cells=[f'plain_{size}' for size in (4, 16, 64, 128)], log=True,
           title='Without batch norm, accumulated from 4 to 128'),
)  # fmt: skip
HEADLINE = ('equal at the end', 0)
