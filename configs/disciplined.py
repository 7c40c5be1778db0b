"""Which batch size is best at equal seconds under one-cycle? B = 8 to 256 on the CPU, each at its best peak rate.

Source: L. Smith, "A disciplined approach to neural network hyper-parameters" (2018, arXiv:1803.09820): one-cycle at
about equal execution time, total batch sizes 128 to 1,024 on four GPUs with epochs to suit (48 to 120 for a ResNet-56,
50 to 150 for a net of 3 layers; CIFAR-10), the peak rate of each by a range test, Nesterov momentum 0.95 to 0.85 and
back, weight decay by short runs. Here an MLP with batch norm on 9,600 images of Fashion-MNIST, 3 seconds of updates a
run, 6 seeds. Four peaks a batch size, about the best of a pilot with one seed at B = 8, 64 and 256, and two lower ones
after a first look, since the best lay on the edge; 2,400 more images choose among them. Weight decay 1e-3 is the
largest of 0, 1e-5, 1e-4, 1e-3 and 1e-2 that cost no validation accuracy in short runs with one seed at B = 64. Held
fixed: seconds, by PACES, measured once: what a run takes on another machine does not change it.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/disciplined.py --workdir=runs/disciplined
    python -m scripts.report --workdir=runs/disciplined

Cost: 216 runs, 17 minutes on 2 CPU cores that other programs shared. Found, 6 seeds: accuracies at equal seconds are
within a point of that of 64; the highest is 86.3 % at 16 and 32, and 256 ends 0.4 points (0.2 to 0.6) below 8, though
it sees twice the examples and fits nearly the whole training set. The test loss rises with the batch size, as Smith has
it; the training loss falls. The best peak grows from 8 to 256 by 64 (16 to 1,000). Records: docs/studies/disciplined.
"""

from ml_collections import ConfigDict

from bsresearch import schema

SECONDS = 3.0
# Microseconds per update of one run alone, before, on 2 CPU cores that other programs shared: the mean of two turns
# over all sizes, each the least of three; the median of five differs by 6 % at most. 20 an example at B = 8, 9 at 256.
PACES = {8: 160, 16: 244, 32: 466, 64: 784, 128: 1236, 256: 2308}
PEAKS = {8: 0.05, 16: 0.1, 32: 0.2, 64: 0.4, 128: 0.8, 256: 1.6}


def get_config() -> ConfigDict:
    """A batch size an arm: its updates, and six peaks."""
    c = schema.defaults()
    c.findings = 'disciplined'
    c.held_fixed = ('seconds',)
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction, c.data.validation = 0.2, 0.2
    c.model.name = 'mlp'
    c.model.widths, c.model.init, c.model.batch_norm = (100, 100), 'he_normal', True
    c.optimizer.name, c.optimizer.nesterov = 'momentum', True
    c.weight_decay, c.no_decay = 1e-3, ('bias', 'norm')
    c.schedule.name, c.schedule.anneal_strategy, c.schedule.three_phase = 'one_cycle', 'linear', True
    c.schedule.pct_start, c.schedule.div_factor, c.schedule.final_div_factor = 0.45, 10.0, 100.0
    c.evaluate.every_epochs, c.evaluate.log_spaced = 0.0, 6
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    for size, pace in PACES.items():
        peaks = tuple(PEAKS[size] * factor for factor in (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0))
        updates = int(SECONDS / (pace * 1e-6))
        c.arms[f'b{size}'] = dict(batch_size=size, total_steps=updates, seconds_per_update=pace * 1e-6)
        c.arms[f'b{size}'].sweep.learning_rate = peaks
    c.sweep.seed = (0, 1, 2, 3, 4, 5)
    return c
