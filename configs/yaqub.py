"""Is Adam the best optimizer when each has its best learning rate? Ten of this library, and a cyclic rate.

Source: Yaqub et al., "State-of-the-Art CNN Optimizer for Brain Tumor Segmentation in Magnetic Resonance Images" (2020,
Brain Sci. 10(7):427): ten optimizers for a CNN on BraTS2015 under one protocol; Adam ends best, 99.2 % accuracy. Here
an MLP with batch norm on 9,600 images of Fashion-MNIST, B = 64, 8 epochs, a rate that falls as a cosine for all (theirs
that is cyclic: two triangles of SGD with momentum). Each optimizer has four rates, × 3 apart, with ten seeds each; the
mean over seeds of 12,000 other images chooses, and as a check each half of the seeds is also evaluated at the rate that
the other half chose. The grids are around what a pilot of one more seed had best; it had sgd, the momenta, Adadelta and
RMSprop best at the highest of its rates, so that their grids go on two steps beyond. Two arms have the rates that
libraries give. No weight decay, but 0.01 for AdamW, which is Adam without. Held fixed: epochs, batch size, the number
of rates.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/yaqub.py --workdir=runs/yaqub
    python -m scripts.report --workdir=runs/yaqub

Cost: 500 runs, 8 minutes on 2 CPU cores. Found, 10 seeds: Adam, 85.8 %, ends above SGD in all four forms, by 0.2 to 0.3
points (the intervals lie between 0.02 and 0.47), and 0.5 (0.4 to 0.7) above Adagrad; from Adadelta (−0.04, −0.18 to
0.10) and RMSprop (0.16, −0.01 to 0.32) it cannot be told; nothing ends half a point above it, newer ones neither. At
the rates that libraries give it is 4.9 points (4.7 to 5.1) above plain SGD, which at its best rate is 0.5 above Adam's
usual one (85.55, 85.03). No best rate is on an edge. Records: docs/studies/yaqub.
"""

from ml_collections import ConfigDict

from bsresearch import schema

# The lowest of four rates.
LOWEST = {
    'sgd': 0.3, 'momentum': 0.1, 'nesterov': 0.1, 'cyclic': 0.1, 'adagrad': 0.01, 'adadelta': 3.0, 'rmsprop': 0.003,
    'adam': 0.003, 'adamw': 0.003, 'lion': 0.0003, 'lamb': 0.001, 'lars': 0.3,
}  # fmt: skip
USUAL = {'sgd': 0.01, 'adam': 0.001}
GRID = (1, 10 / 3, 10, 100 / 3)


def get_config() -> ConfigDict:
    """An arm for each optimizer, with its grid of rates, and two at the rates that libraries give."""
    c = schema.defaults()
    c.findings = 'yaqub'
    c.held_fixed = ('epochs', 'batch_size', 'tuned')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction, c.data.validation = 0.2, 0.2
    c.model.name = 'mlp'
    c.model.widths, c.model.init, c.model.batch_norm = (100,), 'he_normal', True
    c.batch_size, c.total_epochs = 64, 8.0
    c.schedule.name = 'cosine'
    c.evaluate.every_epochs = 8.0
    c.norms.log_spaced, c.record.log_spaced = 0, 0
    c.checkpoint.every_epochs = 0.0
    for name, lowest in LOWEST.items():
        rates = tuple(float(f'{lowest * step:.1g}') for step in GRID)
        c.arms[name] = dict(optimizer=dict(name=name), sweep=dict(learning_rate=rates))
    c.arms.nesterov.optimizer = dict(name='momentum', nesterov=True)
    c.arms.cyclic.optimizer = dict(name='momentum')
    c.arms.cyclic.schedule = dict(
        name='cyclical', mode='triangular2', base=0.1, up_epochs=2.0, cycle_momentum=False
    )  # fmt: skip
    c.arms.adamw.weight_decay = 0.01
    for name, rate in USUAL.items():
        c.arms[f'{name}_usual'] = dict(optimizer=dict(name=name), sweep=dict(learning_rate=(rate,)))
    c.sweep.seed = tuple(range(10))
    return c
