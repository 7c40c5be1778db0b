"""Don't decay the learning rate, increase the batch size: three arms with the same noise temperature.

Source: Smith, Kindermans, Ying & Le (2018, arXiv:1711.00489), section 5.1: factor 5 at 60, 120 and 160 of 200 epochs,
batches up to a tenth of the set. There a wide ResNet on CIFAR-10; here the smallest faithful task: an MLP with ghost
batch norm on Fashion-MNIST, momentum 0.9, 30 epochs. Arms: the learning rate decays; hybrid (the batch grows once,
then the rate decays); the batch grows to N/10, what is left decays the rate. Held fixed: epochs, noise temperature.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/grow_batch.py --dry_run --schedule_csv=schedule.csv
    python -m scripts.fig_schedule --csv=schedule.csv --out=figures
    python main.py --config=configs/grow_batch.py --workdir=runs/grow
    python -m bsresearch report --workdir=runs/grow

Cost: about 5 minutes on 2 CPU cores (9 runs; width and epochs were chosen for that). Found, 3 seeds: the curves
against epochs overlap (Welch's 95 % interval of the difference in training loss covers 0 at 30 of 30 epochs for the
hybrid, at 29 for the growing batch; in test accuracy at all), with 14,400, 6,336 and 5,360 updates; test accuracy at
the end 0.9009, 0.9007, 0.9012 (standard deviations of seeds 0.004).
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The three arms."""
    c = schema.defaults()
    c.findings = 'grow_batch'
    c.held_fixed = ('epochs', 'noise_temperature')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.model.batch_norm = True
    c.model.init = 'he_normal'
    c.optimizer.name = 'momentum'
    c.weight_decay = 1e-4
    c.no_decay = ('bias', 'norm')
    c.learning_rate = 0.1
    c.batch_size = 125  # 6,000, a tenth of the set, is 48 times as many
    c.ghost_batch_size = 125
    c.total_epochs = 30.0
    c.record.every_steps = 5  # so that the figure shows the changes where they are
    c.schedule.name = 'step'
    c.schedule.factor = 0.2
    c.schedule.at_fractions = (0.3, 0.6, 0.8)
    c.arms.decay = dict()
    c.arms.hybrid = dict(batch_schedule=dict(name='instead_of_decay', max_growths=1, max_fraction=0.1))
    c.arms.grow = dict(batch_schedule=dict(name='instead_of_decay', max_fraction=0.1))
    c.sweep.seed = (0, 1, 2)
    return c
