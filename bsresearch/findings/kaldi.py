"""Evaluation in chunks, as Kaldi's networks are decoded: accuracy does not depend on how the work is cut.

Accuracies are shares of 360 examples, so that half of one is a margin that only equality lies inside. Seeds are added
to no claim. Written before any of the records was looked at, but for a first run that the config tells of.
"""

from bsresearch.analysis.contrasts import against
from bsresearch.analysis.figures import versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.statements import Statement

SOURCE = 'Kaldi, help threads'
QUESTION = 'Does the size of the chunks in which a model is evaluated change its accuracy?'

TEST, LOSS = final('test_accuracy'), final('test_loss')
WHOLE = 'chunk_360'
CHUNKS, MICRO = ('chunk_1', 'chunk_7', 'chunk_64'), ('micro_8', 'micro_16')
EXAMPLE, ROUNDING = 1 / 360, 1e-5

CLAIMS = (
    Statement('accuracy', 'by construction', 'In chunks of 1, 7 and 64 a model has the accuracy that it has in one of '
              'all examples, to the example.', TEST, against(CHUNKS, WHOLE), -EXAMPLE / 2, EXAMPLE / 2),
    Statement('loss', 'by construction', 'Its loss is the same to rounding: by less than 0.00001.', LOSS,
              against(CHUNKS, WHOLE), -ROUNDING, ROUNDING),
    Statement('micro-batches', 'derived', 'Training cut into micro-batches ends within an example of training that '
              'is not, on the mean.', TEST, against(MICRO, WHOLE), -EXAMPLE, EXAMPLE),
    Statement('devices', 'derived', 'On any number of devices accuracy is the same.',
              untested='one device here; tests/on_devices.py asserts it on several'),
)  # fmt: skip
FIGURES = (versus(TEST, LOSS, x='arm', title='Test accuracy and loss at the end'),)
HEADLINE = ('accuracy', 0)
