"""Warm starts: small-batch training, and from points of it on a large batch. When does that stay as good?

Source: Keskar et al. 2017 (arXiv:1609.04836), section 4: Adam, batches of 256 and of 10 % of the data, 100 epochs of
the small batch, each followed by 100 of the large one: after a few small-batch epochs the large batch ends as it does
from the start, after enough of them its accuracy rises and its sharpness falls. Here their F1, 5 × 64 units with batch
norm, on 6,000 images of Fashion-MNIST; 32 epochs at B = 30, and after 0, 1, 8 and 32 of them 40 at 600, and as a
control 40 more at 30; φ(1e-3) where a branch begins and ends; 5 seeds. Held fixed: epochs after the branch, learning
rate; Adam's moments are kept.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/warm_start.py --workdir=runs/warm_start
    python -m scripts.report --workdir=runs/warm_start

Cost: 45 runs, 5 minutes on 2 CPU cores. Found, 5 seeds: the large batch ends 1.9 points (1.3 to 2.5) better and at 0.13
(0.11 to 0.16) of the sharpness after 32 epochs of the small one than after one; after one it ends 1.1 points (0.6 to
1.6) below the small batch that went on, after 32 1.0 (0.5 to 1.6) above. What one epoch does for it is open: 0.4 points
(−0.1 to 0.9). Records: docs/studies/warm_start.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The small-batch runs and their branches."""
    c = schema.defaults()
    c.study = 'reload'
    c.findings = 'warm_start'
    c.held_fixed = ('examples after the branch',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = 0.1
    c.model.name = 'mlp'
    c.model.widths, c.model.batch_norm, c.model.init = (64,) * 5, True, 'glorot_uniform'
    c.optimizer.name, c.learning_rate = 'adam', 1e-3
    c.batch_size = 30
    c.total_epochs = 32.0
    c.evaluate.every_epochs = 4.0
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.measure.branch_distance.every_epochs = 4.0
    # Of the small-batch run; where a branch begins; and the end of each.
    c.measure.sharpness.statistics, c.measure.sharpness.micro_batch_size = 'running', 3000
    c.measure.sharpness.at_steps = (0,)
    c.branch.at_epochs = (0.0, 1.0, 8.0, 32.0)
    c.branch.arms.large = dict(batch_size=600)  # 10 % of the data
    c.branch.more_epochs = 40.0
    c.sweep.seed = (1, 2, 3, 4, 5)
    return c
