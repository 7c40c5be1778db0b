"""Flags of a door: `--help` is its docstring and its own flags, not those of libraries; a bad one is one line."""

import sys

from absl import flags

from bsresearch.core import lookup, program


def own(values: flags.FlagValues) -> list[flags.Flag]:
    """The flags that the program defines itself, by name; config.<field> is none."""
    libraries = ('absl.', 'jax', 'ml_collections', 'etils', 'orbax', 'tensorflow')
    modules = {name: found for name, found in values.flags_by_module_dict().items() if not name.startswith(libraries)}
    return sorted((flag for found in modules.values() for flag in found if '.' not in flag.name), key=lambda f: f.name)


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
        cure = lookup.nearest(e.flagname.partition('.')[0], [flag.name for flag in own(values)])
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
        why = 'a whole number is needed'
    elif why.startswith('could not conv'):
        why = 'a number is needed'
    elif why.startswith("('Non-boolean"):
        why = 'true or false is needed'
    return f'{given}{said}{why}'
