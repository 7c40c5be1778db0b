"""CIFAR-10 and -100 as they were published, in a folder: Python's archive, or either archive unpacked.

All hold the same records in the same order: one label (CIFAR-10) or a coarse and a fine one, then 32×32 reds, greens
and blues, row by row. Here they become the files of the binary archive, from which TFDS makes the set (tfds_builders).

Reference: Krizhevsky (2009), https://www.cs.toronto.edu/~kriz/cifar.html
"""

import hashlib
import pathlib
import pickle
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

PAGE = 'https://www.cs.toronto.edu/~kriz'
PIXELS = 3 * 32 * 32


class Layout(NamedTuple):
    """An archive's name (Python's), its folder, and that of the binary one; file → its md5, as published.

    batches: file of records → how many. meta: the file of the classes' names. labels: the key of each label in a
    pickle. names: the file of the binary archive with the names → their key in `meta`.
    """

    archive: str
    folder: str
    binary: str
    md5: dict[str, str]
    batches: dict[str, int]
    meta: str
    labels: tuple[bytes, ...]
    names: dict[str, bytes]


LAYOUTS = {
    'cifar10': Layout(
        'cifar-10-python.tar.gz', 'cifar-10-batches-py', 'cifar-10-batches-bin',
        {
            'data_batch_1': 'c99cafc152244af753f735de768cd75f', 'data_batch_2': 'd4bba439e000b95fd0a9bffe97cbabec',
            'data_batch_3': '54ebc095f3ab1f0389bbae665268c751', 'data_batch_4': '634d18415352ddfa80567beed471001a',
            'data_batch_5': '482c414d41f54cd18b22e5b47cb7c3cb', 'test_batch': '40351d587109b95175f43aff81a1287e',
            'batches.meta': '5ff9c542aee3614f3951f8cda6e48888',
        },
        {**{f'data_batch_{i}': 10_000 for i in range(1, 6)}, 'test_batch': 10_000},
        'batches.meta', (b'labels',), {'batches.meta.txt': b'label_names'},
    ),
    'cifar100': Layout(
        'cifar-100-python.tar.gz', 'cifar-100-python', 'cifar-100-binary',
        {
            'train': '16019d7e3df5f24257cddd939b257f8d', 'test': 'f0ef6b0ae62326f3e7ffdfab6717acfc',
            'meta': '7973b15100ade9c7d40fb424638fde48',
        },
        {'train': 50_000, 'test': 10_000},
        'meta', (b'coarse_labels', b'fine_labels'),
        {'coarse_label_names.txt': b'coarse_label_names', 'fine_label_names.txt': b'fine_label_names'},
    ),
}  # fmt: skip


def files(name: str, folder: pathlib.Path) -> dict[str, bytes] | None:
    """The files of the binary archive by name, of what lies in `folder`; None where none of the layouts does.

    Raises:
      ValueError: a file that is not the published one, or not of its size; names it, and the cure.
    """
    layout = LAYOUTS[name]
    pickles = [*layout.batches, layout.meta]
    if (archive := folder / layout.archive).is_file():
        try:
            raw = of_tar(archive, layout.folder, pickles)
        except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
            raise ValueError(f'{archive} is damaged ({error}); fetch {PAGE}/{archive.name} anew') from error
        return _of_pickles(layout, raw, archive)
    if place := _place(folder, layout.folder, pickles):
        return _of_pickles(layout, {file: (place / file).read_bytes() for file in pickles}, place)
    binary = [*(f'{file}.bin' for file in layout.batches), *layout.names]
    if place := _place(folder, layout.binary, binary):
        raw = {file: (place / file).read_bytes() for file in binary}
        size = len(layout.labels) + PIXELS
        for file, count in layout.batches.items():
            if len(raw[f'{file}.bin']) != count * size:
                raise ValueError(
                    f'{place / file}.bin has {len(raw[f"{file}.bin"]):,} bytes, not the {count * size:,} of {count:,} '
                    f'images; fetch {PAGE}/{layout.archive.replace("python", "binary")} anew'
                )
        return raw
    return None


def _place(folder: pathlib.Path, inner: str, names: list[str]) -> pathlib.Path | None:
    """`folder`, or `inner` in it, whichever has the files."""
    return next((p for p in (folder, folder / inner) if all((p / name).is_file() for name in names)), None)


def of_tar(archive: pathlib.Path, folder: str, names: Iterable[str]) -> dict[str, bytes]:
    """What files of a folder in a zipped tar archive hold, by name; in one pass, for seeking back unzips anew."""
    wanted = {f'{folder}/{name}': name for name in names}
    with tarfile.open(archive, 'r:gz') as tar:
        members = ((wanted[member.name], tar.extractfile(member)) for member in tar if member.name in wanted)
        return {name: file.read() for name, file in members if file}


def _of_pickles(layout: Layout, raw: Mapping[str, bytes], place: pathlib.Path) -> dict[str, bytes]:
    """The binary archive's files of Python's, `raw`."""
    pickles = {file: _unpickled(layout, file, raw.get(file), place) for file in (*layout.batches, layout.meta)}
    records = {}
    for file in layout.batches:
        labels = [np.asarray(pickles[file][key], np.uint8) for key in layout.labels]
        records[f'{file}.bin'] = np.column_stack([*labels, pickles[file][b'data']]).tobytes()
    names = {file: b'\n'.join(pickles[layout.meta][key]) for file, key in layout.names.items()}
    return records | names


def _unpickled(layout: Layout, file: str, raw: bytes | None, place: pathlib.Path) -> dict[bytes, list]:
    """A pickle may call anything: it is read only where it is the published one, by its md5."""
    md5 = hashlib.md5(raw, usedforsecurity=False).hexdigest() if raw is not None else 'no such file'
    if raw is None or md5 != layout.md5[file]:
        raise ValueError(
            f'{place}: {file} is not the published one, but damaged or another: expected md5 {layout.md5[file]}, found '
            f'{md5}; fetch {PAGE}/{layout.archive} anew'
        )
    return pickle.loads(raw, encoding='bytes')
