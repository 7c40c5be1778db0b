"""Python files that a user wrote: run with their folder importable; what goes wrong is told by file, line and cause."""

import contextlib
import difflib
import linecache
import pathlib
import sys
import traceback
import types
from collections.abc import Iterator


def run(name: str, module: types.ModuleType) -> None:
    """Runs the file in a module."""
    module.__file__ = name
    exec(compile(pathlib.Path(name).read_bytes(), name, 'exec'), vars(module))


def near(name: str) -> str:
    """Of a file that is not there the nearest Python file of its folder, by its path; '' where none is near."""
    file = pathlib.Path(name)
    close = difflib.get_close_matches(file.name, [other.name for other in file.parent.glob('*.py')], n=1, cutoff=0.6)
    return str(file.parent / close[0]) if close else ''


@contextlib.contextmanager
def beside(name: str) -> Iterator[None]:
    """Modules in the file's folder are found first, as if Python had been given the file."""
    folder = str(pathlib.Path(name).resolve().parent)
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def described(error: BaseException, name: str, line: int | None = None) -> str:
    """`<file>, line N: <kind>: <cause>`; the line is the last that ran in the file or beside it, else `line`."""
    folder = pathlib.Path(name).resolve().parent
    if isinstance(error, SyntaxError) and error.filename and pathlib.Path(error.filename).resolve().parent == folder:
        return f'{error.filename}, line {error.lineno}: {type(error).__name__}: {error.msg}'
    # Of a syntax error the lines before its message show the source; notes come last.
    words = error.msg if isinstance(error, SyntaxError) else traceback.format_exception_only(error)[0].partition(':')[2]
    cause = str(words)
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if pathlib.Path(frame.filename).resolve().parent == folder:
            # An assertion without words, or whatever else has none, is told by its source.
            cause = cause.strip() or linecache.getline(frame.filename, frame.lineno or 0)
            name, line = frame.filename, frame.lineno
            break
    place = name if line is None else f'{name}, line {line}'
    return f'{place}: {type(error).__name__}: {" ".join(cause.split())}'
