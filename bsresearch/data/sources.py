"""The one entry to data sets by name: embedded ones (a file in this folder) and prepared ones."""

import difflib
import functools
import importlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from bsresearch.core import lookup, own_part
from bsresearch.data import prepared
from bsresearch.data.splits import Splits, check

if TYPE_CHECKING:
    from bsresearch.data import own


def resolve(name: str, data_dir: pathlib.Path | str | None, keywords: Mapping[str, Any]) -> Splits:
    """The data set called `name`; the same object again within a process.

    Args:
      name: a file of this folder that defines `load` (digits, blobs), or a prepared set (fashion_mnist).
      data_dir: where prepared sets lie; None: `prepared.default_dir()`. Embedded sets ignore it.
      keywords: arguments of the embedded set's `load`; prepared sets take none.

    Raises:
      FileNotFoundError: a set that is not prepared; names the command.
      ValueError: unknown name or keyword, a value out of range, damaged files.
    """
    if name in embedded():
        load = importlib.import_module(f'bsresearch.data.{name}').load
        return _embedded(name, _plain(name, load, keywords))
    if own_part.is_path(name):
        return own_set(name, keywords).splits
    if keywords:
        given = ', '.join(map(repr, keywords))
        raise ValueError(f'data set {name!r} has no field {given}: prepared sets have no fields, remove them')
    root = pathlib.Path(data_dir).expanduser().absolute() if data_dir else prepared.default_dir()
    if name not in prepared.available(root):
        check_known(name, root)
    return _prepared(name, root)


def own_set(name: str, keywords: Mapping[str, Any]) -> 'own.Prepared':
    """What a user's function gave, with what became of its labels, and lines that tell it; the same object again.

    Raises:
      ValueError: as own_part.function; what it returned cannot be used.
    """
    return _own(name, _plain(name, own_part.function(name, 'data set'), keywords))


def _plain(name: str, load: Callable[..., Any], keywords: Mapping[str, Any]) -> str:
    """All arguments of a `load` as text, for 3, 3.0 and True are equal as cache keys but not as values."""
    complete = lookup.check_keywords(load, keywords, f'data set {name!r}')
    try:
        return json.dumps(complete, sort_keys=True)
    except TypeError as error:
        raise ValueError(f'data set {name!r} takes plain numbers and words, got {complete}: {error}') from error


def embedded() -> tuple[str, ...]:
    """Names of the sets that need no preparation."""
    return lookup.members('bsresearch.data', 'load')


def in_tfds(name: str) -> bool:
    """Whether TFDS, where it is installed, has a set of that name."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        return False
    return name in tfds.list_builders(with_community_datasets=False)


def check_known(name: str, data_dir: pathlib.Path) -> None:
    """Passes when `upstream` or TFDS has the set `name` (or name/configuration).

    Raises:
      FileNotFoundError: TFDS cannot be asked because it is not installed.
      ValueError: no such set; names the embedded ones, the prepared ones, those of upstream and the nearest of TFDS.
    """
    from bsresearch.data import upstream  # Here: what is prepared is read without JAX.

    if upstream.is_member(name):
        return
    try:
        import tensorflow_datasets as tfds  # Here: training must work without it.
    except ImportError:
        raise FileNotFoundError(
            f'{prepared.missing(name, data_dir)}. Whether TFDS has {name!r} could not be checked: tensorflow_datasets '
            f'is not installed here (pip install tensorflow-datasets; only to prepare, not to train)'
        ) from None
    # The community's list is fetched from the network, and needs TensorFlow to fail politely.
    names = tfds.list_builders(with_community_datasets=False)
    if name.split('/')[0] in names:
        return
    ready = prepared.available(data_dir)
    near = difflib.get_close_matches(name, (*embedded(), *ready, *upstream.members()), n=1, cutoff=0.6)
    raise ValueError(
        f'unknown data set {name!r}{f"; did you mean {near[0]!r}?" if near else ";"} '
        f'Embedded: {", ".join(embedded())}. Prepared in {data_dir}: {", ".join(ready) or "none"}. '
        f'To prepare once with `{prepared.command("NAME", data_dir)}`: {", ".join(upstream.members())}; of TFDS, '
        f'nearest of {len(names)}: '
        f'{", ".join(difflib.get_close_matches(name, names, n=4, cutoff=0.4)) or "none is near"}. Your own: '
        f'{prepared.own_data(name, data_dir)}'
    )


@functools.lru_cache(maxsize=16)
def _embedded(name: str, keywords: str) -> Splits:
    splits = importlib.import_module(f'bsresearch.data.{name}').load(**json.loads(keywords))
    check(name, splits)
    return splits


@functools.lru_cache(maxsize=16)
def _own(name: str, keywords: str) -> 'own.Prepared':
    """Of Splits, or of two parts as pairs of inputs and labels, which are then made some."""
    from bsresearch.data import own  # Here: what is prepared is read without JAX.
    from bsresearch.data.own.labels import Undecided

    loaded = own_part.function(name, 'data set')(**json.loads(keywords))
    if isinstance(loaded, Splits):
        check(name, loaded)
        return own.Prepared(loaded._replace(own=True), {}, [])
    two = lambda value: isinstance(value, tuple | list) and len(value) == 2
    if not two(loaded) or not all(map(two, loaded)):
        raise ValueError(
            f'data set {name} returned {type(loaded).__name__}; allowed: ((inputs, labels), (inputs, labels)) to train '
            'and to test, or a Splits (data/splits.py)'
        )
    try:
        train, test = ((np.asarray(inputs), np.asarray(labels)) for inputs, labels in loaded)
        own_set = own.make(own.Source(train, test, False, {}), own.Choices())
    except Undecided as error:
        cure = 'return a Splits (bsresearch/data/splits.py), with int32 classes, or float32 targets and num_outputs=1'
        raise ValueError(f'data set {name}: {error}; {cure}') from error
    except ValueError as error:
        raise ValueError(f'data set {name}: {" ".join(str(error).split())}') from error
    check(name, own_set.splits)
    return own_set


@functools.lru_cache(maxsize=16)
def _prepared(name: str, data_dir: pathlib.Path) -> Splits:
    return prepared.read(name, data_dir)
