"""Angle in radians between a kernel and its initial value, for the kernels that a normalization follows.

  angle(w_t, w_0) = 2·atan2(‖u − v‖, ‖u + v‖),   u = w_t/‖w_t‖, v = w_0/‖w_0‖, the whole tensor as one vector
exact for small angles, where the arc cosine loses all digits (Kahan, "How Futile are Mindless Assessments of Roundoff",
2006, section 12). A normalization right after a layer makes the network's function independent of the kernel's length
(but for the normalization's ε), so that only its direction means anything and ‖w_t − w_0‖ misleads: Hoffer et al. 2018
(arXiv:1803.01814); Wan et al. 2020 (arXiv:2006.08419). Such kernels are told by name: `conv_3` or `dense_3` with a
`norm_3` beside it. Undefined, NaN, for a tensor of zeros.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from bsresearch.measure import Context, Measure, PyTree, wide


def normalized(params: PyTree, path: str = '') -> dict[str, jax.Array]:
    """The kernels of layers `<kind>_<i>` that have a `norm_<i>` beside them, by path, at any depth."""
    by_path = {}
    for name, value in sorted(params.items()):
        if not isinstance(value, Mapping):
            continue
        partner = f'norm_{name.rpartition("_")[2]}'
        if 'kernel' in value and '_' in name and partner in params and name != partner:
            by_path[f'{path}{name}'] = value['kernel']
        else:
            by_path |= normalized(value, f'{path}{name}/')
    return by_path


def kernels(params: PyTree, path: str = '') -> dict[str, jax.Array]:
    """Every kernel, by the path of its layer."""
    by_path = {}
    for name, value in sorted(params.items()):
        if isinstance(value, Mapping):
            by_path |= {f'{path}{name}': value['kernel']} if 'kernel' in value else kernels(value, f'{path}{name}/')
    return by_path


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
                'model.batch_norm=True, or measure.angular_distance.every_kernel=True for what that is worth'
            )
        return ()

    def update(state: PyTree, context: Context) -> tuple[PyTree, dict[str, jax.Array]]:
        now, first = choose(context.params), choose(context.initial_params)
        return state, {f'angular_distance/{name}': angle(now[name], first[name]) for name in now}

    return Measure(init=init, update=update)
