"""Batch size × learning rate × seeds at equal epochs, on Fashion-MNIST.

Source: K. Shen, "Effect of batch size on training dynamics" (2018), experiments A and B, with a grid instead of three
points and momentum-free SGD as there. Held fixed: epochs.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/batch_size_sweep.py --workdir=runs/sweep
    python -m bsresearch report --workdir=runs/sweep

Cost: about 1.5 hours on 2 CPU cores (estimated from measured updates and evaluations). For B = 1024 see shen.py.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The grid."""
    c = schema.defaults()
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.1307,), (0.3081,)  # MNIST's, as Shen used
    c.model.name = 'mlp'
    c.model.widths = (1024, 1024)
    c.optimizer.name = 'sgd'
    c.total_epochs = 30.0
    c.epoch_boundary = 'partial'  # the last short batch of an epoch is kept
    c.measure.distance.every_epochs = 1.0
    c.measure.parameter_norm.every_epochs = 1.0
    c.sweep.batch_size = (64, 256, 1024)
    c.sweep.learning_rate = (0.01, 0.1)
    c.sweep.seed = (0, 1, 2)
    return c
