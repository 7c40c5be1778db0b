"""The index of the studies that are kept in the documentation.

    python -m scripts.study_index [--studies=docs/studies]

Writes <studies>/index.md: question, answer, verdicts, size and cost of each study, judged anew from its records.
"""

import pathlib

from absl import flags

from bsresearch.analysis import command
from bsresearch.report import index
from bsresearch.store import paths


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('studies', 'docs/studies', 'the folder, with a directory for each study')


def main() -> None:
    """Flags to values."""
    folder = pathlib.Path(flags.FLAGS.studies)
    paths.write_text(folder / 'index.md', index.text(folder))
    print(folder / 'index.md')


if __name__ == '__main__':
    define_flags()
    command.run('study_index', main)
