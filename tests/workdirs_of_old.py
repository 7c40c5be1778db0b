"""Workdirs of the first version, unpacked (tests/workdirs/README.md)."""

import pathlib
import tarfile

ARCHIVES = pathlib.Path(__file__).parent / 'workdirs'
NAMES = sorted(p.name.removesuffix('.tar.xz') for p in ARCHIVES.glob('*.tar.xz'))


def unpack(name: str, folder: pathlib.Path) -> pathlib.Path:
    """The workdir called `name`, unpacked into `folder`."""
    with tarfile.open(ARCHIVES / f'{name}.tar.xz') as archive:
        archive.extractall(folder, filter='data')
    return folder / name
