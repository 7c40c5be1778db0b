"""Brownlee's study of stability: three flavours of gradient descent on blobs, and the panel over batch sizes.

Source: J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size"
(machinelearningmastery.com, 2019): make_blobs(1000, centers=3, features=2, std=2, random_state=2), first half train,
last half test; MLP 2-50-3, ReLU, He uniform; SGD with momentum 0.9, 200 epochs, last short batch kept as Keras does.

    python main.py --config=configs/brownlee.py --workdir=runs/brownlee
    python -m scripts.fig_brownlee --workdir=runs/brownlee
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Batch, stochastic (two learning rates) and mini-batch gradient descent, and his eight batch sizes."""
    c = schema.defaults()
    c.study = 'brownlee'
    c.data.name = 'blobs'
    c.model.name = 'mlp'
    c.model.widths = (50,)
    c.model.init = 'he_uniform'
    c.optimizer.name = 'momentum'
    c.momentum = 0.9
    c.total_epochs = 200.0
    c.epoch_boundary = 'partial'
    c.record.log_spaced = 100
    c.norms.log_spaced = 0  # each point would leave the device
    c.checkpoint.every_epochs = 50.0
    sizes = (1, 1, 4, 8, 16, 32, 64, 128, 256, 450, 500)
    c.sweep.zip = ConfigDict(dict(batch_size=sizes, learning_rate=(0.001, *(0.01,) * (len(sizes) - 1))))
    c.sweep.seed = tuple(range(10))
    return c
