"""Don't decay the learning rate, increase the batch size: is the noise temperature all that matters, early and late?

Source: Smith, Kindermans, Ying & Le (2018, arXiv:1711.00489), section 5.1: factor 5 at 60, 120 and 160 of 200 epochs,
batches up to a tenth of the set; a wide ResNet on CIFAR-10. Here the smallest faithful task: an MLP with ghost batch
norm on 25,000 images of Fashion-MNIST, momentum 0.9, 30 epochs. Arms: the learning rate decays; hybrid (the batch grows
once, then the rate decays); the batch grows to N/10, what is left decays the rate. Masters & Luschi (2018,
arXiv:1804.07612, section 2) hold that the two are alike only about, while weights change little, so late: two pairs
over 10 epochs, one with the change after the first epoch, one with warm restarts (a factor of 5 down, up and down
again). Held fixed: epochs; in each comparison the noise temperature at every update.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/grow_batch.py --dry_run --schedule_csv=schedule.csv
    python -m scripts.fig_schedule --csv=schedule.csv --out=figures
    python main.py --config=configs/grow_batch.py --workdir=runs/grow_batch
    python -m scripts.report --workdir=runs/grow_batch

Cost: 75 runs, 12 minutes on 2 CPU cores that other programs share (`--config.strategy=vmap` is faster there). Found:
all seven claims hold. Late, 5 seeds: grown batches end at −0.09 points (−0.35 to 0.17) of test accuracy and 1.03 times
(0.98 to 1.08) the training loss. After an early change, 15 seeds: −0.11 points (−0.34 to 0.12) and 1.05 times (1.02 to
1.07); with restarts +0.05 points (−0.14 to 0.24) and 1.06 times (1.04 to 1.07). So accuracy is the same within half a
point, and the training loss is 5 % (early) and 6 % (restarts) higher; late it is 3 % higher (−2 to 8), of too few seeds
to say that it differs less there. Records: docs/studies/grow_batch.
"""

from ml_collections import ConfigDict

from bsresearch import schema

SIZE, CHANGES = 125, (0.2, 0.5, 0.7)
FIVE, FIFTEEN = (dict(seed=tuple(range(n))) for n in (5, 15))


def get_config() -> ConfigDict:
    """Three arms, and two pairs of arms."""
    c = schema.defaults()
    c.findings = 'grow_batch'
    c.held_fixed = ('epochs', 'noise_temperature')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = 25 / 60
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.model.batch_norm = True
    c.model.init = 'he_normal'
    c.optimizer.name = 'momentum'
    c.weight_decay = 1e-4
    c.no_decay = ('bias', 'norm')
    c.learning_rate = 0.1
    c.batch_size = c.ghost_batch_size = SIZE  # 2,500, a tenth of the set, is 20 times as many
    c.total_epochs = 30.0
    c.norms.log_spaced, c.record.log_spaced, c.record.every_steps = 0, 0, 20
    c.checkpoint.every_epochs = 0.0
    c.schedule.name = 'step'
    c.schedule.factor = 0.2
    c.schedule.at_fractions = (0.3, 0.6, 0.8)
    c.arms.decay = dict(sweep=FIVE)
    c.arms.hybrid = dict(sweep=FIVE, batch_schedule=dict(name='instead_of_decay', max_growths=1, max_fraction=0.1))
    c.arms.grow = dict(sweep=FIVE, batch_schedule=dict(name='instead_of_decay', max_fraction=0.1))
    early = dict(name='step', factor=0.2, at_fractions=(0.1,))
    parts = tuple(dict(name='constant', times=times) for times in (1.0, 0.2, 1.0, 0.2))
    restarts = dict(name='steps', batch_sizes=(5 * SIZE, SIZE, 5 * SIZE), at_fractions=CHANGES)
    short = dict(total_epochs=10.0, sweep=FIFTEEN)
    c.arms.early_decay = dict(short, schedule=early)
    c.arms.early_grow = dict(short, schedule=early, batch_schedule=dict(name='instead_of_decay'))
    c.arms.restart_rate = dict(short, schedule=dict(name='join', parts=parts, at_fractions=CHANGES))
    c.arms.restart_batch = dict(short, schedule=dict(name='constant'), batch_schedule=restarts)
    return c
