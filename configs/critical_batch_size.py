"""How large a batch costs no loss, as training goes on; is it the noise scale, and is it the rate that ends it?

Source: Merrill et al. 2025 (arXiv:2505.23971), who find B* near 0 at first, rising, then level, for language models,
and the noise scale far below it. Here an MLP on Fashion-MNIST, plain SGD at a constant rate. At epochs 1/8 to 8 of a
run at B = 16 branches with 1 to 64 times the batch see the next 32,768 examples, 32 of the largest batches, at three
kinds of rate: by the linear rule, held, and tuned, the best of 1/4 to 32 times the run's (and of the rule's) at each
batch size. A batch passes if its smoothed training loss is within 0.01 nats of the lowest of a smaller one, or within
what scatter over the seeds makes of that. B_simple and B_noise: 20 measurements within 0.03 epochs of a point. Held
fixed: examples after the branch, and their order.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/critical_batch_size.py --workdir=runs/critical_batch_size
    python -m bsresearch fig critical_batch_size --workdir=runs/critical_batch_size

Cost: about an hour on 2 CPU cores, estimated by updates and evaluations; not run at full size with all three rates. By
the rule alone, --config.branch.rates="('rule',)", 7 minutes: B* 32 to 128 while B_simple goes from 140 to 634, and 19
of 147 branches diverge. All rates on a fifth of the data, from a rate of 0.044, at epochs 1/2 and 2 (6 seeds): B* 64 by
the rule, 256 and more held, 256 and more tuned (docs/advise.md has all numbers).

Beside runs to a target: `bsresearch advise --workdir=<those> --target=… --branches=runs/critical_batch_size`, or in the
same workdir (docs/advise.md, "Critical batch sizes side by side").
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
    c.branch.rates = ('rule', 'held', 'tuned')
    c.branch.factors = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    c.branch.more_epochs, c.branch.more_examples = 0.0, 32768
    c.branch.evaluations = 4
    c.evaluate.at_epochs = POINTS
    near = tuple(round(p + 0.003 * i, 3) for p in POINTS for i in range(-10, 10))
    c.measure.noise_scale.at_epochs = c.measure.curvature_noise_scale.at_epochs = near
    c.measure.noise_scale.batch_size, c.measure.noise_scale.small_batch_size = 2048, 32
    c.sweep.seed = (0, 1, 2)
    return c
