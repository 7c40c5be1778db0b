"""Shen's article on batch size and training dynamics, whole: experiments A to F with seeds.

Source: K. Shen, "Effect of batch size on training dynamics" (2018): MLP 784-1024-1024-10, Glorot normal, plain SGD, 30
epochs, mean loss, last short batch of an epoch kept. There on MNIST; here on Fashion-MNIST unless
--config.data.name=mnist. Held fixed: epochs. A: B = 64, 256, 1024 at lr 0.01. B: B = 1024 at lr 0.1. C: branches of
B = 1024, lr 0.01 at epochs 2 and 30, 30 epochs more. D: gradient norm against batch size there. E: distance from the
initial weights, also with Adam at the same B and at lr 0.01 and 0.001. F: loss between B = 64 and B = 1024.

    make shen SEEDS=3 TRIALS=100

which is, from prepared data, an estimate of the time first:

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/shen.py --workdir=runs/shen --estimate --config.probe.trials=100
    python -m scripts.report --workdir=runs/shen
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Six arms, their branches and probes."""
    c = schema.defaults()
    c.study = 'shen'
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
    c.measure.branch_distance.every_epochs = 1.0
    c.branch.batch_sizes = (64,)
    c.branch.learning_rates = (0.1,)
    c.branch.more_epochs = 30.0
    c.probe.name = 'gradient_norm'
    c.probe.trials = 1000
    c.probe.parameters = ('output/kernel',)
    c.probe.learning_rates = (0.001, 0.1)  # beside the run's own, at the first seed
    sgd, adam, at = {'name': 'sgd'}, {'name': 'adam'}, (2, 30)
    c.sweep.zip = ConfigDict(
        dict(
            batch_size=(64, 256, 1024, 1024, 1024, 1024),
            learning_rate=(0.01, 0.01, 0.01, 0.1, 0.01, 0.001),
            optimizer=(sgd, sgd, sgd, sgd, adam, adam),
            branch=ConfigDict(dict(at_epochs=((), (), at, (), (), ()))),
            probe=ConfigDict(dict(at_epochs=((), (), at, (), (), ()))),
        )
    )
    c.sweep.seed = (0, 1, 2)
    return c
