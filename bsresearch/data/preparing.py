"""Brings a data set onto this machine, once: of TFDS, from upstream or from files fetched by hand; or a user's own."""

import contextlib
import fcntl
import os
import pathlib
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import logging

from bsresearch.core import program
from bsresearch.data import own, prepared, sources, upstream
from bsresearch.data.own import request as own_request
from bsresearch.data.own.labels import BY_FLAG, Undecided
from bsresearch.data.splits import LOOKED_AT

PROBE_SECONDS = 5  # TFDS itself tries for 200 s before it says that there is no network.
FAR = 10  # times as large or small as 1: inputs that hardly train as they are
TENSORFLOW = 'pip install tensorflow-cpu==2.21.0 (only to prepare; not to train)'
Folder = pathlib.Path | None


class PrepareError(Exception):
    """What is wrong and what to do, in one message for the user."""


def command(request: own_request.Request) -> int | None:
    """Prepares what is asked for; exit code 2 and one message when it cannot be done."""
    logging.set_verbosity(logging.FATAL)  # TFDS's and Pillow's remarks; failures arrive as exceptions.
    try:
        source = own_request.source(request)
        if not request.name:
            example = 'a name for your data, such as --name=mine' if source else 'its TFDS name: --name=fashion_mnist'
            table = (request.csv or request.parquet) and not request.target
            target = ', and of a table the column to be predicted, --target=' if table else ''
            raise PrepareError(f'which set? Give {example}{target}')
        data_dir = _folder(request.data_dir) or prepared.default_dir()
        if source is not None:
            prepare_own(request.name, data_dir, source, own_request.choices(request))
            return None
        if (manual := _folder(request.manual_dir)) and not manual.is_dir():
            raise PrepareError(f'--manual_dir={request.manual_dir}: no such folder')
        prepare(request.name, data_dir, manual, _folder(request.debian_dir), request.keep_tfds)
    except (PrepareError, ValueError, OSError, ImportError) as error:
        return program.usage(error)
    return None


def _folder(given: str | None) -> Folder:
    return pathlib.Path(os.path.abspath(os.path.expanduser(given))) if given else None


def prepare(name: str, data_dir: pathlib.Path, manual: Folder, debian: Folder, keep: bool) -> None:
    """Prepares one set and says what was done.

    Args:
      manual, debian: folders with upstream's files, and with Debian's; None: nowhere, and where Debian puts them.
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
    _tell(name, data_dir)


def prepare_own(name: str, data_dir: pathlib.Path, read: Callable[[], own.Source], choices: own.Choices) -> None:
    """Prepares a set of a user's own and says what was done.

    Args:
      read: gives the source; called when the name is known to be free.

    Raises:
      ValueError, OSError: what is wrong and the cure; nothing is written then.
    """
    own.check(choices)
    if '/' in name:
        raise ValueError(f'--name={name}: of your own data a name without a configuration is needed')
    if name in sources.embedded() or upstream.is_member(name) or sources.in_tfds(name):
        kind = 'an embedded set' if name in sources.embedded() else 'a published set'
        raise ValueError(f'--name={name} is the name of {kind}; give yours another')
    if (folder := prepared.folder(name, data_dir)).exists():
        raise FileExistsError(
            f'--name={name} is taken, and runs may need what it holds; give another name, or remove it first: '
            f'rm -r {shlex.quote(str(folder))}'
        )
    try:
        own_set = own.make(read(), choices)
    except Undecided as error:
        raise ValueError(f'{error}; say so by {BY_FLAG}') from error
    for note in own_set.notes:
        print(note)
    for note in _far_from_1(own_set):
        print(note)
    with _lock(data_dir):
        prepared.write(name, own_set.splits, data_dir=data_dir, source=own_set.about)
    _tell(name, data_dir)
    print(f'to train on it: --config.data.name={name}')


def _far_from_1(own_set: own.Prepared) -> list[str]:
    """A line for arrays of floats that are trained on as they are, of a size that networks are not made for."""
    inputs = own_set.splits.train.inputs
    if 'npz' not in own_set.about or 'input_moments' in own_set.about or inputs.dtype != np.float32:
        return []
    some = inputs[:: -(-len(inputs) // LOOKED_AT)].astype(np.float64)
    size = float(np.sqrt(np.mean(some**2))) / own_set.splits.scale
    if not size or 1 / FAR < size < FAR:
        return []
    return [f'in training their root mean square is {size:.3g}, far from 1; --standardize brings each column to mean 0 '
            'and standard deviation 1']  # fmt: skip


def _tell(name: str, data_dir: pathlib.Path) -> None:
    """Reads a prepared set, verified, and prints what it holds."""
    start = time.perf_counter()
    splits = prepared.read(name, data_dir)
    print(f'valid: {prepared.folder(name, data_dir)}, loaded and verified in {time.perf_counter() - start:.3f} s')
    for what, (x, _) in (('train', splits.train), ('test', splits.test)):
        print(f'  {what}: {len(x)} examples {x.shape[1:]} {x.dtype}, {x.nbytes / 1e6:.1f} MB')
    outputs = f'{splits.num_outputs} classes' if splits.train.labels.dtype == np.int32 else 'one target'
    print(f'  {outputs}, scale {splits.scale:g}, sha256 of the arrays {splits.checksum}')


def _make(name: str, data_dir: pathlib.Path, manual: Folder, debian: Folder, keep: bool) -> None:
    if upstream.is_member(name):
        published = upstream.make(name, manual, debian)
        print(*published.notes, sep='\n', flush=True)
        prepared.write(name, published.splits, data_dir=data_dir, source=published.about)
        return
    from bsresearch.data.upstream import tfds_folder

    if manual and (folder := tfds_folder.find(name, manual)):
        print(f'reading {folder}, which TFDS prepared', flush=True)
        splits, source = tfds_folder.read(folder)
        prepared.write(name, splits, data_dir=data_dir, source=source)
        return
    _make_by_tfds(name, data_dir, manual, debian, keep)


def _make_by_tfds(name: str, data_dir: pathlib.Path, manual: Folder, debian: Folder, keep: bool) -> None:
    import tensorflow_datasets as tfds

    from bsresearch.data.upstream import cifar, tfds_builders

    work = data_dir / f'.tfds-{name.replace("/", "-")}'
    builder = tfds_builders.builder(name, work)
    manual_dir = manual or work / 'downloads' / 'manual'
    if name == 'fashion_mnist':
        files = tfds_builders.FASHION_MNIST_MTIME.keys()
        places = (manual, debian or pathlib.Path(tfds_builders.FASHION_MNIST))
        complete = [folder for folder in places if folder and files <= {p.name for p in folder.glob('*')}]
        if complete:
            manual_dir = work / 'downloads' / 'manual'
            print(f'taking the four files from {complete[0]}; TFDS checks them against its registered sha256')
            tfds_builders.stage_fashion_mnist(complete[0], manual_dir)
    needed = tfds_builders.to_download(builder, manual_dir)
    if needed and manual and name in cifar.LAYOUTS and (records := cifar.files(name, manual)):
        print(f'taking the files from {manual}', flush=True)
        builder.files = records
    elif needed:
        print(f'downloading {", ".join(needed.values())}', flush=True)
        _probe(name, needed, data_dir)
    _generate(builder, manual_dir)
    print('decoding', flush=True)
    config = builder.builder_config.name if builder.builder_config else None
    source = {'tfds': tfds.__version__, 'version': str(builder.version), 'config': config}
    source |= {'urls': sorted(builder.url_infos)}
    prepared.write(name, tfds_builders.decode(builder), data_dir=data_dir, source=source)
    if keep:
        print(f"TFDS's own files are kept in {work}")
    else:
        shutil.rmtree(work)


def _generate(builder: Any, manual_dir: pathlib.Path) -> None:
    """TFDS's download_and_prepare, its failures in one message."""
    import tensorflow_datasets as tfds

    tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(manual_dir=manual_dir, try_download_gcs=False)
    try:
        builder.download_and_prepare(download_config=config)
    except Exception as error:
        cause: BaseException | None = error
        while cause:
            if isinstance(cause, ImportError) and 'tensorflow' in (cause.name or '').split('.'):
                raise PrepareError(
                    f"TFDS's own builder of {builder.name!r} needs TensorFlow to prepare it: {TENSORFLOW}, then the "
                    f'same command again. What was downloaded stays in {builder.data_dir_root} and is used then'
                ) from error
            cause = cause.__cause__ or cause.__context__
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())
        raise PrepareError(f'TFDS could not prepare {builder.name!r}: {reason}') from error


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
