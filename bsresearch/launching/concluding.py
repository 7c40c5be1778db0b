"""What a launch says at its end, when all runs of a study with findings are made: the verdict of each claim."""

import pathlib
from collections.abc import Callable

from bsresearch import findings
from bsresearch.analysis import study as studies
from bsresearch.analysis.statements import Verdicts, judge
from bsresearch.launching.study_files import Asked
from bsresearch.store import study_file


def tell(workdir: pathlib.Path, asked: Asked | None, say: Callable[[str], None]) -> None:
    """Says how the claims came out, a line each; nothing of a study without findings."""
    if asked is None or not (findings.is_file(asked.findings) or asked.findings in findings.members()):
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
    return f'{least.part.label}: {least.text}'
