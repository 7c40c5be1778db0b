"""Brownlee's study of stability: three flavours of gradient descent on blobs, and the panel over batch sizes."""

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
    sizes = (1, 1, 4, 8, 16, 32, 64, 128, 256, 450, 500)
    c.sweep.zip = ConfigDict(dict(batch_size=sizes, learning_rate=(0.001, *(0.01,) * (len(sizes) - 1))))
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
