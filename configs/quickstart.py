"""A first look in a minute: batch size × learning rate × seeds on scikit-learn's digits, an MLP, equal epochs.

Shows at small scale what Shen (2018) shows on MNIST: at one learning rate and equal epochs a larger batch ends lower;
ten times the learning rate brings it back. Held fixed: epochs.

    make quickstart        (or: python main.py --config=configs/quickstart.py --workdir=runs/quickstart)

Cost: under a minute on 2 CPU cores. Found, test accuracy, mean ± 95 % interval of 3 seeds, lr 0.01: 0.979 ± 0.011 at
B = 16, 0.934 ± 0.004 at 64, 0.822 ± 0.048 at 256; lr 0.1: 0.991 ± 0.004, 0.982 ± 0.008, 0.973 ± 0.011.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The grid."""
    c = schema.defaults()
    c.data.name = 'digits'
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.optimizer.name = 'sgd'
    c.total_epochs = 30.0
    c.epoch_boundary = 'partial'
    c.measure.distance.every_epochs = 1.0
    c.measure.parameter_norm.every_epochs = 1.0
    c.sweep.batch_size = (16, 64, 256)
    c.sweep.learning_rate = (0.01, 0.1)
    c.sweep.seed = (0, 1, 2)
    return c
