"""The flag parser of main.py and scripts/launch.py: ml_collections' errors as one line, exit code 2."""

import functools
import sys
from collections.abc import Callable
from typing import Any

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

from bsresearch.core import flag_help, program
from bsresearch.core.field import unknown_field
from bsresearch.launching import config_flag
from bsresearch.planning import schema, sections


def parser(name: str, values: flags.FlagValues = flags.FLAGS) -> Callable[[list[str]], list[str]]:
    """For `app.run(flags_parser=…)`; what is wrong is told in this name."""
    return functools.partial(_parse, name, values)


def _parse(name: str, values: flags.FlagValues, argv: list[str]) -> list[str]:
    program.called(name)
    flag_help.show(argv, values)
    logging.set_verbosity(logging.WARNING)
    given = {arg.lstrip('-').partition('=')[0] for arg in argv}
    given -= {'branch_from'} - set(values)  # a door without branches
    if misuse := _misuse(argv, given):
        sys.exit(program.usage(misuse))
    if 'branch_from' in given:
        # A branch's config is its parent's; the defaults stand in, so that --config.<field>=… can be given.
        argv = [argv[0], f'--config={schema.__file__}', *argv[1:]]
    sys.argv = argv  # ml_collections looks for overrides there
    try:
        rest = flag_help.parsed(argv, values)
    except config_flag.ConfigError as e:
        sys.exit(program.usage(e))
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        sys.exit(program.usage(_config_error(e, given)))
    if len(rest) > 1:
        sys.exit(program.usage(f'unexpected argument {rest[1]!r}'))
    return rest


def _misuse(argv: list[str], given: set[str]) -> str | None:
    """What is wrong with --config before it is read."""
    if {'branch_from', 'config'} <= given:
        return "--branch_from: a branch has its parent's config; leave --config out, give --config.<field>=…"
    for i, arg in enumerate(argv):
        if arg in ('--config', '-config') and i + 1 < len(argv):
            return f'write --config={argv[i + 1]} (with =)'
    return None


def _config_error(error: Exception, given: set[str]) -> str:
    """What is wrong with an override."""
    # A KeyError's own text is quoted, its line breaks too.
    reason = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip("'")
    if any(name.startswith(f'config.{reason}.') for name in given):
        return str(unknown_field(reason, schema.known()))
    if any(name.startswith((f'config.arms.{reason}.', f'config.branch.arms.{reason}.')) for name in given):
        return f'--config override: the config has no arm {reason!r}; its file names those that it has'
    return f'bad --config override: {reason.strip().splitlines()[-1]}'


def declared(flag: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config file's own content, and what the command line overrides (dotted path → value)."""
    config = flag.parser.declared
    overrides = {name: _plain(value) for name, value in config_flags.get_override_values(flag).items()}
    return config, {
        name: sections.in_whole_numbers(name, value, config | overrides) for name, value in overrides.items()
    }


def _plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, ConfigDict) else value
