"""Data of one's own, by a function instead of files: two interleaved spirals, told apart from their coordinates.

    bsresearch run --config=quickstart --config.data.name=examples/own_data.py:spirals --config.data.noise=0.1 \
        --config.model.name=mlp --workdir=runs/spirals

Of arrays, images and tables in files no code is needed: `bsresearch prepare --npz=… | --images=… | --csv=…`.
"""

import numpy as np

Part = tuple[np.ndarray, np.ndarray]


def spirals(
    *, examples: int = 2000, turns: float = 1.5, noise: float = 0.05, random_state: int = 0
) -> tuple[Part, Part]:
    """(inputs, labels) to train and to test, a quarter of them; inputs (N, 2), labels 0 and 1."""
    generator = np.random.default_rng(random_state)
    labels = generator.integers(0, 2, examples)
    radius = np.sqrt(generator.uniform(0.05, 1, examples))
    angle = 2 * np.pi * turns * radius + np.pi * labels
    inputs = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    inputs += noise * generator.standard_normal(inputs.shape)
    held = examples // 4
    return (inputs[held:], labels[held:]), (inputs[:held], labels[:held])
