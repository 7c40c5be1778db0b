"""What several claims and figures ask of a study is computed once, and kept with it."""

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from bsresearch.analysis.study import Study

_Arguments = ParamSpec('_Arguments')
_Result = TypeVar('_Result')


def once(
    of: Callable[Concatenate[Study, _Arguments], _Result],
) -> Callable[Concatenate[Study, _Arguments], _Result]:
    """A function that is computed once for each study and arguments, which are hashable; its result is only read."""

    @functools.wraps(of)
    def remembered(study: Study, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        key = (of, args, tuple(kwargs.items()))
        if key not in study.results:
            study.results[key] = of(study, *args, **kwargs)
        return study.results[key]

    return remembered
