"""Checks of the numbers that made-up data sets take."""

import math


def check_integer(field: str, value: object, default: int, low: int, high: int | None = None) -> None:
    """Raises ValueError unless `value` is an integer from `low` to `high`; `field` is `<set>: <keyword>`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        allowed = f'an integer from {low}' + (f' to {high}' if high is not None else ' up')
        raise ValueError(f'{field}={value!r}; allowed: {allowed}; the default is {default}')


def check_number(field: str, value: object, default: float, low: float) -> None:
    """Raises ValueError unless `value` is a finite number of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < math.inf:
        raise ValueError(f'{field}={value!r}; allowed: a finite number of at least {low:g}; the default is {default}')
