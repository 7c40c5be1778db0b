"""What `bsresearch prepare` is asked for, and the reader of a user's own data that it comes to."""

import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

from bsresearch.data.own import Choices, Source, arrays, images, tables

OF_TFDS = ('manual_dir', 'keep_tfds')
SOURCES = {  # the field of a source → those that go with it
    'npz': ('inputs', 'labels', 'standardize'),
    'images': ('size', 'grey'),
    'csv': ('target', 'drop', 'one_hot', 'standardize'),
    'parquet': ('target', 'drop', 'one_hot', 'standardize'),
}
CHOICES = Choices._fields


class Request(NamedTuple):
    """What the command is asked for: its flags."""

    name: Annotated[
        str | None, 'A published set, or name/configuration of one; or the name of your own data from now on.'
    ] = None
    data_dir: Annotated[str | None, 'Where the arrays go; default: $BSRESEARCH_DATA or ~/.cache/bsresearch/data.'] = (
        None
    )
    manual_dir: Annotated[str | None, 'Folder with the files as fetched by hand, under their upstream names.'] = None
    debian_dir: Annotated[str | None, "Folder of the files of Debian's package; default: where it puts them."] = None
    keep_tfds: Annotated[bool, "Keep TFDS's own files beside the arrays."] = False
    npz: Annotated[str | None, 'Your own arrays: a file that np.savez wrote.'] = None
    inputs: Annotated[str | None, 'Of --npz: the array of inputs, (N, …); default: the usual names.'] = None
    labels: Annotated[str | None, 'Of --npz: the array of labels, (N,): classes as numbers or words, or targets.'] = (
        None
    )
    images: Annotated[
        str | None, 'Your own images: a folder with a folder a class; or with train and test, each so.'
    ] = None
    size: Annotated[int | None, 'Of --images: pixels of a side; the shorter side is resized, the middle cut out.'] = (
        None
    )
    grey: Annotated[bool | None, 'Of --images: one channel; default: where all images are grey.'] = None
    csv: Annotated[str | None, 'Your own table, with a line of column names.'] = None
    parquet: Annotated[str | None, 'Your own table, as Parquet.'] = None
    target: Annotated[str | None, 'Of a table: the column to be predicted.'] = None
    drop: Annotated[Sequence[str], 'Of a table: columns to leave out.'] = ()
    one_hot: Annotated[Sequence[str], 'Of a table: columns that become a 0/1 column for each of their values.'] = ()
    standardize: Annotated[
        bool | None, 'Input columns and targets to mean 0, standard deviation 1; default: of tables.'
    ] = None
    test_fraction: Annotated[float | None, 'Of your own data: drawn for testing; default: 0.2.'] = None
    split_seed: Annotated[int, 'Of that draw.'] = 0
    task: Annotated[str | None, 'Of your own data: classification or regression; default: as the labels say.'] = None
    scale: Annotated[
        float | None, 'Of your own data: inputs are divided by it; default: 255 of 8-bit images, else 1.'
    ] = None


def source(request: Request) -> Callable[[], Source] | None:
    """What reads the user's own data; None for a published set.

    Raises:
      ValueError: flags that do not go together.
    """
    given = [flag for flag in SOURCES if getattr(request, flag) is not None]
    if len(given) > 1:
        raise ValueError(f'--{given[0]} and --{given[1]}: a data set has one source')
    flag = given[0] if given else ''
    allowed = (*CHOICES, *SOURCES[flag]) if flag else OF_TFDS
    for name in (*OF_TFDS, *CHOICES, *(option for options in SOURCES.values() for option in options)):
        given_value = getattr(request, name) or None  # absl makes [] of no list
        if name not in allowed and given_value != (Request._field_defaults[name] or None):
            of = [f'--{source}' for source, options in SOURCES.items() if name in (*options, *CHOICES)]
            raise ValueError(f'--{name} goes with {" or ".join(of) or "a published set"}')
    if not flag:
        return None
    file = pathlib.Path(os.path.expanduser(getattr(request, flag)))
    if flag == 'npz':
        return functools.partial(arrays.read, file, request.inputs, request.labels, bool(request.standardize))
    if flag == 'images':
        return functools.partial(images.read, file, request.size, request.grey)
    standardize = request.standardize is not False
    columns = request.target, request.drop, request.one_hot
    return functools.partial(tables.read, file, flag, *columns, standardize, request.task)


def choices(request: Request) -> Choices:
    """What is said beside the source."""
    values: dict[str, Any] = {name: getattr(request, name) for name in CHOICES}
    return Choices(**values)
