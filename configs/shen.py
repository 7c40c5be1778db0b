"""Shen's experiments A and B: batch size at fixed learning rate, and ten times the learning rate, at equal epochs.

Source: K. Shen, "Effect of batch size on training dynamics" (2018): MLP 784-1024-1024-10, Glorot normal, plain SGD, 30
epochs, mean loss, last short batch of an epoch kept. There on MNIST; here on Fashion-MNIST unless
--config.data.name=mnist. Held fixed: epochs. Four arms, 3 seeds.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/shen.py --workdir=runs/shen
    python -m scripts.fig_batch_size --workdir=runs/shen

Cost: about 45 minutes on 2 CPU cores. Found on Fashion-MNIST, B = 1024 after 30 epochs, mean ± standard deviation of 3
seeds: lr 0.01 test 0.8537 ± 0.0023, train 0.8737 ± 0.0008, distance 2.33 ± 0.01, norm 44.08; lr 0.1 test 0.8838 ±
0.0014, train 0.9261 ± 0.0023, distance 6.60 ± 0.05, norm 44.76. Not run here: B = 64 and 256.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The four arms."""
    c = schema.defaults()
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.1307,), (0.3081,)  # MNIST's, as Shen used
    c.model.name = 'mlp'
    c.model.widths = (1024, 1024)
    c.model.init = 'glorot_normal'
    c.optimizer.name = 'sgd'
    c.total_epochs = 30.0
    c.epoch_boundary = 'partial'
    c.measure.distance.every_epochs = 1.0
    c.measure.parameter_norm.every_epochs = 1.0
    c.sweep.zip = ConfigDict(dict(batch_size=(64, 256, 1024, 1024), learning_rate=(0.01, 0.01, 0.01, 0.1)))
    c.sweep.seed = (0, 1, 2)
    return c
