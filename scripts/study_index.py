"""The pages that the studies kept in the documentation make: their index, and where the literature disagrees.

    python -m scripts.study_index [--studies=docs/studies]

Writes index.md there (question, answer, verdicts, size and cost of each study), and contradictions.md beside the folder
(both sides' claims of ten questions). All is judged anew from the records. Time: half a minute.
"""

import pathlib

from absl import flags

from bsresearch.analysis import command
from bsresearch.report import contradictions, index
from bsresearch.store import paths


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('studies', 'docs/studies', 'the folder, with a directory for each study')


def main() -> None:
    """Flags to values."""
    folder = pathlib.Path(flags.FLAGS.studies)
    every = index.each(folder)
    pages = {
        folder / 'index.md': index.text(every),
        folder.parent / 'contradictions.md': contradictions.text([one.question for one in every]),
    }
    for file, text in pages.items():
        paths.write_text(file, text)
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('study_index', main)
