"""Every field of the config but those that a part brings: default, unit, meaning. `schema.defaults()` is made of it.

A type stands where no value is given by default (None). Sections of points have the fields of core/when.py too.
"""

from typing import Any

from bsresearch.core.field import Field, Section
from bsresearch.core.when import POINTS


def _points(meaning: str, own: dict[str, Field] | None = None, **given: Any) -> Section:
    """A section of points; `given`: those that are on by default."""
    points = {name: field._replace(default=given.get(name, field.default)) for name, field in POINTS.items()}
    return Section(f'at which points: {meaning}', points | (own or {}))


def _part(default: str, meaning: str, **own: Field) -> Section:
    """A section whose `name` picks a part, which brings the other fields."""
    return Section(meaning, {'name': Field(default, '', 'which; the part brings the other fields'), **own})


def _kept(what: str, otherwise: str = 'reset') -> Field:
    return Field(str, '', f'{what}: keep | {otherwise}; None: keep')


# --- what is trained: these fields make a run's id
TRAINED: dict[str, Field | Section] = {
    'study': Field('train', '', 'the kind of question: a file of bsresearch/studies'),
    'seed': Field(0, '', 'of all random streams'),
    'init_seed': Field(int, '', 'of the initial weights; None: seed'),
    'data_seed': Field(int, '', 'of order, augmentation, dropout; None: seed'),
    'batch_size': Field(32, 'examples', 'per update, over all devices'),
    'ghost_batch_size': Field(int, 'examples', 'in a batch-norm group; None: batch_size, or by workers'),
    'workers': Field(
        int, 'workers', 'simulated data parallelism: they share each batch equally, each with batch norm over its own '
        'shard of batch_size / workers examples; None or 1: none',
    ),
    'total_epochs': Field(float, 'epochs', 'length of the run: exactly one of the four total_…'),
    'total_examples': Field(int, 'examples', 'length of the run: exactly one of the four total_…'),
    'total_steps': Field(int, 'updates', 'length of the run: exactly one of the four total_…'),
    'total_seconds': Field(
        float, 'seconds', 'length of the run: exactly one of the four total_…; of updates alone, turned into '
        'updates by seconds per update that a launch measures first',
    ),
    'stop_at_target': Field(
        '', '', '<metric>:<value>, as test_accuracy:0.95: the run ends at the first evaluation as good; "": never'
    ),
    'epoch_boundary': Field('through', '', 'of a batch where an epoch ends: through | partial | drop (core/units.py)'),
    'learning_rate': Field(0.1, '', "the schedule's peak"),
    'momentum': Field(float, '', "β₁ for Adam; None: the schedule's, or the optimizer's own"),
    'weight_decay': Field(0.0, '', "λ; added to the gradient or to the step, as the optimizer's file says"),
    'no_decay': Field((), '', "parameters without weight decay: 'bias', 'norm', or patterns of paths ('output/*')"),
    'layer_rates': Field(
        (), '', "factors of the learning rate of parameters: 'dense_0/*=0' (frozen), 'output/*=10'; groups as of "
        'no_decay; of several that match the last counts',
    ),
    'init_from': Field(
        '', '', '<workdir>/<study>/<run>@<point>: a run whose weights this one begins with; epoch:2, step:100, '
        'examples:5000 or end. The last layer may have another shape, and is then drawn; "": all are drawn',
    ),
    'init_new': Field((), '', 'with init_from: parameters that are drawn all the same: groups as of no_decay'),
    'data': _part(
        'digits', 'the data set: an embedded one, or a TFDS set prepared by `bsresearch prepare`',
        fraction=Field(1.0, '', 'of the training examples, chosen by split_seed'),
        validation=Field(0.0, '', 'fraction of the training examples held out, chosen by split_seed'),
        split_seed=Field(0, '', 'of both choices'),
        classes=Field((), '', 'of which examples are taken, numbered anew in that order; (): all, as they are'),
        mean=Field((0.0,), '', 'subtracted per channel, after scaling to [0, 1]'),
        std=Field((1.0,), '', 'divided by per channel, after that'),
        augment=Field((), '', "of 'flip', 'crop'; keyed by the example's place in the stream"),
        crop_padding=Field(4, 'pixels', "for 'crop'"),
    ),
    'model': _part('mlp', 'the network'),
    'dtype': Field('float32', '', 'of the computation: float32 | bfloat16 | float64 (which the weights are then too)'),
    'matmul_precision': Field('highest', '', 'default | high | highest; matters on GPU and TPU'),
    'loss': _part('cross_entropy', 'the training objective'),
    'optimizer': _part('sgd', 'the update rule'),
    'clip': Section('clipping of the gradient', {
        'norm': Field(float, '', 'the largest norm of the whole gradient; None: any'),
        'value': Field(float, '', 'the largest size of each component; None: any'),
    }),
    'schedule': _part('constant', 'of learning_rate, a factor of it over the run; some bring a momentum too'),
    'momentum_schedule': _part('constant', 'of momentum, a factor of it over the run'),
    'weight_decay_schedule': _part('constant', 'of weight_decay, a factor of it over the run'),
    'batch_schedule': _part(
        'constant', 'where along the example stream the batch size changes, and to what',
        as_learning_rate=Field(
            False, '', 'keep batch_size, and let the learning rate fall by what the batch would have grown'
        ),
    ),
    'warmup': Section('of the learning rate', {
        'epochs': Field(float, 'epochs', 'its length: at most one of epochs, examples, steps'),
        'examples': Field(int, 'examples', 'its length: at most one of epochs, examples, steps'),
        'steps': Field(int, 'updates', 'its length, at a batch size that does not change: at most one of the three'),
        'start': Field(0.0, '', "learning rate at the start, as a fraction of the schedule's"),
        'convention': Field('zero_based', '', 'zero_based: t/W, first update at `start`; one_based: (t+1)/W'),
        'shape': Field('gradual', '', 'gradual: a line from `start`; constant: `start` throughout (Goyal et al.)'),
        'delays_schedule': Field(False, '', 'True: the schedule begins where it ends; False: it runs from update 0'),
    }),
    'scaling': _part(
        'none', 'the rule by which hyperparameters follow the batch size',
        reference_batch_size=Field(int, 'examples', 'B_ref: where the declared numbers hold'),
        weight_decay=Field(str, '', 'none | linear | sqrt; None: as the rule has it'),
        momentum=Field(str, '', 'none | half_life | noise_temperature; None: as the rule has it'),
        warmup=Field(str, '', 'of its length in examples: none | linear | sqrt; None: as the rule has it'),
        regime_adaptation=Field(
            False, '', 'lengths and boundaries in epochs or examples times B/B_ref: equal updates'
        ),
    ),
    'ema': Section('exponential moving average of the weights, evaluated beside them as ema_*', {
        'half_life_epochs': Field(float, 'epochs', 'give one of the two; None: no average'),
        'half_life_examples': Field(int, 'examples', 'give one of the two; None: no average'),
    }),
    'divergence': Section('what counts as diverged besides a loss that is not finite', {
        'loss_factor': Field(float, '', 'a loss above this factor of the first loss …; None: none'),
        'patience': Field(1, 'updates', '… for so many in a row'),
    }),
}  # fmt: skip
# --- how it is executed: changes no result (strategy and micro-batch within rounding), recorded
EXECUTED: dict[str, Field | Section] = {
    'strategy': Field(
        'auto', '', 'replicas of a group: auto | vmap | sequential (on a CPU: each has the bits it has alone)'
    ),
    'max_replicas': Field(64, 'runs', 'in a group at most'),
    'micro_batch_size': Field(int, 'examples', 'per gradient call; None: chosen by the engine'),
    'data_residence': Field('auto', '', 'auto | device | host'),
    'parallel': Field('jit', '', 'over several devices: jit | pmap'),
    'devices': Field(int, 'devices', 'how many; None: all there are, of all processes'),
    'mesh': Section('the sides of the mesh of devices', {
        'replica': Field(int, 'devices', 'over which the runs of a group are spread; None: as many as can be, first'),
        'batch': Field(int, 'devices', 'over which the batch of each is spread; None: the others'),
    }),
    'reduction': Field('psum', '', "of the devices' gradients: psum | ordered (the same bits on any number of them)"),
    'reduction_chunks': Field(8, 'chunks', 'of a batch, where they are added in order; the bits depend on it'),
    'seconds_per_update': Field(
        float, 'seconds', "of the records' seconds; None: measured when a run begins; given by total_seconds"
    ),
    'uneven_batch': Field('pad', '', 'a batch that devices cannot share evenly: pad (with weight zero) | refuse'),
}  # fmt: skip
_DENSE = {'dense': Field(False, '', "every update's, as binary arrays")}
# --- what is recorded
RECORDED: dict[str, Field | Section] = {
    'record': _points('loss and hyperparameters of an update', _DENSE, log_spaced=1000),
    'norms': _points(
        'gradient norm before and after clipping, ‖Δθ‖: a pass over the weights each',
        {'update': Field(True, '', '‖Δθ‖ too; without it norms are nearly free at B = 1 for dense nets'), **_DENSE},
        log_spaced=50,
    ),
    'evaluate': _points('the full training, validation and test sets', {
        'batch_size': Field(int, 'examples', 'per forward call; None: chosen by the engine'),
        'train': Field(True, '', 'the training set too'),
        'test': Field(True, '', 'the test set too; without it a search that validation judges costs less'),
        'metrics': Field((), '', "beside loss and accuracy: 'auc', of two classes or of each label, and their mean; "
                         "'calibration_error', of the probability of the class that is told"),
        'estimated_statistics': Field(
            False, '', "also with batch norm's statistics estimated anew over the training set, as estimated_*"
        ),
    }, every_epochs=1.0),
    'checkpoint': _points('for resuming; the latest two are kept', {
        'min_seconds': Field(10.0, 'seconds', 'points that follow the last save more closely are passed over'),
    }, every_epochs=1.0),
    'keep': _points('checkpoints that are never removed; the last one always is'),
    'measure': Section('every file of bsresearch/measure, off; its own fields stand beside the points', {}),
    'measure_preset': Field('none', '', 'none | economy | standard | full: switches sets of them on, every epoch'),
    'probe': _part(
        'none', 'a file of bsresearch/measure/probes, made at points of a run (its end if none are given) once it is '
        'trained, for study=gradient_norm, interpolation or shen',
        at_steps=POINTS['at_steps'], at_epochs=POINTS['at_epochs'],
    ),
    'branch': Section('branches of every run at these points, for study=reload, critical_batch_size or shen', {
        'at_steps': POINTS['at_steps'],
        'at_epochs': POINTS['at_epochs'],
        'arms': Section('named branches, sections of changes: branch.arms.<name>.<field>; of their own they have', {
            'of': Field((), '', 'the arms whose runs are branched; all without it'),
            'at_steps': POINTS['at_steps']._replace(meaning='where, in place of branch.at_…'),
            'at_epochs': POINTS['at_epochs']._replace(meaning='where, in place of branch.at_…'),
            'state': Field({}, '', 'part of the state → keep | reset | rebase, in place of branch.<part>'),
        }),
        'batch_sizes': Field((), 'examples', 'reload: a branch for each, with nothing else changed'),
        'learning_rates': Field((), '', 'reload: a branch for each, with nothing else changed'),
        'multiples': Field(
            (), '', 'critical_batch_size: a branch for each k, with k·batch_size and a learning rate to suit'
        ),
        'learning_rate_rule': Field(str, '', 'linear | sqrt | none, in k; None: by the optimizer'),
        'rates': Field(
            ('rule',), '', 'critical_batch_size: rates tried at each k: rule, by learning_rate_rule; held, the same; '
            'tuned, the best of factors',
        ),
        'factors': Field(
            (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0), '', 'of the learning rate, tried at each k for rates=tuned, '
            "beside the rule's",
        ),
        'evaluations': Field(4, 'points', 'critical_batch_size: evenly spaced over a branch, the last at its end'),
        'more_epochs': Field(1.0, 'epochs', 'how long a branch trains; 0 where it is given in examples'),
        'more_examples': Field(int, 'examples', 'how long a branch trains; None: it is given in epochs'),
        'stats': _kept("batch norm's running averages"),
        'data': _kept('the place in the example stream'),
        'random': _kept('the place in the streams of augmentation and dropout'),
        'optimizer': Field(str, '', 'its slots: keep | reset; None: keep, or reset where it is another one'),
        'schedule': _kept('its place', 'rebase'),
        'average': _kept('of the weights'),
        'measures': _kept('what measurements remember'),
        'initial': _kept('weights that distances are measured from'),
    }),
    'tune': Section('search for the best values in every cell of the grid, for study=tune or advise', {
        'learning_rate': Field((), '', '(lowest, highest) to begin with; log-uniform'),
        'momentum': Field((), '', '(lowest, highest) to begin with; 1 − momentum is log-uniform'),
        'weight_decay': Field((), '', '(lowest, highest) to begin with; log-uniform'),
        'warmup_epochs': Field((), 'epochs', '(lowest, highest) to begin with; uniform'),
        'trials': Field(16, 'runs', 'of each cell; the first one is the run as declared'),
        'at_once': Field(8, 'runs', 'of each cell, before their results move a range'),
        'by': Field('validation_accuracy', '', 'what chooses, at the end of a run'),
        'sequence': Field('sobol', '', 'sobol | halton, scrambled'),
        'budget_minutes': Field(10.0, 'minutes', 'study=advise: in which its runs are made'),
        'target': Field('', '', 'study=advise: <metric>:<value>, what comes there first is repeated; '
                        'none: what ends best'),
        'seed': Field(0, '', 'of the scrambling'),
    }),
    'snapshots': _points('weights whose predictions are averaged into an ensemble, evaluated as ensemble_*', {
        'cycle_ends': Field(False, '', 'also at the end of every cycle of schedule.name=warm_restarts'),
    }),
    'loggers': Field((), '', 'tools that the records are also written for: tensorboard | wandb | mlflow, or your own'),
    'tensorboard': Field(False, '', "another name of loggers=('tensorboard',)"),
}  # fmt: skip
# --- what is asked of the runs
ASKED: dict[str, Field | Section] = {
    'findings': Field('', '', 'the claims that the runs are put to: a file of bsresearch/findings, or a path'),
    'held_fixed': Field((), '', 'what is equal where arms are compared: lengths, fields or derived quantities'),
    'replicates': Field(tuple, '', 'fields whose values repeat a cell: an axis, or zipped ones; None: all swept seeds'),
    'arms': Section('named changes: arms.<name>.<field>; arms.<name>.sweep.<field> is an axis of that arm alone', {}),
}
FIELDS: dict[str, Field | Section] = {
    **TRAINED,
    **EXECUTED,
    **RECORDED,
    **ASKED,
    'sweep': Section(
        'axes: sweep.<field> holds the values as a tuple; sweep.zip.<field> axes that advance together', {}
    ),
}
