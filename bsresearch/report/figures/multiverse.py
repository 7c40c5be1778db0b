"""One claim under each rule of what is held fixed: its intervals against its bounds, and its verdict under each."""

from dataclasses import replace

from bsresearch.analysis import statements
from bsresearch.analysis.figures import Figure
from bsresearch.analysis.study import Study
from bsresearch.report.figures import forest
from bsresearch.report.figures.panels import Sheet


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    claim, rules = figure.options['claim'], figure.options['rules']
    judged = {rule: statements.judge(replace(claim, quantity=quantity), study) for rule, quantity in rules.items()}
    return forest.of_verdicts(judged, [figure.title, f'{claim.key}: {claim.sentence}'])
