"""Whether a value is of the kind that its field declares, and whether a run can use numbers of its size."""

import inspect
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

SCALARS = {str, int, float, bool}
# Seeds of data sets are the largest numbers that are no examples.
MOST = 2**32 - 1
# Updates and epochs are int32 on the device, examples seen int64 on the host, which lists the ids of each batch.
MOST_STEPS, MOST_EPOCHS, MOST_EXAMPLES, MOST_BATCH = 2**31 - 1, 2**31 - 1, 2**62 - 1, 2**24
# Units of a layer, for the weights between two are int64 as well; gradients that are gathered and added in order.
MOST_UNITS, MOST_CHUNKS = 2**24, 2**12
# Points of a run that are listed one by one: evaluations, boundaries of schedules.
MOST_POINTS = 2**20
# Of what a run computes with: the smallest normal number of float32 (devices may flush what is below) and the largest.
SMALLEST, LARGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def brief(value: Any) -> str:
    """A value for a message: on one line, cut where it is long."""
    try:
        text = ' '.join(repr(value).split())
    except ValueError:  # Python refuses to write out integers of thousands of digits
        text = 'a number of thousands of digits'
    return text if len(text) <= 80 else f'{text[:77]}…'


def alike(value: Any, default: Any) -> bool:
    """Whether a value is its field's default, told at once; False where it takes more to tell."""
    return value is default or (type(value) is type(default) and type(value) in SCALARS and value == default)


def check(field: str, value: Any, default: Any, hint: Any = inspect.Parameter.empty) -> None:
    """Raises ValueError unless `value` fits the field; a whole number may stand for a float.

    Args:
      field: its dotted name. default: says the kind where there is no hint.
      hint: the field's annotation, as `int | None` or `tuple[float, ...]`.
    """
    hint = _of_default(default) if hint is inspect.Parameter.empty else hint
    if not _fits(value, hint):
        wanted = f'of type {_words(hint)}' if default is None or default == () else f'like the default {default!r}'
        raise ValueError(f'{field}={brief(value)}: a value {wanted} is needed')
    most = MOST_EXAMPLES if 'examples' in field.rpartition('.')[2] else MOST
    for number, whole in _numbers(value, hint):
        if whole and abs(number) > most:
            raise ValueError(f'{field}={brief(value)}: whole numbers up to {most} are allowed')
        if not whole and number and not SMALLEST <= abs(number) <= LARGEST:
            raise ValueError(
                f'{field}={brief(value)}: numbers must be finite in float32: 0, or of a size from {SMALLEST:.3g} to '
                f'{LARGEST:.3g}'
            )


def check_plain(field: str, value: Any) -> None:
    """Raises ValueError unless a value can stand in a run's description: numbers, words and what holds such."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_plain(f'{field}.{key}', item)
    elif isinstance(value, list | tuple):
        for item in value:
            if item is value:
                raise ValueError(f'{field}={brief(value)} holds itself')
            check_plain(field, item)
    elif isinstance(value, float):
        if not abs(value) < float('inf'):
            raise ValueError(f'{field}={value}: numbers must be finite')
    elif value is not None and not isinstance(value, bool | int | str):
        kind = type(value)
        cure = '.tolist() makes them' if kind.__module__ == 'numpy' else 'write the values out'
        allowed = 'allowed: plain numbers, words, tuples and sections of them'
        raise ValueError(f'{field} holds {brief(value)} of type {kind.__name__}; {allowed}; {cure}')


def in_whole_numbers(value: Any, hint: Any) -> Any:
    """A value with its whole floats as integers where the annotation takes integers and no floats."""
    if isinstance(value, list | tuple) and typing.get_origin(hint) is tuple:
        return type(value)(in_whole_numbers(item, typing.get_args(hint)[0]) for item in value)
    if isinstance(value, float) and value.is_integer() and not _fits(value, hint) and _fits(int(value), hint):
        return int(value)
    return value


def _of_default(default: Any) -> Any:
    if default is None:
        return Any
    if isinstance(default, tuple):
        return tuple[type(default[0]) if default else Any, ...]
    return type(default)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a kind; a number that is not finite is of none."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if hint in (None, types.NoneType):
        return value is None
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is tuple:
        return isinstance(value, list | tuple) and all(_fits(v, inner[0]) for v in value)
    kind = origin or hint
    if not isinstance(kind, type):
        return True
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int) or (isinstance(value, float) and abs(value) < float('inf'))
    return isinstance(value, kind)


def _numbers(value: Any, hint: Any) -> Iterator[tuple[float, bool]]:
    """All numbers in a value, and whether each is meant as a whole one."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _numbers(item, Any)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _numbers(item, typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else Any)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        whole = hint is Any or any(kind is int for kind in (hint, *typing.get_args(hint)))
        yield value, isinstance(value, int) and whole


def _words(hint: Any) -> str:
    """An annotation for people: 'int', 'tuple of str'."""
    inner = [one for one in typing.get_args(hint) if one not in (types.NoneType, Ellipsis)]
    words = ' or '.join(map(_words, inner))
    if typing.get_origin(hint) is tuple:
        return f'tuple of {words}'
    return words if inner else getattr(hint, '__name__', str(hint))


def check_points(field: str, value: object, count: int) -> None:
    """Raises ValueError for more points than can be listed, before they are."""
    if count > MOST_POINTS:
        raise ValueError(
            f'{field}={value} gives more than {MOST_POINTS} points in this run, which is the most; put them further '
            'apart'
        )


def check_size(found: Any, declared: str) -> Any:
    """The units.Length, if its updates and examples can be counted.

    Raises:
      ValueError: they cannot; `declared` names what asks for so many.
    """
    for count, most, unit in (
        (found.total_examples, MOST_EXAMPLES, 'examples'),
        (found.total_examples // found.epoch_examples, MOST_EPOCHS, 'epochs'),
        (found.total_steps, MOST_STEPS, 'updates'),
    ):
        if count > most:
            raise ValueError(f'{declared} makes a run of more than {most} {unit}; train for less')
    return found


def check_precision(name: str, values: np.ndarray, t: np.ndarray, dtype: str) -> None:
    """Raises ValueError for a rate that the run's precision makes 0, though it is not, or infinite."""
    kind = np.finfo(np.float64 if dtype == 'float64' else np.float32)
    bad = (values != 0) & ((values < kind.tiny) | (values > kind.max))
    if bad.any():
        i = int(np.argmax(bad))
        raise ValueError(
            f'the {name} is {values[i]:g} at update {t[i]}: {kind.dtype} has 0, or {kind.tiny:.3g} to {kind.max:.3g}; '
            f'see config.{name}, its schedule and config.scaling'
        )


def check_most(section: str, values: Mapping[str, Any], **most: int) -> None:
    """Raises ValueError for a field of a section above its bound."""
    for field, bound in most.items():
        if values[field] > bound:
            raise ValueError(f'{section}.{field}={values[field]}: at most {bound} is possible')


def check_units(model: Mapping[str, Any]) -> None:
    """Raises ValueError for a layer so wide that the weights between two could not be counted."""
    for field, value in model.items():
        widest = max((n for n, _ in _numbers(value, Any)), default=0)
        if widest > MOST_UNITS:
            raise ValueError(f'config.model.{field}={value}: at most {MOST_UNITS} is possible')
