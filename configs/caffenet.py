"""A fixed learning rate and one in proportion to the batch size, at equal epochs: the table of caffenet-benchmark.

Source: D. Mishkin, caffenet-benchmark, BatchSize.md (github.com/ducha-aiki/caffenet-benchmark; the same tables are in
Mishkin, Sergievskiy & Matas 2016, arXiv:1606.02228): CaffeNet on ImageNet at 128 pixels, SGD with momentum 0.9, equal
epochs, rate 0.01 at B = 256, one run each: at the fixed rate 0.463, 0.471, 0.472, 0.471, 0.455 and 0.419 at B = 32, 64,
128, 256, 512 and 1,024; in proportion 0.470, 0.475, 0.469 and 0.465 at B = 32, 64, 512 and 1,024, 0.474 at B = 1. Here
a small CNN on 6,000 images of Fashion-MNIST, B = 32, 256 and 1,024, and B = 1, 8 epochs, rate × 0.1 at 50 and 80 %, 5
seeds. The rate, 0.02 at B = 256, is the largest of five whose 4-fold trained in a pilot of one seed (0.04 and 0.08 were
as good within half a point; 0.16 did not train). Held fixed: epochs.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/caffenet.py --workdir=runs/caffenet
    python -m scripts.report --workdir=runs/caffenet

Cost: 30 runs, 3 minutes on 2 CPU cores. Found, 5 seeds: at the fixed rate 1,024 ends 13.5 points (5.9 to 21.2) below
256, and what the scaled rate does is open: 47 updates are so few that seeds end anywhere between chance and 85 %. The
reference, of 188, is short of updates as well: 32 at its rate ends 3.7 points (1.7 to 5.6) above it, 1 at a 256th of
the rate 2.2 (0.6 to 3.7). Records: docs/studies/caffenet.
"""

from ml_collections import ConfigDict

from bsresearch import schema

REFERENCE = 256


def get_config() -> ConfigDict:
    """The reference, and smaller and larger batches at its rate and at one in proportion."""
    c = schema.defaults()
    c.findings = 'caffenet'
    c.held_fixed = ('epochs',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = 0.1
    c.model.name = 'cnn'
    c.model.widths, c.model.dense_width = (8, 16), 32
    c.optimizer.name, c.momentum = 'momentum', 0.9
    c.learning_rate = 0.02
    c.scaling.reference_batch_size = REFERENCE
    c.total_epochs = 8.0
    c.schedule.name, c.schedule.factor, c.schedule.at_fractions = 'step', 0.1, (0.5, 0.8)
    c.evaluate.every_epochs = 2.0
    c.norms.log_spaced, c.record.log_spaced = 0, 20
    c.checkpoint.every_epochs = 0.0
    c.arms.reference = dict(batch_size=REFERENCE)
    c.arms.fixed_32 = dict(batch_size=32)
    c.arms.fixed_1024 = dict(batch_size=1024)
    for size in (1, 32, 1024):
        c.arms[f'scaled_{size}'] = dict(batch_size=size, scaling=dict(name='linear'))
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
