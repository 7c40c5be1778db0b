"""A workdir's report: the figures that apply to what it holds, then report.html and report.md.

Figures are drawn by the scripts of the package `program.scripts()`, looked up by name.
"""

import importlib
import importlib.util
import pathlib
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

from bsresearch.analysis.figures import forest
from bsresearch.core import program
from bsresearch.report import asked as questions
from bsresearch.report import content, found, page
from bsresearch.report.asked import Asked
from bsresearch.report.figures import Drawn, FiguresFailed, fault, refusal
from bsresearch.report.figures import drawing as declared_figures
from bsresearch.report.found import Found
from bsresearch.report.markdown import Piece
from bsresearch.store import paths, records

TRAIN = 'train'  # the study whose figures are told apart by what was recorded
SCHEDULES = ('schedule', 'momentum_schedule', 'weight_decay_schedule', 'batch_schedule')


class Script(NamedTuple):
    """A figure script for what any study may hold.

    applies: to these records. options: what its `draw` takes between the workdir and the directory of the figures.
    study: whose runs it draws.
    """

    name: str
    applies: Callable[[Found], bool]
    options: tuple[Any, ...] = ()
    study: str = TRAIN


def _recorded(column: str) -> Callable[[Found], bool]:
    return lambda records: column in records.columns(TRAIN)


def _schedules(records: Found) -> bool:
    """Several schedules at one batch size."""
    fields = {f for run in records.of(TRAIN) for f in run.resolved if f.split('.')[0] in SCHEDULES}
    one_size = len(records.values(TRAIN, 'batch_size')) == 1
    return one_size and any(len(records.values(TRAIN, f)) > 1 for f in fields)


def _workers(records: Found) -> bool:
    """One batch-norm group at several batch sizes: workers that join while each keeps its batch."""
    groups = records.values(TRAIN, 'ghost_batch_size')
    return len(groups) == 1 and groups != {repr(None)} and len(records.values(TRAIN, 'batch_size')) > 1


# scripts/fig_schedule.py is not among them: it draws what runs would use, from a table that main.py writes.
SCRIPTS = (
    Script('fig_policies', _schedules),
    Script('fig_simulated_workers', _workers),
    Script('fig_distance', _recorded('distance'), ('epoch',)),
)


def applicable(records: Found, declared: Collection[str] = ()) -> list[Script]:
    """The scripts of studies that have one by their name; for the other studies, what applies to their records.

    declared: studies whose findings declare figures: these take the place of the script by their name.
    """
    known = {script.name for script in SCRIPTS}
    named = {s: f'fig_{s}' for s in records.studies if f'fig_{s}' not in known}
    own = {s: name for s, name in named.items() if importlib.util.find_spec(f'{program.scripts()}.{name}')}
    rest = records.without_runs_of(set(own))
    by_name = [Script(name, lambda _: True, study=s) for s, name in own.items() if s not in declared]
    return [*by_name, *(s for s in SCRIPTS if s.applies(rest))]


def draw(workdir: pathlib.Path, records: Found, asked: Sequence[Asked], out: pathlib.Path) -> list[Drawn]:
    """Draws all that findings declare and all scripts that apply; a refusal is kept with its reason."""
    drawn = [one for question in asked for one in _declared(question, out)]
    declared = {question.of for question in asked if question.verdicts}
    return [*drawn, *(_by_script(script, workdir, out) for script in applicable(records, declared))]


def _declared(asked: Asked, out: pathlib.Path) -> list[Drawn]:
    """Its figures, and the forest of its claims where any was measured."""
    if asked.study is None:
        return []
    measured = any(one.interval.n for verdicts in asked.verdicts for one in verdicts.judged)
    every = [*asked.named, *([forest(*asked.verdicts, name=asked.forest)] if measured else [])]
    drawn = declared_figures.each(asked.study, every, out)
    return [one._replace(study=asked.of, question=asked.key) for one in drawn]


def _by_script(script: Script, workdir: pathlib.Path, out: pathlib.Path) -> Drawn:
    module = importlib.import_module(f'{program.scripts()}.{script.name}')
    empty = Drawn(script.name, module.__doc__ or script.name, study=script.study)
    try:
        made = module.draw(workdir, *script.options, out)
    except FiguresFailed as e:
        return empty._replace(files=tuple(e.files), refused=fault(e), failed=True)
    except (ValueError, FileNotFoundError) as e:
        return empty._replace(refused=str(e))
    except Exception as e:  # a fault of its code must not cost the rest of the report
        return empty._replace(refused=fault(e), failed=True)
    files, told = made if isinstance(made, tuple) else (made, None)
    return empty._replace(files=tuple(map(pathlib.Path, files)), found=told)


def write(workdir: pathlib.Path, out: pathlib.Path, title: str = '', *, drawing: bool = True) -> list[pathlib.Path]:
    """Draws and writes; the paths of report.html and report.md.

    Raises:
      FileNotFoundError: the workdir holds nothing. ValueError: a damaged record.
    """
    everything = found.load(workdir)
    asked = questions.each(workdir, everything, records.read(workdir) if everything.runs else None)
    drawn = draw(workdir, everything, asked, out / 'figures') if drawing else None
    pieces = content.collect(workdir, everything, asked, out, title, drawn)
    out.mkdir(parents=True, exist_ok=True)
    page_title = title or workdir.resolve().name
    texts = {'report.html': page.render(page_title, pieces), 'report.md': as_markdown(pieces)}
    for name, text in texts.items():
        paths.write_text(out / name, text)
    for one in drawn or []:
        if one.refused:
            print(refusal(one))
    return [out / name for name in texts]


def as_markdown(pieces: Sequence[Piece]) -> str:
    """The whole file."""
    texts = [piece if isinstance(piece, str) else piece.markdown for piece in pieces]
    return '\n\n'.join(text for text in texts if text) + '\n'
