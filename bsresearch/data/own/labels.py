"""Labels of a user's own: whether they are classes or targets, and what each becomes."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

# Whole numbers are classes where there are at most so many, each with so many examples in the mean; words with so many.
MOST_CLASSES, EXAMPLES_A_CLASS, EXAMPLES_A_WORD = 1000, 5, 2
SHOWN = 12  # classes that are listed
BY_FLAG = '--task=classification or --task=regression'


class Undecided(ValueError):
    """Labels that may be classes or targets; who asked for the set knows how that is said."""


class Encoded(NamedTuple):
    """Labels (N,) of each part: int32, or float64 of targets; the classes in order, None for targets; and a line."""

    parts: list[np.ndarray]
    classes: list[Any] | None
    note: str


def encoded(parts: Sequence[np.ndarray], task: str | None) -> Encoded:
    """Labels as numbers.

    Args:
      parts: numbers, words or bools, (N,) or (N, 1) each. task: classification or regression; None: as they say.

    Raises:
      ValueError: they cannot be used. Undecided: they may be either.
    """
    labels = [_plain(part) for part in parts]
    kinds = {part.dtype.kind if part.dtype.kind not in 'iuf' else 'number' for part in labels}
    if len(kinds) > 1 or len({part.ndim for part in labels}) > 1:
        described = ' and '.join(f'{part.dtype} {part.shape}' for part in labels)
        raise ValueError(f'labels of the two parts are {described}; make them alike')
    every = np.concatenate(labels)
    if every.ndim != 1:
        raise ValueError(
            f'labels have the shape {every.shape[1:]} an example; one number or word is needed: of one-hot labels '
            'labels.argmax(1), of several labels an example a Splits (data/splits.py)'
        )
    number = every.dtype.kind in 'iuf'
    if not number and every.dtype.kind not in 'bU':
        raise ValueError(f'labels are {every.dtype}; allowed: numbers and words')
    if (task or _task(every, number)) == 'classification':
        return _classes(labels, every)
    if not number:
        raise ValueError('--task=regression: labels are words; targets are numbers')
    spread = f'targets lie in [{every.min():g}, {every.max():g}]: regression, with --config.loss.name=squared_error'
    return Encoded([part.astype(np.float64) for part in labels], None, spread)


def _classes(labels: Sequence[np.ndarray], every: np.ndarray) -> Encoded:
    classes, counts = np.unique(every, return_counts=True)
    if len(classes) < 2:
        raise ValueError(f'all labels are {classes[0]!s}; two classes at least are needed')
    listed = [f'{label!s} → {i} ({n:,})' for i, (label, n) in enumerate(zip(classes, counts, strict=True))]
    listed = listed if len(listed) <= SHOWN else [*listed[: SHOWN - 2], '…', listed[-1]]
    note = f'{len(classes)} classes, with their examples: {", ".join(listed)}'
    return Encoded([np.searchsorted(classes, part).astype(np.int32) for part in labels], classes.tolist(), note)


def _plain(labels: np.ndarray) -> np.ndarray:
    """A column of labels as a row of them; bytes, and text in objects, as words."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == 'S':
        return np.char.decode(labels, 'utf-8', 'backslashreplace')
    texts = labels.dtype.kind == 'O' and all(isinstance(label, str) for label in labels.flat)
    return labels.astype(str) if texts else labels


def _task(labels: np.ndarray, number: bool) -> str:
    """What labels say by themselves."""
    if labels.dtype.kind == 'f' and (labels != np.round(labels)).any():
        return 'regression'
    distinct = len(np.unique(labels))
    if distinct <= (min(MOST_CLASSES, len(labels) / EXAMPLES_A_CLASS) if number else len(labels) / EXAMPLES_A_WORD):
        return 'classification'
    kind = 'whole numbers' if number else 'words'
    raise Undecided(
        f'labels are {distinct:,} different {kind} in {len(labels):,} examples, which may be classes or targets'
    )
