r"""Fine-tuning with few examples: batch size × learning rate on a pair of classes, from weights of others or drawn.

After the common protocol of transfer (Yosinski et al. 2014, arXiv:1411.1792; which batch size and rate suit it: Li et
al. 2020, arXiv:2002.11770) at the smallest size: scikit-learn's digits 8 and 9, a fifth of their training examples
(57), an MLP that was trained on the digits 0 to 7. As it stands all weights are drawn, which is what fine-tuning is
compared with. Held fixed: epochs.

    python main.py --config=configs/fine_tune.py --workdir=runs/drawn
    bsresearch run --config=fine_tune --config.data.classes=0,1,2,3,4,5,6,7 --config.data.fraction=1.0 \
        --config.batch_size=32 --config.learning_rate=0.1 --config.seed=0 --workdir=runs/pretrained
    bsresearch run --config=fine_tune --config.init_from=runs/pretrained/train/<run id>@end --workdir=runs/fine_tuned
    bsresearch run --config=fine_tune --config.init_from=… --config.layer_rates="'dense_*=0'," --workdir=runs/frozen

Cost: under a minute each on 2 CPU cores, busy (45 runs; one to begin with). Found, test accuracy, mean ± 95 % interval
of 5 seeds that share those 57 examples, the 71 of the test set and the one run to begin with: at lr 0.01 drawn 0.961 ±
0.015, 0.924 ± 0.030, 0.611 ± 0.18 at B = 2, 8, 32, fine-tuned 0.980 ± 0.011, 0.949 ± 0.054, 0.899 ± 0.020, with the
hidden layers frozen 0.969 ± 0.023, 0.854 ± 0.076, 0.696 ± 0.085. At lr 0.1 drawn 0.978 ± 0.016, 0.963 ± 0.037, 0.958 ±
0.013, fine-tuned 0.975 ± 0.009, 0.975 ± 0.015, 0.975 ± 0.009. Weights of the other classes help where updates are few
and small; at lr 0.1 no difference shows beyond the intervals. Of the nine best rates eight lie on the grid's edge, so
no optimum is claimed.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """The grid, from drawn weights."""
    c = schema.defaults()
    c.held_fixed = ('epochs',)
    c.data.name = 'digits'
    c.data.classes = (8, 9)  # numbered anew: 0 and 1
    c.data.fraction = 0.2
    c.model.name = 'mlp'
    c.model.widths = (256, 256)
    c.optimizer.name = 'sgd'
    c.total_epochs = 20.0
    c.epoch_boundary = 'partial'
    c.evaluate.metrics = ('auc', 'calibration_error')
    c.measure.distance.every_epochs = 1.0
    c.sweep.batch_size = (2, 8, 32)
    c.sweep.learning_rate = (0.001, 0.01, 0.1)
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
