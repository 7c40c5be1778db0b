"""Prepares a TFDS image set once, as plain checksummed arrays that load in a fraction of a second and without TFDS.

    python -m scripts.prepare_data --name=fashion_mnist

Downloads through TFDS, which checks its registered sha256. Without a network: Fashion-MNIST comes from Debian's package
dataset-fashion-mnist, any set from files put into --manual_dir, or from a prepared folder copied from another machine.
Time: Fashion-MNIST 25 s on one core, and 55 MB. Exit code 2 and one message when it cannot be done.
"""

import contextlib
import fcntl
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator
from typing import Any

from absl import app, flags, logging

from bsresearch.core import plain
from bsresearch.data import prepared, sources

PROBE_SECONDS = 5  # TFDS itself tries for 200 s before it says that there is no network.
TENSORFLOW = 'pip install tensorflow-cpu==2.21.0 (only to prepare; not to train)'
Folder = pathlib.Path | None


class PrepareError(Exception):
    """What is wrong and what to do, in one message for the user."""


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('name', None, 'TFDS name, or name/configuration')
    flags.DEFINE_string('data_dir', None, 'where the arrays go; default: $BSRESEARCH_DATA or ~/.cache/bsresearch/data')
    flags.DEFINE_string('manual_dir', None, 'folder with the files as downloaded by hand, under their upstream names')
    flags.DEFINE_string('debian_dir', '/usr/share/datasets/fashion-mnist', "Debian's dataset-fashion-mnist")
    flags.DEFINE_bool('keep_tfds', False, "keep TFDS's own files beside the arrays")


def prepare(name: str, data_dir: pathlib.Path, manual: Folder, debian: Folder, keep: bool) -> None:
    """Prepares one set and says what was done.

    Args:
      manual, debian: folders with upstream's files, and with Debian's of Fashion-MNIST; either may be None.
      keep: whether TFDS's own files stay.

    Raises:
      PrepareError, ValueError: what is wrong and the cure.
    """
    if name in sources.embedded():
        print(f'{name} is embedded and needs no preparation: use --config.data.name={name}')
        return
    if not prepared.folder(name, data_dir).is_dir():
        sources.check_known(name, data_dir)
        start = time.perf_counter()
        with _lock(data_dir):
            if not prepared.folder(name, data_dir).is_dir():  # Another process may have made it while this one waited.
                _make(name, data_dir, manual, debian, keep)
                print(f'prepared {name} in {time.perf_counter() - start:.1f} s')
    else:
        print(f'{name} is already prepared; verifying')
    start = time.perf_counter()
    splits = prepared.read(name, data_dir)
    print(f'valid: {prepared.folder(name, data_dir)}, loaded and verified in {time.perf_counter() - start:.3f} s')
    for what, (x, _) in (('train', splits.train), ('test', splits.test)):
        print(f'  {what}: {len(x)} examples {x.shape[1:]} {x.dtype}, {x.nbytes / 1e6:.1f} MB')
    print(f'  {splits.num_outputs} classes, scale {splits.scale:g}, sha256 of the arrays {splits.checksum}')


def _make(name: str, data_dir: pathlib.Path, manual: Folder, debian: Folder, keep: bool) -> None:
    import tensorflow_datasets as tfds

    from bsresearch.data import tfds_builders

    work = data_dir / f'.tfds-{name.replace("/", "-")}'
    made = tfds_builders.builder(name, work)
    manual_dir = manual or work / 'downloads' / 'manual'
    if name == 'fashion_mnist':
        files = tfds_builders.FASHION_MNIST_MTIME.keys()
        found = [folder for folder in (manual, debian) if folder and files <= {p.name for p in folder.glob('*')}]
        if found:
            manual_dir = work / 'downloads' / 'manual'
            print(f'taking the four files from {found[0]}; TFDS checks them against its registered sha256')
            tfds_builders.stage_fashion_mnist(found[0], manual_dir)
    if needed := tfds_builders.to_download(made, manual_dir):
        print(f'downloading {", ".join(needed.values())}', flush=True)
        _probe(name, needed, data_dir)
    _generate(made, manual_dir)
    print('decoding', flush=True)
    config = made.builder_config.name if made.builder_config else None
    source = {'tfds': tfds.__version__, 'version': str(made.version), 'config': config, 'urls': sorted(made.url_infos)}
    prepared.write(name, tfds_builders.decode(made), data_dir=data_dir, source=source)
    if keep:
        print(f"TFDS's own files are kept in {work}")
    else:
        shutil.rmtree(work)


def _generate(made: Any, manual_dir: pathlib.Path) -> None:
    """TFDS's download_and_prepare, its failures in one message."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    try:
        made.download_and_prepare(download_config=config)
    except Exception as error:
        cause: BaseException | None = error
        while cause:
            if isinstance(cause, ImportError) and 'tensorflow' in (cause.name or '').split('.'):
                raise PrepareError(
                    f"TFDS's own builder of {made.name!r} needs TensorFlow to prepare it: {TENSORFLOW}, then the same "
                    f'command again. What was downloaded stays in {made.data_dir_root} and is used then'
                ) from error
            cause = cause.__cause__ or cause.__context__
        raise PrepareError(f'TFDS could not prepare {made.name!r}: {type(error).__name__}: {error}') from error


def _probe(name: str, needed: dict[str, str], data_dir: pathlib.Path) -> None:
    """Asks for the first byte of the first file, so that a missing network is noticed in seconds."""
    import requests

    url = next(iter(needed))
    try:
        with requests.get(url, stream=True, timeout=PROBE_SECONDS) as response:
            response.raise_for_status()
    except requests.RequestException as error:
        debian = '`apt-get install dataset-fashion-mnist` (Debian, Ubuntu), or ' if name == 'fashion_mnist' else ''
        files = '\n'.join(f'    {file} from {url}' for url, file in needed.items())
        reason = type(error).__name__ if error.response is None else f'HTTP status {error.response.status_code}'
        raise PrepareError(
            f'no way to get {name!r}: {url} cannot be had ({reason}).\n'
            f'One of these helps, then the same command again:\n'
            f'  {debian}put these files into a folder and add --manual_dir=FOLDER:\n{files}\n'
            f'  or copy the prepared folder {prepared.folder(name, data_dir)} from another machine'
        ) from error


@contextlib.contextmanager
def _lock(data_dir: pathlib.Path) -> Iterator[None]:
    """One preparation at a time per folder: two would share TFDS's temporary files."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / '.lock').open('wb') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(argv: list[str]) -> int | None:
    """Flags to values; errors to one message and exit code 2."""
    f = flags.FLAGS
    folder = lambda given: pathlib.Path(given).expanduser().absolute() if given else None
    logging.set_verbosity(logging.FATAL)  # TFDS's and Pillow's remarks; failures arrive as exceptions.
    try:
        if len(argv) > 1:
            raise PrepareError(f'unexpected argument {argv[1]!r}; give the set as --name={argv[1]}')
        if not f.name:
            raise PrepareError('which set? Give its TFDS name, for example --name=fashion_mnist')
        data_dir = folder(f.data_dir) or prepared.default_dir()
        if (manual := folder(f.manual_dir)) and not manual.is_dir():
            raise PrepareError(f'--manual_dir={f.manual_dir}: no such folder')
        prepare(f.name, data_dir, manual, folder(f.debian_dir), f.keep_tfds)
    except (PrepareError, ValueError, OSError, ImportError) as error:
        print(f'prepare_data: {error}', file=sys.stderr)
        return 2
    return None


def parse_flags(argv: list[str]) -> list[str]:
    """For `app.run`: a bad flag is one line and exit code 2."""
    plain.use()
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print(f'prepare_data: {" ".join(str(error).split())}', file=sys.stderr)
        sys.exit(2)


if __name__ == '__main__':
    define_flags()
    app.run(main, flags_parser=parse_flags)
