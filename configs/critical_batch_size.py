"""How large a batch costs no loss, as training goes on, and is it the noise scale? B* by branches beside B_simple.

Source: Merrill et al. 2025 (arXiv:2505.23971), who find B* near 0 at first, rising, then level, for language models,
and the noise scale far below it. Here an MLP on Fashion-MNIST, plain SGD at a constant rate. At epochs 1/8 to 8 of a
run at B = 16 branches with 1 to 64 times the batch and the learning rate (linear rule) see the next 32,768 examples,
32 of the largest batches; a batch passes if its smoothed training loss is within 0.01 nats of the lowest of a smaller
one. B_simple: 16 measurements within 0.025 epochs of a point. Held fixed: examples after the branch, and their order.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/critical_batch_size.py --workdir=runs/critical_batch_size
    python -m bsresearch fig critical_batch_size --workdir=runs/critical_batch_size

Cost: about 15 minutes on 2 CPU cores, by its updates, evaluations and compilations. Not run at full size yet. A pilot,
one seed, epochs 1/4 and 1 alone: B* = 32 and 64 (0.005 nats: 32 and 32; 0.02: 64 and 128), B_simple 190 (95 % interval
156 to 219) and 346 (274 to 463), five times as large, not smaller. Losses of k = 1 to 32 at epoch 1: 0.353, 0.351,
0.358, 0.363, 0.398, 0.507; k = 64, at a learning rate of 0.64, diverged at 1/4 and reached 9.9 at 1. So what ends B*
here may be the linear rule's learning rate: B* belongs to the ratio ε/B as much as to the task.
B* is known between two k, so that claims on it take six seeds: --config.sweep.seed=0,1,2,3,4,5.
"""

from ml_collections import ConfigDict

from bsresearch import schema

POINTS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def get_config() -> ConfigDict:
    """The parents, three seeds, and their branches."""
    c = schema.defaults()
    c.study = c.findings = 'critical_batch_size'
    c.held_fixed = ('examples after the branch',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.optimizer.name = 'sgd'
    c.batch_size = 16
    c.learning_rate = 0.01
    c.total_epochs = 8.1  # the last point, and what is measured just after it
    c.branch.at_epochs = POINTS
    c.branch.multiples = (1, 2, 4, 8, 16, 32, 64)
    c.branch.more_epochs, c.branch.more_examples = 0.0, 32768
    c.branch.evaluations = 4
    c.measure.noise_scale.at_epochs = tuple(round(p + 0.003 * i, 3) for p in POINTS for i in range(-8, 8))
    c.measure.noise_scale.batch_size = 2048
    c.measure.noise_scale.small_batch_size = 32
    c.sweep.seed = (0, 1, 2)
    return c
