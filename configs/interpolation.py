"""Between a small-batch and a large-batch solution: loss and accuracy on the line and on a curve through both.

Source: Keskar et al. 2017 (arXiv:1609.04836), network F1, figures 3 and 7: Adam, batches of 256 and of a tenth of the
data, 5 random starts, training until the loss stops improving (here: equal epochs, fewer layers, 3 seeds). Both arms
of a seed start from the same weights. Held fixed: epochs, learning rate.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/interpolation.py --workdir=runs/interpolation
    python -m scripts.fig_interpolation --workdir=runs/interpolation
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Two arms."""
    c = schema.defaults()
    c.study = 'interpolation'
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (512, 512)
    c.model.init = 'he_normal'
    c.optimizer.name = 'adam'
    c.learning_rate = 0.001
    c.total_epochs = 20.0
    c.evaluate.every_epochs = 5.0
    c.measure.distance.every_epochs = 1.0
    c.probe.name = 'interpolation'
    c.sweep.batch_size = (256, 6000)
    c.sweep.seed = (0, 1, 2)
    return c
