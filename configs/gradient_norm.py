"""Gradient norm against batch size at epochs 2 and 30 of a large-batch run: walking, frozen, single-batch.

Source: K. Shen, "Effect of batch size on training dynamics" (2018), 1000 trials: MLP 784-1024-1024-10, plain SGD,
B = 1024, lr 0.01, on MNIST; here on Fashion-MNIST unless
--config.data.name=mnist --config.data.mean=0.1307 --config.data.std=0.3081. The run is trained first. A trial
walks through the same 1024 examples in batches of every size. Held fixed within a trial: the examples and η.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/gradient_norm.py --workdir=runs/gradient_norm
    python -m bsresearch fig gradient_norm --workdir=runs/gradient_norm

All parameters instead of the last layer's weights: --config.probe.parameters="('all',)"; other rates of the walk:
--config.probe.learning_rates=0.001,0.01,0.1; fewer trials: --config.probe.trials=100.

Cost: training 4 minutes on 2 CPU cores, then about 3.2 s a trial at all batch sizes of one checkpoint: 11 minutes for
100 trials at both, 1.8 hours for 1000. Found with 100 trials, one run (mean ± standard deviation over trials):
- Walking, η = 0.01: 0.142 ± 0.003 at B = 1, 0.214 ± 0.009 at 16, 0.524 ± 0.109 at 1024 (epoch 2); 0.133 ± 0.003,
  0.185 ± 0.015, 0.685 ± 0.211 (epoch 30). It rises with B, its coefficient of variation from 2 % to 21 % and 31 %, and
  the kurtosis of the entries from 6 to 14 and 25, as Shen found. Epoch 2 lies above epoch 30 up to B = 512; at 1024,
  where walking is frozen, below: ‖∇L‖ over P happens to be 0.56 at epoch 30 and 0.35 at epoch 2 (the norm of the
  batch gradient swings between 0.9 and 2.4 in the last third of training). From B = 6 to 64 epoch 30 is nearly flat
  (0.176 to 0.202), but does not fall.
- Which law, R² (95 % interval) of the squared walking norm: η = 0.01: b·B 0.988 (0.978 to 0.992) and 0.939 (0.923 to
  0.955), b·√B 0.962 and 0.782, b/B 0.20 and 0.10; η = 0.001: b·√B 0.931 (0.921 to 0.939) and 0.969 (0.965 to 0.972),
  b·B 0.738 and 0.839. So the answer depends on η. At η = 0.1 no law: the norm has a maximum at B = 256, and of 100
  walks some are not finite up to B = 4 (epoch 2) and 6 (epoch 30).
- Frozen is constant (to the bit where B divides n); single-batch lies within 1.4 standard errors of ‖∇L‖² + tr Σ/B at
  all 15 batch sizes, its fit of a + b/B has R² 0.997; displacement = η·(n/B)·walking within 1e-5. The displacement
  itself falls from 4.17 at B = 1 to 0.010 at 1024.
"""

from ml_collections import ConfigDict

from bsresearch import schema


def get_config() -> ConfigDict:
    """One run and its probes."""
    c = schema.defaults()
    c.study = c.findings = 'gradient_norm'
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.1307,), (0.3081,)  # MNIST's, as Shen used
    c.model.name = 'mlp'
    c.model.widths = (1024, 1024)
    c.model.init = 'glorot_normal'
    c.optimizer.name = 'sgd'
    c.batch_size = 1024
    c.learning_rate = 0.01
    c.total_epochs = 30.0
    c.epoch_boundary = 'partial'
    c.probe.name = 'gradient_norm'
    c.probe.at_epochs = (2, 30)
    c.probe.trials = 1000
    c.probe.parameters = ('output/kernel',)
    return c
