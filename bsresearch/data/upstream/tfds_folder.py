"""Sets that TFDS prepared elsewhere, with TensorFlow or without: its folder, read without TensorFlow."""

import json
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from bsresearch.data.splits import Splits
from bsresearch.data.upstream import tfds_builders

INFO = 'dataset_info.json'
DEEPEST = 4  # folders down: <name>/<configuration>/<version>
LENGTH, MASKED_CRC = 8, 4  # bytes of a TFRecord's frame


def find(name: str, folder: pathlib.Path) -> pathlib.Path | None:
    """Where, in or below `folder`, TFDS put the set `name` (or name/configuration): its latest version; or None."""
    base, _, config = name.partition('/')
    versions = {}
    for info in (path for depth in range(DEEPEST) for path in folder.glob('*/' * depth + INFO)):
        try:
            known = json.loads(info.read_bytes())
            if (known['name'], known.get('configName', '')) == (base, config):
                versions[tuple(int(number) for number in known['version'].split('.'))] = info.parent
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # some other program's file of that name
    return versions[max(versions)] if versions else None


def read(folder: pathlib.Path) -> tuple[Splits, dict[str, Any]]:
    """The set in TFDS's folder, in TFDS's order, and what the manifest tells of it.

    Raises:
      ValueError: a format that needs TensorFlow, no labelled images of one size, files that are missing or damaged.
    """
    try:
        builder: Any = tfds.builder_from_directory(folder)
        tfds_builders.check_features(builder)
        kind = builder.info.file_format.value
        if kind not in ('array_record', 'tfrecord'):
            raise ValueError(f'{folder} holds files of the format {kind}; allowed: array_record, tfrecord')
        splits = tfds_builders.decode(builder, _of_tfrecord if kind == 'tfrecord' else tfds_builders.of_array_record)
    except ValueError:
        raise
    except Exception as error:  # of TFDS, ArrayRecord, protobuf and Pillow, each with kinds of its own
        reason = ' '.join(f'{type(error).__name__}: {error}'.split())[:200]
        raise ValueError(f'{folder}, prepared by TFDS, cannot be read ({reason}); copy or prepare it anew') from error
    config = builder.builder_config.name if builder.builder_config else None
    return splits, {'tfds': tfds.__version__, 'version': str(builder.version), 'config': config, 'read_from': kind}


def _of_tfrecord(builder: Any, split: str) -> Iterator[dict[str, Any]]:
    """The examples of a split, decoded, shard after shard."""
    info = builder.info.splits[split]
    for file, count in zip(info.filepaths, info.shard_lengths, strict=True):
        of_shard = list(records(pathlib.Path(file)))
        if len(of_shard) != count:
            raise ValueError(f'{file} holds {len(of_shard)} examples, not {count}; copy or prepare it anew')
        yield from map(builder.info.features.deserialize_example_np, of_shard)


def records(file: pathlib.Path) -> Iterator[bytes]:
    """The records of a TFRecord file: length (uint64, little-endian), its CRC, data, their CRC; CRCs are not checked.

    Raises:
      ValueError: the file ends within a record.
    """
    raw = file.read_bytes()
    begin = 0
    while begin < len(raw):
        data = begin + LENGTH + MASKED_CRC
        end = data + int.from_bytes(raw[begin : begin + LENGTH], 'little')
        if end + MASKED_CRC > len(raw):
            raise ValueError(f'{file} ends within a record: it is damaged; copy or prepare it anew')
        yield raw[data:end]
        begin = end + MASKED_CRC
