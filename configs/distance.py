"""How far training goes from its initial weights: batch size × learning rate × optimizer × seeds, at equal epochs.

Sources: K. Shen (2018), experiment E: SGD a few units, Adam far more, and the norm hardly changes under SGD; Hoffer et
al. (2017, arXiv:1705.08741): distance grows as log t. Here an MLP on Fashion-MNIST. Held fixed: epochs, and the
learning rate within an arm.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/distance.py --workdir=runs/distance
    python -m bsresearch report --workdir=runs/distance

Cost: 6 minutes on 2 CPU cores. Found, 3 seeds, distance after 10 epochs at B = 64, 256, 1024: SGD lr 0.01 4.62, 2.81,
1.85; lr 0.1 14.9, 7.2, 4.0; Adam 40.4, 21.0, 11.3 (half of each 95 % interval at most 2.5 % of it). Against updates the
curves of all batch sizes nearly coincide at equal learning rate. The power law is nearer than ln t in all 27 runs,
exponent 0.32 to 0.41 under SGD. The norm, 25.7 at first, grows by 0.5 to 19 % under SGD and 11 to 90 % under Adam.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Three arms at three batch sizes."""
    c = schema.defaults()
    c.findings = 'distance'
    c.held_fixed = ('epochs',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.total_epochs = 10.0
    c.measure.distance.every_epochs = 0.2
    c.measure.distance.log_spaced = 30
    c.measure.parameter_norm.every_epochs = 0.2
    c.arms.sgd = dict(learning_rate=0.01)
    c.arms.sgd_high_rate = dict(learning_rate=0.1)
    c.arms.adam = dict(optimizer=dict(name='adam'), learning_rate=0.001)
    c.sweep.batch_size = (64, 256, 1024)
    c.sweep.seed = (0, 1, 2)
    return c
