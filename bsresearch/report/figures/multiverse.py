"""One claim under each rule of what is held fixed: its intervals against its bounds, and its verdict under each."""

import pathlib
from dataclasses import replace

from bsresearch.analysis import statements
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.study import Study
from bsresearch.report.figures import forest


def draw(study: Study, figure: Figure, out: pathlib.Path) -> list[pathlib.Path]:
    """Draws it.

    Raises:
      ValueError: the claim was measured under none of the rules.
    """
    claim, rules = figure.options['claim'], figure.options['rules']
    judged = {rule: statements.judge(replace(claim, quantity=quantity), study) for rule, quantity in rules.items()}
    return forest.of_verdicts(judged, figure, out, [f'{claim.key}: {claim.sentence}'])
