"""Tables of runs whose truth is known, to be advised on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bsresearch.advice.columns import Columns

SIZES = 2.0 ** np.arange(4, 11)
COLUMNS = Columns('bs', epochs='epochs', seconds='seconds', run='seed')


def hyperbola(critical: float, least: float = 40.0) -> Callable[..., Any]:
    return lambda size: np.log(least * (1 + size / critical))


def pace(size: np.ndarray) -> np.ndarray:
    """Seconds per epoch: as c₀ + c₁/B, and slower again for the largest."""
    return 5 + 2000 / size + size / 400


def runs(length: Any = None, seeds: int = 4, spread: float = 0.05, sizes: np.ndarray = SIZES) -> pd.DataFrame:
    """A row per batch size and seed: epochs by a law of ln length, and seconds."""
    rng, size = np.random.default_rng(0), np.repeat(sizes, seeds)
    epochs = np.exp((length or hyperbola(300))(size) + spread * rng.normal(size=len(size)))
    return pd.DataFrame({
        'bs': size.astype(int), 'seed': np.tile(np.arange(seeds), len(sizes)), 'epochs': epochs,
        'seconds': epochs * pace(size),
    })  # fmt: skip


def losses(seeds: int = 1, noise: float = 0.002) -> pd.DataFrame:
    """Of B and rate: least at B = 128 and, at each B, at the rate 0.1·√(B/128); those of four times that diverge."""
    rng = np.random.default_rng(1)
    rows = [(b, lr, seed) for b in SIZES for lr in 0.1 * 2.0 ** np.arange(-5, 6) for seed in range(seeds)]
    size, lr, seed = np.array(rows).T
    off = np.log(lr / 0.1) - 0.5 * np.log(size / 128)
    loss = 2 + 0.01 * np.log(size / 128) ** 2 + 0.02 * off**2 + noise * rng.normal(size=len(rows))
    return pd.DataFrame({'bs': size.astype(int), 'lr': lr, 'seed': seed, 'loss': np.where(off > 1.9, 7.0, loss)})
