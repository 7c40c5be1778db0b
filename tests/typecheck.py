"""The type checker of the tests: beartype, where an int may stand for a float and NamedTuples' fields are checked."""

import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from beartype import BeartypeConf, FrozenDict, beartype
from beartype.vale import Is
from jaxtyping import AbstractArray


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """For jaxtyping's import hook: `function`, with the shapes in the NamedTuples that it takes or returns."""
    hints = getattr(function, '__annotations__', {}).values()
    tuples = {hint for part in hints for hint in _parts(part) if _has_shapes(hint)}
    overrides: Any = {hint: Annotated[object, Is[_fits(hint)]] for hint in tuples}
    return beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict(overrides)))(function)


def _parts(hint: Any) -> Iterator[Any]:
    """A hint and those that it is made of."""
    yield hint
    for part in typing.get_args(hint):
        yield from _parts(part)


def _kinds(hint: Any) -> tuple[Any, ...]:
    """The members of a union; of any other hint itself."""
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _is_shape(hint: Any) -> bool:
    return any(inspect.isclass(kind) and issubclass(kind, AbstractArray) for kind in _kinds(hint))


def _has_shapes(hint: Any) -> bool:
    """Whether it is a NamedTuple with arrays of known shapes."""
    return inspect.isclass(hint) and hasattr(hint, '_fields') and any(map(_is_shape, hint.__annotations__.values()))


def _fits(wanted: type) -> Callable[[Any], bool]:
    """Whether a value is of this NamedTuple, and each array of its shape: dimensions as of the function's arguments."""
    # A Union's isinstance asks for the class alone; that of a tuple of classes asks each of them.
    shapes = {name: _kinds(hint) for name, hint in wanted.__annotations__.items() if _is_shape(hint)}

    def fits(value: Any) -> bool:
        fields = shapes.items() if isinstance(value, wanted) else ()
        return isinstance(value, wanted) and all(isinstance(getattr(value, name), kinds) for name, kinds in fields)

    return fits
