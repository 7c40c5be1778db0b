"""Shen's article at toy size, on embedded data: every experiment of configs/shen.py in about a minute.

Source: K. Shen, "Effect of batch size on training dynamics" (2018); there on MNIST. Here on digits (1,437 training
examples), MLP 64-64-64-10, B = 8, 32, 128, lr 0.02 and 0.2, 30 epochs, branches at epochs 2 and 30, 20 trials of 1024
draws. Held fixed: epochs. What it shows is the machinery: the claims are tested on Fashion-MNIST (configs/shen.py).

    python main.py --config=configs/shen_digits.py --workdir=runs/quickstart
    python -m scripts.report --workdir=runs/quickstart

`make quickstart` does so too.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Five arms, the branches of one, its probes."""
    c = schema.defaults()
    c.study = c.findings = 'shen'
    c.held_fixed = ('epochs',)
    c.data.name = 'digits'
    c.data.mean, c.data.std = (0.3053,), (0.3760,)
    c.model.name = 'mlp'
    c.model.widths = (64, 64)
    c.model.init = 'glorot_normal'
    c.learning_rate = 0.02
    c.total_epochs = 30.0
    c.epoch_boundary = 'partial'
    c.measure.distance.every_epochs = 1.0
    c.measure.parameter_norm.every_epochs = 1.0
    c.measure.branch_distance.every_epochs = 1.0
    c.branch.more_epochs = 30.0
    c.probe.name = 'gradient_norm'
    c.probe.trials = 20
    c.probe.parameters = ('output/kernel',)
    at = dict(at_epochs=(2, 30))
    c.arms.small = dict(batch_size=8)
    c.arms.middle = dict(batch_size=32)
    c.arms.large = dict(batch_size=128, branch=at, probe=at)
    c.arms.higher_rate = dict(batch_size=128, learning_rate=0.2)
    c.arms.adam = dict(batch_size=128, optimizer=dict(name='adam'))
    c.branch.arms.switch_small = dict(of=('large',), batch_size=8)
    c.branch.arms.switch_rate = dict(of=('large',), learning_rate=0.2)
    c.sweep.seed = (0, 1, 2)
    return c
