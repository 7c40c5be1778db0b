"""Preparing TFDS sets without TensorFlow: thin builders around the stock ones, which need it only to read raw files.

A thin builder keeps the stock one's name, version, features and registered sha256 of the downloads, so what it writes
is what the stock one writes, in TFDS's own (shuffled, fixed) order. Only preparing needs this module, not training.
"""

import gzip
import pathlib
import struct
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import PIL.Image
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import resource

from bsresearch.core import lookup
from bsresearch.data.splits import Split, Splits, checksum
from bsresearch.data.upstream import cifar

FASHION_MNIST = '/usr/share/datasets/fashion-mnist'  # of Debian's package dataset-fashion-mnist
# Debian strips name and time from a gzip header; these times (seconds since 1970) restore upstream's very bytes.
FASHION_MNIST_MTIME = {
    'train-images-idx3-ubyte.gz': 1504176606,
    'train-labels-idx1-ubyte.gz': 1504176606,
    't10k-images-idx3-ubyte.gz': 1504176627,
    't10k-labels-idx1-ubyte.gz': 1504176627,
}


def parse_idx(raw: bytes) -> np.ndarray:
    """The array in an (unzipped) idx file of MNIST: uint8, big-endian header 0, 0, 8, rank, sizes.

    Raises:
      ValueError: not unsigned bytes, or another length than the header says.
    """
    if len(raw) < 4 or raw[:3] != b'\0\0\x08':
        raise ValueError(f'not an idx file of unsigned bytes: starts with {raw[:4]!r}, expected 0, 0, 8, rank')
    shape = np.frombuffer(raw, '>u4', count=raw[3], offset=4).tolist() if len(raw) >= 4 + 4 * raw[3] else [-1]
    if len(raw) != 4 + 4 * raw[3] + np.prod(shape, dtype=np.int64):
        raise ValueError(f'idx file of {len(raw)} bytes does not hold the {shape} values its header announces')
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * raw[3]).reshape(shape)


def parse_cifar(raw: bytes, num_labels: int) -> tuple[np.ndarray, np.ndarray]:
    """The records of a CIFAR binary file: 1 label (CIFAR-10) or 2 (CIFAR-100: coarse, fine), then three 32x32 planes.

    Returns:
      labels (N, num_labels) and images (N, 32, 32, 3), uint8; ValueError for a fraction of a record.
    """
    size = num_labels + 3 * 32 * 32
    if len(raw) % size or not raw:
        raise ValueError(f'CIFAR file of {len(raw)} bytes; allowed: a multiple of {size}, above 0')
    records = np.frombuffer(raw, np.uint8).reshape(-1, size)
    return records[:, :num_labels], records[:, num_labels:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


class _Idx:
    """MNIST's four gzipped idx files."""

    url_infos: dict[str, Any]

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        files = dl_manager.download({url.rsplit('/', 1)[1]: url for url in self.url_infos})
        return {
            split: self._generate_examples(files[f'{p}-images-idx3-ubyte.gz'], files[f'{p}-labels-idx1-ubyte.gz'])
            for split, p in (('train', 'train'), ('test', 't10k'))
        }

    def _generate_examples(self, images: Any, labels: Any) -> Iterator[tuple[int, dict[str, Any]]]:
        pixels, digits = (parse_idx(gzip.decompress(pathlib.Path(p).read_bytes())) for p in (images, labels))
        for i, (pixel, digit) in enumerate(zip(pixels, digits, strict=True)):
            # Pillow encodes a PIL image; an array would go through TensorFlow.
            yield i, {'image': PIL.Image.fromarray(pixel), 'label': int(digit)}


class _Cifar:
    """CIFAR's one tar archive of binary records; or its files, where they were had otherwise (cifar.files)."""

    info: Any
    _cifar_info: Any
    files: dict[str, bytes] | None = None

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[int, dict[str, Any]]]]:
        c = self._cifar_info
        names = (*c.label_files, *c.train_files, *c.test_files)
        files = self.files or cifar.of_tar(dl_manager.download(c.url), c.prefix.rstrip('/'), names)
        for key, file in zip(c.label_keys, c.label_files, strict=True):
            self.info.features[key].names = [n for n in files[file].decode().split('\n') if n]
        return {
            'train': self._generate_examples('train_', [files[f] for f in c.train_files]),
            'test': self._generate_examples('test_', [files[f] for f in c.test_files]),
        }

    def _generate_examples(self, prefix: str, files: Iterable[bytes]) -> Iterator[tuple[int, dict[str, Any]]]:
        keys = self._cifar_info.label_keys
        index = 0
        for raw in files:
            for labels, image in zip(*parse_cifar(raw, len(keys)), strict=True):
                example = dict(zip(keys, labels.tolist(), strict=True))
                yield index, example | {'id': f'{prefix}{index:05d}', 'image': PIL.Image.fromarray(image)}
                index += 1


THIN = {'mnist': _Idx, 'fashion_mnist': _Idx, 'kmnist': _Idx, 'cifar10': _Cifar, 'cifar100': _Cifar}


def builder(name: str, data_dir: pathlib.Path) -> Any:
    """TFDS's builder of `name` (or name/configuration), writing under `data_dir`; without TensorFlow where THIN has it.

    Raises:
      ValueError: unknown configuration, or not labelled 8-bit images of one size.
    """
    base, _, config = name.partition('/')
    stock: Any = tfds.builder_cls(base)
    if config and config not in stock.builder_configs:
        raise ValueError(f'{base!r} has no configuration {config!r}; {lookup.nearest(config, stock.builder_configs)}')
    if name in THIN:
        kept = {'name': stock.name, 'url_infos': stock.url_infos, 'pkg_dir_path': stock.pkg_dir_path}
        bases, options = (THIN[name], stock), {'skip_registration': True}
        thin = types.new_class(stock.__name__, bases, options, lambda body: body.update(kept))
        made: Any = thin(data_dir=data_dir, file_format='array_record')
    else:
        made = tfds.builder(name, data_dir=data_dir, file_format='array_record')
    check_features(made)
    return made


def check_features(builder: Any) -> None:
    """Raises ValueError unless a set of TFDS is labelled 8-bit images of one size."""
    name, features = builder.name, dict(builder.info.features)
    if not {'image', 'label'} <= features.keys() or not isinstance(features['label'], tfds.features.ClassLabel):
        raise ValueError(f'{name!r} has the features {sorted(features)}; allowed: sets with an image and a class label')
    image = features['image']
    if None in image.shape or image.np_dtype != np.uint8:
        raise ValueError(
            f'{name!r} has images {image.shape}, {np.dtype(image.np_dtype)}; allowed: one fixed size, uint8'
        )


def stage_fashion_mnist(source: pathlib.Path, manual_dir: pathlib.Path) -> None:
    """Copies the four files into TFDS's manual folder, with the header Debian stripped put back; TFDS checks them."""
    manual_dir.mkdir(parents=True, exist_ok=True)
    for name, mtime in FASHION_MNIST_MTIME.items():
        raw = (source / name).read_bytes()
        if raw[:2] == b'\x1f\x8b' and not raw[3] & 8:  # gzip without the FNAME field
            stem = name.removesuffix('.gz').encode() + b'\0'
            raw = raw[:3] + struct.pack('<BI', raw[3] | 8, mtime) + raw[8:10] + stem + raw[10:]
        (manual_dir / name).write_bytes(raw)


def to_download(builder: Any, manual_dir: pathlib.Path) -> dict[str, str]:
    """Registered files that are neither in `manual_dir` nor in TFDS's cache: {URL: file name}."""
    cache = pathlib.Path(builder.data_dir_root) / 'downloads' / builder.name
    return {
        url: info.filename or url.rsplit('/', 1)[1]
        for url, info in builder.url_infos.items()
        if not (info.filename and (manual_dir / info.filename).exists())
        and not (cache / resource.get_dl_fname(url, info.checksum)).exists()
    }


def of_array_record(builder: Any, split: str) -> Iterable[dict[str, Any]]:
    """The examples of a split, decoded, in TFDS's order."""
    return builder.as_data_source(split=split)


def decode(builder: Any, examples: Callable[[Any, str], Iterable[dict[str, Any]]] = of_array_record) -> Splits:
    """A prepared TFDS set as arrays: inputs (N, height, width, channels), uint8; labels (N,), int32; TFDS's order.

    Args:
      examples: of a split, by the format of its files.

    Raises:
      ValueError: no train or no test split.
    """
    if missing := {'train', 'test'} - set(builder.info.splits):
        raise ValueError(
            f'{builder.name!r} has no split {" and no split ".join(sorted(missing))}; its splits: '
            f'{", ".join(builder.info.splits)}; allowed: sets with train and test'
        )
    splits = []
    for split in ('train', 'test'):
        count = builder.info.splits[split].num_examples
        inputs = np.empty((count, *builder.info.features['image'].shape), np.uint8)
        labels = np.empty(count, np.int32)
        for i, example in enumerate(examples(builder, split)):
            inputs[i], labels[i] = example['image'], example['label']
        splits.append(Split(inputs, labels))
    train, test = splits
    return Splits(train, test, builder.info.features['label'].num_classes, 255.0, checksum(train, test))
