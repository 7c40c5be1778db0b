"""How far does linear scaling of the learning rate go, and does it need a warm-up? One worker to 64, three warm-ups.

Source: Goyal et al., "Accurate, Large Minibatch SGD" (2017, arXiv:1706.02677): k workers of n = 32 examples, batch norm
over each worker's own, rate 0.1·kn/256, Nesterov momentum 0.9, weight decay 1e-4 but not on biases and norms, × 0.1
at 1/3, 2/3 and 8/9 of the epochs; the rate begins at that of one worker and rises for 5 of 90 epochs (gradual), stands
there for as long (constant), or is scaled from the first update. There ResNet-50 on ImageNet to kn = 65,536; here a
small CNN on 12,000 images of Fashion-MNIST, n = 64, k = 1, 4, 16 and 64, 12 epochs of which 2 are warm-up, 5 seeds.
The rate of one worker, 0.05, lies between 0.02 and 0.08, which a pilot with one seed could not tell apart (0.32 did not
train). Held fixed: epochs, examples of a worker.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/goyal.py --workdir=runs/goyal
    python -m scripts.report --workdir=runs/goyal

Cost: 50 runs, 47 minutes on 2 CPU cores that other programs shared. Found, 5 seeds: 4 workers with a gradual warm-up
end 0.5 points (−1.2 to 0.2) below one; at 16 and 64 no warm-up trains: the break lies between, so that warm-ups cannot
be told apart at these sizes (8 workers would). At 4 workers the verdict turns at equal updates, where one worker is
2.4 points (1.7 to 3.2) below, its rate not yet lowered; at equal seconds it is that at equal epochs; a best rate
cannot be told, one was tried. Records: docs/studies/goyal.
"""

from ml_collections import ConfigDict

from bsresearch import schema

PER_WORKER = 64
WORKERS = (4, 16, 64)


def get_config() -> ConfigDict:
    """One worker, then each number of workers with each warm-up."""
    c = schema.defaults()
    c.findings = 'goyal'
    c.held_fixed = ('epochs', 'batch_size/workers')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = 0.2
    c.model.name = 'cnn'
    c.model.widths, c.model.dense_width = (4, 8), 16
    c.model.init, c.model.batch_norm = 'he_normal', True
    c.optimizer.name, c.optimizer.nesterov, c.momentum = 'momentum', True, 0.9
    c.weight_decay, c.no_decay = 1e-4, ('bias', 'norm')
    c.learning_rate = 0.05
    c.scaling.name, c.scaling.reference_batch_size = 'linear', PER_WORKER
    c.total_epochs = 12.0
    c.schedule.name, c.schedule.factor, c.schedule.at_fractions = 'step', 0.1, (1 / 3, 2 / 3, 8 / 9)
    c.evaluate.every_epochs = 1.0
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.arms.one_worker = dict(batch_size=PER_WORKER, workers=1)
    for workers in WORKERS:
        together = dict(batch_size=PER_WORKER * workers, workers=workers)
        start = 1 / workers  # the rate of one worker
        c.arms[f'gradual_{workers}'] = dict(together, warmup=dict(epochs=2.0, start=start))
        c.arms[f'constant_{workers}'] = dict(together, warmup=dict(epochs=2.0, start=start, shape='constant'))
        c.arms[f'none_{workers}'] = together
    c.sweep.seed = (0, 1, 2, 3, 4)
    return c
