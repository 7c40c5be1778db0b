"""Flags → config → study: `python main.py --config=<name or file> --workdir=… [--config.<field>=…]`; scripts/run.py."""

from bsresearch.core import interrupts, program

if __name__ == '__main__':  # before the imports, which take seconds
    interrupts.install()
    program.called('main.py')

from scripts import run

if __name__ == '__main__':
    run.enter('main.py')
