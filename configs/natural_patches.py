"""Colour images without a network: how far do a linear classifier and a ResNet-8 tell photographs by their patches?

Not the study of a paper: a first task in colour. The net: He et al. 2016 (arXiv:1512.03385), section 4.2, with 8
channels at first; the data: bsresearch/data/upstream/natural_patches.py. Trained on a fifth of the training patches
(5,146 of 32×32×3, the same for each seed), tested on all 7,136. Held fixed: epochs and examples.

    bsresearch prepare --name=natural_patches       (after `apt-get install mate-backgrounds`, or as it then says)
    python main.py --config=configs/natural_patches.py --workdir=runs/natural_patches

What colour gives away is missing in two other sets, prepared as this one is: the same with
`--config.data.name=natural_patches/grey --config.data.mean=0.5000 --config.data.std=0.2414`, or
`--config.data.name=natural_patches/normalized --config.data.mean=0.5020 --config.data.std=0.1250`.

Cost: 3 minutes on 2 CPU cores, busy. Found in colour, test accuracy, mean ± 95 % interval of 3 seeds: ResNet-8 0.826 ±
0.044, linear 0.568 ± 0.025. The rates were not searched at this size.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Two networks × three seeds."""
    c = schema.defaults()
    c.held_fixed = ('epochs',)
    c.data.name = 'natural_patches'
    c.data.mean, c.data.std = (0.5331, 0.5205, 0.3074), (0.2802, 0.2651, 0.3049)  # of the training part
    c.data.fraction = 0.2
    c.model.name = 'resnet'
    c.optimizer.name, c.momentum = 'momentum', 0.9
    c.weight_decay, c.no_decay = 1e-4, ('bias', 'norm')
    c.batch_size = 64
    c.total_epochs = 6.0
    c.schedule.name = 'linear'  # to 0
    c.evaluate.every_epochs = 2.0
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.arms.linear = dict(model=dict(name='linear'), learning_rate=0.01)
    c.arms.resnet = dict(model=dict(name='resnet', depth=8, width=8), learning_rate=0.1)
    c.sweep.seed = (0, 1, 2)
    return c
