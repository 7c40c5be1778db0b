"""Does one cycle at a huge learning rate beat step decay of four times the length, the more so on less data?

Source: Smith & Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates" (2017,
arXiv:1708.07120): ResNet-56 on CIFAR-10, momentum 0.9, weight decay 1e-4; one triangle from 0.1 to 3.0 and back over
10,000 updates, against a rate of 0.35, × 0.1 at 5/8 and 7/8 of 80,000; 10,000 to 50,000 examples; weight decays and
momenta. Here a small CNN with batch norm on 8,000, 4,000 and 2,000 images of Fashion-MNIST, B = 50: one triangle up to
0.1 over 640 updates, against 0.03 over 2,560, and over 640. Pilots with one seed (validation accuracy): of peaks 0.1,
0.2 and 0.4 only the first bears no loss (86.7, 83.5 and 10.6 %: the dense layers have no batch norm), at weight decays
3e-4, 3e-3 and 3e-2 it comes to 86.1, 86.7 and 82.3 %; step decay over 28 epochs of 2,000 images was best at 0.03 of
0.03 to 1. So the peak is 3 times the other rate, theirs 9 times. Held fixed: batch size; in one claim, updates.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/super_convergence.py --workdir=runs/super_convergence
    python -m scripts.report --workdir=runs/super_convergence

Cost: 75 runs, 10 minutes on 2 CPU cores that other programs shared. Found, 5 seeds: the gap to step decay of four times
the length grows as the set shrinks, by 1.4 points (0.1 to 2.7) at 4,000 and 2.6 (1.8 to 3.3) at 2,000 examples, from
−1.8 (−3.0 to −0.6) at 8,000, where one cycle ends below it; at equal updates it ends 1.2 points (0.6 to 1.8) above.
Ten times the weight decay costs 2.2 points (0.8 to 3.6), a tenth and a hundredth nothing that is seen; a momentum of
0.95 costs 3.7 (2.2 to 5.2). Records: docs/studies/super_convergence.
"""

from ml_collections import ConfigDict

from bsresearch import schema

WHOLE, UPDATES, LONGER = 60_000, 640, 4
SIZES = (8000, 4000, 2000)


def get_config() -> ConfigDict:
    """Three schedules on three training sets; one cycle at other weight decays and momenta."""
    c = schema.defaults()
    c.findings = 'super_convergence'
    c.held_fixed = ('batch_size',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = SIZES[0] / WHOLE
    c.model.name = 'cnn'
    c.model.widths, c.model.dense_width = (4, 8), 16
    c.model.init, c.model.batch_norm = 'he_normal', True
    c.optimizer.name, c.momentum = 'momentum', 0.9
    c.weight_decay, c.no_decay = 3e-3, ('bias', 'norm')
    c.batch_size = 50
    c.total_steps = UPDATES
    c.evaluate.every_epochs, c.evaluate.at_steps = 0.0, (UPDATES // 2,)
    c.norms.log_spaced, c.record.log_spaced, c.record.every_steps = 0, 0, 20
    c.checkpoint.every_epochs = 0.0
    triangle = dict(name='cyclical', base=1 / 30, up_steps=UPDATES // 2, cycle_momentum=False)
    cycle = dict(learning_rate=0.1, schedule=triangle)
    step = dict(learning_rate=0.03, schedule=dict(name='step', factor=0.1, at_fractions=(5 / 8, 7 / 8)))
    for size in SIZES:
        data = dict(fraction=size / WHOLE)
        c.arms[f'cycle_{size}'] = dict(cycle, data=data)
        c.arms[f'step_{size}'] = dict(step, data=data, total_steps=LONGER * UPDATES)
        c.arms[f'short_{size}'] = dict(step, data=data)
    for name, decay in (('hundredth', 3e-5), ('tenth', 3e-4), ('tenfold', 3e-2)):
        c.arms[f'{name}_decay'] = dict(cycle, weight_decay=decay)
    for momentum in (0.8, 0.85, 0.95):
        c.arms[f'momentum_{100 * momentum:.0f}'] = dict(cycle, momentum=momentum)
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
