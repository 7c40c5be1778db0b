"""`--config`: the path of a file, or the name of one of the configs that come with the package."""

import pathlib

from bsresearch.core import lookup, program


def names() -> list[str]:
    """What `--config` knows by name."""
    return sorted(file.stem for file in program.folder('configs').glob('*.py') if not file.stem.startswith('_'))


def path(given: str) -> str:
    """The file that `--config=<given>` means. A file of the user's is given with a folder or its suffix, `./own.py`.

    Raises:
      ValueError: there is none; names the known ones, the nearest and the cure.
    """
    text, colon, argument = given.partition(':')
    if '/' in text or text.endswith('.py'):
        if not pathlib.Path(text).is_file():
            known = lookup.nearest(pathlib.Path(text).stem, names())
            raise ValueError(f'no config file {text!r} here; by name, from any directory: {known}')
        return given
    if text not in names():
        here = f'; the file here is --config=./{text}.py' if pathlib.Path(f'{text}.py').is_file() else ''
        raise ValueError(f'no config {text!r}{here}; {lookup.nearest(text, names())}')
    return f'{program.folder("configs") / text}.py{colon}{argument}'
