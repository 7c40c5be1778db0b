"""Brownlee's blobs: how stable training is at each batch size, on a task that runs in seconds.

Source: J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size"
(machinelearningmastery.com, 2019): make_blobs(1000, centers=3, features=2, std=2), half train, half test; MLP 2-50-3,
He uniform; SGD with momentum 0.9, 200 epochs, last short batch kept. Held fixed: epochs, learning rate 0.01; with
batch size 1 also learning rate 0.001.

    python main.py --config=configs/blobs.py --workdir=runs/blobs
    python -m bsresearch report --workdir=runs/blobs

Cost: 1 minute on 2 CPU cores. Found (3 seeds): at batch size 500 0.81 to 0.82 train and 0.83 to 0.84 test; at batch
size 1 0.47 to 0.55 train with learning rate 0.01, repaired to 0.81 to 0.83 by 0.001; at 32 0.83 to 0.84 train.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Three flavours of gradient descent, and the panel over batch sizes."""
    c = schema.defaults()
    c.data.name = 'blobs'
    c.model.name = 'mlp'
    c.model.widths = (50,)
    c.model.init = 'he_uniform'
    c.optimizer.name = 'momentum'
    c.momentum = 0.9
    c.total_epochs = 200.0
    c.epoch_boundary = 'partial'
    c.measure.distance.every_epochs = 1.0
    c.measure.parameter_norm.every_epochs = 1.0
    sizes = (1, 1, 4, 8, 16, 32, 64, 128, 256, 450, 500)
    c.sweep.zip = ConfigDict(dict(batch_size=sizes, learning_rate=(0.001, *(0.01,) * (len(sizes) - 1))))
    c.sweep.seed = (0, 1, 2)
    return c
