"""Weights, images and directions by formula, so that two libraries can start from the same without a file."""

import math
import zlib
from typing import Any

import numpy as np

# Networks whose outputs and first update are in tests/torch_goldens.json; examples; of SGD with momentum.
NETWORKS: dict[str, dict[str, Any]] = {
    'resnet': {'depth': 20},
    'resnet, B': {'depth': 8, 'shortcut': 'B'},
    'wide_resnet': {'depth': 10, 'widening': 2},
    'c1': {'width': 8, 'dense_widths': (24, 12), 'dropout': 0.0},
}
COUNT, RATE, MOMENTUM, DECAY = 4, 0.1, 0.9, 1e-4


def waves(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers of variance 1/2 in [−1, 1] that look like noise, float64; others for another name."""
    places = np.arange(math.prod(shape), dtype=np.float64)
    return np.sin(zlib.crc32(name.encode()) % 1000 + 1.7 * places + 0.37 * places**2).reshape(shape)


def weights(path: str, shape: tuple[int, ...]) -> np.ndarray:
    """Of a parameter by its path in the package: kernels of He's variance, γ about 1, small biases and β."""
    kind = path.rpartition('/')[2]
    if kind == 'kernel':
        return waves(path, shape) * 2 / math.sqrt(math.prod(shape[:-1]))
    return waves(path, shape) * 0.1 + (1.0 if kind == 'scale' else 0.0)


def images(count: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """uint8 images (count, *shape) and their classes of ten."""
    pixels = 127.5 * (1 + waves('images', (count, *shape)))
    return pixels.astype(np.uint8), np.arange(count, dtype=np.int32) * 3 % 10
