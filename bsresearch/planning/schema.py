"""The declared config, made of planning/fields.py, where every field stands with default, unit and meaning.

A config file starts from here. Fields whose value is None are not given. `config.sweep.<field>` holds axes (sweep.py).
"""

import functools
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict, config_dict

from bsresearch.core import lookup
from bsresearch.core.field import Field, Section
from bsresearch.core.when import OFF
from bsresearch.planning.fields import ASKED, EXECUTED, FIELDS, RECORDED, TRAINED

# Sections whose `name` picks a file or function; their other fields are that part's own, but for the shared ones.
NAMED = (
    'data', 'model', 'optimizer', 'loss', 'schedule', 'momentum_schedule', 'weight_decay_schedule', 'batch_schedule',
    'scaling',
)  # fmt: skip
# All sections with a `name`; that of a probe belongs to no run's identity.
PARTS = (*NAMED, 'probe')
# Sections whose fields are not told by the schema alone.
OPEN = (*PARTS, 'sweep', 'arms', 'branch.arms')
# Outside a run's identity: how it is executed, what is recorded about it, what is asked of it.
PLACEMENT = ('parallel', 'devices', 'mesh', 'uneven_batch')  # what each launch decides anew
EXECUTION, RECORDING, QUESTION = tuple(EXECUTED), tuple(RECORDED), tuple(ASKED)
# The others determine a run's result.
DETERMINING = tuple(TRAINED)


class Ordered(ConfigDict):
    """Sections by name, in the order of their declaration."""

    def __init__(self) -> None:
        super().__init__(sort_keys=False)


class Arms(Ordered):
    """Arms; each can be given axes of its own, `c.arms.adam.sweep.learning_rate = …`."""

    def __setitem__(self, name: str, arm: Any) -> None:
        section = isinstance(arm, dict | ConfigDict)
        super().__setitem__(name, ConfigDict({'sweep': _axes(), **arm}) if section else arm)


def when(**given: object) -> ConfigDict:
    """Points of a run at which something happens; the union of all that is given (core/when.py has the fields)."""
    return ConfigDict(OFF | given)


@functools.cache
def known() -> dict[str, Any]:
    """The defaults as plain values, shared and only to be read: a grid asks for them ten times a run."""
    return defaults().to_dict()


@functools.cache
def hints() -> dict[str, Any]:
    """The kind of each field as an annotation, as `known` is nested."""
    return _hints(defaults())


# Of what the tuples are that are empty by default.
_MEMBERS = {
    'no_decay': str, 'augment': str, 'at_steps': float, 'at_examples': float, 'at_epochs': float, 'batch_sizes': int,
    'learning_rates': float, 'multiples': int, 'held_fixed': str, 'replicates': str, 'learning_rate': float,
    'momentum': float, 'weight_decay': float, 'warmup_epochs': float, 'metrics': str,
    'classes': int, 'layer_rates': str, 'init_new': str, 'loggers': str,
}  # fmt: skip


def _hints(section: ConfigDict) -> dict[str, Any]:
    return {k: _hints(v) if isinstance(v, ConfigDict) else _hint(section, k) for k, v in section.items()}


def _hint(section: ConfigDict, field: str) -> Any:
    default, kind = section[field], section.get_type(field)
    hint = tuple[type(default[0]) if default else _MEMBERS[field], ...] if kind is tuple else kind
    return hint | None if default is None else hint


def _made(fields: Mapping[str, Field | Section]) -> ConfigDict:
    c = ConfigDict()
    for name, field in fields.items():
        if isinstance(field, Section):
            c[name] = Ordered() if name == 'arms' else _made(field.fields)
        else:
            given = not isinstance(field.default, type)
            c[name] = field.default if given else config_dict.placeholder(field.default)
    return c


def defaults() -> Any:
    """A complete config, a ConfigDict (typed Any: its fields are made at run time): Shen's MLP on digits, SGD."""
    c = _made({name: field for name, field in FIELDS.items() if name != 'arms'})
    c.arms = Arms()
    c.measure = ConfigDict({name: when() for name in lookup.members('bsresearch.measure', 'build')})
    c.sweep = _axes()
    return c


def _axes() -> ConfigDict:
    """Empty sections, so that nested axes can be given on the command line."""
    sections = [name for name, field in (TRAINED | EXECUTED | RECORDED).items() if isinstance(field, Section)]
    axes = ConfigDict({name: ConfigDict() for name in (*sections, 'zip')})
    axes.zip = ConfigDict({name: ConfigDict() for name in sections})
    return axes


def recorded(config: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config says what is recorded of a run: not which arms branch off it."""
    return {k: config[k] for k in RECORDING} | {'branch': {k: v for k, v in config['branch'].items() if k != 'arms'}}


# As a config file: what `--branch_from` starts its overrides from.
get_config = defaults
