"""Does a large batch need a higher rate? With data, network, measurement and claims of one's own.

    bsresearch run --config=examples/own_config.py --workdir=runs/own
    bsresearch report --workdir=runs/own

Held fixed: epochs. Cost: 25 s on 2 CPU cores with its report, most of it compiling. Found, 3 seeds: at lr 0.05 B = 128
ends 24 points lower than B = 8 (95 % interval 18 to 29); whether lr 0.8 makes up for it, three seeds do not decide.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Two batch sizes × two rates × three seeds at equal epochs."""
    c = schema.defaults()
    c.data.name = 'examples/own_data.py:spirals'
    c.data.noise = 0.1
    c.model.name = 'examples/own_network.py:mlp'
    c.model.width = 32
    c.optimizer.name = 'sgd'
    c.total_epochs = 30.0
    c.measure.distance.every_epochs = 1.0
    c.measure.signs = dict(function='examples/own_measure.py:gradient_signs', batch_size=128, every_epochs=1.0)
    c.findings = 'examples/own_findings.py'
    c.held_fixed = ('epochs',)
    c.sweep.batch_size = (8, 128)
    c.sweep.learning_rate = (0.05, 0.8)
    c.sweep.seed = (0, 1, 2)
    return c
