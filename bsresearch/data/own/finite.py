"""Missing and infinite numbers in a user's source, told by file, row and column as they lie there."""

from collections.abc import Sequence

import numpy as np

COUNTED = ('rows and columns are counted from 0', 'row 1 is the first of data, empty lines not counted')


def check(what: str, values: np.ndarray, *, single: bool, first_row: int = 0, columns: Sequence[str] = ()) -> None:
    """Passes numbers (N, …) that can be trained on, and what are no floats.

    Args:
      what: they are called: a file and an array of it. single: they are to become float32. first_row: what the first
        row is called: 0 in an array, 1 in a table. columns: of a table, by name.

    Raises:
      ValueError: some are NaN or infinite; names the first of them, how it is counted, and the cure.
    """
    if values.dtype.kind != 'f' or not len(values):
        return
    single = single and values.dtype.itemsize > 4
    with np.errstate(over='ignore'):  # told here, as what is infinite
        rows = np.isfinite(values.astype(np.float32) if single else values).reshape(len(values), -1)
    bad = np.flatnonzero(~rows.all(1))
    if not len(bad):
        return
    place = [int(i) for i in np.unravel_index(int(np.argmin(rows[bad[0]])), values.shape[1:])]
    at = f', column {columns[place[0]]}' if columns else f', column {str(place)[1:-1]}' if place else ''
    of = ' as float32' if single else ''
    first = f'row {bad[0] + first_row}{at} ({COUNTED[first_row]})'
    raise ValueError(
        f'{what}: NaN or infinite numbers{of} in {len(bad)} of {len(rows)} rows, the first '
        f'in {first}; fill in such numbers, or leave these rows{" or columns" if place else ""} out'
    )
