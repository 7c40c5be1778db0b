"""Data parallelism on one device: does a model trained by up to 64 workers keep its quality?

Sources: Dell EMC, "Training an AI Radiologist with Distributed Deep Learning" (2018): Horovod, learning rate times the
number of workers, warm-up, batch norm per worker; there DenseNet-121 on chest X-rays. The recipe is that of Goyal et
al. (2017, arXiv:1706.02677): 0.1 for 256 examples, linear in the batch, from the rate of one worker over 5 epochs,
times 0.1 at 1/3, 2/3 and 8/9 of the run. Here the smallest faithful task: a small CNN with batch norm on Fashion-MNIST,
64 examples per worker, 18 epochs. Arms: the rate scaled so, and left as it is for one worker. Held fixed: epochs, a
worker's batch. How workers are simulated, and where real ones differ: bsresearch/planning/batch_norm.py.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/simulated_workers.py --workdir=runs/workers
    python -m bsresearch report --workdir=runs/workers

A worker's gradient against that of all is the noise scale from two batch sizes, a worker's and that of 16 of them:
add --config.measure.noise_scale.every_epochs=1; B_simple/64 is about the number of workers beyond which more save
little. The same sizes in all arms, so that they compare; for those of one, noise_scale.batch_size = 64·workers.

Cost: about 1¼ hours on 2 idle CPU cores, estimated from 6,400 examples/s, which the batch size does not change. Not run
in full yet. In short (--config.data.fraction=0.2 --config.total_epochs=4 --config.warmup.epochs=1: 12 updates by 64
workers; 15 minutes on busy cores), test accuracy of 1, 4, 16 and 64 workers, 3 seeds: scaled 0.865, 0.850, 0.66, 0.11;
unscaled 0.865, 0.834, 0.757, 0.52. Only 4 workers with the rate scaled are not told from one (−0.015, 95 % interval
−0.033 to 0.002); beyond, so few updates at so high a rate are worse than at one worker's.
"""

from ml_collections import ConfigDict

from bsresearch import schema

PER_WORKER = 64  # examples of a batch that each worker holds
WORKERS = (1, 4, 16, 64)


def get_config() -> ConfigDict:
    """The grid: workers with the rate scaled, then without; one worker, where they are the same, once."""
    c = schema.defaults()
    c.findings = 'simulated_workers'
    c.held_fixed = ('epochs', 'batch_size/workers')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.model.name = 'cnn'
    c.model.widths = (8, 16)
    c.model.dense_width = 64
    c.model.batch_norm = True  # over each worker's own examples
    c.optimizer.name = 'momentum'
    c.optimizer.nesterov = True
    c.weight_decay = 1e-4
    c.no_decay = ('bias', 'norm')
    c.learning_rate = 0.1 * PER_WORKER / 256  # of one worker
    c.total_epochs = 18.0
    c.schedule.name = 'step'
    c.schedule.factor = 0.1
    c.schedule.at_fractions = (1 / 3, 2 / 3, 8 / 9)
    c.warmup.epochs = 5.0
    c.warmup.start = 1.0  # of the peak: flat, but where the rate is scaled
    c.scaling.reference_batch_size = PER_WORKER
    c.evaluate.every_epochs = 3.0
    c.measure.noise_scale.batch_size = 16 * PER_WORKER  # examples; off: see above
    c.measure.noise_scale.small_batch_size = PER_WORKER
    for workers in WORKERS:
        start = 1 / workers  # the rate of one worker
        together = dict(workers=workers, batch_size=PER_WORKER * workers)
        c.arms[f'scaled_{workers}'] = dict(together, scaling=dict(name='linear'), warmup=dict(start=start))
    c.arms.unscaled_1 = 'scaled_1'
    for workers in WORKERS[1:]:
        c.arms[f'unscaled_{workers}'] = dict(workers=workers, batch_size=PER_WORKER * workers)
    c.sweep.seed = (0, 1, 2)
    return c
