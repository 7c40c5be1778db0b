"""The flag parser of main.py and scripts/launch.py: absl's and ml_collections' errors as one line, exit code 2."""

import copy
import functools
import sys
from collections.abc import Callable
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from bsresearch.core import lookup, plain
from bsresearch.launching import config_files, config_flag
from bsresearch.planning import schema, sections

USAGE = 2
# How the help of a flag begins that no user gives.
INTERNAL = 'Internal'


def usage(program: str, message: str) -> int:
    """Prints what is wrong with the command; the exit code for it."""
    print(f'{program}: {message}', file=sys.stderr)
    return USAGE


def parser(program: str, values: flags.FlagValues = flags.FLAGS) -> Callable[[list[str]], list[str]]:
    """For `app.run(flags_parser=…)`; what is wrong is told in the name of `program`."""
    return functools.partial(_parse, program, values)


def _parse(program: str, values: flags.FlagValues, argv: list[str]) -> list[str]:
    plain.use()
    logging.set_verbosity(logging.WARNING)
    given = {arg.lstrip('-').partition('=')[0] for arg in argv}
    given -= {'branch_from'} - set(values)  # a door without branches
    if misuse := _misuse(argv, given):
        sys.exit(usage(program, misuse))
    if 'branch_from' in given:
        # A branch's config is its parent's; the defaults stand in, so that --config.<field>=… can be given.
        argv = [argv[0], f'--config={schema.__file__}', *argv[1:]]
    try:
        sys.argv = argv = [_with_path(arg) for arg in argv]  # ml_collections looks for overrides there
    except ValueError as e:
        sys.exit(usage(program, str(e)))
    try:
        rest = values(argv)
    except config_flag.ConfigError as e:
        sys.exit(usage(program, str(e)))
    except flags.UnrecognizedFlagError as e:
        cure = lookup.nearest(e.flagname.partition('.')[0], _own_names(values, argv[0]))
        sys.exit(usage(program, f'unknown flag --{e.flagname}; {cure}'))
    except flags.Error as e:
        sys.exit(usage(program, _in_plain_words(str(e))))
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        sys.exit(usage(program, _config_error(e, given)))
    if len(rest) > 1:
        sys.exit(usage(program, f'unexpected argument {rest[1]!r}'))
    return rest


def _misuse(argv: list[str], given: set[str]) -> str | None:
    """What is wrong with --config before it is read."""
    if {'branch_from', 'config'} <= given:
        return "--branch_from: a branch has its parent's config; leave --config out, give --config.<field>=…"
    for i, arg in enumerate(argv):
        if arg in ('--config', '-config') and i + 1 < len(argv):
            return f'write --config={argv[i + 1]} (with =)'
    return None


def _with_path(arg: str) -> str:
    """An argument; --config=<name> with the path of the file."""
    flag, equals, value = arg.partition('=')
    return f'{flag}={config_files.path(value)}' if equals and flag in ('--config', '-config') else arg


def _own_names(values: flags.FlagValues, program_file: str) -> list[str]:
    """Names of the flags that the program defines itself: those of libraries stand under dotted module names."""
    modules = values.flags_by_module_dict()
    own_flags = [flag for module in modules if module == program_file or '.' not in module for flag in modules[module]]
    return [flag.name for flag in own_flags if '.' not in flag.name and not (flag.help or '').startswith(INTERNAL)]


def _in_plain_words(error: str) -> str:
    """What is wrong with a flag, on one line: absl's words in plainer ones."""
    given, said, why = error.strip().partition(': ')
    name = given.removeprefix('flag ').lstrip('-').partition('=')[0].removeprefix('config.')
    if why.startswith('Failed to parse'):
        why = f"{name} is a section; give one of its fields, --config.{name}.<field>=…, or all as {{'field': …}}"
    elif why.startswith('invalid literal for int'):
        why = 'a whole number is needed'
    elif why.startswith('could not conv'):
        why = 'a number is needed'
    return f'{given}{said}{why}'.splitlines()[0]


def _config_error(error: Exception, given: set[str]) -> str:
    """What is wrong with an override."""
    # A KeyError's own text is quoted, its line breaks too.
    reason = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip("'")
    if any(name.startswith(f'config.{reason}.') for name in given):
        return f'unknown config field {reason}; {lookup.nearest(reason, schema.known())}'
    return f'bad --config override: {reason.strip().splitlines()[-1]}'


def declared(flag: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config file's own content, and what the command line overrides (dotted path → value)."""
    config = copy.deepcopy(flag.parser.declared)
    overrides = {name: _plain(value) for name, value in config_flags.get_override_values(flag).items()}
    return config, {
        name: sections.in_whole_numbers(name, value, config | overrides) for name, value in overrides.items()
    }


def _plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, ConfigDict) else value
