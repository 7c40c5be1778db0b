"""`Monitor`: the measurements of bsresearch/measure inside a training loop of one's own, under jit."""

import functools
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bsresearch.core import lookup
from bsresearch.face import own_loop
from bsresearch.measure import Measure, builder, wide
from bsresearch.optim import Hyper

PyTree = Any
Row = dict[str, jax.Array]


class MonitorState(NamedTuple):
    """Arrays, to be carried and checkpointed with the training state. initial: θ_0. measurements: the state of each."""

    initial: PyTree
    measurements: dict[str, PyTree]


class Wanted(NamedTuple):
    """A measurement: from how many updates to the next, and the settings of its `build`."""

    every: int
    settings: dict[str, Any]


class Monitor:
    """Measurements inside a training loop, in front of its update: what is recorded at step t is measured at θ_t.

        monitor = bs.Monitor(loss_fn, params, noise_scale=dict(every=50), distance=dict(every=10))
        state = monitor.init(params)
        state, row = monitor(state, params, step, batch, key)
        print(monitor.measured(row))                        # on the host; {} where nothing was due

    A call is pure and of one shape at every step: where a measurement is not due it costs next to nothing, and its
    metrics are NaN. It may stand inside jit, in a scan, under pmap or shard_map (`axis_name`), with sharded arrays, or
    by itself.

    Args:
      loss_fn: (params, batch) → () mean loss, not the sum. It should draw nothing at random: dropout would count as
        noise. Measurements of single examples call it with one at a time: batch norm in training mode has none.
      params: the weights or their shapes, any pytree of float arrays; nothing of them is kept.
      optimizer: an optax transformation, for alpha and update_ratio; then `opt_state` goes with each call.
      axis_name: of pmap or shard_map, over which the batch lies: it is gathered first, so that all devices give the
        same numbers.
      measurements: name → dict(every=…) with the settings of `build` in bsresearch/measure/<name>.py, or with
        `function`, an import path of one's own. They take the first `batch_size` examples of the batch, or all of it.

    Raises:
      ValueError: an unknown name or setting, with the nearest; a value that cannot be.
    """

    def __init__(
        self,
        loss_fn: own_loop.LossFn,
        params: PyTree,
        *,
        optimizer: Any = None,
        axis_name: str | None = None,
        **measurements: Mapping[str, Any],
    ):
        own_loop.check_params(params)
        if not measurements:
            known = ', '.join(lookup.members('bsresearch.measure', 'build'))
            raise ValueError(f'Monitor: name what to measure, as noise_scale=dict(every=50); allowed: {known}')
        self._loss_fn, self._optimizer, self._axis_name = loss_fn, optimizer, axis_name
        self._wanted = {name: _wanted(name, settings) for name, settings in measurements.items()}
        self._metrics: dict[str, str] = {}  # metric → measurement, once a call was traced
        for name, wanted in self._wanted.items():
            _check_possible(name, _built(name, wanted.settings))
        jax.eval_shape(self.init, params)
        # Inside another jit it becomes a part of that; alone it is a program of its own.
        self._compiled = jax.jit(lambda state, *rest: own_loop.on_any_mesh(self._measure, (state, None), state, *rest))

    def init(self, params: PyTree) -> MonitorState:
        """The state at θ_0, which is copied: distances are from there."""

        def start(params: PyTree) -> dict[str, PyTree]:
            return {name: _built(name, wanted.settings).init(params) for name, wanted in self._wanted.items()}

        states = jax.jit(functools.partial(own_loop.on_any_mesh, start, None))(params)
        # Each array a buffer of its own: state and weights may be donated to a step.
        return jax.tree.map(jnp.copy, MonitorState(params, states))

    def __call__(
        self,
        state: MonitorState,
        params: PyTree,
        step: Any,
        batch: Any,
        key: jax.Array,
        *,
        opt_state: PyTree = None,
        learning_rate: Any = None,
        momentum: Any = 0.0,
        whole: Any = None,
    ) -> tuple[MonitorState, Row]:
        """Measures what is due at `step`, before its update.

        Args:
          params: θ_t. step: () t, a whole number.
          batch: any pytree of arrays with the examples, drawn at random, along the first axis.
          key: () of this step, for random directions.
          opt_state: before the update, with `optimizer`. learning_rate, momentum: () of the update, where they are
            told: hessian_eigenvalues then has its stability limit, individual_gradients its CABS batch size.
          whole: all training examples, for measurements that read them.

        Returns:
          the state, and the row: `step` and all metrics, () each, NaN where they were not due.

        Raises:
          ValueError: a loss that is no scalar, a batch that cannot be cut as it must; before anything is compiled.
        """
        if not isinstance(state, MonitorState):
            raise ValueError(
                f'monitor(state, params, step, batch, key): state is of type {type(state).__name__}; allowed: what '
                'monitor.init(params) gave, then what each call gives first'
            )
        if not hasattr(key, 'dtype'):
            raise ValueError(f'key={key!r}; allowed: jax.random.key(seed), another one at each step')
        own_loop.check_params(params)
        own_loop.size_of(batch)
        hyper = None if learning_rate is None else Hyper(jnp.asarray(learning_rate), jnp.asarray(momentum), None)
        return self._compiled(state, params, jnp.asarray(step, jnp.int32), batch, key, opt_state, hyper, whole)

    def measured(self, row: Row) -> dict[str, Any]:
        """What was due of a row, as numbers of Python, with its `step`; {} where nothing was: to JSONL, to a tracker.

        Of pmap's rows take one device's, `jax.tree.map(lambda x: x[0], row)`. NaN is a value here: undefined, as a
        cosine with no length is. So is ∞: a noise scale that is larger than can be told, as its average of |G|² is
        below 0.
        """
        if not isinstance(row, Mapping):
            raise ValueError(f'row is of type {type(row).__name__}; allowed: what monitor(…) gives second')
        own_loop.check_concrete('monitor.measured', row)
        step = int(row['step'])
        due = {name for name, wanted in self._wanted.items() if step % wanted.every == 0}
        owners = {metric: self._metrics[metric] for metric in row if metric != 'step'}
        values = {metric: np.asarray(row[metric]).item() for metric, name in owners.items() if name in due}
        return {'step': step} | values if values else {}

    def _measure(
        self,
        state: MonitorState,
        params: PyTree,
        step: jax.Array,
        batch: Any,
        key: jax.Array,
        opt_state: PyTree,
        hyper: Hyper | None,
        whole: Any,
    ) -> tuple[MonitorState, Row]:
        if self._axis_name is not None:
            batch = jax.tree.map(functools.partial(own_loop.gathered, self._axis_name), batch)
        own_loop.check_loss(self._loss_fn, params, batch)
        propose = functools.partial(self._propose, opt_state, params)
        more = {'step': step, 'initial_params': state.initial, 'branch_params': state.initial, 'hyper': hyper}
        more |= {'propose': propose, 'whole': whole}
        states, row = {}, {'step': step}
        for name, wanted in self._wanted.items():
            quantity = _built(name, wanted.settings, own_loop.size_of(batch))
            part = _examples(name, quantity, batch)
            if quantity.whole and whole is None:
                raise ValueError(f'{name} reads the whole training set; give it with the call: monitor(…, whole=data)')
            of_name = jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)
            context = own_loop.context(self._loss_fn, params, part, key=of_name, **more)
            update = functools.partial(_update, quantity, context)
            states[name], metrics = _where(step % wanted.every == 0, update, state.measurements[name])
            if taken := sorted(metrics.keys() & row.keys()):
                raise ValueError(f'{name} gives {taken[0]!r}, which stands in the row already; rename it')
            row |= metrics
            self._metrics |= dict.fromkeys(metrics, name)
        return MonitorState(state.initial, states), row

    def _propose(self, opt_state: PyTree, params: PyTree, gradient: PyTree) -> PyTree:
        """θ_{t+1} − θ_t as the optimizer would make it."""
        if self._optimizer is None or opt_state is None:
            raise ValueError(
                'alpha and update_ratio need the optimizer: Monitor(…, optimizer=…) and monitor(…, opt_state=opt_state)'
            )
        return self._optimizer.update(gradient, opt_state, params)[0]


def _wanted(name: str, settings: Any) -> Wanted:
    """A measurement's request.

    Raises:
      ValueError: no such measurement or setting, or `every` is not given or cannot be.
    """
    if not isinstance(settings, Mapping):
        raise ValueError(f'Monitor: {name}={settings!r}; allowed: a dict, as {name}=dict(every=50)')
    build, given = builder(name, {field: value for field, value in settings.items() if field != 'every'})
    lookup.check_keywords(build, given, f'measurement {name}', beside=('every',))
    every = own_loop.whole(settings.get('every'))
    if every is None or every < 1:
        raise ValueError(
            f'Monitor: {name} has every={settings.get("every")!r}; allowed: updates from one to the next, at least 1'
        )
    return Wanted(every, {field: value for field, value in settings.items() if field != 'every'})


def _built(name: str, settings: Mapping[str, Any], size: int | None = None) -> Measure:
    """The measurement for batches of `size` examples; None: of whatever size suits it, for its state.

    What is left open of its batch sizes is as much as there is.
    """
    build, given = builder(name, settings)
    known = lookup.keywords(build)
    left_open = ({'batch_size', 'hessian_batch_size'} if 'batch_size' not in given else set()) & known.keys()
    if not left_open:
        return build(**given)
    there = size or max(2 * int(given.get('small_batch_size', known.get('small_batch_size', 1))), 2)
    quantity = build(**dict.fromkeys(left_open, there) | given)
    if size is not None and quantity.batch_size > size:  # it takes several batches of that size
        quantity = build(**dict.fromkeys(left_open, max(size * size // quantity.batch_size, 1)) | given)
    return quantity


def _check_possible(name: str, quantity: Measure) -> None:
    """Raises ValueError for what only the engine can measure."""
    if quantity.host:
        raise ValueError(
            f'Monitor: {name} calls SciPy, which jit cannot compile; call its own '
            f'`update` outside of jit (bsresearch/measure/{name}.py)'
        )
    if quantity.preconditioned:
        raise ValueError(f'Monitor: {name} has preconditioned=True; only the optimizers of the engine tell their P')


def _examples(name: str, quantity: Measure, batch: Any) -> Any:
    """Those of a batch that the measurement takes.

    Raises:
      ValueError: it needs more than there are.
    """
    size = own_loop.size_of(batch)
    if quantity.batch_size > size:
        raise ValueError(f'{name} takes {quantity.batch_size} examples, the batch has {size}; set its batch_size lower')
    return jax.tree.map(lambda x: jnp.asarray(x)[: quantity.batch_size], batch) if quantity.batch_size else None


def _update(quantity: Measure, context: Any, mstate: PyTree) -> tuple[PyTree, Row]:
    """The measurement, all metrics as floats: NaN stands for those that are not made."""
    mstate, metrics = quantity.update(mstate, context)
    return mstate, {name: wide(jnp.asarray(x)) for name, x in metrics.items()}


def _where(due: jax.Array, update: Any, mstate: PyTree) -> tuple[PyTree, Row]:
    """`update` where it is due; the state as it was, and NaN, where it is not."""
    _, metrics = jax.eval_shape(update, mstate)
    nothing = lambda mstate: (mstate, {name: jnp.full(x.shape, jnp.nan, x.dtype) for name, x in metrics.items()})
    return jax.lax.cond(due, update, nothing, mstate)
