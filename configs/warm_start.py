"""Warm starts: small-batch training, and from each of its epochs on a large batch. When does that stay as good?

Source: Keskar et al. 2017 (arXiv:1609.04836), section 4: Adam, batches of 256 and of 10 % of the data, 100 epochs of
the small batch, each followed by 100 of the large one: after a few small-batch epochs the large batch ends as it does
from the start, after enough of them its accuracy rises and its sharpness falls. Here an MLP on Fashion-MNIST, 10 epochs
at B = 256 and from the end of each 20 at 6,000, and as a control 20 more at 256; φ(1e-3) where a branch begins and
ends. Held fixed: epochs after the branch, learning rate; Adam's moments are kept.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/warm_start.py --workdir=runs/warm_start
    python -m bsresearch report --workdir=runs/warm_start

Cost: about 15 minutes on 2 CPU cores, two thirds of them for φ, by what its updates and measurements take elsewhere.
Not run yet. One seed decides no claim: --config.sweep.seed=0,1,2.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The small-batch run and its branches."""
    c = schema.defaults()
    c.study = 'reload'
    c.findings = 'warm_start'
    c.held_fixed = ('examples after the branch',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (128, 128)
    c.model.init = 'he_normal'
    c.optimizer.name = 'adam'
    c.batch_size = 256
    c.learning_rate = 1e-3
    c.total_epochs = 10.0
    c.epoch_boundary = 'partial'
    c.measure.distance.every_epochs = 1.0
    c.measure.branch_distance.every_epochs = 1.0
    c.measure.sharpness.at_steps = (0,)  # of the parent; where a branch begins; and the end of each
    c.branch.at_epochs = tuple(range(1, 11))
    c.branch.arms.large = dict(batch_size=6000)  # 10 % of the data
    c.branch.more_epochs = 20.0
    return c
