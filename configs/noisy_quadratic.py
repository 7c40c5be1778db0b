"""The noisy quadratic model, trained by the engine, against what it must do: batch size × (learning rate, momentum).

Source: Zhang et al., "Which Algorithmic Choices Matter at Which Batch Sizes?" (2019, arXiv:1907.04164), section 3: the
model and its recurrence. Held fixed: updates, learning rate within an arm. The 16 runs of an arm have a training set
each, passed over once at most, so their draws are independent.

    python main.py --config=configs/noisy_quadratic.py --workdir=runs/noisy_quadratic
    python -m bsresearch fig noisy_quadratic --workdir=runs/noisy_quadratic

Cost: 2 minutes on 2 CPU cores (shared with others). Found, 16 runs an arm, 264 points: the mean losses lie on the
recurrence, deviations 0.85 standard errors root mean square, −0.10 in the mean, 3.8 at most (Student's t with 15
degrees of freedom; points of one run are correlated). At equal ε/(1 − μ) = 0.5 momentum 0.9 and none end alike: loss
1.97 and 2.32 (± 0.2 and 0.3) at B = 1, 0.0038 and 0.0046 (± 0.0003) at B = 512; predicted 2.04 and 2.28, 0.0040 and
0.0045.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """Two arms of equal effective learning rate, and one of a tenth."""
    c = schema.defaults()
    c.findings = 'noisy_quadratic'
    c.held_fixed = ('updates',)
    c.replicates = ('data.random_state',)
    c.data.name = 'noisy_quadratic'
    c.data.dimension = 32
    c.data.num_examples = 131072  # one epoch at B = 512
    c.data.noise = 4.0
    c.model.name = 'quadratic'
    c.loss.name = 'sum_of_outputs'
    c.optimizer.name = 'momentum'
    c.total_steps = 256
    c.evaluate.every_epochs = 0.0
    c.evaluate.log_spaced = 25
    c.evaluate.train = False
    c.checkpoint.every_epochs = 0.0
    c.arms.high_rate = dict(learning_rate=0.5, momentum=0.0)
    c.arms.momentum = dict(learning_rate=0.05, momentum=0.9)
    c.arms.low_rate = dict(learning_rate=0.05, momentum=0.0)
    c.sweep.batch_size = (1, 8, 64, 512)
    c.sweep.data.random_state = tuple(range(16))
    return c
