"""An .npz file with inputs and labels: one pair, or one for training and one for testing."""

import pathlib

import numpy as np

from bsresearch.core import lookup
from bsresearch.data.own import Source

# What the four arrays of a file with a test part are called: ours, and those of Keras.
PARTED = (('train_inputs', 'train_labels', 'test_inputs', 'test_labels'), ('x_train', 'y_train', 'x_test', 'y_test'))
USUAL = {'inputs': ('inputs', 'images', 'x', 'X', 'data'), 'labels': ('labels', 'label', 'y', 'targets', 'target')}


def read(file: pathlib.Path, inputs: str | None, labels: str | None, standardize: bool) -> Source:
    """The arrays of a file.

    Args:
      inputs, labels: names of the arrays; None: the usual ones.

    Raises:
      FileNotFoundError: no such file. ValueError: no .npz, or an array that is not there or holds Python objects.
    """
    if not file.is_file():
        raise FileNotFoundError(f'--npz={file}: no such file')
    with file.open('rb') as opened:
        try:
            arrays = np.load(opened, allow_pickle=False)
        except Exception as error:  # a torn archive makes zipfile and zlib raise what they like
            why = ' '.join(str(error).split())
            raise ValueError(f'--npz={file} cannot be read ({why}); allowed: what np.savez wrote') from error
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError(f'--npz={file} holds a single array; write inputs and labels with np.savez')
        parted = next((names for names in PARTED if set(names) <= set(arrays.files)), None)
        if parted is not None and inputs is None and labels is None:
            train, test = _pair(file, arrays, *parted[:2]), _pair(file, arrays, *parted[2:])
            called = tuple((f'{file}: {inputs}', f'{file}: {labels}') for inputs, labels in (parted[:2], parted[2:]))
            return Source(train, test, standardize, {'npz': file.name, 'arrays': list(parted)}, called=called)
        names = [_name(file, arrays.files, what, given) for what, given in (('inputs', inputs), ('labels', labels))]
        about = {'npz': file.name, 'arrays': names}
        called = ((f'{file}: {names[0]}', f'{file}: {names[1]}'),)
        return Source(_pair(file, arrays, *names), None, standardize, about, called=called)


def _name(file: pathlib.Path, there: list[str], what: str, given: str | None) -> str:
    """Of the array of inputs or labels."""
    if given is not None:
        if given not in there:
            raise ValueError(f'--{what}={given}: {file} has no such array; {lookup.nearest(given, there)}')
        return given
    usual = [name for name in USUAL[what] if name in there]
    if len(usual) != 1:
        kind = 'none' if not usual else 'more than one'
        raise ValueError(
            f'{file} has {kind} of the usual names of {what} ({", ".join(USUAL[what])}); say which with --{what}=, of '
            f'{", ".join(there)}'
        )
    return usual[0]


def _pair(file: pathlib.Path, arrays: np.lib.npyio.NpzFile, inputs: str, labels: str) -> tuple[np.ndarray, np.ndarray]:
    return _array(file, arrays, inputs), _array(file, arrays, labels)


def _array(file: pathlib.Path, arrays: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        array = arrays[name]
    except Exception as error:
        if 'allow_pickle' in str(error):
            raise ValueError(
                f'{file}: the array {name!r} holds Python objects, which are not read, for a file may run code that '
                f'way; convert it, e.g. by np.array(list({name})) or .astype(str)'
            ) from error
        why = ' '.join(str(error).split())
        raise ValueError(f'{file}: the array {name!r} cannot be read ({why})') from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f'{file}: {name!r} is no array; allowed: what np.savez wrote')
    return array
