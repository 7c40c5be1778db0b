"""An index of kept studies: a row for each question, made of the same records and claims as its report."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bsresearch.report import forest, markdown, provenance, questions
from bsresearch.report import inventory as inventories
from bsresearch.report.inventory import Inventory
from bsresearch.report.questions import Question
from bsresearch.store import kept, records

HEAD = """# Studies

Each folder holds the records of a study that was run here, its figures and its report; `bsresearch report
--workdir=docs/studies/<name> --out=<directory>` makes both anew from the records. The answer is that of the claim
that its report opens with. Claims that do not hold or are open, with the reason of each: [failed
claims](failed_claims.md); both sides of ten questions: [contradictions](../contradictions.md). This page is made by
`python -m scripts.study_index`.

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
    directories = sorted(path for path in folder.glob('*/') if kept.is_kept(path))
    if not directories:
        raise FileNotFoundError(f'{folder} holds no study: none of its directories has kept records')
    questions_kept = []
    for directory in directories:
        readable = kept.readable(directory)
        inventory = inventories.load(readable)
        every = questions.each(readable, inventory, records.read(readable))
        questions_kept += [Kept(directory.name, question, inventory) for question in every if question.of_claims]
    return questions_kept


def text(every: Sequence[Kept], lines: Sequence[int]) -> str:
    """The page. lines: of the two files that each study is."""
    size = f'A study is a config and its findings: of these {len(lines)} the median is {np.median(lines):.0f} lines.'
    return f'{HEAD}{"".join(_row(*one) for one in every)}\n{size}\n'


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
