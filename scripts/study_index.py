"""The pages that the studies kept in the documentation make: their index, and where the literature disagrees.

    python -m scripts.study_index [--studies=docs/studies]

Writes index.md there (question, answer, verdicts, size and cost of each study), failed_claims.md (claims that do not
hold or are open, with reasons), and contradictions.md beside the folder (both sides' claims of ten questions). All is
judged anew from the records. Time: a minute.
"""

import pathlib
from collections.abc import Sequence

from absl import flags

from bsresearch.analysis import command
from bsresearch.report import contradictions, index, open_claims
from bsresearch.store import paths

ROOT = pathlib.Path(__file__).parents[1]


def define_flags() -> None:
    """Called by this command alone, so that importing the module in a test defines no global flags."""
    flags.DEFINE_string('studies', 'docs/studies', 'the folder, with a directory for each study')


def lines_of(studies: Sequence[str]) -> list[int]:
    """Of each study, config and findings together."""
    folders = (ROOT / 'configs', ROOT / 'bsresearch' / 'findings')
    count = lambda file: len(file.read_text(encoding='utf-8').splitlines())
    return [sum(count(folder / f'{name}.py') for folder in folders) for name in dict.fromkeys(studies)]


def pages(folder: pathlib.Path) -> dict[pathlib.Path, str]:
    """File → its text."""
    every = index.each(folder)
    return {
        folder / 'index.md': index.text(every, lines_of([one.question.key for one in every])),
        folder / 'failed_claims.md': open_claims.text(every),
        folder.parent / 'contradictions.md': contradictions.text([one.question for one in every]),
    }


def main() -> None:
    """Flags to values."""
    for file, text in pages(pathlib.Path(flags.FLAGS.studies)).items():
        paths.write_text(file, text)
        print(file)


if __name__ == '__main__':
    define_flags()
    command.run('study_index', main)
