"""The functions a group compiles: updates between two events, measurement. Pure, for one replica."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from bsresearch import models, optim
from bsresearch.core import lookup, rng, when
from bsresearch.data import preprocess
from bsresearch.measure import Context, Measure, builder
from bsresearch.models import layers, losses, norms
from bsresearch.optim import Hyper, layer_rates
from bsresearch.planning import sections
from bsresearch.planning.plan import Plan
from bsresearch.train import step as stepping
from bsresearch.train.devices import shards
from bsresearch.train.state import Advanced, Array, Average, Batch, Data, Info, Keys, Origins, State, Tables

PyTree = Any


class MeasureInputs(NamedTuple):
    """What one measurement at θ_t gets from the host.

    hyper: of update t. batch: the examples drawn for it, None for none. key: () for its random directions.
    """

    hyper: Hyper
    batch: Data | None
    key: Array


def micro_batch(plan: Plan, platform: str, batch_size: int) -> int:
    """Examples per gradient call: the config's, else on a CPU so many that convolutions stay in cache."""
    given, ghost = plan.execution['micro_batch_size'], plan.ghost_batch_size
    if given is not None:
        return min(given, batch_size)
    module = sections.built('model', plan.model, plan.num_outputs)
    hint = models.convolutions_of(module, plan.example_shape).in_cache
    if platform != 'cpu' or hint is None or batch_size <= hint:
        return batch_size
    return hint if ghost is None else max(ghost, hint // ghost * ghost)


def task(
    plan: Plan, scale: float, platform: str, batch_size: int | None = None, devices: int | None = None
) -> stepping.Task:
    """The static parts of a plan's training.

    Args:
      scale: what stored inputs are divided by.
      batch_size: of the updates to be made; None: of the first ones.
      devices: that share a batch, where updates are made; None: not for updates.
    """
    size = batch_size or plan.batch_size
    cut = None if devices is None else shards.of(plan, size, devices)
    part = lambda section: {k: v for k, v in getattr(plan, section).items() if k != 'name'}
    build = models.builder(plan.model['name'])
    extra = {'ghost_batch_size': plan.ghost_batch_size} if 'ghost_batch_size' in lookup.keywords(build) else {}
    if cut is not None and cut.axis is not None and shards.spans_batch(plan, size):
        extra = {'ghost_batch_size': None, 'batch_axis': cut.axis}
    module = build(plan.num_outputs, dtype=plan.dtype, **part('model'), **extra)
    if cut is not None and extra.get('batch_axis') and not models.keeps_groups(module, plan.example_shape):
        raise ValueError(
            f'model {plan.model["name"]}: its batch norm over a whole batch cannot lie over {cut.devices} devices; set '
            'config.ghost_batch_size to a part of the batch, or config.devices=1'
        )
    module = models.in_groups(module, plan.ghost_batch_size, plan.example_shape)
    optimizer = optim.member(plan.optimizer['name'])
    dtype = layers.weight_dtype(plan.dtype)
    loss, plain = sections.part('loss', plan.loss['name']), losses.plain(part('loss'))
    precondition = getattr(optimizer, 'precondition', None)
    return stepping.Task(
        module=module,
        dtype=dtype,
        loss=functools.partial(loss, **part('loss')),
        plain_loss=None if plain == part('loss') else functools.partial(loss, **plain),
        classifies=losses.classifies(plan.loss['name'], plan.num_outputs),
        transform=layer_rates.scaled(
            optim.built(plan.optimizer['name'], part('optimizer'), plan.no_decay), plan.layer_rates
        ),
        normalize=preprocess.normalizer(scale, tuple(plan.data['mean']), tuple(plan.data['std']), dtype),
        augment=tuple(plan.data['augment']),
        crop_padding=plan.data['crop_padding'],
        epoch_size=plan.epoch_size,
        dropout=models.draws(module, plan.model, plan.example_shape),
        clip_norm=plan.clip['norm'],
        clip_value=plan.clip['value'],
        micro_batch_size=micro_batch(plan, platform, size),
        update_norm=plan.recording['norms']['update'],
        precondition=precondition and functools.partial(precondition, **part('optimizer')),
        shards=cut,
    )


def keys(plan: Plan) -> Keys:
    """The base keys of a run's per-example and measurement streams."""
    return Keys(*(rng.key(plan.data_seed, stream) for stream in Keys._fields))


def initial_key(plan: Plan) -> Array:
    """What θ_0 is drawn from."""
    return rng.key(plan.init_seed, 'init')


def initial(t: stepping.Task, plan: Plan) -> State:
    """θ_0."""
    return stepping.init(t, initial_key(plan), plan.example_shape)


def initial_average(plan: Plan, state: State) -> Average | None:
    """θ_0, where the plan averages weights."""
    on = plan.ema['half_life_examples'] is not None
    return Average(state.params, state.stats) if on else None


def averaged(average: Average, state: State, rate: Float[Array, '']) -> Average:
    """The average after an update that led to `state`; `rate` as in Tables.ema_rate."""

    def toward(a: jax.Array, x: jax.Array) -> jax.Array:
        return a + rate.astype(a.dtype) * (x - a)

    return jax.tree.map(toward, average, Average(state.params, state.stats))


def advance(
    t: stepping.Task,
    norms: bool,
    state: State,
    average: Average | None,
    data: Data,
    tables: Tables,
    key: Keys,
    count: Int[Array, ''],
) -> Advanced:
    """The first `count` updates of `tables`: a loop on the device, of any length, one compiled program."""

    def update(i: jax.Array, carry: tuple[State, Average | None, Info]) -> tuple[State, Average | None, Info]:
        state, average, infos = carry
        row = jax.tree.map(lambda x: x[i], tables)
        batch = Batch(row.ids, row.counts, row.epochs, row.offsets)
        state, info = stepping.step(t, state, data, batch, row.hyper, key, norms=norms)
        with jax.named_scope('optimizer'):
            average = None if average is None else averaged(average, state, row.ema_rate)
        return (
            state,
            average,
            jax.tree.map(lambda buffer, x: buffer.at[i].set(x) if buffer.size else buffer, infos, info),
        )

    carry = (state, average, _no_infos(t, norms, len(tables.counts)))
    state, average, infos = jax.lax.fori_loop(0, count, update, carry)
    finite = jnp.stack([_all_finite(state.params), _all_finite(state.opt_state)])
    return Advanced(state, average, infos, finite)


def _no_infos(t: stepping.Task, norms: bool, size: int) -> Info:
    """Buffers for what is asked for of so many updates."""
    buffer = lambda wanted: jnp.zeros((size if wanted else 0,), t.dtype)
    return Info(
        loss=buffer(True),
        clip_size=buffer(t.clips),
        gradient_norm=buffer(norms),
        clipped_gradient_norm=buffer(norms and t.clips),
        update_norm=buffer(norms and t.update_norm),
    )


def _all_finite(tree: PyTree) -> Bool[Array, '']:
    return jnp.stack([jnp.bool_(True), *(jnp.isfinite(x).all() for x in jax.tree.leaves(tree))]).all()


def measures(plan: Plan) -> dict[str, Measure]:
    """The measurements that a plan makes, by name."""
    built = {}
    for name in (name for name, points in plan.events.measure.items() if points):
        build, settings = builder(name, when.rest(plan.recording['measure'][name]))
        built[name] = build(**settings)
    return built


def measure(
    t: stepping.Task,
    quantity: Measure,
    mstate: PyTree,
    state: State,
    origins: Origins,
    inputs: MeasureInputs,
    whole: Data | None,
) -> tuple[PyTree, dict[str, jax.Array]]:
    """One measurement at θ_t."""
    with jax.named_scope('measure'):
        return quantity.update(mstate, context(t, quantity, state, origins, inputs, whole))


def _quiet(t: stepping.Task) -> models.Network:
    """The network without dropout."""
    return t.module.clone(dropout=0.0) if t.dropout else t.module


def batch_statistics(
    t: stepping.Task, params: PyTree, stats: PyTree, inputs: Array, weights: Float[Array, ' N'] | None = None
) -> PyTree:
    """Mean and variance of what the package's batch norms see of these examples, as the mean over their groups.

    Args:
      stats: running statistics, whose shapes alone are read. inputs: as stored. weights: (n,), 0 for padding.
    """
    # From statistics of zero one update leaves (1 − m) times the batch's.
    zero = jax.tree.map(jnp.zeros_like, stats)
    _, updated = models.apply(_quiet(t), params, zero, t.normalize(inputs), train=True, weights=weights)
    return jax.tree.map(lambda x: x / (1 - norms.BatchNorm.momentum), updated)


def losses_of(t: stepping.Task, statistics: str, stats: PyTree, params: PyTree, batch: Data) -> Float[Array, ' N']:
    """(n,) losses of a measurement's examples: no augmentation, no dropout; `statistics` as in Measure."""
    outputs, _ = models.apply(_quiet(t), params, stats, t.normalize(batch.inputs), train=statistics == 'batch')
    return t.loss(outputs, batch.labels)


def context(
    t: stepping.Task,
    quantity: Measure,
    state: State,
    origins: Origins,
    inputs: MeasureInputs,
    whole: Data | None,
) -> Context:
    """What a measurement may look at."""
    losses = functools.partial(losses_of, t, quantity.statistics, state.stats)

    def propose(gradient: PyTree) -> PyTree:
        clipped, _ = stepping.clip(t, gradient)
        return t.transform(inputs.hyper).update(clipped, state.opt_state, state.params)[0]

    def precondition(gradient: PyTree) -> PyTree:
        assert t.precondition is not None
        return t.precondition(state.opt_state, gradient, inputs.hyper)

    return Context(
        step=state.step,
        params=state.params,
        initial_params=origins.initial,
        branch_params=origins.branch,
        batch=inputs.batch,
        gradient=jax.value_and_grad(lambda params, batch: losses(params, batch).mean()),
        hyper=inputs.hyper,
        losses=losses,
        whole=whole,
        key=inputs.key,
        propose=propose,
        precondition=t.precondition and precondition,
    )
