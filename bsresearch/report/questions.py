"""What each study of a workdir asked, and what it came to: the question, the answer, and the rows of its forest.

A study whose launch named findings (study.json) has their question and claims; a sweep has those of findings/sweep.py.
"""

import pathlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from bsresearch import findings
from bsresearch.analysis import axis_labels, cells, names
from bsresearch.analysis import study as studies
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.statements import Verdicts, judge
from bsresearch.analysis.study import Study
from bsresearch.findings import sweep as sweeps
from bsresearch.findings.sweep import Sweep
from bsresearch.report import forest
from bsresearch.report.figures import drawing
from bsresearch.report.forest import Row
from bsresearch.report.inventory import Inventory
from bsresearch.store import study_file
from bsresearch.store.records import Records

FEW = 3  # numbers that an answer tells
COMPARED = 'multiple comparisons with the best, 95 %'  # analysis/best_sets.py


class Question(NamedTuple):
    """One question of a workdir.

    Attributes:
      of: name of the study. key: of the findings, or of the study. source: who asked, '' for a sweep.
      verdict: of the headline claim, '' for a sweep. answer: one sentence. rows: claims, or cells.
      reason: why the headline claim came out so.
      verdicts: of claims as data.
      figures: declared ones. headline: which of them opens the report. study: None where its records cannot be read so.
      faults: what is wrong with the findings, or could not be judged, in words. notes: what is not measured here.
    """

    of: str
    key: str
    text: str
    answer: str = ''
    source: str = ''
    verdict: str = ''
    rows: tuple[Row, ...] = ()
    verdicts: tuple[Verdicts, ...] = ()
    figures: tuple[Figure, ...] = ()
    headline: int = 0
    study: Study | None = None
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    reason: str = ''

    @property
    def named(self) -> list[Figure]:
        """Its figures with the names of their files, which no other question's have."""
        return [figure._replace(name=f'{self._slug}_{figure.name}') for figure in drawing.named(self.figures)]

    @property
    def opening(self) -> Figure | None:
        """The figure that opens the report."""
        return self.named[self.headline] if self.study and self.headline < len(self.figures) else None

    @property
    def forest(self) -> str:
        """Name of the file with all intervals of its claims."""
        return f'{self._slug}_forest'

    @property
    def _slug(self) -> str:
        return pathlib.Path(self.key).stem

    @property
    def of_claims(self) -> bool:
        """Or of a sweep."""
        return any(row.verdict for row in self.rows)


def each(workdir: pathlib.Path, inventory: Inventory, records: Records | None) -> list[Question]:
    """Sweeps first, then what put claims to the test; each in the order in which they were begun."""
    questions = []
    for name in inventory.studies:
        if inventory.of(name).runs:
            stored = study_file.read(workdir / name) or {name: None}
            questions += [_of_study(workdir, name, key, facts, records) for key, facts in stored.items()]
    begun = {name: min((run.meta.get('started') or np.inf for run in inventory.of(name).runs), default=np.inf)
             for name in inventory.studies}  # fmt: skip
    return sorted(questions, key=lambda one: (one.of_claims, begun[one.of], one.of, one.key))


def _of_study(
    workdir: pathlib.Path, name: str, key: str, stored: Mapping[str, Any] | None, records: Records | None
) -> Question:
    """Of its arms, with findings or as a sweep over them.

    stored: None where its launch named none: a sweep. Of a study that an older version made, what tells its arms.
    """
    module, faults, notes = None, [], []
    try:
        module = _module(key)
    except ValueError as e:  # told in one line; what was run is shown without it
        faults.append(_failed(name, e))
    if module and stored is None:
        notes.append(f'The claims of {name} were not tested, as its runs are not named here: {study_file.REBUILD}')
    try:
        if records is None:
            raise ValueError('there are no runs')
        study = studies.load(workdir, name, stored, '' if stored is None else key, records)
        if module is None or stored is None:
            question = _of_sweep(name, key, study)
        else:
            question = _of_claims(name, key, module, study, stored)
    except Exception as e:  # a fault in one question must not cost the others
        question = Question(name, key, f'What came of the study {key}?', faults=(_failed(name, e),))
    return question._replace(faults=(*question.faults, *faults), notes=(*question.notes, *notes))


def _module(name: str) -> ModuleType | None:
    """The findings of that name, or of a file of one's own."""
    return findings.load(name) if findings.is_own(name) or name in findings.members() else None


def _failed(study: str, error: Exception) -> str:
    """A refusal in its own words; a fault of the code with its place."""
    refused = isinstance(error, ValueError | FileNotFoundError)
    return f'Study {study} was not judged: {" ".join(str(error).split()) if refused else drawing.fault(error)}'


def _of_claims(name: str, key: str, module: ModuleType, study: Study, stored: Mapping[str, Any]) -> Question:
    verdicts, (faults, notes) = [], _misnamed(module, stored, study)
    for statement in module.CLAIMS:
        try:
            verdicts.append(judge(statement, study))
        except Exception as e:  # a fault in one claim must not cost the others
            faults.append(f'Claim {statement.key} was not judged: {drawing.fault(e)}')
    rows = [forest.of_verdicts(v, module.SOURCE, len(study.replicates)) for v in verdicts]
    headline = next((row for row in rows if row.key == module.HEADLINE[0]), None)
    verdict, answer = (str(headline.verdict), _answer(headline)) if headline else ('', '')
    return Question(
        name, key, module.QUESTION, answer, module.SOURCE, verdict, tuple(rows), tuple(verdicts), module.FIGURES,
        module.HEADLINE[1], study, tuple(faults), tuple(notes), headline.reason if headline else '',
    )  # fmt: skip


def _misnamed(module: ModuleType, stored: Mapping[str, Any], study: Study) -> tuple[list[str], list[str]]:
    """(names that nothing has, what the study has not got or did not record) of claims and figures."""
    there = names.Recorded(study.runs, cells.field_names(study), study.recorded)
    try:
        return [], names.check(module, names.Known(stored['arms'], stored['branch_arms'], study.axes, there))
    except ValueError as e:
        return [str(e)], []


def _answer(row: Row) -> str:
    """The headline claim in a sentence: what it says, with its numbers, never more than its verdict."""
    phrases = row.phrases if row.lines else row.phrases[:FEW]
    numbers_text = '; '.join(phrases) if len(phrases) <= FEW else f'{row.deciding}, where it is the least clear'
    # In quotes: a sentence under a verdict is not yet said.
    why = f'; {row.why}' if row.why else ''
    return f'“{row.short.rstrip(".")}”: {axis_labels.words(numbers_text)}{why}.'


def _of_sweep(name: str, key: str, study: Study) -> Question:
    sweep = sweeps.of(study)
    rows = [forest.of_cell(cell, sweep) for cell in sweep.cells]
    return Question(
        name, key, sweep.question, _of_best(sweep, rows, study), rows=tuple(rows) if len(rows) > 1 else (),
        figures=sweep.figures, headline=sweep.headline, study=study,
    )  # fmt: skip


def _of_best(sweep: Sweep, rows: Sequence[Row], study: Study) -> str:
    """The answer of a sweep: which cell is the highest, how sure that is, and whether it lies on an edge."""
    best, quantity, replicates = sweep.best, sweep.quantity, len(study.replicates)
    if best is None or quantity is None:
        of_only_cell = f'{quantity.name.capitalize()}: {rows[0].numbers[0]}.' if quantity and len(rows) == 1 else ''
        return of_only_cell or f'No cell is named the best: {sweep.open}.'
    chosen_apart = sweep.chosen == 'best by validation'
    how = 'told by the seeds that did not choose it' if chosen_apart else f'mean of {replicates} seeds'
    level = f'{quantity.unit.show(sweep.level)} ({how if replicates > 1 else "one seed"})'
    edges = f', on the edge of what was tried ({", ".join(best.edges)})' if best.edges else ''
    sentence = f'{sweep.chosen.capitalize()}: {best.label}, at {level}{edges}.'
    if replicates == 1:
        return f'{sentence} One seed tells no cell from another.'
    return f'{sentence} {compared(len(sweep.cells) - 1, sum(cell.alike for cell in sweep.cells) - 1)}'


def compared(others: int, alike: int) -> str:
    """How many cells beside the best there are, and how many of these may be it as well."""
    counts = f'{alike} of the {others} others'
    if alike in (0, others):
        counts = 'The other one' if others == 1 else f'Each of the {others} others'
    return f'{counts} {"may be the best as well" if alike else "is ruled out as the best"} ({COMPARED}).'
