"""Do large batches find sharper minima? Keskar's φ at equal epochs, small against 10 % of the data, with Adam.

Source: Keskar et al. 2017 (arXiv:1609.04836), who find φ(1e-3) of 1.2 at B = 256 and 205 at 10 % of the data on MNIST
(network F1). Here an MLP on Fashion-MNIST, ε = 1e-3, the whole training set, SciPy's L-BFGS-B as
bsresearch/measure/sharpness.py says; beside it the Hessian's largest eigenvalue. Held fixed: epochs, learning rate.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/sharpness.py --workdir=runs/sharpness
    python -m bsresearch fig sharpness --workdir=runs/sharpness

Cost: 25 minutes on 2 CPU cores that four other jobs shared, 15 of them measuring. Found, 3 seeds, after 40 epochs at
B = 256, 1024, 6000 (mean, 95 % interval): φ 29 % (18 to 41), 110 % (66 to 154), 125 % (54 to 196); largest eigenvalue
14 (9 to 19), 40 (25 to 55), 83 (61 to 105). The losses differ, 0.062, 0.096, 0.223, as at 6000 there are 400 updates;
at equal training loss, 0.24 to 0.25, φ is 31, 63 and 131 %. As the loss falls φ rises at 1024 and 6000 and not at 256.
Test accuracy 0.886, 0.886, 0.880.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Three batch sizes, three seeds."""
    c = schema.defaults()
    c.findings = 'sharpness'
    c.held_fixed = ('epochs', 'learning_rate')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'mlp'
    c.model.widths = (128, 128)
    c.optimizer.name = 'adam'
    c.learning_rate = 1e-3
    c.total_epochs = 40.0
    points = (1.0, 3.0, 6.0, 10.0, 20.0, 30.0)  # and the end
    c.measure.sharpness.at_epochs = points
    c.measure.hessian_eigenvalues.at_epochs = points
    c.measure.hessian_eigenvalues.stability_limit = 'none'  # Adam
    c.sweep = ConfigDict(dict(batch_size=(256, 1024, 6000), seed=(0, 1, 2)))
    return c
