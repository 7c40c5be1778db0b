"""The gradient noise scale B_simple = tr Σ/|G|² through training, with intervals, beside the loss.

Source: McCandlish, Kaplan et al., "An Empirical Model of Large-Batch Training" (2018, arXiv:1812.06162), who find it
rising through training, about 900 at the end on MNIST. Here an MLP on Fashion-MNIST, plain SGD. Held fixed: epochs,
learning rate.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/noise_scale.py --workdir=runs/noise_scale
    python -m scripts.fig_noise_scale --workdir=runs/noise_scale

Cost: a minute on 2 CPU cores (measuring takes 10 s of 40). Found, one seed: B_simple rises from 63 to 70 in the first
epoch to 1,074 in the last at B = 32, 458 at 128 and 556 at 512, as |G|² falls faster than tr Σ; no estimate of |G|² was
negative. Intervals are of windows of 20 measurements at least: two epochs.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Three batch sizes."""
    c = schema.defaults()
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
