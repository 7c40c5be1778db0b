"""The declared config: every field with its default, unit and meaning. A config file starts from here.

Fields whose value is None are not given. `config.sweep.<field>` holds axes (sweep.py).
"""

import functools
from typing import Any

from ml_collections import ConfigDict, config_dict

from bsresearch.core import lookup
from bsresearch.core.when import OFF

# Sections whose `name` picks a file or function; their other fields are that part's own, but for the shared ones.
NAMED = (
    'data', 'model', 'optimizer', 'loss', 'schedule', 'momentum_schedule', 'weight_decay_schedule', 'batch_schedule',
    'scaling',
)  # fmt: skip
# All sections with a `name`; that of a probe belongs to no run's identity.
PARTS = (*NAMED, 'probe')
# Outside a run's identity: how it is executed, what is recorded about it.
PLACEMENT = ('parallel', 'devices', 'mesh', 'uneven_batch')  # what each launch decides anew
EXECUTION = (
    'strategy', 'max_replicas', 'micro_batch_size', 'data_residence', 'reduction', 'reduction_chunks', *PLACEMENT,
)  # fmt: skip
RECORDING = (
    'record', 'norms', 'evaluate', 'checkpoint', 'keep', 'measure', 'measure_preset', 'probe', 'branch', 'snapshots',
    'tensorboard',
)  # fmt: skip


def when(**given: object) -> ConfigDict:
    """Points of a run at which something happens; the union of all that is given (core/when.py has the fields)."""
    return ConfigDict(OFF | given)


@functools.cache
def known() -> dict[str, Any]:
    """The defaults as plain values, shared and only to be read: a grid asks for them ten times a run."""
    return defaults().to_dict()


@functools.cache
def hints() -> dict[str, Any]:
    """The kind of each field as an annotation, as `known` is nested."""
    return _hints(defaults())


# Of what the tuples are that are empty by default.
_MEMBERS = {
    'no_decay': str, 'augment': str, 'at_steps': float, 'at_examples': float, 'at_epochs': float, 'batch_sizes': int,
    'learning_rates': float, 'multiples': int,
}  # fmt: skip


def _hints(section: ConfigDict) -> dict[str, Any]:
    return {k: _hints(v) if isinstance(v, ConfigDict) else _hint(section, k) for k, v in section.items()}


def _hint(section: ConfigDict, field: str) -> Any:
    default, kind = section[field], section.get_type(field)
    if kind is tuple:
        return tuple[type(default[0]) if default else _MEMBERS[field], ...]
    return kind | None if default is None else kind


def defaults() -> Any:
    """A complete config, a ConfigDict (typed Any: its fields are made at run time): Shen's MLP on digits, SGD."""
    c = ConfigDict()
    c.study = 'train'  # the kind of question: a file in bsresearch/studies
    # --- what is trained: these fields make a run's id
    c.seed = 0
    c.init_seed = config_dict.placeholder(int)  # initial weights; None: seed
    c.data_seed = config_dict.placeholder(int)  # order, augmentation, dropout; None: seed
    c.batch_size = 32  # examples per update, over all devices
    c.ghost_batch_size = config_dict.placeholder(int)  # examples in a batch-norm group; None: batch_size, or by workers
    # Simulated data parallelism: workers that share each batch equally, each with batch norm over its own shard, of
    # batch_size / workers examples (planning/workers.py); None or 1: none.
    c.workers = config_dict.placeholder(int)
    c.total_epochs = config_dict.placeholder(float)  # exactly one of these three
    c.total_examples = config_dict.placeholder(int)
    c.total_steps = config_dict.placeholder(int)
    c.epoch_boundary = 'through'  # through | partial | drop (core/units.py)
    c.learning_rate = 0.1  # the schedule's peak
    c.momentum = config_dict.placeholder(float)  # β₁ for Adam; None: the schedule's, or the optimizer's own
    c.weight_decay = 0.0
    c.no_decay = ()  # parameters without weight decay: 'bias', 'norm', or patterns of their paths ('output/*')
    c.data = ConfigDict(
        dict(
            name='digits',  # an embedded set, or a TFDS set prepared by scripts/prepare_data.py
            fraction=1.0,  # of the training examples, chosen by split_seed
            validation=0.0,  # fraction of the training examples held out, chosen by split_seed
            split_seed=0,
            mean=(0.0,),  # per channel, after scaling to [0, 1]
            std=(1.0,),
            augment=(),  # of 'flip', 'crop'; keyed by the example's place in the stream
            crop_padding=4,  # pixels, for 'crop'
        )
    )
    c.model = ConfigDict(dict(name='mlp'))
    c.dtype = 'float32'  # of the computation: float32 | bfloat16 | float64 (which makes the weights float64 too)
    c.matmul_precision = 'highest'  # default | high | highest; matters on GPU and TPU
    c.loss = ConfigDict(dict(name='cross_entropy'))
    c.optimizer = ConfigDict(dict(name='sgd'))
    c.clip = ConfigDict(dict(norm=config_dict.placeholder(float), value=config_dict.placeholder(float)))
    # Shapes (optim/schedules) stretch over the run; a factor of what they schedule.
    c.schedule = ConfigDict(dict(name='constant'))  # of learning_rate; one-cycle and cyclical bring a momentum too
    c.momentum_schedule = ConfigDict(dict(name='constant'))  # of momentum
    c.weight_decay_schedule = ConfigDict(dict(name='constant'))  # of weight_decay
    c.batch_schedule = ConfigDict(
        dict(
            name='constant',  # optim/batch_schedules.py
            as_learning_rate=False,  # keep batch_size, and let the learning rate fall by what B would have grown
        )
    )
    c.warmup = ConfigDict(
        dict(
            epochs=config_dict.placeholder(float),  # at most one of these three
            examples=config_dict.placeholder(int),
            steps=config_dict.placeholder(int),  # at a batch size that does not change
            start=0.0,  # learning rate at the start, as a fraction of the schedule's
            convention='zero_based',  # zero_based: t/W, first update at `start`; one_based: (t+1)/W
            shape='gradual',  # gradual: a straight line from `start`; constant: `start` throughout (Goyal et al.)
            delays_schedule=False,  # True: the schedule begins where the warm-up ends; False: it runs from update 0
        )
    )
    c.scaling = ConfigDict(
        dict(
            name='none',  # the rule, a function of optim/scaling.py
            reference_batch_size=config_dict.placeholder(int),  # B_ref: where the declared numbers hold
            weight_decay=config_dict.placeholder(str),  # none | linear | sqrt; None: as the rule has it
            momentum=config_dict.placeholder(str),  # none | half_life | noise_temperature; None: as the rule has it
            warmup=config_dict.placeholder(str),  # of its length in examples: none | linear | sqrt; None: as the rule
            regime_adaptation=False,  # lengths and boundaries in epochs or examples times B/B_ref: equal updates
        )
    )
    c.ema = ConfigDict(  # exponential moving average of the weights, evaluated beside them as ema_*
        dict(half_life_epochs=config_dict.placeholder(float), half_life_examples=config_dict.placeholder(int))
    )
    c.divergence = ConfigDict(
        dict(
            loss_factor=config_dict.placeholder(float),  # also diverged: loss above factor × first loss …
            patience=1,  # … for this many updates in a row
        )
    )
    # --- how it is executed: changes no result (strategy and micro-batch within rounding), recorded
    c.strategy = 'auto'  # replicas of a group: auto | vmap | sequential (on a CPU: each has the bits it has alone)
    c.max_replicas = 64  # runs per group at most
    c.micro_batch_size = config_dict.placeholder(int)  # examples per gradient call; None: chosen by the engine
    c.data_residence = 'auto'  # auto | device | host
    c.parallel = 'jit'  # over several devices: jit | pmap
    c.devices = config_dict.placeholder(int)  # how many; None: all there are, of all processes
    # Its sides; None: replicas spread first, then the batch of each.
    c.mesh = ConfigDict(dict(replica=config_dict.placeholder(int), batch=config_dict.placeholder(int)))
    c.reduction = 'psum'  # of the devices' gradients: psum | ordered (the same bits on any number of devices)
    c.reduction_chunks = 8  # of a batch, where they are added in order; the bits depend on it
    c.uneven_batch = 'pad'  # a batch that devices cannot share evenly: pad (with weight zero) | refuse
    # --- what is recorded
    c.record = when(log_spaced=1000)  # loss and hyperparameters of an update
    c.record.dense = False  # every update's, as binary arrays
    c.norms = when(log_spaced=50)  # gradient norm before and after clipping, ‖Δθ‖: a pass over the weights each
    c.norms.update = True  # ‖Δθ‖ among them; without it norms are nearly free at B = 1 for dense nets
    c.norms.dense = False  # every update's, as binary arrays
    c.evaluate = when(every_epochs=1.0)  # the full training, validation and test sets
    c.evaluate.batch_size = config_dict.placeholder(int)  # examples per forward call; None: chosen by the engine
    c.evaluate.train = True
    c.checkpoint = when(every_epochs=1.0)  # for resuming; the latest two are kept
    c.checkpoint.min_seconds = 10.0  # points that follow the last save more closely are passed over
    c.keep = when()  # checkpoints that are never removed; the last one always is
    # Every file of bsresearch/measure, off; its own fields (`per_layer`, `batch_size`, …) may stand beside the points.
    c.measure = ConfigDict({name: when() for name in lookup.members('bsresearch.measure', 'build')})
    c.measure_preset = 'none'  # none | economy | standard | full: switches sets of them on, every epoch
    # A file of bsresearch/measure/probes, made at points of a run (its end if none are given) once it is trained, for
    # config.study=gradient_norm, interpolation or shen; its own fields (`trials`, `batch_sizes`, …) stand beside the
    # points.
    c.probe = ConfigDict(dict(name='none', at_steps=(), at_epochs=()))
    # Branches of every run at these points, for config.study=reload, critical_batch_size or shen; None: the part's
    # default (planning/branch.py).
    c.branch = ConfigDict(
        dict(
            at_steps=(),
            at_epochs=(),
            batch_sizes=(),  # reload: a branch for each, with nothing else changed
            learning_rates=(),  # reload: a branch for each, with nothing else changed
            multiples=(),  # critical_batch_size: a branch for each k, with k·batch_size and a learning rate to suit
            learning_rate_rule=config_dict.placeholder(str),  # linear | sqrt | none, in k; None: by the optimizer
            evaluations=4,  # critical_batch_size: evenly spaced over a branch, the last at its end
            more_epochs=1.0,  # how long a branch trains; 0 where it is given in examples
            more_examples=config_dict.placeholder(int),
            stats=config_dict.placeholder(str),  # batch norm's running averages: keep | reset
            data=config_dict.placeholder(str),  # the place in the example stream: keep | reset
            random=config_dict.placeholder(str),  # the place in the streams of augmentation and dropout: keep | reset
            optimizer=config_dict.placeholder(str),  # its slots: keep | reset
            schedule=config_dict.placeholder(str),  # keep | rebase
            average=config_dict.placeholder(str),  # of the weights: keep | reset
            measures=config_dict.placeholder(str),  # what measurements remember: keep | reset
            initial=config_dict.placeholder(str),  # weights that distances are measured from: keep | reset
        )
    )
    c.snapshots = when()  # weights whose predictions are averaged into an ensemble, evaluated as ensemble_*
    c.snapshots.cycle_ends = False  # also at the end of every cycle of schedule.name=warm_restarts
    c.tensorboard = False  # also write TensorBoard event files (needs tensorboardX)
    # Empty sections, so that nested axes can be given on the command line.
    sections = [name for name, field in c.items() if isinstance(field, ConfigDict)]
    c.sweep = ConfigDict({name: ConfigDict() for name in (*sections, 'zip')})
    c.sweep.zip = ConfigDict({name: ConfigDict() for name in sections})
    return c


# As a config file: what `--branch_from` starts its overrides from.
get_config = defaults
