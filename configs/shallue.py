"""How do steps to a target fall as the batch grows, when everything is tuned at every batch size? Three optimizers.

Source: Shallue, Lee et al., "Measuring the Effects of Data Parallelism on Neural Network Training" (2019,
arXiv:1811.03600): at every batch size the same number of quasi-random trials over all metaparameters, steps to a goal
out of sample, B by powers of two, plain SGD, momentum and Nesterov. Here an MLP on 9,600 images of Fashion-MNIST, B = 4
to 4,096 by factors of 4, 24 trials in each cell over the rate and the momentum; a trial stops at the target, which
chooses: the fewest updates. Winners are made again with four seeds. `full` goes on, for the best accuracy there is.
Held fixed: the number of trials; at each batch size their length.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/shallue.py --workdir=runs/shallue
    python -m scripts.report --workdir=runs/shallue

Cost: 760 runs, 84 minutes on 2 CPU cores that other programs shared, most of it evaluations, of which the test set's
are left out since. Found, 4 seeds: updates to the target fall by 4.1 to 4.3 from B = 4 to 16 and by 1.0 to 1.2 from
1,024 to 4,096; the critical batch size is 4.0 (2.2 to 7.0) times as large with momentum, 2.6 (1.1 to 6.3) times with
Nesterov momentum. Test accuracy is 84.3 to 84.9 % at every batch size. Records: docs/studies/shallue.
"""

from ml_collections import ConfigDict

from bsresearch import schema

TARGET = 'validation_accuracy:0.82'
SIZES = (4, 16, 64, 256, 1024, 4096)
# 12 epochs, and 300 updates at least.
EXAMPLES = tuple(max(12 * 9600, 300 * size) for size in SIZES)


def get_config() -> ConfigDict:
    """Four arms of six cells."""
    c = schema.defaults()
    c.study, c.findings = 'tune', 'shallue'
    c.held_fixed = ('target', 'tuned')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction, c.data.validation = 0.2, 0.2
    c.model.name = 'mlp'
    c.model.widths = (100,)
    c.optimizer.name, c.momentum = 'momentum', 0.9
    c.learning_rate = 0.1
    c.evaluate.every_epochs, c.evaluate.log_spaced = 0.0, 50
    c.evaluate.train = False
    c.norms.log_spaced, c.record.log_spaced = 0, 10
    c.checkpoint.every_epochs = 0.0
    c.tune.trials, c.tune.at_once = 24, 8
    c.tune.learning_rate, c.tune.momentum = (0.003, 3.0), (0.5, 0.99)
    c.arms.sgd = dict(
        optimizer=dict(name='sgd'), momentum=None, tune=dict(momentum=()), stop_at_target=TARGET,
        evaluate=dict(test=False),
    )  # fmt: skip
    c.arms.momentum = dict(stop_at_target=TARGET, evaluate=dict(test=False))
    c.arms.nesterov = dict(optimizer=dict(nesterov=True), stop_at_target=TARGET, evaluate=dict(test=False))
    c.arms.full = dict()
    c.sweep.zip = ConfigDict(dict(batch_size=SIZES, total_examples=EXAMPLES))
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
