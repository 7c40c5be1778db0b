"""Which batch size is efficient, and does the noise scale tell? Batch size × learning rate, goals in training loss.

Source: McCandlish, Kaplan et al., "An Empirical Model of Large-Batch Training" (2018, arXiv:1812.06162): at every batch
size a grid of rates around ε*/(1 + B*/B)^α, for each goal the fastest run, the Pareto front of updates and examples,
(S/S_min − 1)(E/E_min − 1) = 1, beside B_simple at the same loss. `cooled` lowers the temperature ε/B by 16 for a while
(their appendix C); `adaptive` takes B = √(r·B_noise) (their appendix D) as a noise scale of 100 at first and 1,000
later gives it. There MNIST, SVHN, CIFAR-10 and larger; here an MLP and 12,000 images of Fashion-MNIST, plain SGD,
5 seeds. Held fixed: epochs; goals are read along the way.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/mccandlish.py --workdir=runs/mccandlish
    python -m scripts.report --workdir=runs/mccandlish

Cost: 145 runs, 65 minutes on 2 CPU cores that other programs shared (20 of updates, 28 of evaluation, 5 of measuring).
Found, 5 seeds: examples to a loss of 0.4 at B = 4 to 1,024 lie within 4 % of the hyperbola; B_crit is 1.3 (0.5 to 2.7),
0.76 (0.63 to 0.91) and 0.83 (0.67 to 1.03) times B_simple at losses of 0.5, 0.4 and 0.3. To 0.4 and 0.3 one ε* is best
at every batch size, to 0.5 it falls from 0.4 to 0.1. B_simple rises 5.3 times (2.5 to 11.5), and 25 times (13 to 46) at
a temperature 16 times lower. Records: docs/studies/mccandlish.
"""

from ml_collections import ConfigDict

from bsresearch import schema

# Dense where the loss falls fast, so that goals are met between near points.
POINTS = (*(i / 20 for i in range(1, 20)), *(1 + i / 10 for i in range(10)), *(2 + i / 4 for i in range(13)),
          *(5.5 + i / 2 for i in range(29)))  # fmt: skip


def get_config() -> ConfigDict:
    """The grid, a run whose temperature changes, and one whose batch grows with the noise scale."""
    c = schema.defaults()
    c.findings = 'mccandlish'
    c.held_fixed = ('epochs',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = 0.2
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.optimizer.name = 'sgd'
    c.scaling.name, c.scaling.reference_batch_size = 'critical', 128  # ε*/(1 + 128/B)
    c.total_epochs = 20.0
    c.evaluate.every_epochs, c.evaluate.at_epochs = 0.0, POINTS
    c.measure.noise_scale.at_epochs = POINTS
    c.measure.noise_scale.batch_size, c.measure.noise_scale.small_batch_size = 1024, 32
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.arms.constant = dict(sweep=dict(batch_size=(4, 16, 64, 256, 1024), learning_rate=(0.05, 0.1, 0.2, 0.4, 0.8)))
    parts = tuple(dict(name='constant', times=times) for times in (1.0, 1 / 16, 1.0))
    c.arms.cooled = dict(
        batch_size=64, learning_rate=0.2, schedule=dict(name='join', parts=parts, at_fractions=(0.2, 0.5))
    )
    c.arms.adaptive = dict(
        batch_size=32, scaling=dict(name='none'), sweep=dict(learning_rate=(0.067, 0.133, 0.267)),
        batch_schedule=dict(name='steps', batch_sizes=(45, 64, 100), at_fractions=(0.05, 0.2, 0.4)),
    )  # fmt: skip
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
