"""`python monitor_on_devices.py`: Monitor on one device, on meshes of four, under pmap and shard_map, as JSON."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import bsresearch as bs

X = np.random.default_rng(0).normal(size=(32, 4)).astype(np.float32)
Y = np.random.default_rng(1).normal(size=(32, 8)).astype(np.float32)
WEIGHTS = {'w': np.random.default_rng(2).normal(size=(4, 8)).astype(np.float32)}
WATCHED: dict[str, Any] = {
    'noise_scale': {'every': 2, 'small_batch_size': 4}, 'distance': {'every': 1}, 'hessian_trace': {'every': 2},
    'individual_gradients': {'every': 2}, 'path_length': {'every': 1},
}  # fmt: skip


def loss_fn(params: Any, batch: Any) -> jax.Array:
    return ((batch[0] @ params['w'] - batch[1]) ** 2).mean()


def descend(monitor: Any, gradient_of: Any, params: Any, state: Any, step: Any, batch: Any) -> Any:
    state, row = monitor(state, params, step, batch, jax.random.key(7))
    gradient = gradient_of(params, batch)
    return jax.tree.map(lambda w, g: w - 0.1 * g, params, gradient), state, row


def under_jit(params: Any, batch: Any) -> list[dict[str, Any]]:
    monitor = bs.Monitor(loss_fn, params, **WATCHED)
    train_step = jax.jit(lambda *args: descend(monitor, jax.grad(loss_fn), *args))
    state, rows = monitor.init(params), []
    for step in range(3):
        params, state, row = train_step(params, state, step, batch)
        rows.append(monitor.measured(row))
    return rows


def under_pmap(params: Any, batch: Any) -> list[dict[str, Any]]:
    monitor = bs.Monitor(loss_fn, params, axis_name='devices', **WATCHED)
    gradient = lambda *args: jax.lax.pmean(jax.grad(loss_fn)(*args), 'devices')
    train_step = jax.pmap(lambda *args: descend(monitor, gradient, *args), 'devices', in_axes=(0, 0, None, 0))
    everywhere = lambda tree: jax.tree.map(lambda x: jnp.stack([x] * 4), tree)
    params, state, rows = everywhere(params), everywhere(monitor.init(params)), []
    parts = jax.tree.map(lambda x: x.reshape(4, 8, *x.shape[1:]), batch)
    for step in range(3):
        params, state, row = train_step(params, state, step, parts)
        rows.append(monitor.measured(jax.tree.map(lambda x: x[0], row)))
    return rows


def in_shard_map(params: Any, batch: Any) -> list[dict[str, Any]]:
    mesh = jax.make_mesh((4,), ('devices',), (AxisType.Auto,))
    monitor = bs.Monitor(loss_fn, params, axis_name='devices', **WATCHED)
    gradient = jax.grad(lambda *args: jax.lax.pmean(loss_fn(*args), 'devices'))
    local = lambda *args: descend(monitor, gradient, *args)
    everywhere = PartitionSpec()
    specs = (everywhere, everywhere, everywhere, PartitionSpec('devices'))
    train_step = jax.jit(jax.shard_map(local, mesh=mesh, in_specs=specs, out_specs=everywhere))
    state, rows = monitor.init(params), []
    for step in range(3):
        params, state, row = train_step(params, state, jnp.int32(step), batch)
        rows.append(monitor.measured(row))
    return rows


def numbers(params: Any, batch: Any) -> list[dict[str, Any]]:
    return [*under_jit(params, batch), bs.noise_scale(loss_fn, params, batch, small=1)._asdict()]


if __name__ == '__main__':
    print(json.dumps(numbers(WEIGHTS, (X, Y))))
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((4,), ('devices',), (kind,))
        placed = lambda tree, *spec: jax.device_put(tree, NamedSharding(mesh, PartitionSpec(*spec)))  # noqa: B023
        print(json.dumps(numbers(placed(WEIGHTS), placed((X, Y), 'devices'))))
        # The weights lie over the devices, too.
        print(json.dumps(numbers(placed(WEIGHTS, None, 'devices'), placed((X, Y)))))
    print(json.dumps(under_pmap(WEIGHTS, (X, Y))))
    print(json.dumps(in_shard_map(WEIGHTS, (X, Y))))
