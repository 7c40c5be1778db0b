"""Do large batches find sharp minima, and what does sharpness say? F1 with and without batch norm, and a small C1.

Source: Keskar et al., "On Large-Batch Training for Deep Learning: Generalization Gap and Sharp Minima" (2017,
arXiv:1609.04836): Adam, small batches of 256 and large ones of a tenth of the data, from the same uniformly random
weights, until the loss stops improving; F1 is fully connected with batch norm, 5 × 512 units on MNIST; C1 is
convolutional, with batch norm and dropout, on CIFAR-10. φ: the largest rise of the training loss in a box around the
weights (measure/sharpness.py), ε = 1e-3 and 5e-4, all weights and a random subspace of 100. Dinh et al., "Sharp Minima
Can Generalize" (2017, arXiv:1703.04933): layers rescaled. Here Fashion-MNIST: F1 of 5 × 64 units on 6,000 images, 30
against 600, 60 epochs, 15 seeds; C1 of 8 channels, 96 and 48 units on 1,500, 15 against 150, 40 epochs, 10 seeds. No
rule stops a run when its loss stops improving, so φ of F1 is read at equal epochs and at equal training loss. φ takes
batch norm as evaluation does, by its running averages: one function whatever the batch. Between two solutions, and for
rescaled layers, F1 has no batch norm. Pilots with seed 0 chose sizes, epochs, the loss and α = 0.1. Held fixed: epochs,
learning rate.

    python -m scripts.prepare_data --name=fashion_mnist
    python main.py --config=configs/keskar.py --workdir=runs/keskar
    python -m scripts.report --workdir=runs/keskar

Cost: 140 runs, 48 minutes on 2 CPU cores that other programs shared, 17 of these minutes for C1; a third of the time is
φ. Found: φ of F1 at 600 over 30 is 13.6 (10.5 to 17.6, 15 seeds) with batch norm and 16 (13 to 21) without; where both
have a training loss of 0.1 it is 5.6 times (4.8 to 6.5) with batch norm and 9.2 (8.2 to 10.4) without. Test accuracy is
0.7 points (0.2 to 1.1) lower with batch norm, without it 0.16 higher (−0.30 to 0.63). φ rises with B from 15 to 600 and
is level from there on. C1 at 150 is 0.75 points (0.2 to 1.3, 10 seeds) below 15 and 2.2 times (1.7 to 2.9) as sharp,
before its loss has stopped falling. Rescaled layers of the small batch's solution have 62 times its φ, 3.8 times the
large batch's. Records: docs/studies/keskar.
"""

from ml_collections import ConfigDict

from bsresearch import schema

SMALL, LARGE, EPOCHS = 30, 600, 60.0
C1_SMALL, C1_LARGE, C1_EPOCHS = 15, 150, 40.0
TEN, FIFTEEN = tuple(range(1, 11)), tuple(range(1, 16))
PHI = dict(function='bsresearch.measure.sharpness:build', statistics='running', micro_batch_size=3000, at_epochs=())


def get_config() -> ConfigDict:
    """F1 with batch norm at every batch size, without at two; C1 at two."""
    c = schema.defaults()
    c.study = 'interpolation'
    c.findings = 'keskar'
    c.held_fixed = ('epochs', 'learning_rate')
    c.data.name = 'fashion_mnist'
    c.data.mean, c.data.std = (0.2860,), (0.3530,)
    c.data.fraction = 0.1
    c.model.name = 'mlp'
    c.model.widths, c.model.init = (64,) * 5, 'glorot_uniform'
    c.optimizer.name, c.learning_rate = 'adam', 1e-3
    c.total_epochs = EPOCHS
    c.evaluate.every_epochs, c.evaluate.log_spaced = 0.0, 16
    c.norms.log_spaced, c.record.log_spaced = 0, 30
    c.checkpoint.every_epochs = 0.0
    c.measure.distance.log_spaced = 40
    c.measure.sharpness = {**PHI, 'at_epochs': (3.0, 8.0, 16.0, 30.0, EPOCHS)}
    c.measure.half_sharpness = dict(PHI, name='half_sharpness', epsilon=5e-4)
    c.measure.subspace_sharpness = dict(PHI, name='subspace_sharpness', subspace=100)
    c.measure.rescaled_sharpness = dict(PHI, name='rescaled_sharpness', rescale=0.1)
    c.probe.name = 'none'
    end = dict(at_epochs=(EPOCHS,))
    c.arms.norm = dict(
        model=dict(batch_norm=True),
        measure=dict(half_sharpness=end, subspace_sharpness=end),
        sweep=dict(batch_size=(15, SMALL, 60, 200, LARGE, 1500), seed=FIFTEEN),
    )
    c.arms.plain = dict(
        probe=dict(name='interpolation'),
        measure=dict(rescaled_sharpness=end),
        sweep=dict(batch_size=(SMALL, LARGE), seed=FIFTEEN),
    )
    # An eighth of the channels, a quarter of the units; 1 and 10 % of 1,500 images.
    c.arms.c1 = dict(
        data=dict(fraction=0.025),
        model=dict(name='c1', width=8, dense_widths=(96, 48), init='glorot_uniform'),
        total_epochs=C1_EPOCHS,
        evaluate=dict(log_spaced=0, at_epochs=(C1_EPOCHS,)),
        record=dict(log_spaced=10),
        measure=dict(distance=dict(log_spaced=0, at_epochs=(C1_EPOCHS,)), sharpness=dict(at_epochs=(C1_EPOCHS,))),
        sweep=dict(batch_size=(C1_SMALL, C1_LARGE), seed=TEN),
    )
    return c
