"""Smith's reading of the accuracy in an LR range test "by eye", made definite (arXiv:1506.01186, 3.3)."""

from typing import NamedTuple

import numpy as np

FEWEST, BEGIN, TROUBLE, SLOW = 10, 0.1, 0.1, 0.25


class Bounds(NamedTuple):
    """Learning rates, None where there is none; by: what limits `max`: `ragged`, `falls` or `diverged`."""

    base: float | None = None
    slows: float | None = None
    max: float | None = None
    by: str = ''
    edge: bool = False
    note: str = ''


def bounds(lrs: np.ndarray, accuracy: np.ndarray, log: bool = False, diverged: bool = False) -> Bounds:
    """Where accuracy begins to rise, slows, and turns ragged or falls; lrs, accuracy: (n,), lrs rising.

    s is the centred median of the n accuracies a over w = max(5, n/16) evaluations (w odd; fewer towards the ends), s*
    the lowest of its first ⌈w/2⌉, the rise R = max s − s*, which must exceed 4 × the scatter 1.05·median|a_i+1 − a_i|.
      base: the first point from which on s > s* + BEGIN·R, up to the maximum of s.
      max: the last point, after base, before an accuracy more than TROUBLE·R below the best that two evaluations in a
        row had reached: `ragged`, or `falls` where it stays so; without one, if the run diverged, the last point.
      slows: the first point, w or more before that, over whose next w points s gains, per their width, less than
        SLOW × its slope since base.  Where accuracy saturates it is far below max; Smith takes the first of both.
    Slopes are per log learning rate with `log`. All of it is a choice, the constants above all.
    """
    n = len(lrs)
    if n < FEWEST:
        return Bounds(note=f'{n} evaluations, {FEWEST} are needed')
    half = max(2, n // 32)
    smoothed = _centred_medians(accuracy, half)
    peak = int(smoothed.argmax())
    start = smoothed[: min(half, peak) + 1].min()
    rise = smoothed[peak] - start
    if rise <= 4 * 1.05 * np.median(np.abs(np.diff(accuracy))) + 1e-9:
        return Bounds(note='accuracy does not rise above its scatter')
    base = int(np.flatnonzero(smoothed[: peak + 1] <= start + BEGIN * rise)[-1]) + 1
    trouble = _far_below_best(accuracy, TROUBLE * rise)
    trouble[: base + 1] = False
    end = int(trouble.argmax()) if trouble.any() else n
    slows = _slows(np.log(lrs) if log else lrs, smoothed, base, end, 2 * half + 1)
    known = Bounds(float(lrs[base]), None if slows is None else float(lrs[slows]), edge=base <= half)
    if end == n and not diverged:
        return known._replace(note='accuracy neither turns ragged nor falls within the tested range')
    limit = 'diverged' if end == n else 'falls' if trouble[end:].all() else 'ragged'
    return known._replace(max=float(lrs[end - 1]), by=limit)


def _centred_medians(values: np.ndarray, half: int) -> np.ndarray:
    """Of up to `half` neighbours on both sides, equally many; (n,) → (n,)."""
    last = len(values) - 1
    reach = [min(half, i, last - i) for i in range(len(values))]
    return np.array([np.median(values[i - r : i + r + 1]) for i, r in enumerate(reach)])


def _far_below_best(accuracy: np.ndarray, margin: float) -> np.ndarray:
    """(n,) → (n,): whether an accuracy is more than `margin` below the best that two before it in a row had reached."""
    best = np.maximum.accumulate(np.minimum(accuracy[1:], accuracy[:-1]))
    return np.append([False, False], accuracy[2:] < best[:-1] - margin)


def _slows(x: np.ndarray, smoothed: np.ndarray, base: int, end: int, window: int) -> int | None:
    """The first point after `base` whose slope ahead, over `window` points, is below SLOW × the slope since base."""
    for i in range(base + 1, end - window):
        ahead = (smoothed[i + 1 : i + window + 1].max() - smoothed[i]) / (x[i + window] - x[i])
        since = (smoothed[i] - smoothed[base - 1]) / (x[i] - x[base - 1])
        if ahead < SLOW * since:
            return i
    return None
