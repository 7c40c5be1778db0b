"""Which code this is: a hash of the package's source always, and the commit where a repository holds this package."""

import functools
import hashlib
import pathlib
import subprocess
from typing import Any

import bsresearch
from bsresearch.store import paths

PACKAGE = pathlib.Path(bsresearch.__file__).parent
LENGTH = 12  # of a commit's name


def _git(*arguments: str) -> str | None:
    """What git says of the folder that the package lies in; None where it has nothing to say."""
    command = ['git', '-C', str(PACKAGE.parent), *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, encoding='utf-8', errors='replace', check=True, timeout=10
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None


@functools.cache
def _tracked() -> bool:
    """Whether a repository holds this package: one that it only lies in, in an environment say, does not."""
    return _git('ls-files', '--error-unmatch', f'{PACKAGE.name}/__init__.py') is not None


@functools.cache
def changed_files() -> dict[str, str]:
    """Source files of the package that the commit does not hold as they are: path → sha256. Also those not tracked."""
    if not _tracked():
        return {}
    lines = (_git('status', '--porcelain', '--untracked-files=all', '-z', '--', PACKAGE.name) or '').split('\0')
    root = pathlib.Path((_git('rev-parse', '--show-toplevel') or '').strip())
    files = sorted(root / line[3:] for line in lines if line.endswith('.py'))
    return {
        str(f.relative_to(PACKAGE)): paths.file_digest(f) for f in files if f.is_file() and f.is_relative_to(PACKAGE)
    }


@functools.cache
def commit() -> str | None:
    """The package's commit, marked `-dirty` where source files differ from it; None outside a repository of it."""
    if not _tracked():
        return None
    name = _git('rev-parse', f'--short={LENGTH}', 'HEAD')
    changed = _git('status', '--porcelain', '--untracked-files=all', '--', PACKAGE.name)
    return name and name.strip() + ('-dirty' if changed else '')


@functools.cache
def source_sha256() -> str:
    """Of all source files of the package, with their paths in it; the same installed and in a checkout.

    Configs and scripts lie within it only where it is installed; what they ask for stands in every run's own config.
    """
    h = hashlib.sha256()
    beside = (PACKAGE / 'configs', PACKAGE / 'scripts')
    for file in sorted(f for f in PACKAGE.rglob('*.py') if not any(map(f.is_relative_to, beside))):
        h.update(f'{file.relative_to(PACKAGE).as_posix()} {paths.file_digest(file)}\n'.encode())
    return h.hexdigest()


def facts() -> dict[str, Any]:
    """Commit, hash of the source, and the files that the commit does not hold."""
    return {'commit': commit(), 'source_sha256': source_sha256(), 'changed_files': changed_files()}
