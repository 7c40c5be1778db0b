"""Does scaling the learning rate with the batch size close the gap in the minimum of validation loss?

Source: D. Chang & A. Pathak, "Effect of Batch Size on Neural Net Training" (August 2020, an article on Medium; no
arXiv id): a small CNN on cats_vs_dogs, plain SGD at rate 0.01, B = 32 to 256 (512); then the rate in proportion to B;
minimum of validation loss, epochs to it, seconds of an epoch, distance of each layer from its initial weights, how the
updates add up. Scaled, their minima are 0.343 at the smallest and 0.352 at the largest batch, of one run each. Here a
CNN on 2,000 images of Fashion-MNIST, 2,000 more for validation, B = 32, 128 and 512, 10 seeds. A run whose best
validation loss lies in its last fifth has not passed its minimum, and is censored. Held fixed: the rate, or rate/B;
epochs where runs are compared as far as they got. The rate is 0.02 at B = 32: in pilots of one seed the minimum came
after about 45/rate updates, and at B = 512 rates of 0.16, 0.32 and 0.48 trained alike and 0.64 did not. So 100 epochs
are twice what B = 32 takes and 240 are 1.7 times what B = 128 takes at its rate; at B = 512 that would be 580, and it
has 100, in which it cannot pass its minimum.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/chang_pathak.py --workdir=runs/chang_pathak
    python -m scripts.report --workdir=runs/chang_pathak

Cost: 45 runs, 33 minutes on 2 CPU cores that other programs shared. Found, 10 seeds: with the rate scaled the minimum
of validation loss at 128 is 1.00 times (0.965 to 1.04) that at 32, and at 512 1.09 times (1.04 to 1.12), so that “no
more than 3 %” does not hold at 512 and is undecided at 128, where one of ten runs broke down after its minimum; 0.32 is
a half of a rate that failed in a pilot of one seed, and weights go 1.5 times as far. At one rate 512 does not pass its
minimum, and the lowest loss seen by then is 0.12 (0.11 to 0.14) higher, of which scaling takes 0.08 (0.06 to 0.11).
Records: docs/studies/chang_pathak.
"""

from ml_collections import ConfigDict

from bsresearch import schema

SMALL, RATE = 32, 0.02
FIVE, TEN = dict(seed=tuple(range(5))), dict(seed=tuple(range(10)))


def get_config() -> ConfigDict:
    """The smallest batch, and two larger ones at its rate and at one in proportion."""
    c = schema.defaults()
    c.findings = 'chang_pathak'
    c.held_fixed = ('learning_rate',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.validation, c.data.fraction = 1 / 30, 2000 / 58000
    c.model.name = 'cnn'
    c.model.widths, c.model.dense_width, c.model.init = (8, 16), 32, 'glorot_uniform'
    c.optimizer.name = 'sgd'
    c.evaluate.every_epochs, c.evaluate.test = 2.5, False
    c.measure.distance.every_epochs = 1.0
    c.measure.path_length.every_examples = 512  # one update of the largest batch, 16 of the smallest
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.total_epochs = 100.0
    longer = dict(total_epochs=240.0, evaluate=dict(every_epochs=5.0))
    c.arms.small = dict(batch_size=SMALL, learning_rate=RATE, sweep=TEN)
    c.arms.fixed_128 = dict(longer, batch_size=128, learning_rate=RATE, sweep=FIVE)
    c.arms.fixed_512 = dict(batch_size=512, learning_rate=RATE, sweep=TEN)
    c.arms.scaled_128 = dict(batch_size=128, learning_rate=4 * RATE, sweep=TEN)
    c.arms.scaled_512 = dict(batch_size=512, learning_rate=16 * RATE, sweep=TEN)
    return c
