"""Angle in radians between a kernel and its initial value, for the kernels that a normalization follows.

  angle(w_t, w_0) = 2·atan2(‖u − v‖, ‖u + v‖),   u = w_t/‖w_t‖, v = w_0/‖w_0‖, the whole tensor as one vector
exact for small angles, where the arc cosine loses all digits (Kahan, "How Futile are Mindless Assessments of Roundoff",
2006, section 12). A normalization right after a layer makes the network's function independent of the kernel's length
(but for the normalization's ε), so that only its direction means anything and ‖w_t − w_0‖ misleads: Hoffer et al. 2018
(arXiv:1803.01814); Wan et al. 2020 (arXiv:2006.08419). Such kernels are told by name: `conv_3` or `dense_3` with a
`norm_3` beside it; and the `direction` of a layer with weight normalization. Undefined, NaN, for a tensor of zeros.
"""

from typing import Any

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, path_of, wide

KERNEL = ('kernel', 'direction')  # of a layer, and of one with weight normalization
# What other libraries call a kernel; some call a normalization's scale so, of one axis.
WEIGHT = ('weight', 'w')


def kernels(params: PyTree) -> dict[str, jax.Array]:
    """Every kernel, by the path of its layer: leaves called as in KERNEL, or as in WEIGHT with two axes at least.

    In a tree that calls none so, all leaves of two axes at least, by their own path.
    """
    leaves = {tuple(map(_name, keys)): x for keys, x in jax.tree_util.tree_leaves_with_path(params)}
    leaves = {path[:-1] if path[-1:] == ('value',) else path: x for path, x in leaves.items()}  # of nnx's Variable
    wide_ones = {path: x for path, x in leaves.items() if x.ndim > 1}
    called = {path[:-1]: x for path, x in leaves.items() if path and path[-1] in KERNEL}
    called |= {path[:-1]: x for path, x in wide_ones.items() if path and path[-1] in WEIGHT}
    return {'/'.join(path) or 'array': x for path, x in sorted((called or wide_ones).items())}


def _name(key: Any) -> str:
    return path_of((key,))


def normalized(params: PyTree) -> dict[str, jax.Array]:
    """Directions, and the kernels of layers `<kind>_<i>` that have a `norm_<i>` beside them, by path, at any depth."""
    names = {path_of(keys) for keys, _ in jax.tree_util.tree_leaves_with_path(params)}
    layers_of = {path_of(keys[:n]) for keys, _ in jax.tree_util.tree_leaves_with_path(params) for n in range(len(keys))}

    def follows(path: str) -> bool:
        above, slash, name = path.rpartition('/')
        partner = f'norm_{name.rpartition("_")[2]}'
        return '_' in name and name != partner and f'{above}{slash}{partner}' in layers_of

    return {path: x for path, x in kernels(params).items() if f'{path}/direction' in names or follows(path)}


def angle(a: jax.Array, b: jax.Array) -> jax.Array:
    """() in [0, π]; NaN if either is zero."""
    unit = lambda x: x / jnp.linalg.norm(x)
    u, v = unit(wide(a).ravel()), unit(wide(b).ravel())
    return 2 * jnp.atan2(jnp.linalg.norm(u - v), jnp.linalg.norm(u + v))


def build(*, every_kernel: bool = False) -> Measure:
    """The measurement: `angular_distance/<layer>`.

    Args:
      every_kernel: also kernels that no normalization follows. Their angle is a fact about them, but not the whole
        change, for their length matters too.

    Raises:
      ValueError: from init, which planning calls: the model has no kernel to follow.
    """
    choose = kernels if every_kernel else normalized

    def init(params: PyTree) -> PyTree:
        if not choose(params):
            raise ValueError(
                'config.measure.angular_distance: no kernel of this model is followed by a normalization; use '
                'model.batch_norm=True, model.weight_norm=True, or measure.angular_distance.every_kernel=True for what '
                'that is worth'
            )
        return ()

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        now, first = choose(context.params), choose(context.initial_params)
        return state, {f'angular_distance/{name}': angle(now[name], first[name]) for name in now}

    return Measure(init=init, update=update)
