"""Does the size of the chunks in which a model is evaluated change its accuracy? 1 to all examples at a time, digits.

Source: help threads on Kaldi, where networks are decoded in chunks of frames and a user asks whether their size costs
accuracy: by construction it does not. Here an MLP with batch norm on digits, whose evaluation uses running statistics:
chunks of 1, 7, 64 and all 360 test examples; and training cut into micro-batches of 8 and 16 of its 32, with batch norm
over 8 throughout. Evaluation and micro-batches are outside a run's id: the patience, which has no effect, tells runs
apart. How many devices there are is told by tests/on_devices.py. 450 updates are 10 epochs, ended by a whole batch: in
a first run of 10 epochs the last update held 2 examples, and batch norm over these cost one seed 40 points, however it
was evaluated. Held fixed: epochs, batch size.

    python main.py --config=configs/kaldi.py --workdir=runs/kaldi
    python -m scripts.report --workdir=runs/kaldi

Cost: 36 runs, half a minute on 2 CPU cores that other programs shared. Found, 6 seeds: accuracy is the same to the
example in every run, and the loss to 1e-7; training in micro-batches ends within an example, on the mean. Records:
docs/studies/kaldi.
"""

from ml_collections import ConfigDict

from bsresearch import schema

CHUNKS = (1, 7, 64, 360)
MICRO_BATCHES = (8, 16)


def get_config() -> ConfigDict:
    """An arm for each way to cut evaluation, and training."""
    c = schema.defaults()
    c.findings = 'kaldi'
    c.held_fixed = ('epochs', 'batch_size')
    c.data.name = 'digits'
    c.model.name = 'mlp'
    c.model.widths, c.model.batch_norm = (64, 64), True
    c.batch_size = 32
    c.learning_rate, c.total_steps = 0.1, 450
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    for chunk in CHUNKS:
        c.arms[f'chunk_{chunk}'] = dict(
            ghost_batch_size=8, evaluate=dict(batch_size=chunk), divergence=dict(patience=chunk)
        )
    for size in MICRO_BATCHES:
        c.arms[f'micro_{size}'] = dict(ghost_batch_size=8, micro_batch_size=size, divergence=dict(patience=1000 + size))
    c.sweep.seed = (0, 1, 2, 3, 4, 5)
    return c
