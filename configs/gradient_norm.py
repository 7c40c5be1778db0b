"""Gradient norm against batch size at epochs 2 and 30 of a large-batch run: walking, frozen, single-batch.

Source: K. Shen, "Effect of batch size on training dynamics" (2018), 1000 trials: MLP 784-1024-1024-10, plain SGD,
B = 1024, lr 0.01, on MNIST; here on Fashion-MNIST unless --config.data.name=mnist. The run is trained first. A trial
walks through the same 1024 examples in batches of every size. Held fixed within a trial: the examples and η.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/gradient_norm.py --workdir=runs/gradient_norm
    python -m scripts.fig_gradient_norm --workdir=runs/gradient_norm

All parameters instead of the last layer's weights: --config.probe.parameters="('all',)"; other rates of the walk:
--config.probe.learning_rates=0.001,0.01,0.1; fewer trials: --config.probe.trials=100.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """One run and its probes."""
    c = schema.defaults()
    c.study = 'gradient_norm'
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.1307,), (0.3081,)  # MNIST's, as Shen used
    c.model.name = 'mlp'
    c.model.widths = (1024, 1024)
    c.model.init = 'glorot_normal'
    c.optimizer.name = 'sgd'
    c.batch_size = 1024
    c.learning_rate = 0.01
    c.total_epochs = 30.0
    c.epoch_boundary = 'partial'
    c.probe.name = 'gradient_norm'
    c.probe.at_epochs = (2, 30)
    c.probe.trials = 1000
    c.probe.parameters = ('output/kernel',)
    return c
