"""Which optimizer is best when each has its tuned learning rate? All eleven of this library.

Source: Yaqub et al., "State-of-the-Art CNN Optimizer for Brain Tumor Segmentation in Magnetic Resonance Images" (2020,
Brain Sci. 10(7):427): ten optimizers for a CNN on BraTS2015 under one protocol; Adam ends best, 99.2 % accuracy. Here
an MLP with batch norm on 9,600 images of Fashion-MNIST, B = 64, 6 epochs at a constant rate: every optimizer of this
library with 8 trials of its rate, the usual one first and others about the best so far, chosen by 2,400 more images,
and the winner made again with five other seeds. No weight decay, but 0.01 for AdamW, which is Adam without. Adamax,
Nadam and cyclic rates are theirs alone. Held fixed: epochs, batch size, the number of trials.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/yaqub.py --workdir=runs/yaqub
    python -m scripts.report --workdir=runs/yaqub

Cost: 188 runs, 3 minutes on 2 CPU cores that other programs shared. Found, 5 seeds: whether Adam is best cannot be
told; it ends 2.0 points (1.1 to 2.9) above LAMB, whose rate won with one seed by 0.05 points beside rates that fail,
and 1.2 (0.3 to 2.1) above LARS; from none of the others it differs by more than the intervals, of 0.7 to 2 points.
Highest is Lion, 85.0 % (Adam 84.1 %). Records: docs/studies/yaqub.
"""

from ml_collections import ConfigDict

from bsresearch import schema

# Usual rates, the middle of what is searched.
RATES = {
    'sgd': 0.1, 'momentum': 0.03, 'adagrad': 0.01, 'adadelta': 1.0, 'rmsprop': 0.001, 'adam': 0.001, 'adamw': 0.001,
    'lion': 0.0003, 'lamb': 0.01, 'lars': 1.0,
}  # fmt: skip


def get_config() -> ConfigDict:
    """An arm for each optimizer."""
    c = schema.defaults()
    c.study, c.findings = 'tune', 'yaqub'
    c.held_fixed = ('epochs', 'batch_size', 'tuned')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction, c.data.validation = 0.2, 0.2
    c.model.name = 'mlp'
    c.model.widths, c.model.init, c.model.batch_norm = (100,), 'he_normal', True
    c.batch_size, c.total_epochs = 64, 6.0
    c.evaluate.every_epochs = 6.0
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.tune.trials, c.tune.at_once = 8, 4
    for name, rate in RATES.items():
        searched = dict(learning_rate=rate, tune=dict(learning_rate=(rate / 10, rate * 10)))
        c.arms[name] = dict(searched, optimizer=dict(name=name))
    c.arms.nesterov = dict(c.arms.momentum.to_dict(), optimizer=dict(name='momentum', nesterov=True))
    c.arms.adamw.weight_decay = 0.01
    c.sweep.seed = (0, 1, 2, 3, 4, 5)
    return c
