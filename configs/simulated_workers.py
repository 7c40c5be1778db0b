"""Data parallelism on one device: does a model trained by up to 64 workers keep its quality?

Sources: Dell EMC, "Training an AI Radiologist with Distributed Deep Learning" (2018): Horovod, learning rate times the
number of workers, warm-up, batch norm per worker; there DenseNet-121 on chest X-rays. The recipe is that of Goyal et
al. (2017, arXiv:1706.02677): 0.1 for 256 examples, linear in the batch, from the rate of one worker over 5 of 18
epochs, times 0.1 at 1/3, 2/3 and 8/9 of the run. Here an MLP with batch norm on 12,000 images of Fashion-MNIST, 16
examples a worker, 18 epochs, 6 seeds. Arms: the rate scaled so, scaled from the first update, and left as it is for
one worker. Held fixed: epochs, a worker's batch. How workers are simulated, and where real ones differ:
bsresearch/planning/batch_norm.py.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/simulated_workers.py --workdir=runs/simulated_workers
    python -m scripts.report --workdir=runs/simulated_workers

A worker's gradient against that of all is the noise scale from two batch sizes, a worker's and that of 16 of them:
add --config.measure.noise_scale.every_epochs=1; B_simple/16 is about the number of workers beyond which more save
little. The same sizes in all arms, so that they compare; for those of one, noise_scale.batch_size = 16·workers.

Cost: 60 runs, 1¾ minutes on 2 CPU cores. Found, 6 seeds: with the rate scaled 64 workers end 0.7 points (0.5 to 0.8)
below one, within a point of it; at one worker's rate accuracy falls with every step, by 7.9 points (7.3 to 8.4) at 64.
A warm-up adds less than 0.3 points at 16 workers and 0.8 at 64. Records: docs/studies/simulated_workers.
"""

from ml_collections import ConfigDict

from bsresearch import schema

PER_WORKER = 16  # examples of a batch that each worker holds
WORKERS = (1, 4, 16, 64)


def get_config() -> ConfigDict:
    """The rate scaled with a warm-up and without, and not scaled; one worker, where all are the same, once."""
    c = schema.defaults()
    c.findings = 'simulated_workers'
    c.held_fixed = ('epochs', 'batch_size/workers')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = 0.2
    c.model.name = 'mlp'
    c.model.widths, c.model.init = (100, 100), 'he_normal'
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
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.measure.noise_scale.batch_size = 16 * PER_WORKER  # examples; off: see above
    c.measure.noise_scale.small_batch_size = PER_WORKER
    for workers in WORKERS:
        together = dict(workers=workers, batch_size=PER_WORKER * workers)
        scaled, start = dict(together, scaling=dict(name='linear')), 1 / workers  # the rate of one worker
        c.arms[f'scaled_{workers}'] = dict(scaled, warmup=dict(start=start))
        if workers > 1:
            c.arms[f'unwarmed_{workers}'], c.arms[f'unscaled_{workers}'] = scaled, together
    c.arms.unscaled_1 = 'scaled_1'
    c.sweep.seed = (0, 1, 2, 3, 4, 5)
    return c
