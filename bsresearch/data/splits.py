"""Data sets as plain arrays: the types every source returns, and the check of what it returned."""

import hashlib
import math
from typing import NamedTuple

import numpy as np

# Of the examples of a split, so many tell its range; so few tell nothing.
LOOKED_AT, TELLING = 4096, 30
# Two splits of one scale: their typical sizes differ by less.
ALIKE = 10.0


class Split(NamedTuple):
    """One split, random access by index.

    inputs: (N, *example_shape), uint8 or float32; may be a read-only memory map.
    labels: (N,), int32 classes; or float32 targets, with num_outputs 1; or (N, L) int32, 1 where an example has a
      label and 0 where not, with num_outputs L.
    """

    inputs: np.ndarray
    labels: np.ndarray


class Splits(NamedTuple):
    """A data set.

    num_outputs: number of classes; 1 for targets.
    scale: what the stored numbers are divided by to lie in [0, 1] (255 for 8-bit images; 1 where not bounded).
    checksum: sha256 over the arrays (`checksum`), recorded with every run.
    own: data of a user's own, whose name may come to mean others: ids of runs hold the checksum and not the name.
    """

    train: Split
    test: Split
    num_outputs: int
    scale: float
    checksum: str
    own: bool = False


def checksum(train: Split, test: Split) -> str:
    """sha256 over dtype, shape and C-order bytes of the four arrays; independent of the file format and of NumPy."""
    total = hashlib.sha256()
    for array in (*train, *test):
        total.update(f'{array.dtype.str} {array.shape}'.encode())
        total.update(np.ascontiguousarray(array).data)
    return total.hexdigest()


def check(name: str, splits: Splits) -> None:
    """Passes what can be trained on; called before a set is written, and before an embedded one is used.

    Raises:
      ValueError: arrays, scale, number of outputs or checksum that are not as `Split` and `Splits` have them, or two
        splits that are not of one kind; names the set, what is wrong and the cure.
    """
    arrays = (*splits.train, *splits.test) if isinstance(splits, Splits) else ()
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays):
        raise ValueError(f'data set {name!r}: a Splits of four NumPy arrays is needed; see data/splits.py')
    outputs, scale = splits.num_outputs, splits.scale
    if isinstance(outputs, bool) or not isinstance(outputs, int) or outputs < 1:
        raise ValueError(f'data set {name!r}: num_outputs={outputs!r}; allowed: an int, the classes; 1 for targets')
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise ValueError(
            f'data set {name!r}: scale={scale!r}; allowed: a positive float, by which inputs are divided: 255 for '
            '8-bit images, 1 where they are not bounded'
        )
    for what, split in (('train', splits.train), ('test', splits.test)):
        _check_inputs(f'data set {name!r}: {what}', *split, float(scale))
        _check_labels(f'data set {name!r}: {what}', split.labels, splits)
    _check_alike(name, splits)
    _check_first(name, splits)
    if splits.checksum != (true := checksum(splits.train, splits.test)):
        raise ValueError(
            f'data set {name!r}: checksum={splits.checksum!r} is not that of its arrays, {true}; make it by '
            'data/splits.py:checksum(train, test)'
        )


def _check_inputs(what: str, inputs: np.ndarray, labels: np.ndarray, scale: float) -> None:
    if inputs.dtype not in (np.uint8, np.float32):
        raise ValueError(f'{what} inputs are {inputs.dtype}; allowed: uint8, or float32: inputs.astype(np.float32)')
    if labels.ndim not in (1, 2) or inputs.ndim < 2 or len(inputs) != len(labels) or not len(labels):
        raise ValueError(
            f'{what}: inputs {inputs.shape}, labels {labels.shape}; allowed: (N, …) and (N,), or (N, L) of 0 '
            'and 1; N above 0'
        )
    if inputs.dtype == np.float32:
        bad = np.flatnonzero(~np.isfinite(inputs).all(tuple(range(1, inputs.ndim))))
        if len(bad):
            raise ValueError(
                f'{what} inputs of {len(bad)} of {len(inputs)} examples are NaN or infinite, first of example {bad[0]}'
                '; mend these examples or leave them out'
            )
    if scale != 1 and (inputs.min() < 0 or inputs.max() > scale):
        raise ValueError(
            f'{what} inputs lie in [{inputs.min():g}, {inputs.max():g}]; allowed with scale={scale:g}: 0 to {scale:g}, '
            'or scale=1 where they are not bounded'
        )


def _check_labels(what: str, labels: np.ndarray, splits: Splits) -> None:
    outputs = splits.num_outputs
    if labels.ndim == 2:
        if labels.dtype != np.int32 or labels.shape[1] != outputs or labels.min() < 0 or labels.max() > 1:
            raise ValueError(
                f'{what} labels are {labels.dtype} {labels.shape}, in [{labels.min()}, {labels.max()}]; allowed of '
                f'several an example: int32 (N, num_outputs={outputs}), 0 or 1'
            )
        return
    if labels.dtype == np.float32 and outputs == 1:
        if not np.isfinite(labels).all():
            raise ValueError(
                f'{what} targets: example {np.argmin(np.isfinite(labels))} is NaN or infinite; leave it out'
            )
        return
    if labels.dtype != np.int32:
        targets = ', or float32 targets with num_outputs=1' if np.issubdtype(labels.dtype, np.floating) else ''
        raise ValueError(f'{what} labels are {labels.dtype}; allowed: int32{targets}: labels.astype(np.int32)')
    if labels.min() < 0 or labels.max() >= outputs:
        raise ValueError(
            f'{what} labels lie in [{labels.min()}, {labels.max()}]; allowed: 0 to {outputs - 1}{_mapping(splits)}'
        )


def _check_first(name: str, splits: Splits) -> None:
    """Raises ValueError for labels 1 to K in K + 1 outputs: counted from 1, and an output added to make them fit.

    Other classes without an example are taken: a set may have more than its two splits show.
    """
    outputs = splits.num_outputs
    if splits.train.labels.dtype == np.int32 and _known(splits) == list(range(1, outputs)):
        raise ValueError(
            f'data set {name!r}: labels lie in [1, {outputs - 1}], none is of the first of num_outputs={outputs}'
            f'{_mapping(splits)}, with num_outputs={outputs - 1}'
        )


def _known(splits: Splits) -> list[int]:
    """The labels that there are, in order."""
    return np.unique(np.concatenate([splits.train.labels, splits.test.labels])).tolist()


def _mapping(splits: Splits) -> str:
    """How labels become 0, 1, …: told where there are as many as there should be."""
    known = _known(splits)
    if len(known) > splits.num_outputs:
        return f'; there are {len(known)} of them: num_outputs={len(known)}?'
    shown = [f'{label} → {i}' for i, label in enumerate(known)]
    shown = shown if len(shown) <= 4 else [*shown[:2], '…', shown[-1]]
    by = f'labels - {known[0]}' if known[-1] - known[0] == len(known) - 1 else 'np.searchsorted(known, labels)'
    return f'; map them ({", ".join(shown)}) by {by}, as int32'


def _check_alike(name: str, splits: Splits) -> None:
    """Raises ValueError for two splits of different type, shape or range."""
    (train, labels), (test, test_labels) = splits.train, splits.test
    for what, one, other in (
        ('inputs are', train.dtype, test.dtype), ('labels are', labels.dtype, test_labels.dtype),
        ('examples have the shape', train.shape[1:], test.shape[1:]),
        ('examples have labels of the shape', labels.shape[1:], test_labels.shape[1:]),
    ):  # fmt: skip
        if one != other:
            raise ValueError(f'data set {name!r}: train {what} {one}, test {what} {other}; make both alike')
    if min(len(train), len(test)) < TELLING:
        return
    sizes = [np.abs(x[:: -(-len(x) // LOOKED_AT)].astype(np.float64)).mean(0) for x in (train, test)]
    both = (sizes[0] > 0) & (sizes[1] > 0)
    ratio = float(np.median(sizes[0][both] / sizes[1][both])) if both.any() else 1.0
    if not 1 / ALIKE < ratio < ALIKE:
        raise ValueError(
            f'data set {name!r}: train inputs lie in [{train.min():g}, {train.max():g}], test inputs in '
            f'[{test.min():g}, {test.max():g}], {max(ratio, 1 / ratio):.3g} times as large on one '
            'side; scale both alike'
        )
