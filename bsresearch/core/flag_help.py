"""`--help` of a door: its docstring and its own flags, not those of libraries."""

import sys

from absl import flags


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
