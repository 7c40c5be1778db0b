"""What the batch size does to training: runs, measurements and figures.

    bsresearch <command> --help      tells of one

The doors are the files of scripts/; none is imported before it is known which.
"""

import ast
import importlib
import os
import pathlib
import re
import signal
import sys
from types import ModuleType
from typing import NamedTuple

import bsresearch
from bsresearch.core import interrupts, lookup, plain, program


class Command(NamedTuple):
    """script: the door. does: in a line. given: the flag that it stands for. value: whether that takes a value."""

    script: str
    does: str
    given: str = ''
    value: bool = False


COMMANDS = {
    'run': Command('run', 'train the runs of a config; the same again goes on where it was'),
    'launch': Command('launch', 'the same as jobs, on this machine or a cluster'),
    'status': Command('launch', 'where every group and probe of a workdir stands', '--status'),
    'branch': Command('run', 'one run that begins with the state of another', '--branch_from', True),
    'report': Command('report', 'claims, figures and tables of a workdir'),
    'fig': Command('', 'one figure: a metric against anything, or one of those that `bsresearch fig` lists'),
    'export': Command('export_records', 'one table of all runs of a workdir'),
    'advise': Command('advise', 'a batch size and a learning rate, from a table of runs'),
    'prepare': Command('prepare_data', 'a data set, once'),
    'configs': Command('configs', 'the configs by name; what one asks, and how many runs it is'),
    'fields': Command('fields', 'every field of a config: default, unit and meaning'),
}
# Begun by engines, not by people.
WORKER = Command('worker', '')


def main() -> None:
    """The command of the arguments; leaves with its exit code."""
    plain.use()
    interrupts.install()  # before the imports, which take seconds
    try:
        _dispatch(*(sys.argv[1:] or ['--help']))
        sys.stdout.flush()
    except OSError as e:  # of printing: a door tells of its own. Python would flush once more, and fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if isinstance(e, BrokenPipeError):  # `| head` has read enough
            sys.exit(interrupts.SIGNALLED + signal.SIGPIPE)
        sys.exit(program.usage(e))


def _dispatch(name: str, *rest: str) -> None:
    if name in ('--help', '-h', 'help'):
        print(_help())
    elif name == '--version':
        print(bsresearch.__version__)
    elif name == 'fig':
        _figure(list(rest))
    elif name in COMMANDS or name == 'worker':
        _enter(name, COMMANDS.get(name, WORKER), list(rest))
    else:
        sys.exit(program.usage(f'unknown command {name!r}; {lookup.nearest(name, COMMANDS, "bsresearch --help")}'))


def _help() -> str:
    summary, _, rest = (__doc__ or '').partition('\n\n')
    lines = [f'  {name:8}  {command.does}' for name, command in COMMANDS.items()]
    return '\n'.join([summary, '', rest.partition('\n\n')[0], '', *lines])


def _enter(name: str, command: Command, rest: list[str]) -> None:
    if command.value and rest and not rest[0].startswith('-'):
        rest = [f'{command.given}={rest[0]}', *rest[1:]]
    elif command.value and not any(arg.lstrip('-').startswith(('help', command.given[2:])) for arg in rest):
        program.called(f'bsresearch {name}')
        sys.exit(program.usage('which run? bsresearch branch <directory of a run>@epoch:2 --workdir=<directory>'))
    elif command.given and not command.value:
        rest = [command.given, *rest]
    _door(command.script, f'bsresearch {name}', rest).enter(program.name())


def _door(script: str, name: str, arguments: list[str]) -> ModuleType:
    """The module of a door, with the command line that it reads."""
    program.called(name)
    sys.argv = [name, *arguments]
    module = importlib.import_module(f'{program.scripts()}.{script}')
    sys.modules['__main__'].__doc__ = module.__doc__
    return module


def figures() -> dict[str, pathlib.Path]:
    """The figures by name: scripts, and kinds that need no more than their name."""
    scripts = {file.stem.removeprefix('fig_'): file for file in program.folder('scripts').glob('fig_*.py')}
    folder = pathlib.Path(bsresearch.__file__).parent / 'report' / 'figures'
    kinds = {file.stem: file for file in folder.glob('*.py') if '\nOPTIONS' in file.read_text(encoding='utf-8')}
    return dict(sorted((kinds | scripts).items()))


def _draw(script: str, name: str, arguments: list[str]) -> None:
    module = _door(script, name, arguments)
    from bsresearch.analysis import command  # after the door's own check that the environment is there

    module.define_flags()
    command.run(program.name(), module.main)


def _figure(arguments: list[str]) -> None:
    name, *rest = arguments or ['']
    name = name.removeprefix('fig_')
    known = figures()
    if name in known and known[name].stem.startswith('fig_'):
        _draw(f'fig_{name}', f'bsresearch fig {name}', rest)
    elif name in known or any(re.match('--?workdir(=|$)', argument) for argument in rest):
        # What is no kind may be a figure that the findings of the runs declare.
        _draw('fig', f'bsresearch fig {name}', [f'--figure={name}', *rest])
    elif name in ('', '--help', '-h'):
        asked = ast.get_docstring(ast.parse((program.folder('scripts') / 'fig.py').read_text(encoding='utf-8')))
        print(f'{asked}\n\nFigures with a name of their own, `bsresearch fig <name> --workdir=…`:\n')
        width = max(map(len, figures()))
        for known, file in figures().items():
            doc = ast.get_docstring(ast.parse(file.read_text(encoding='utf-8'))) or ''
            print(f'  {known:{width}}  {doc.splitlines()[0]}')
    elif name.startswith('-'):
        _draw('fig', 'bsresearch fig', arguments)
    else:
        program.called('bsresearch fig')
        sys.exit(program.usage(f'unknown figure {name!r}; {lookup.nearest(name, figures(), "bsresearch fig")}'))


if __name__ == '__main__':
    main()
