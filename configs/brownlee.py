"""Brownlee's study of stability: three flavours of gradient descent on blobs, and the panel over batch sizes.

Source: J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size"
(machinelearningmastery.com, 2019): make_blobs(1000, centers=3, features=2, std=2, random_state=2), first half train,
last half test; MLP 2-50-3, ReLU, He uniform; SGD with momentum 0.9, 200 epochs, last short batch kept as Keras does.

    python main.py --config=configs/brownlee.py --workdir=runs/brownlee
    python -m scripts.report --workdir=runs/brownlee

The points are scikit-learn's own, so his. Of his network differ: the output layer is He uniform too (Keras: Glorot
uniform, 3 % narrower). His numbers are one run of Keras each. His curve of the training accuracy is Keras's running
mean over the epoch; here it is that of the weights at the epoch's end.

Cost: 110 runs in 11 minutes on 2 CPU cores that another program kept busy (the first 5 seeds in 4). Ten runs of B = 1
take 14 s of updates (71,000 updates/s); compiling 10 programs and evaluating 200 times outweigh the larger batches.

Found (10 seeds; accuracy over the last 50 epochs and its standard deviation there, in %, mean and 95 % interval):

    B, lr       his train, test   train               test                volatility          epochs to 80 % test
    500, .01    81.6, 83.0        80.6 (80.3, 80.9)   83.2 (83.1, 83.3)   0.21 (0.15, 0.28)   73 (64, 82)
    1, .01      61.2, 60.6        56.2 (54.7, 57.7)   56.8 (55.4, 58.2)   7.19 (6.82, 7.56)   9 of 10 runs never
    1, .001     81.6, 82.4        83.0 (82.8, 83.1)   81.7 (81.6, 81.8)   1.00 (0.77, 1.23)   3.5 (2.7, 4.3)
    32, .01     83.2, 81.2        82.9 (82.7, 83.0)   82.0 (81.8, 82.1)   0.75 (0.64, 0.86)   8 (6, 9)

Each of his numbers lies in the range where a single run ends (95 %; at B = 1, lr .01 from 30 to 77). Volatility falls
and epochs to 80 % rise with B (Kendall's τ −0.58 and 0.96), but two of his readings do not come out. Batch descent has
not converged at epoch 100: train rises by another 3.5 (2.9, 4.0) points, test by 1.6 (0.8, 2.5). And B = 450 is as
volatile as B = 8 to 16: 1.1 (0.9, 1.3). Each of its epochs ends with an update on the 50 examples left, at the full
learning rate and right before the evaluation; with epoch_boundary='through' it has 0.37 (0.34, 0.40), 5 seeds.
B = 32 is steadier than B = 1 at lr .01; at lr .001 the difference is undecided.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Batch, stochastic (two learning rates) and mini-batch gradient descent, and his eight batch sizes."""
    c = schema.defaults()
    c.study = c.findings = 'brownlee'
    c.held_fixed = ('epochs',)
    c.data.name = 'blobs'
    c.model.name = 'mlp'
    c.model.widths = (50,)
    c.model.init = 'he_uniform'
    c.optimizer.name = 'momentum'
    c.momentum = 0.9
    c.learning_rate = 0.01
    c.total_epochs = 200.0
    c.epoch_boundary = 'partial'
    c.record.log_spaced = 100
    c.norms.log_spaced = 0  # each point would leave the device
    c.checkpoint.every_epochs = 50.0
    c.arms.slow = dict(batch_size=1, learning_rate=0.001)
    c.arms.stochastic = dict(batch_size=1)
    for size in (4, 8, 16):
        c.arms[f'b{size}'] = dict(batch_size=size)
    c.arms.mini_batch = dict(batch_size=32)
    for size in (64, 128, 256, 450):
        c.arms[f'b{size}'] = dict(batch_size=size)
    c.arms.batch = dict(batch_size=500)
    c.sweep.seed = tuple(range(10))
    return c
