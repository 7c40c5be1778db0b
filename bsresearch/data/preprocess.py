"""What is done to an example on the device: scaling, normalization, augmentation keyed by its place in the stream."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, Num

from bsresearch.core import rng

AUGMENTATIONS = ('flip', 'crop')


def check(
    augment: tuple[str, ...],
    example_shape: tuple[int, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    crop_padding: int = 0,
) -> None:
    """Raises ValueError where the settings do not fit examples of this shape."""
    for name in augment:
        if name not in AUGMENTATIONS:
            raise ValueError(f'unknown augmentation {name!r} in data.augment; allowed: {", ".join(AUGMENTATIONS)}')
    if augment and len(example_shape) != 3:
        raise ValueError(f'data.augment={augment} needs images (H, W, C), not examples of shape {example_shape}')
    if 'crop' in augment and crop_padding > min(example_shape[:2]):
        raise ValueError(
            f'data.crop_padding={crop_padding}: at most {min(example_shape[:2])}, the side of these images, for a crop '
            'beyond it shows nothing of them'
        )
    for field, values in (('mean', mean), ('std', std)):
        if len(values) not in (1, example_shape[-1]):
            raise ValueError(f'data.{field}={values}: one value, or one for each of {example_shape[-1]} channels')
    if not all(s > 0 for s in std):
        raise ValueError(f'data.std={std}: must be positive')


def normalizer(
    scale: float, mean: tuple[float, ...], std: tuple[float, ...], dtype: jnp.dtype
) -> Callable[[jax.Array], jax.Array]:
    """(x/scale − mean)/std in `dtype`; x (B, …, C), uint8 or float."""
    mean_, std_ = np.asarray(mean, dtype), np.asarray(std, dtype)

    def normalize(inputs: jax.Array) -> jax.Array:
        shape = (1,) * (inputs.ndim - 1) + (-1,)
        return (inputs.astype(dtype) / scale - mean_.reshape(shape)) / std_.reshape(shape)

    return normalize


def _flip(key: jax.Array, image: jax.Array, padding: int) -> jax.Array:
    """Left-right with probability ½."""
    del padding
    return jnp.where(jax.random.bernoulli(key, jnp.float32(0.5)), image[:, ::-1], image)


def _crop(key: jax.Array, image: jax.Array, padding: int) -> jax.Array:
    """Zero-padding on all sides, then a crop of the old size at a uniform place."""
    corner = jax.random.randint(key, (2,), 0, 2 * padding + 1, dtype=jnp.int32)
    padded = jnp.pad(image, ((padding, padding), (padding, padding), (0, 0)))
    return jax.lax.dynamic_slice(padded, (corner[0], corner[1], jnp.int32(0)), image.shape)


def augment(
    keys: Key[Array, 'B'], images: Num[Array, 'B H W C'], names: tuple[str, ...], padding: int
) -> Num[Array, 'B H W C']:
    """Applies the named augmentations in order, before scaling: the padding of a crop is a stored zero.

    Args:
      keys: (B,) typed keys, one per example and epoch.
      images: (B, H, W, C).
    """

    def one(key: jax.Array, image: jax.Array) -> jax.Array:
        for name in names:
            operation = {'flip': _flip, 'crop': _crop}[name]
            image = operation(rng.at(key, AUGMENTATIONS.index(name)), image, padding)
        return image

    return jax.vmap(one)(keys, images)


def example_keys(
    base: Key[Array, ''], epoch: Int[Array, ''], offset: Int[Array, ''], count: int, epoch_size: int
) -> Key[Array, 'count']:
    """Keys of `count` examples that follow each other in the stream from (epoch, offset); (count,) typed keys."""
    lane = offset + jnp.arange(count, dtype=jnp.int32)
    return jax.vmap(lambda e, o: rng.at(base, e, o))(epoch + lane // epoch_size, lane % epoch_size)
