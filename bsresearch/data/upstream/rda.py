"""Tables of R packages: one of two classes, read by the package rdata, parted by a hash of each row."""

import hashlib
import pathlib
from typing import NamedTuple

import numpy as np

from bsresearch.data.own import Source

TEST_SHARE = 0.2
RDATA = 'pip install -r requirements-rdata.txt, or rdata'
Part = tuple[np.ndarray, np.ndarray]


class Table(NamedTuple):
    """inputs (N, columns), float64, NaN where missing; labels (N,), words; columns: names of the inputs."""

    inputs: np.ndarray
    labels: np.ndarray
    columns: list[str]


def read(file: pathlib.Path, name: str, target: str, sha256: str) -> Table:
    """The data frame `name` of an .rda file.

    Args:
      target: the column of labels. sha256: of the table (`digest`), whatever the file's compression.

    Raises:
      ImportError: rdata is not installed. ValueError: no file of R, or not the published table; names file and cure.
    """
    try:
        import rdata
    except ImportError as error:
        raise ImportError(f'{file} is read by the package rdata, which is not installed: {RDATA}') from error
    try:
        frame = rdata.read_rda(file, default_encoding='ascii')[name]
        inputs = frame.drop(columns=[target])
        values = inputs.to_numpy(np.float64)
        values = np.where(np.isnan(values), np.nan, values)  # R's NA is a NaN with bits of its own
        table = Table(values, frame[target].to_numpy(str), [str(column) for column in inputs.columns])
    except Exception as error:  # of parser and decompressors, each with kinds of its own
        reason = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
        raise ValueError(f'{file} does not hold the table {name!r} ({reason}); fetch the package anew') from error
    if (actual := digest(table)) != sha256:
        raise ValueError(
            f'{file}: its table {name!r}, {len(inputs)} rows of {len(table.columns)} inputs, is not the published one: '
            f'expected sha256 {sha256} of its values, found {actual}; fetch the package anew'
        )
    return table


def digest(table: Table) -> str:
    """sha256 of names, values and labels."""
    total = hashlib.sha256('\n'.join([*table.columns, *table.labels.tolist()]).encode())
    total.update(np.ascontiguousarray(table.inputs, '<f8').data)
    return total.hexdigest()


def parts(table: Table) -> tuple[Part, Part]:
    """To train and to test: rows of equal inputs go the same way, so that none is in both.

    A row tests where the first 8 bytes of the sha256 of its inputs are below a fifth of 2⁶⁴.
    """
    rows = np.ascontiguousarray(table.inputs, '<f8')
    starts = [int.from_bytes(hashlib.sha256(row.tobytes()).digest()[:8], 'big') for row in rows]
    tests = np.array([start < int(TEST_SHARE * 2**64) for start in starts])
    train, test = ((table.inputs[part], table.labels[part]) for part in (~tests, tests))
    return train, test


def source(table: Table, label: str) -> Source:
    """The two parts of a table, to be standardized; what is missing is the mean of its column in the training part.

    Args:
      label: the class whose share of each part is told.
    """
    train, test = parts(table)
    train_share, test_share = (100 * float(np.mean(labels == label)) for _, labels in (train, test))
    shares = f'{label}: {train_share:.1f} % of the training part, {test_share:.1f} % of the test part'
    shares += '; equal rows share a part'
    missing = int(np.isnan(table.inputs).sum())
    if not missing:
        return Source(train, test, True, {'columns': table.columns}, (shares,))
    mean = np.nanmean(train[0], 0)
    filled = [(np.where(np.isnan(inputs), mean, inputs), labels) for inputs, labels in (train, test)]
    note = f'{missing} missing numbers are filled in with the mean of their column in the training part'
    about = {'columns': table.columns, 'missing': missing, 'missing_filled_by': 'mean of the training part'}
    return Source(filled[0], filled[1], True, about, (note, shares))
