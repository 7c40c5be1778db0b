"""Between a small-batch and a large-batch solution: loss and accuracy on the line and on a curve through both.

Source: Keskar et al. 2017 (arXiv:1609.04836), network F1, figures 3 and 7: Adam, batches of 256 and of a tenth of the
data, 5 random starts, training until the loss stops improving (here: equal epochs, fewer layers, 3 seeds). Both arms
of a seed start from the same weights. Held fixed: epochs, learning rate.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/interpolation.py --workdir=runs/interpolation
    python -m bsresearch fig interpolation --workdir=runs/interpolation

Cost: 6 minutes on 2 busy CPU cores. Found, 3 pairs (mean ± half of the 95 % interval): training loss 0.082 ± 0.019 at
the small-batch solution, 0.213 ± 0.006 at the large-batch one; between them it stays below 0.23 on the line and 0.28 on
the curve: no barrier to speak of. Beyond the large-batch solution it rises steeply (3.0 at α = 1.25), beyond the
small-batch one slowly (0.14 at −0.5): the large batch's is the sharper side, as Keskar et al. draw it. Test accuracy
0.893 and 0.882, highest between, 0.895 at α = 0.25. The two are 41 apart, with norms of 65 and 47.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Two arms."""
    c = schema.defaults()
    c.findings = 'interpolation'
    c.held_fixed = ('epochs', 'learning_rate')
    c.study = 'interpolation'
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (512, 512)
    c.model.init = 'he_normal'
    c.optimizer.name = 'adam'
    c.learning_rate = 0.001
    c.total_epochs = 20.0
    c.evaluate.every_epochs = 5.0
    c.measure.distance.every_epochs = 1.0
    c.probe.name = 'interpolation'
    c.sweep.batch_size = (256, 6000)
    c.sweep.seed = (0, 1, 2)
    return c
