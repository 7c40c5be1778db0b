"""The gradient noise scale B_simple = tr Σ/|G|² through training, with intervals, beside the loss.

Source: McCandlish, Kaplan et al., "An Empirical Model of Large-Batch Training" (2018, arXiv:1812.06162), who find it
rising through training, about 900 at the end on MNIST. Here an MLP on Fashion-MNIST, plain SGD. Held fixed: epochs,
learning rate.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/noise_scale.py --workdir=runs/noise_scale
    python -m bsresearch fig noise_scale --workdir=runs/noise_scale

Cost: a minute on 2 quiet CPU cores (measuring takes 10 s of 40). Found, one seed, five windows of two epochs, B_simple
with its 95 % interval: 87 to 102 in the first window, where |G|² falls too fast to say more than above 0, 42 and 44 at
B = 32, 128 and 512; then at B = 32 717 (468 to 1,578), 726 (531 to 1,304), 755 (535 to 1,662) and 999 (788 to 1,343),
at B = 128 474 to 596, at B = 512 320 to 487. |G|² falls faster than tr Σ; no estimate of it was negative.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Three batch sizes."""
    c = schema.defaults()
    c.findings = 'noise_scale'
    c.held_fixed = ('epochs', 'learning_rate')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.optimizer.name = 'sgd'
    c.learning_rate = 0.1
    c.total_epochs = 10.0
    c.measure.noise_scale.every_epochs = 0.1  # 100 points: five windows of twenty, the fewest that have an interval
    c.measure.noise_scale.batch_size = 2048
    c.measure.noise_scale.small_batch_size = 32
    c.measure.noise_scale.per_layer = True
    c.sweep.batch_size = (32, 128, 512)
    return c
