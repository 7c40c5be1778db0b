"""Checks of the numbers that made-up data sets take."""

import math


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
