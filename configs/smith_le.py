"""What is the best batch size on little data, and does it follow the noise temperature? B × rate × set × momentum.

Source: Smith & Le, "A Bayesian Perspective on Generalization and Stochastic Gradient Descent" (2018, arXiv:1710.06451):
1,000 images of MNIST, 800 hidden units, momentum 0.9, a fixed number of updates; test accuracy is best at a batch size
in proportion to εN/(1 − m). Here an MLP of 100 units on 500 to 2,000 images of Fashion-MNIST, 1,000 updates, 10 seeds;
each of the three is halved and doubled alone. Accuracy is flat above a knee (a pilot with two seeds: 80.0 to 80.9 %
from B = 32 to 512), so the knee is judged, and where the test loss is least. Held fixed: updates.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/smith_le.py --workdir=runs/smith_le
    python -m scripts.report --workdir=runs/smith_le

Cost: 490 runs, 13 minutes on 2 CPU cores that other programs shared. Found, 10 seeds, from the half to the double of
each: the knee moves by 3.74 (3.19 to 4.38) with the rate, 3.42 (3.07 to 3.81) with 1/(1 − m), and by 1.19 (1.02 to
1.40) with the training set, which is no proportion. The test loss is flat from 32 on: its least cannot be placed.
Records: docs/studies/smith_le.
"""

from ml_collections import ConfigDict

from bsresearch import schema

WHOLE = 60_000


def get_config() -> ConfigDict:
    """Seven arms over all batch sizes."""
    c = schema.defaults()
    c.findings = 'smith_le'
    c.held_fixed = ('updates',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = 1000 / WHOLE
    c.model.name = 'mlp'
    c.model.widths = (100,)
    c.optimizer.name, c.momentum = 'momentum', 0.9
    c.learning_rate = 0.025
    c.total_steps = 1000
    c.evaluate.every_epochs, c.evaluate.log_spaced = 0.0, 8
    c.norms.log_spaced, c.record.log_spaced = 0, 10
    c.checkpoint.every_epochs = 0.0
    c.arms.base = dict()
    c.arms.half_rate, c.arms.double_rate = dict(learning_rate=0.0125), dict(learning_rate=0.05)
    c.arms.half_data = dict(data=dict(fraction=500 / WHOLE))
    c.arms.double_data = dict(data=dict(fraction=2000 / WHOLE))
    c.arms.less_momentum, c.arms.more_momentum = dict(momentum=0.8), dict(momentum=0.95)
    c.sweep.batch_size = (4, 8, 16, 32, 64, 128, 256)
    c.sweep.seed = tuple(range(10))
    return c
