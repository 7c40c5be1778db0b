"""An index of kept studies: a row for each question, made of the same records and claims as its report."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from bsresearch.report import forest, markdown, provenance, questions
from bsresearch.report import inventory as inventories
from bsresearch.report.inventory import Inventory
from bsresearch.report.questions import Question
from bsresearch.store import kept, records

HEAD = """# Studies

Each folder holds the records of a study that was run here, its figures and its report; `bsresearch report
--workdir=docs/studies/<name> --out=<directory>` makes both anew from the records. The answer is that of the claim
that its report opens with. This page is made by `python -m scripts.study_index`.

| study | question | answer | claims | size | cost |
|---|---|---|---|---|---|
"""


class Kept(NamedTuple):
    """A question of a kept study: the name of its directory, and what the study holds."""

    name: str
    question: Question
    inventory: Inventory


def each(folder: pathlib.Path) -> list[Kept]:
    """Those with claims of all studies in a folder, which lie one in each of its directories.

    Raises:
      FileNotFoundError: there is none. Damaged: records that are not what was written.
    """
    directories = sorted(path.parent for path in folder.glob('*/study.json'))
    if not directories:
        raise FileNotFoundError(f'{folder} holds no study: none of its directories has a study.json')
    questions_kept = []
    for directory in directories:
        readable = kept.readable(directory)
        inventory = inventories.load(readable)
        every = questions.each(readable, inventory, records.read(readable))
        questions_kept += [Kept(directory.name, question, inventory) for question in every if question.of_claims]
    return questions_kept


def text(every: Sequence[Kept]) -> str:
    """The page."""
    return HEAD + ''.join(_row(*one) for one in every)


def _row(name: str, question: Question, inventory: Inventory) -> str:
    counts = ', '.join(f'{count} {verdict}' for verdict, count in forest.tally(question.rows))
    n = len(question.study.replicates) if question.study else 0
    runs = markdown.counted(len(inventory.runs), 'run')
    probes = f', {markdown.counted(len(inventory.probes), "probe")}' if inventory.probes else ''
    seconds = provenance.spent(inventory)['in all']
    answer = f'{question.verdict}: {question.answer}' if question.verdict else question.answer
    cells = [
        f'[{markdown.escape(name)}]({name}/report.md) ({markdown.escape(question.source)})',
        *map(markdown.escape, (question.text, answer, counts, f'{runs}{probes}, n = {n} seeds')),
        markdown.escape(f'{provenance.duration(seconds)} on {provenance.device(inventory)}'),
    ]
    return f'| {" | ".join(cells)} |\n'
