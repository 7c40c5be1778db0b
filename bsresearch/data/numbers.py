"""Checks of the numbers that made-up data sets take."""

import math

# Of a set that is made up: some 1 GiB while it is made. A larger one is worth a file (scripts/prepare_data.py).
MOST_NUMBERS = 2**26


def check_integer(field: str, value: object, default: int, low: int, high: int | None = None) -> None:
    """Raises ValueError unless `value` is an integer from `low` to `high`; `field` is `<set>: <keyword>`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        allowed = f'an integer from {low}' + (f' to {high}' if high is not None else ' up')
        raise ValueError(f'{field}={value!r}; allowed: {allowed}; the default is {default}')


def check_number(field: str, value: object, default: float, low: float, *, exclusive: bool = False) -> None:
    """Raises ValueError unless `value` is a finite number of at least `low`, or above it if `exclusive`."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not low <= value < math.inf
        or (exclusive and value == low)
    ):
        allowed = f'a finite number {"above" if exclusive else "of at least"} {low:g}'
        raise ValueError(f'{field}={value!r}; allowed: {allowed}; the default is {default}')


def check_total(name: str, examples: int, features: int) -> None:
    """Raises ValueError for more numbers than are made up."""
    if examples * features > MOST_NUMBERS:
        raise ValueError(
            f'{name}: {examples} examples of {features} numbers are more than the {MOST_NUMBERS} that are made up at '
            'most; choose fewer'
        )
