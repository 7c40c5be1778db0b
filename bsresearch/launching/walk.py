"""The walk of a study from its first stage to its verdicts, however its stages are made: in this process or as jobs."""

import functools
import pathlib
import sys
from collections.abc import Callable

from bsresearch import findings
from bsresearch.analysis import study as studies
from bsresearch.analysis.statements import Verdicts, judge
from bsresearch.core import interrupts, program
from bsresearch.launching import multihost, planner
from bsresearch.launching.console import Console
from bsresearch.launching.planner import Asked, Study
from bsresearch.store import leases, paths, presence, records, study_file
from bsresearch.train.devices import processes

# Exit code of a command that began and did not make all.
FAILED = 1


def failed(message: str) -> int:
    """Prints what ended the command; the exit code for it."""
    print(f'{program.name()}: {message}', file=sys.stderr)
    return FAILED


def of_system(error: OSError, workdir: pathlib.Path) -> str:
    """What is said of an error of the system that stopped the work in a workdir."""
    where = '' if error.filename else f': {workdir}'  # of a file that was open
    return f'{error}{where}; what was written is valid: cure that and give the same command again'


def execute(
    console: Console,
    workdir: pathlib.Path,
    study: Study,
    begin: Callable[[Study, int, presence.Stay], None],
    make: Callable[[Study, int, presence.Stay], bool],
    *,
    each: bool = False,
    meanwhile: str = '',
) -> int:
    """Makes a planned study and shows what came of it; the exit code.

    Args:
      begin: is called before the first of stages that are new, those from a number on.
      make: makes the stage of a number; whether all of it is done. The workdir is known to the `Stay` once it is there.
      each: the table lists each run. meanwhile: said of what goes on after a signal.
    """
    try:
        with presence.Stay(workdir) as stay:
            begin(study, 0, stay)
            number, complete = 0, True
            while number < len(study.stages):
                complete &= make(study, number, stay)
                number += 1
                if number == len(study.stages) and study.awaits_results:
                    study = multihost.agreed(functools.partial(planner.further, study, workdir))
                    multihost.check_alike(study.members)
                    stay.check()
                    begin(study, number, stay)
            if study.awaits_results:
                console.say(f'no stage follows yet: {planner.LATER}, and not all of them are there')
            elif complete:
                _conclude(console, workdir, study)
            stay.check()
            show_results(console, workdir, study, each=each)
    except processes.Left:
        raise
    except interrupts.Stopped as e:
        console.say(f'{interrupts.line(e.number)}{meanwhile}')
        return interrupts.SIGNALLED + e.number
    except (leases.Owned, ValueError, presence.Gone) as e:
        return failed(str(e))
    except OSError as e:
        return failed(of_system(e, workdir))
    if complete and not study.awaits_results:
        return 0
    console.say(f'not all is done: bsresearch status --workdir={workdir}')
    return FAILED


def _conclude(console: Console, workdir: pathlib.Path, study: Study) -> None:
    """What the procedure has to say, and the verdicts on the claims."""
    if hasattr(study.procedure, 'conclude'):
        processes.share_here(lambda: study.procedure.conclude(workdir, study.plans, console.say))
    processes.share_here(lambda: _tell_verdicts(workdir, study.asked, console.say))


def _tell_verdicts(workdir: pathlib.Path, asked: Asked | None, say: Callable[[str], None]) -> None:
    """Says how the claims came out, a line each; nothing of a study without findings."""
    if asked is None or not (findings.is_own(asked.findings) or asked.findings in findings.members()):
        return
    try:
        stored = study_file.read(workdir / asked.study)[asked.findings]
        study = studies.load(workdir, asked.study, stored, asked.findings)
        came_out = [judge(claim, study) for claim in findings.load(asked.findings).CLAIMS]
    except ValueError as e:
        # The runs are made, and of use without their verdicts.
        say(f'no verdicts on the claims of {asked.findings}: {e}')
        return
    width = max(len(one.statement.key) for one in came_out)
    lines = [f'  {one.statement.key:<{width}}  {one.verdict:<13}  {_numbers(one)}' for one in came_out]
    say('\n'.join([f'the claims of {asked.findings} (`bsresearch report` tells them in full):', *lines]))


def _numbers(one: Verdicts) -> str:
    """Of the part that decides least: its number with its interval."""
    if not one.judged:
        return one.remarks[0] if one.remarks else ''
    order = ('does not hold', 'not measured', 'undecided', 'depends', 'holds')
    least = min(one.judged, key=lambda part: order.index(part.verdict))
    return f'{least.part.label}: {least.text}{f"; {least.why}" if least.why else ""}'


def show_results(console: Console, workdir: pathlib.Path, study: Study, *, each: bool = False) -> None:
    """The table of what came of a study's runs, arm by arm or of `each`."""
    runs = list({plan.id: plan for plan in study.runs}.values())
    rows = [records.last_row(paths.run_dir(workdir, p.study, p.id)) for p in runs]
    console.results(workdir, runs, rows, runs=each, arms=study.arms)
