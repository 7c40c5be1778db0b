"""The learning-rate range test: from tiny to large in one short run per batch size and weight decay.

Sources: L. Smith, "Cyclical Learning Rates for Training Neural Networks" (2017, arXiv:1506.01186, 3.3); Smith (2018,
arXiv:1803.09820) repeats it whenever batch size or weight decay change; fastai's rules read the curve. MLP with batch
norm on Fashion-MNIST. Held fixed: updates.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/lr_range_test.py --workdir=runs/lr_range
    python -m bsresearch fig lr_range --workdir=runs/lr_range

It ends where the loss exceeds four times the first for 20 updates. Cost: about 3 minutes on 2 CPU cores. Found, one
seed: the rate at which accuracy turns ragged grows with the batch (0.06 to 0.09 at B = 32, 0.15 at 128, 0.49 at 512),
weight decay up to 1e-3 does not move it; fastai's valley lies at 0.004 to 0.006 throughout.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The grid."""
    c = schema.defaults()
    c.study = c.findings = 'lr_range'
    c.held_fixed = ('updates',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.validation = 0.1
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.model.batch_norm = True
    c.model.init = 'he_normal'
    c.optimizer.name = 'momentum'
    c.optimizer.nesterov = True
    c.no_decay = ('bias', 'norm')
    c.total_steps = 400
    c.learning_rate = 30.0  # the largest one
    c.schedule.name = 'range_test'
    c.schedule.start = 1e-6  # the first one, as a fraction of the largest
    c.divergence.loss_factor, c.divergence.patience = 4.0, 20
    c.record.every_steps = 1
    c.evaluate.every_epochs = 0.0
    c.evaluate.every_steps = 5
    c.evaluate.train = False
    c.checkpoint.every_epochs = 0.0
    c.sweep.batch_size = (32, 128, 512)
    c.sweep.weight_decay = (0.0, 1e-4, 1e-3)
    return c
