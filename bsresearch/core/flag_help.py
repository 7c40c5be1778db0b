"""Flags of a door: the fields of its request. `--help` is its docstring and its own flags; a bad one is one line."""

import re
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any

from absl import app, flags

from bsresearch.core import lookup, program

DEFINE: dict[Any, Callable[..., Any]] = {
    bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string,
    bool | None: flags.DEFINE_bool, int | None: flags.DEFINE_integer, float | None: flags.DEFINE_float,
    str | None: flags.DEFINE_string, Sequence[str]: flags.DEFINE_list,
    tuple[str, ...]: flags.DEFINE_multi_string,
}  # fmt: skip


def enter(name: str, request: Any, do: Callable[[Any], int | None]) -> None:
    """Does a command without a config and leaves with its exit code.

    Args:
      name: what the user called. request: as of `define`. do: the request → exit code; None is that of success.
    """
    program.called(name)
    define(request)

    def parse(argv: list[str]) -> list[str]:
        read(request, argv)
        return argv[:1]

    app.run(lambda _: do(given(request)), flags_parser=parse)


def enter_listing(name: str, doc: str | None, text: Callable[[str], str]) -> None:
    """Prints what is known of each name on the command line, or of all without one; a bad name is one line.

    Args:
      name: what the user called. doc: its help. text: of a name, '' for all; its ValueError or OSError is the user's.
    """
    program.called(name)
    asked = sys.argv[1:]
    if {'--help', '-h'} & set(asked):
        print((doc or '').strip())
        return
    try:
        print('\n\n'.join(map(text, asked or [''])))
    except (ValueError, OSError) as e:
        sys.exit(program.usage(e))


def read(request: Any, argv: list[str], values: flags.FlagValues = flags.FLAGS) -> Any:
    """The request of a command line; a bad flag, or a word that is none, is one line and exit code 2."""
    show(argv, values)
    rest = parsed(argv, values)
    if len(rest) > 1:
        cure = f'flags are written --{request._fields[0]}={rest[1]}'
        sys.exit(program.usage(f'unexpected argument {rest[1]!r}; {cure}'))
    return given(request, values)


def define(request: Any, values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flags that are the fields of a request.

    `request`: a NamedTuple of fields `field: Annotated[kind, 'what it is for'] = default`. The flag of a tuple may be
    given again, that of a Sequence has commas.
    """
    for name, hint in typing.get_type_hints(request, include_extras=True).items():
        kind, meaning = typing.get_args(hint)
        DEFINE[kind](name, request._field_defaults[name], meaning, flag_values=values)


def given(request: Any, values: flags.FlagValues = flags.FLAGS) -> Any:
    """The request that was given."""
    return request(**{name: values[name].value for name in request._fields})


def own(values: flags.FlagValues) -> list[flags.Flag]:
    """The flags that the program defines itself, by name; config.<field> is none."""
    libraries = ('absl.', 'jax', 'ml_collections', 'etils', 'orbax', 'tensorflow')
    modules = {
        name: defined for name, defined in values.flags_by_module_dict().items() if not name.startswith(libraries)
    }
    return sorted(
        (flag for defined in modules.values() for flag in defined if '.' not in flag.name), key=lambda f: f.name
    )


def show(argv: list[str], values: flags.FlagValues) -> None:
    """Prints the help and leaves, where it is asked for."""
    if not {'--help', '-help', '-h'} & set(argv[1:]):
        return
    print((sys.modules['__main__'].__doc__ or '').strip())
    print('\nFlags:')
    for flag in own(values):
        given = '' if flag.default is None or flag.boolean else f'={(flag.default_as_str or "").strip(chr(39))}'
        print(f'  --{flag.name}{given}\n      {" ".join((flag.help or "").split())}')
    sys.exit(0)


def parsed(argv: list[str], values: flags.FlagValues) -> list[str]:
    """Gives the flags their values; what is no flag. A bad one is one line, and exit code 2."""
    try:
        return values(argv)
    except flags.UnrecognizedFlagError as e:
        known = [flag.name for flag in own(values)]
        cure = lookup.nearest(e.flagname.partition('.')[0], known, f'{program.name()} --help')
        sys.exit(program.usage(f'unknown flag --{e.flagname}; {cure}'))
    except flags.Error as e:
        sys.exit(program.usage(in_plain_words(e)))


def in_plain_words(error: flags.Error) -> str:
    """What is wrong with a flag, on one line: absl's words in plainer ones."""
    words = ' '.join(str(error).split()).removeprefix('ERROR:: ')
    given, said, why = words.partition(': ')
    name = given.removeprefix('flag ').lstrip('-').partition('=')[0].removeprefix('config.')
    if why.startswith('Failed to parse'):
        why = f"{name} is a section; give one of its fields, --config.{name}.<field>=…, or all as {{'field': …}}"
    elif why.startswith('invalid literal for int'):
        why = 'a whole number is needed' + _axis(given)
    elif why.startswith('could not conv'):
        why = 'a number is needed' + _axis(given)
    elif why.startswith("('Non-boolean"):
        why = 'true or false is needed'
    return f'{given}{said}{why}'


def _axis(given: str) -> str:
    """The cure where several numbers were given to a field of the config that takes one."""
    several = re.fullmatch(r'flag --config\.(\w+)=(.*,.*)', given)
    return f'; several are an axis: --config.sweep.{several[1]}={several[2]}' if several else ''
