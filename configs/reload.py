"""Is a large-batch model stuck? Branches at epochs 2 and 30 of B = 1024: a smaller batch, a higher rate, no change.

Source: K. Shen, "Effect of batch size on training dynamics" (2018): MLP 784-1024-1024-10, plain SGD, lr 0.01; weights
of the B = 1024 run at epoch 2 or 30 trained 30 epochs more with B = 64 or with lr 0.1; the control changes nothing.
There on MNIST; here on Fashion-MNIST unless
--config.data.name=mnist --config.data.mean=0.1307 --config.data.std=0.3081. Held fixed: epochs after the branch.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/reload.py --workdir=runs/reload
    python main.py --lineage --workdir=runs/reload
    python -m bsresearch report --workdir=runs/reload

Cost: about 20 minutes on 2 CPU cores, by its updates' rates. Found by the same branches of configs/shen.py, 3 seeds,
test accuracy after 30 more epochs (B = 64 from scratch: 88.8 %), from epoch 2 and 30: B = 64 88.8 and 88.8 %, lr 0.1
87.9 and 87.8 %, no change 85.7 and 86.8 %. So a large-batch model is not stuck; docs/studies/shen has intervals.
One seed decides no claim: --config.sweep.seed=0,1,2.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The parent and its branches."""
    c = schema.defaults()
    c.study = c.findings = 'reload'
    c.held_fixed = ('examples after the branch',)
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
    c.measure.distance.every_epochs = 1.0
    c.measure.branch_distance.every_epochs = 1.0
    c.branch.at_epochs = (2, 30)
    c.branch.arms.switch_small = dict(batch_size=64)
    c.branch.arms.switch_rate = dict(learning_rate=0.1)
    c.branch.more_epochs = 30.0
    return c
