"""How far training goes from its initial weights: batch size × learning rate × optimizer × seeds, at equal epochs.

Sources: K. Shen (2018), experiment E: SGD a few units, Adam far more, and the norm hardly changes under SGD; Hoffer et
al. (2017, arXiv:1705.08741): distance grows as log t. Here an MLP on Fashion-MNIST. Held fixed: epochs, and the
learning rate within an arm.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/distance.py --workdir=runs/distance
    python -m scripts.fig_distance --workdir=runs/distance --x=updates

Cost: COST
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The grid."""
    c = schema.defaults()
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.total_epochs = 10.0
    c.measure.distance.every_epochs = 0.2
    c.measure.distance.log_spaced = 30
    c.measure.parameter_norm.every_epochs = 0.2
    arms = {'optimizer': ({'name': 'sgd'}, {'name': 'sgd'}, {'name': 'adam'}), 'learning_rate': (0.01, 0.1, 0.001)}
    c.sweep = ConfigDict(dict(zip=ConfigDict(arms), batch_size=(64, 256, 1024), seed=(0, 1, 2)))
    return c
