"""One-cycle, with and without cyclic momentum, against constant and step decay, each at its best peak learning rate.

Sources: L. Smith, "A disciplined approach to neural network hyper-parameters" (2018, arXiv:1803.09820); Smith & Topin,
"Super-convergence" (2017, arXiv:1708.07120). There ResNets on CIFAR-10; here the smallest faithful task: an MLP with
batch norm on Fashion-MNIST, Nesterov momentum, ten epochs. Held fixed: epochs, batch size. Four policies × seven peaks
× three seeds; a tenth of the training set is held out, and the peak of each policy is chosen by it alone.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/one_cycle.py --workdir=runs/one_cycle
    python -m bsresearch report --workdir=runs/one_cycle

Cost: about 25 minutes on 2 CPU cores (84 runs; width, batch and one evaluation an epoch were chosen for that). Found,
test accuracy, mean ± 95 % interval of 3 seeds at the chosen peak: constant 0.8856 ± 0.0023 (lr 0.03), step 0.8944 ±
0.0005 (0.3), one-cycle with momentum fixed 0.8997 ± 0.0057 (1.0), with cyclic momentum 0.8989 ± 0.0034 (3.0); all peaks
inside the grid. One-cycle ends above step decay by 0.005, at ten times its peak; cycling momentum adds nothing here.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Four policies at seven peaks."""
    c = schema.defaults()
    c.findings = 'one_cycle'
    c.held_fixed = ('epochs', 'batch_size')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.validation = 0.1
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.model.batch_norm = True
    c.model.init = 'he_normal'
    c.optimizer.name = 'momentum'
    c.optimizer.nesterov = True
    c.weight_decay = 1e-4
    c.no_decay = ('bias', 'norm')
    c.batch_size = 512
    c.total_epochs = 10.0
    c.record.dense = True
    c.arms.constant = dict(schedule=dict(name='constant'))
    c.arms.step = dict(schedule=dict(name='step', factor=0.1, at_fractions=(0.5, 0.75)))
    c.arms.one_cycle_fixed = dict(schedule=dict(name='one_cycle', cycle_momentum=False))
    c.arms.one_cycle = dict(schedule=dict(name='one_cycle'))
    c.sweep.learning_rate = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
    c.sweep.seed = (0, 1, 2)
    return c
