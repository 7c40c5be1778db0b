"""The configs that come with the package; of one, or of your own, what it asks: its words, arms, axes and runs.

    bsresearch configs                     # all, a line each
    bsresearch configs batch_size_sweep    # one: what it is, what it varies, how many runs it is
    bsresearch configs own/grid.py         # a file of your own

No data are read and nothing is trained; `bsresearch run --config=NAME --dry_run` lists the runs themselves.
"""

import sys

from bsresearch.core import program

if program.lacks(program.JAX):
    sys.exit(program.USAGE)

from bsresearch.launching import flag_parser, listing


def enter(name: str) -> None:
    """The command, called `name`."""
    program.called(name)
    asked = sys.argv[1:]
    if {'--help', '-h'} & set(asked):
        print((__doc__ or '').strip())
        return
    try:
        print('\n\n'.join(listing.text(config.removeprefix('--config=')) for config in asked or ['']))
    except (ValueError, OSError, flag_parser.ConfigError) as e:
        sys.exit(program.usage(e))


if __name__ == '__main__':
    enter('configs')
