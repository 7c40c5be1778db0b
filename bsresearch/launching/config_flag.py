"""The flag --config and those of its fields.

A config file is Python that a user wrote: whatever goes wrong in one is told by its file, its line and the cause.
"""

import contextlib
import sys
import types
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from bsresearch.core import flag_help, program, user_file
from bsresearch.launching.configs import files
from bsresearch.planning import schema

CURE = 'begin it with c = schema.defaults() (from bsresearch import schema) and end it with return c'
flags.disclaim_key_flags()  # --config is the caller's


class ConfigError(Exception):
    """A config file that gives no config; one line."""


class Parser(flags.ArgumentParser):
    """Of the flag --config; `declared` is the file's own content, without what the command line overrides."""

    declared: dict[str, Any]

    def parse(self, path: str) -> ConfigDict:
        """The config of a name or a file, or of `<file>:<argument of its get_config>`."""
        try:
            config = load(files.path(path))
        except ValueError as e:
            raise ConfigError(str(e)) from e
        self.declared = config.to_dict()
        return config


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


def define(values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines the flag --config, and those of its fields."""
    try:
        config_flags.DEFINE_config_file(
            'config', None, 'A config: a name, or a file.', values, lock_config=False, accept_new_attributes=True
        )
    except flags.Error as e:  # it reads a --flagfile at once
        sys.exit(program.usage(flag_help.in_plain_words(e)))
    config_flags.register_flag_parser_for_type(int, WholeNumbers())
    values['config'].parser = Parser()


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
        raise ConfigError(user_file.described(e, name, line)) from e
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
