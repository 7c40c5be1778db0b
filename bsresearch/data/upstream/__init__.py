"""Sets that others published, made from their files: a file of this folder each, and of TFDS by `tfds_builders`.

A member is a module with
  PACKAGE, FOLDER: Debian's package that has the files, and where it puts them; FILES: their names;
  CONFIGURATIONS: what may follow the name after a slash;
  load(files, configuration) -> Source: the set's two parts, of {name: path of a file}.
What it gives is encoded, standardized where it says so, and checked as a user's own data are.
"""

import importlib
import pathlib
from collections.abc import Iterable
from types import ModuleType

from bsresearch.core import lookup
from bsresearch.data import own


def members() -> tuple[str, ...]:
    """Names of the sets of this folder."""
    return lookup.members('bsresearch.data.upstream', 'load')


def is_member(name: str) -> bool:
    """Whether `name`, or what stands before its slash, is a set of this folder."""
    return name.partition('/')[0] in members()


def make(name: str, manual: pathlib.Path | None, debian: pathlib.Path | None) -> own.Prepared:
    """The set called `name`, of files that are here; the same for everyone.

    Args:
      name: a member, or member/configuration.
      manual: where files lie that were fetched by hand. debian: where Debian's lie; None: where Debian puts them.

    Raises:
      ValueError: an unknown configuration, files that are not what was published. FileNotFoundError: no such files.
      ImportError: what reads them is not installed.
    """
    base, slash, configuration = name.partition('/')
    member = importlib.import_module(f'bsresearch.data.upstream.{base}')
    if slash and configuration not in member.CONFIGURATIONS:
        known = [f'{base}/{each}' for each in member.CONFIGURATIONS]
        raise ValueError(f'unknown data set {name!r}; allowed: {", ".join([base, *known])}')
    folder = manual or debian or pathlib.Path(member.FOLDER)
    files = find(member.FILES, folder)
    if len(files) < len(member.FILES):
        raise FileNotFoundError(_missing(name, member, folder, sorted({*member.FILES} - files.keys())))
    source = member.load(files, configuration)
    about = {'package': member.PACKAGE, 'configuration': configuration or None}
    prepared = own.make(source._replace(about=source.about | about), own.Choices())
    return prepared._replace(splits=prepared.splits._replace(own=False))


def find(names: Iterable[str], folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The files of these names in `folder` or below it, first of those alike in order of their paths."""
    wanted = set(names)
    below = sorted((path for path in folder.rglob('*') if path.name in wanted and path.is_file()), reverse=True)
    return {path.name: path for path in below}


def _missing(name: str, member: ModuleType, folder: pathlib.Path, files: list[str]) -> str:
    package = member.PACKAGE
    listed = ', '.join(files if len(files) <= 3 else [*files[:2], f'… ({len(files)} files)'])
    return (
        f'{name}: {listed} not in {folder}; `apt-get install {package}` (Debian, Ubuntu), or, nothing installed, '
        f'`apt-get download {package} && dpkg-deb -x {package}_*.deb {package}` and --manual_dir={package}'
    )
