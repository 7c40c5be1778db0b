"""Learning rate and momentum tuned at every batch size, with equal budgets: what is left of the batch size's effect?

Quasi-random search (Bousquet et al. 2017) with the same number of trials at each batch size, as Shallue et al. (2019,
arXiv:1811.03600, section 4.1) demand; an MLP on scikit-learn's digits. Validation chooses, the test set reports; the
winner is made again with other seeds. Held fixed: epochs.

    python main.py --config=configs/tune.py --workdir=runs/tune
    bsresearch advise --workdir=runs/tune --target=test_accuracy:0.95
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Four batch sizes, 16 trials each."""
    c = schema.defaults()
    c.study = 'tune'
    c.held_fixed = ('epochs',)
    c.data.name = 'digits'
    c.data.validation = 0.2
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.optimizer.name = 'momentum'
    c.total_epochs = 15.0
    c.learning_rate, c.momentum = 0.1, 0.9
    c.evaluate.train = False
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.tune.learning_rate, c.tune.momentum = (0.001, 1.0), (0.5, 0.99)
    c.tune.trials, c.tune.at_once = 16, 8
    c.sweep.batch_size = (8, 32, 128, 512)
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
