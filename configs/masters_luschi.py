"""Which batch size is best when every learning rate is tried? Batch size × base rate, with and without batch norm.

Source: Masters & Luschi, "Revisiting Small Batch Training for Deep Neural Networks" (2018, arXiv:1804.07612): plain SGD
without momentum, m = 2 to 2048, base rates η̃ = η/m of 2⁻¹² to 2⁰, equal epochs, rate × 0.1 at 50 and 75 %; the median
of the last 5 evaluations; their section 3.6 takes batch norm over fewer examples than the batch. There reduced AlexNet
and ResNets on CIFAR; here a small CNN on 10,000 images of Fashion-MNIST, m = 2 to 512, 6 epochs, 5 seeds; 2,000 more
images choose the rate. Held fixed: epochs.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/masters_luschi.py --workdir=runs/masters_luschi
    python -m scripts.report --workdir=runs/masters_luschi

Cost: 525 runs, 2.1 hours on 2 CPU cores, which were busy half of that time. Found, n = 5 seeds: test accuracy at the
best rate falls from 85 % at m = 2 to 16 to 54 % (with batch norm 63 %) at 512, where the best rate is the smallest one
tried. Seeds differ so much there that no best batch size can be told; the largest base rate that trains falls with m.
Records: docs/studies/masters_luschi.
"""

from ml_collections import ConfigDict

from bsresearch import schema

SIZES = (2, 4, 8, 16, 32, 64, 128, 512)


def get_config() -> ConfigDict:
    """Two networks over all batch sizes, and batch norm over 4, 16 and 64 examples at two of them."""
    c = schema.defaults()
    c.findings = 'masters_luschi'
    c.held_fixed = ('epochs',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction, c.data.validation = 0.2, 1 / 6  # 10,000 and 2,000 of 60,000
    c.model.name = 'cnn'
    c.model.widths, c.model.dense_width = (4, 8), 16
    c.model.init, c.model.batch_norm = 'he_normal', True
    c.optimizer.name = 'sgd'
    c.scaling.name, c.scaling.reference_batch_size = 'linear', 1  # learning_rate is the base rate, per example
    c.schedule.name, c.schedule.factor, c.schedule.at_fractions = 'step', 0.1, (0.5, 0.75)
    c.total_epochs = 6.0
    c.evaluate.every_epochs, c.evaluate.at_epochs = 0.0, (4.0, 4.5, 5.0, 5.5)  # and the end
    c.evaluate.train = False
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.arms.plain = dict(model=dict(batch_norm=False), sweep=dict(batch_size=SIZES))
    c.arms.batch_norm = dict(sweep=dict(batch_size=SIZES))
    for examples, sizes in ((4, (64, 512)), (16, (64, 512)), (64, (512,))):
        c.arms[f'norm_over_{examples}'] = dict(ghost_batch_size=examples, sweep=dict(batch_size=sizes))
    c.sweep.learning_rate = (2.0**-11, 2.0**-9, 2.0**-7, 2.0**-5, 2.0**-3)
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
