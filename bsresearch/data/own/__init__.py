"""Data of a user's own become a prepared set: read by a file of this folder, split, encoded, checked, written once.

A reader gives a Source; what follows is the same for arrays, image folders and tables. Nothing is changed without
being said: the lines of `Prepared.notes` are printed, and the manifest has the settings and the classes.
"""

from typing import Any, NamedTuple

import numpy as np

from bsresearch.core import rng
from bsresearch.data.own import finite
from bsresearch.data.own.labels import encoded
from bsresearch.data.splits import Split, Splits, checksum

TASKS = ('classification', 'regression')
MOST_CHANNELS = 4  # that are normalized each by itself


class Source(NamedTuple):
    """What a reader found.

    train: inputs (N, …) and labels (N,) as the file has them: numbers, or strings for classes.
    test: as train, where the source has a test part of its own; None: it is drawn from `train`.
    standardize: whether each input column, and targets, are to have mean 0 and standard deviation 1.
    about: what the manifest tells of the source. notes: lines for the user.
    called: inputs and labels of each part, as the user has them. first_row: what the first row is called there, 0 or 1.
    """

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray] | None
    standardize: bool
    about: dict[str, Any]
    notes: tuple[str, ...] = ()
    called: tuple[tuple[str, str], ...] = (('inputs to train', 'labels to train'), ('inputs to test', 'labels to test'))
    first_row: int = 0


class Choices(NamedTuple):
    """What the user says beside the source.

    test_fraction: of the examples, drawn at random; None: 0.2, or the source's own test part.
    split_seed: of that draw. task: of TASKS; None: as the labels say. scale: what inputs are divided by; None: 255 for
    8-bit images, 1 for all else.
    """

    test_fraction: float | None = None
    split_seed: int = 0
    task: str | None = None
    scale: float | None = None


class Prepared(NamedTuple):
    """The set, what its manifest tells of its source, and lines for the user."""

    splits: Splits
    about: dict[str, Any]
    notes: list[str]


def make(source: Source, choices: Choices) -> Prepared:
    """A data set of a source.

    Raises:
      ValueError: choices out of range or against the source, labels or inputs that cannot be used.
    """
    check(choices)
    notes, about = list(source.notes), dict(source.about)
    for (x, y), called in zip(filter(None, (source.train, source.test)), source.called, strict=False):
        _check_pair(x, y)
        columns = source.about.get('columns', ())
        finite.check(called[0], x, single=not source.standardize, first_row=source.first_row, columns=columns)
        finite.check(called[1], y, single=False, first_row=source.first_row)
    parts, of_parts = _parted(source, choices)
    labels, classes, of_labels = encoded([labels for _, labels in parts], choices.task)
    if classes is None and labels[0].min() == labels[0].max():
        raise ValueError(f'all targets to train on are {labels[0][0]:g}; two different ones at least are needed')
    inputs, notes = [inputs for inputs, _ in parts], [*notes, of_parts, of_labels]
    if source.standardize:
        inputs, moments, constant = _standardized(inputs)
        about['input_moments'] = moments
        notes += ['each column has mean 0 and standard deviation 1 over the training part']
        notes += [f'{constant} columns are constant there, and 0'] if constant else []
        if classes is None:
            labels, about['target_moments'], _ = _standardized(labels)
            notes += ['so have the targets: a squared_error, ½(f − y)², of about 0.5 is that of their mean']
    if classes is None:
        with np.errstate(over='ignore'):  # told by splits.check, as what is infinite
            labels = [part.astype(np.float32) for part in labels]
    inputs, of_inputs = _stored(inputs)
    notes += of_inputs
    scale = choices.scale or (255.0 if inputs[0].dtype == np.uint8 else 1.0)
    divided = '' if scale == 1 else f' and are divided by {scale:g} in training'
    notes += [f'inputs lie in [{min(x.min() for x in inputs):g}, {max(x.max() for x in inputs):g}]{divided}']
    notes += _moments(inputs[0], scale) if inputs[0].dtype == np.uint8 else []
    train, test = (Split(*pair) for pair in zip(inputs, labels, strict=True))
    if classes is not None:
        about['classes'] = classes
    if source.test is None:
        about |= {'test_fraction': len(test.labels) / len(source.train[1]), 'split_seed': choices.split_seed}
    num_outputs = 1 if classes is None else len(classes)
    return Prepared(Splits(train, test, num_outputs, scale, checksum(train, test), True), about, notes)


def check(choices: Choices) -> None:
    """Raises ValueError for a choice out of range, before anything is read."""
    if choices.test_fraction is not None and not 0 < choices.test_fraction < 1:
        raise ValueError(f'--test_fraction={choices.test_fraction}: must lie between 0 and 1, such as 0.2')
    if not 0 <= choices.split_seed <= rng.MAX_SEED:
        raise ValueError(f'--split_seed={choices.split_seed}: must lie in [0, {rng.MAX_SEED}]')
    if choices.task is not None and choices.task not in TASKS:
        raise ValueError(f'--task={choices.task}: allowed: {", ".join(TASKS)}')
    if choices.scale is not None and not 0 < choices.scale < np.inf:
        raise ValueError(f'--scale={choices.scale}: must be positive; inputs are divided by it')


def _check_pair(inputs: np.ndarray, labels: np.ndarray) -> None:
    """Raises ValueError unless there is a label for each example, and something to learn from."""
    if not inputs.ndim or not labels.ndim or len(inputs) != len(labels) or not inputs.size:
        raise ValueError(f'inputs {inputs.shape}, labels {labels.shape}; allowed: as many labels as inputs, above 0')


def _parted(source: Source, choices: Choices) -> tuple[list[tuple[np.ndarray, np.ndarray]], str]:
    """Training and test part, in the source's order."""
    inputs, labels = source.train
    if source.test is not None:
        if choices.test_fraction is not None:
            raise ValueError(
                f'--test_fraction={choices.test_fraction}: the source has a test part of its own, of '
                f'{len(source.test[1])} examples; leave the flag out'
            )
        return [source.train, source.test], f'{len(labels):,} training and {len(source.test[1]):,} test examples'
    share = 0.2 if choices.test_fraction is None else choices.test_fraction
    held = round(share * len(labels))
    if not 0 < held < len(labels):
        raise ValueError(
            f'--test_fraction={share:g} of {len(labels)} examples leaves {held} to test and {len(labels) - held} to '
            'train; each needs one at least'
        )
    order = rng.generator(choices.split_seed, 'test').permutation(len(labels))
    rows = [np.sort(order[held:]), np.sort(order[:held])]
    parts = [(inputs[part], labels[part]) for part in rows]
    return parts, f'{len(rows[0]):,} training and {held:,} test examples, drawn with split_seed={choices.split_seed}'


def _stored(inputs: list[np.ndarray]) -> tuple[list[np.ndarray], list[str]]:
    """Inputs as uint8 or float32, images with a channel axis; and lines on what was changed."""
    notes, first = [], inputs[0]
    if first.dtype.kind not in 'biuf':
        raise ValueError(f'inputs are {first.dtype}; allowed: numbers')
    if first.ndim < 2:
        raise ValueError(f'inputs have the shape {first.shape}; allowed: (N, …), an axis of examples and others')
    if any(part.shape[1:] != first.shape[1:] for part in inputs):
        shapes = ' and '.join(str(part.shape[1:]) for part in inputs)
        raise ValueError(f'examples of the two parts have the shapes {shapes}; make them alike')
    if len({part.dtype.kind == 'f' for part in inputs}) > 1:
        raise ValueError(f'inputs of the two parts are {inputs[0].dtype} and {inputs[1].dtype}; make them alike')
    whole = first.dtype.kind in 'biu'
    lowest, highest = min(part.min() for part in inputs), max(part.max() for part in inputs)
    image = whole and first.dtype.kind != 'b' and first.ndim >= 3 and lowest >= 0 and highest <= 255
    kind = np.uint8 if image else np.float32
    if first.dtype != kind:
        if whole and max(abs(float(lowest)), abs(float(highest))) > 2**24:
            raise ValueError(f'inputs reach {highest}; whole numbers beyond 2²⁴ do not fit float32: scale them first')
        notes += [f'inputs are stored as {np.dtype(kind).name}, not {first.dtype.name}']
    inputs = [part.astype(kind, copy=False) for part in inputs]
    if kind == np.uint8 and first.ndim == 3:
        inputs = [part[..., None] for part in inputs]
        notes += [f'inputs {first.shape[1:]} are taken as grey images: {inputs[0].shape[1:]}']
    if kind == np.uint8 and inputs[0].ndim == 4 and inputs[0].shape[3] > 4 >= inputs[0].shape[1]:
        raise ValueError(
            f'images have the shape {inputs[0].shape[1:]}: channels come last here; np.moveaxis(images, 1, -1) brings '
            'them there'
        )
    return inputs, notes


def _moments(images: np.ndarray, scale: float) -> list[str]:
    """A line with the flags that normalize 8-bit images (N, …, channels), channel by channel.

    Of the counts of the 256 values: exact, and without a copy of all images in another type.
    """
    channels = images.reshape(-1, images.shape[-1] if images.shape[-1] <= MOST_CHANNELS else 1)
    pieces = [channels[begin : begin + 2**20] for begin in range(0, len(channels), 2**20)]
    values, moments = np.arange(256) / scale, []
    for channel in range(channels.shape[1]):
        counts = sum(np.bincount(piece[:, channel], minlength=256) for piece in pieces)
        mean = np.average(values, weights=counts)
        moments.append((mean, np.average((values - mean) ** 2, weights=counts) ** 0.5))
    mean, std = (','.join(f'{number:.4f}' for number in numbers) for numbers in zip(*moments, strict=True))
    normalizing = f'--config.data.mean={mean} --config.data.std={std}'
    return [f'they are not normalized beside that; {normalizing}, of the training part, would do it']


def _standardized(parts: list[np.ndarray]) -> tuple[list[np.ndarray], dict[str, Any], int]:
    """Each column minus the training part's mean, over its standard deviation; both; how many columns are constant."""
    if parts[0].dtype.kind not in 'biuf':
        raise ValueError(f'inputs are {parts[0].dtype}; only numbers can be standardized')
    train = parts[0].astype(np.float64)
    with np.errstate(over='ignore', invalid='ignore'):  # told later, as what is infinite
        mean, std = train.mean(0), train.std(0)
        divided = np.where(std == 0, 1.0, std)
        scaled = [((part - mean) / divided).astype(np.float32) for part in parts]
    return scaled, {'mean': mean.tolist(), 'std': std.tolist()}, int((std == 0).sum())
