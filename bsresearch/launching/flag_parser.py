"""The flags of the commands that take a config: `--config`, those of its fields, and a command's own.

A config file is Python that a user wrote: whatever goes wrong in one is told by its file, its line and the cause, in
one line, with exit code 2; so are ml_collections' errors.
"""

import contextlib
import functools
import pathlib
import re
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags
from ml_collections.config_flags import tuple_parser

from bsresearch.core import flag_help, interrupts, lookup, own_part, program, user_file
from bsresearch.core.field import unknown_field
from bsresearch.planning import schema, sections

LIST = 'bsresearch configs'
# How ml_collections begins what it says of `c.arms = dict(…)`.
REPLACED = "Could not override field 'arms'"
ARMS = (
    'arms are named one by one, c.arms.<name> = dict(…) or c.branch.arms.<name> = dict(…), and not replaced as a whole'
)
CURE = 'begin it with c = schema.defaults() (from bsresearch import schema) and end it with return c'


def enter(name: str, request: Any, do: Callable[[Any, Any], int]) -> None:
    """Does a command and leaves with its exit code.

    Args:
      name: what the user called. request: as of flag_help.define.
      do: (--config, as ml_collections has it; the request) → exit code.
    """
    define_config()
    flag_help.define(request)
    leave = lambda _: interrupts.leave(do(flags.FLAGS['config'], flag_help.given(request)))
    app.run(leave, flags_parser=parser(name))


class ConfigError(Exception):
    """A config file that gives no config; one line."""


class Parser(flags.ArgumentParser):
    """Of the flag --config.

    declared: the file's own content, without what the command line overrides. file: its path.
    """

    declared: dict[str, Any]
    file: pathlib.Path

    def parse(self, path: str) -> ConfigDict:
        """The config of a name or a file, or of `<file>:<argument of its get_config>`."""
        try:
            file = file_of_config(path)
            config = load(file)
        except ValueError as e:
            raise ConfigError(str(e)) from e
        self.declared, self.file = config.to_dict(), pathlib.Path(file.split(':', 1)[0])
        for name in _own_measurements():
            if name not in config.measure:
                config.measure[name] = schema.when(function='')
        return config


def _own_measurements() -> list[str]:
    """The measurements that the command line gives a function; ml_collections knows no flags of a new section."""
    words = flags.FLAGS.read_flags_from_files(sys.argv, force_gnu=False)
    given = (re.match(r'--?config\.measure\.(\w+)\.function=', word) for word in words)
    return [one[1] for one in given if one is not None]


class WholeNumbers(flags.IntegerParser):
    """Of integer fields: also 1e3."""

    def convert(self, argument: int | str) -> int:
        """The number; ValueError if it is none, or not whole."""
        with contextlib.suppress(ValueError):
            return super().convert(argument)
        with contextlib.suppress(ValueError, OverflowError):  # a word, or infinite
            if (number := float(argument)) == int(number):
                return int(number)
        raise ValueError('a whole number is needed')


class Tuples(tuple_parser.TupleParser):
    """Of tuples: also words without quotes, a,b."""

    def parse(self, argument: Any) -> tuple[Any, ...]:
        """The values; ValueError where they cannot be told."""
        values = super().parse(argument)
        return tuple(argument.rstrip(',').split(',')) if values == (argument,) and ',' in argument else values


def define_config(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flag --config, and those of its fields."""
    try:
        config_flags.DEFINE_config_file(
            'config', None, 'A config: a name, or a file.', values, lock_config=False, accept_new_attributes=True
        )
    except flags.Error as e:  # it reads a --flagfile at once
        sys.exit(program.usage(flag_help.in_plain_words(e)))
    config_flags.register_flag_parser_for_type(int, WholeNumbers())
    config_flags.register_flag_parser_for_type(tuple, Tuples())
    values['config'].parser = Parser()


def names_of_configs() -> list[str]:
    """What `--config` knows by name."""
    return sorted(file.stem for file in program.folder('configs').glob('*.py') if not file.stem.startswith('_'))


def file_of_config(given: str) -> str:
    """The file that `--config=<given>` means. A file of the user's is given with a folder or its suffix, `./own.py`.

    Raises:
      ValueError: there is none; names the known ones, the nearest and the cure.
    """
    text, colon, argument = given.partition(':')
    if '/' in text or text.endswith('.py'):
        if not pathlib.Path(text).is_file():
            known = lookup.nearest(pathlib.Path(text).stem, names_of_configs(), LIST)
            cure = (
                f'did you mean --config={near}?'
                if (near := user_file.near(text))
                else f'by name, from any directory: {known}'
            )
            raise ValueError(f'no config file {text!r} here; {cure}')
        return given
    if text not in names_of_configs():
        here = f'; the file here is --config=./{text}.py' if pathlib.Path(f'{text}.py').is_file() else ''
        raise ValueError(f'no config {text!r}{here}; {lookup.nearest(text, names_of_configs(), LIST)}')
    return f'{program.folder("configs") / text}.py{colon}{argument}'


def load(path: str) -> ConfigDict:
    """What the file's `get_config()` returns; modules that lie beside it can be imported there.

    Raises:
      ConfigError: the file cannot be run, or that is no complete config.
    """
    name, *argument = path.split(':', 1)
    line = None
    module = types.ModuleType('config')
    try:
        with user_file.beside(name):
            user_file.run(name, module)
            get_config = getattr(module, 'get_config', None)
            if get_config is None:
                raise ConfigError(f'{name}: it defines no function get_config(); {CURE}')
            line = getattr(getattr(get_config, '__code__', None), 'co_firstlineno', None)
            config = get_config(*argument)
    except ConfigError:
        raise
    except (Exception, SystemExit) as e:
        error = ValueError(ARMS).with_traceback(e.__traceback__) if str(e).startswith(REPLACED) else e
        raise ConfigError(user_file.described(error, name, line)) from e
    return _checked(config, f'{name}, line {line}: get_config()')


def _checked(config: Any, what: str) -> ConfigDict:
    """A complete config, or ConfigError; `what`: who returned it."""
    if config is None:
        raise ConfigError(f'{what} returned nothing: a `return` is missing; {CURE}')
    if not isinstance(config, ConfigDict):
        raise ConfigError(f'{what} returned a {type(config).__name__}, no ConfigDict; {CURE}')
    if missing := [field for field in schema.known() if field not in config]:
        raise ConfigError(f'{what} returned a config without {", ".join(missing[:3])}; {CURE}')
    return config


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
    except ConfigError as e:
        sys.exit(program.usage(e))
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        sys.exit(program.usage(_config_error(e, given, getattr(values['config'].parser, 'declared', {}))))
    if len(rest) > 1:
        cure = f'write --config={rest[1]}' if rest[1].endswith('.py') else 'flags are written --name=value'
        sys.exit(program.usage(f'unexpected argument {rest[1]!r}; {cure}'))
    return rest


def _misuse(argv: list[str], given: set[str]) -> str | None:
    """What is wrong with --config before it is read."""
    if {'branch_from', 'config'} <= given:
        return "--branch_from: a branch has its parent's config; leave --config out, give --config.<field>=…"
    for i, arg in enumerate(argv):
        if arg in ('--config', '-config') and i + 1 < len(argv):
            return f'write --config={argv[i + 1]} (with =)'
    return None


def _config_error(error: Exception, given: set[str], config: Mapping[str, Any]) -> str:
    """What is wrong with an override of a config."""
    # A KeyError's own text is quoted, its line breaks too.
    reason = str(error.args[0] if isinstance(error, KeyError) and error.args else error).strip("'")
    if (mistyped := re.search(r'Did you mean "\w+" instead of "(\w+)"', reason)) is not None:
        reason = mistyped[1]
    if any(name.startswith(f'config.{reason}.') for name in given):
        return str(unknown_field(reason, schema.known()))
    if any(name.startswith(f'config.measure.{reason}.') for name in given):
        known = lookup.members('bsresearch.measure', 'build')
        function = f'--config.measure.{reason}.function={own_part.FORMS.replace(" or ", ", or ")}'
        return f'{lookup.unknown("measurement", reason, known, own=False)}; your own begins with {function}'
    if "'method'" in reason and (path := reason.rpartition('lookup: ')[2]):
        section, arms, rest = path.rpartition('arms.')
        name = rest.partition('.')[0] if arms else next(part for part in path.split('.') if hasattr(ConfigDict, part))
        cure = _arms(config, section) if arms else '`bsresearch fields <section>` lists those of one'
        what = f'no {"arm" if arms else "field"} can be called {name!r}'
        return f'--config.{path}: {what}, as a method of ConfigDict is; {cure}'
    if any(name.startswith((f'config.arms.{reason}.', f'config.branch.arms.{reason}.')) for name in given):
        section = 'branch.' if any(name.startswith('config.branch.arms.') for name in given) else ''
        return f'--config override: the config has no arm {reason!r}; {_arms(config, section)}'
    return f'bad --config override: {reason.strip().splitlines()[-1]}'


def _arms(config: Mapping[str, Any], section: str) -> str:
    """Which arms, or arms of branches, a config has."""
    there = (config.get('branch', {}) if section else config).get('arms', {})
    return f'it has {", ".join(there)}' if there else f'it has none: c.{section}arms.<name> = dict(…) makes one'


def declared(flag: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The config file's own content, and what the command line overrides (dotted path → value)."""
    config = _with_findings_beside(flag.parser.declared, flag.parser.file)
    overrides = {name: _plain(value) for name, value in config_flags.get_override_values(flag).items()}
    overrides = _with_findings_beside(overrides, flag.parser.file)
    return config, {
        name: sections.in_whole_numbers(name, value, config | overrides) for name, value in overrides.items()
    }


def _with_findings_beside(fields: dict[str, Any], file: pathlib.Path) -> dict[str, Any]:
    """With the path of a findings file that lies beside the config, and not where the command is given."""
    name = fields.get('findings')
    if not isinstance(name, str) or not name.endswith('.py') or pathlib.Path(name).expanduser().is_file():
        return fields
    beside = file.resolve().parent / name
    return fields | {'findings': str(beside)} if beside.is_file() else fields


def _plain(value: Any) -> Any:
    return value.to_dict() if isinstance(value, ConfigDict) else value
