"""What each study of a workdir asked, and what it came to: the question, the answer, and the rows of its forest.

A study whose launch named findings (study.json) has their question and claims; a sweep has those of findings/sweep.py.
"""

import pathlib
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from bsresearch import findings
from bsresearch.analysis import names
from bsresearch.analysis import study as studies
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.quantity import Unit
from bsresearch.analysis.statements import Verdicts, judge
from bsresearch.analysis.study import Study
from bsresearch.findings import sweep
from bsresearch.findings.sweep import Cell, Sweep
from bsresearch.report import figures, forest, markdown, svg
from bsresearch.report.figures import drawing
from bsresearch.report.forest import Row
from bsresearch.report.found import Found
from bsresearch.store import study_file
from bsresearch.store.records import Records

ALIKE = 'not told apart from it'
FEW = 3  # numbers that an answer tells


class Asked(NamedTuple):
    """One question of a workdir.

    Attributes:
      of: name of the study. key: of the findings, or of the study. source: who asked, '' for a sweep.
      verdict: of the headline claim, '' for a sweep. answer: one sentence. rows: claims, or cells.
      verdicts: of claims as data.
      figures: declared ones. headline: which of them opens the report. study: None where its records cannot be read so.
      faults: what could not be judged, in words.
    """

    of: str
    key: str
    question: str
    answer: str
    source: str = ''
    verdict: str = ''
    rows: tuple[Row, ...] = ()
    verdicts: tuple[Verdicts, ...] = ()
    figures: tuple[Figure, ...] = ()
    headline: int = 0
    study: Study | None = None
    faults: tuple[str, ...] = ()

    @property
    def named(self) -> list[Figure]:
        """Its figures with the names of their files, which no other question's have."""
        return [figure._replace(name=f'{self._slug}_{figure.name}') for figure in drawing.named(self.figures)]

    @property
    def forest(self) -> str:
        """Name of the file with all intervals of its claims."""
        return f'{self._slug}_forest'

    @property
    def _slug(self) -> str:
        return pathlib.Path(self.key).stem

    @property
    def replicates(self) -> int:
        """Of the study."""
        return len(self.study.replicates) if self.study else 0


def each(workdir: pathlib.Path, found: Found, records: Records | None) -> list[Asked]:
    """Sweeps first, then what put claims to the test; each in the order in which they were begun."""
    asked = [one for name in found.studies if found.of(name) for one in _of_study(workdir, name, records)]
    begun = {name: _begun(found, name) for name in found.studies}
    return sorted(asked, key=lambda one: (any(row.verdict for row in one.rows), begun[one.of], one.of, one.key))


def _begun(found: Found, study: str) -> float:
    return min((run.meta.get('started') or np.inf for run in found.of(study)), default=np.inf)


def _of_study(workdir: pathlib.Path, name: str, records: Records | None) -> list[Asked]:
    stored = study_file.read(workdir / name)
    if not stored:
        return [_without_arms(workdir, name, records)]
    return [_with_arms(workdir, name, key, facts, records) for key, facts in stored.items()]


def _module(name: str) -> ModuleType | None:
    """The findings of that name, or of a file of one's own."""
    return findings.load(name) if findings.is_own(name) or name in findings.members() else None


def _with_arms(workdir: pathlib.Path, name: str, key: str, stored: Mapping[str, Any], records: Records | None) -> Asked:
    """Of a study whose launch named its arms; with findings, or as a sweep over them."""
    module, unread = None, ()
    try:
        module = _module(key)
    except ValueError as e:  # told in one line; what was run is shown without it
        unread = (_failed(name, e),)
    try:
        study = studies.load(workdir, name, stored, key, _known(records))
        if module is None:
            return _of_sweep(name, key, study)._replace(faults=unread)
        verdicts, faults = [], _misnamed(module, stored, study)
        for statement in module.CLAIMS:
            try:
                verdicts.append(judge(statement, study))
            except Exception as e:  # a fault in one claim must not cost the others
                faults.append(f'Claim {statement.key} was not judged: {figures.fault(e)}')
    except Exception as e:
        return Asked(name, key, f'What came of the study {key}?', '', faults=(_failed(name, e),))
    rows = [forest.of_verdicts(v, module.SOURCE, len(study.replicates)) for v in verdicts]
    verdict, answer = _answer(rows, module.HEADLINE[0])
    return Asked(
        name, key, module.QUESTION, answer, module.SOURCE, verdict, tuple(rows), tuple(verdicts), module.FIGURES,
        module.HEADLINE[1], study, tuple(faults),
    )  # fmt: skip


def _known(records: Records | None) -> Records:
    if records is None:
        raise ValueError('there are no runs')
    return records


def _failed(study: str, error: Exception) -> str:
    """A refusal in its own words; a fault of the code with its place."""
    if isinstance(error, ValueError | FileNotFoundError):
        return f'The claims of study {study} were not tested: {" ".join(str(error).split())}'
    return f'The claims of study {study} failed: {figures.fault(error)}'


def _misnamed(module: ModuleType, stored: Mapping[str, Any], study: Study) -> list[str]:
    """What a claim or figure names that the study has not got; the others are told as ever."""
    try:
        return names.check(module, stored['arms'], stored['branch_arms'], study.axes)
    except ValueError as e:
        return [str(e)]


def _answer(rows: Sequence[Row], key: str) -> tuple[str, str]:
    """(verdict, sentence) of the headline claim: what it says, with its numbers, never more than its verdict."""
    row = next((r for r in rows if r.key == key), None)
    if row is None:
        return '', ''
    phrases = row.phrases if row.lines else row.phrases[:FEW]
    numbers_text = '; '.join(phrases) if len(phrases) <= FEW else f'{row.number} where it is the least clear'
    # In quotes: a sentence under a verdict is not yet said.
    return str(row.verdict), f'“{row.short.rstrip(".")}”: {numbers_text}.'


def _without_arms(workdir: pathlib.Path, name: str, records: Records | None) -> Asked:
    """Of a workdir whose launch named no arms: a sweep. Of one that an older version made, what tells its arms."""
    try:
        asked = _of_sweep(name, name, studies.load(workdir, name, read=_known(records)))
    except Exception as e:
        fault = f'The cells of study {name} could not be read: {figures.fault(e)}'
        asked = Asked(name, name, f'What came of the study {name}?', '', faults=(fault,))
    if _module(name) is None:
        return asked
    told = f'The claims of {name} were not tested, as its runs are not named here: {study_file.REBUILD}'
    return asked._replace(faults=(*asked.faults, told))


def _of_sweep(name: str, key: str, study: Study) -> Asked:
    came_out = sweep.of(study)
    unit = came_out.quantity.unit if came_out.quantity else Unit()
    rows = tuple(_of_cell(cell, came_out, unit) for cell in came_out.cells)
    return Asked(
        name, key, came_out.question, _of_best(came_out, study, unit), rows=rows if len(rows) > 1 else (),
        figures=came_out.figures,
        headline=came_out.headline, study=study,
    )  # fmt: skip


def _of_cell(cell: Cell, of: Sweep, unit: Unit) -> Row:
    found, n = cell.interval, cell.interval.n
    number = unit.show(found.centre) if n else 'not measured'
    between = f' ({unit.show(found.low, unit=False)} to {unit.show(found.high, unit=False)})'
    told = f'{number}{"" if np.isnan(found.low) else between}{f", n = {n}" if n else ""}'
    flag = of.chosen if cell.best else ALIKE.removesuffix(' from it') if cell.alike else ''
    remarks = (*([cell.lost] if cell.lost else []), *([', '.join(cell.edges)] if cell.best and cell.edges else []))
    return Row(
        '', cell.label, lines=(svg.Line('', found, unit, False),), number=number if n else markdown.NONE,
        numbers=(told,), remarks=remarks, flag='; '.join(f for f in (flag, cell.lost) if f),
    )  # fmt: skip


def _of_best(of: Sweep, study: Study, unit: Unit) -> str:
    """The answer of a sweep: which cell is the highest, how sure that is, and whether it lies on an edge."""
    best = of.best
    if best is None:
        if len(of.cells) == 1 and of.quantity:
            row = _of_cell(of.cells[0], of, unit)
            return f'{of.quantity.name.capitalize()}: {row.numbers[0]}.'
        return f'No cell is named the best: {of.open}.'
    replicates, n = len(study.replicates), f'mean of {len(study.replicates)} seeds'
    how = 'told by the seeds that did not choose it' if of.chosen == 'best by validation' else n
    level = (
        f'{of.chosen.capitalize()}: {best.label}, at {unit.show(of.level)} ({how if replicates > 1 else "one seed"})'
    )
    edges = f', on the edge of what was tried ({", ".join(best.edges)})' if best.edges else ''
    others, alike = len(of.cells) - 1, sum(cell.alike for cell in of.cells) - 1
    if replicates == 1:
        return f'{level}{edges}. One seed tells no cell from another.'
    if others == 1:
        return f'{level}{edges}. The other one is {ALIKE if alike else "told apart from it"}.'
    return f'{level}{edges}. {alike or "None"} of the {others} others {"is" if alike == 1 else "are"} {ALIKE}.'
