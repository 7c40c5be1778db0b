"""One claim under each rule of what is held fixed: its intervals against its bounds, and its verdict under each.

A rule under which nothing can be told from the records is named above the figure, with why.
"""

from bsresearch.analysis import statements
from bsresearch.analysis.figures import Figure, under
from bsresearch.analysis.study import Study
from bsresearch.report.figures import forest
from bsresearch.report.figures.panels import Sheet


def draw(study: Study, figure: Figure) -> Sheet:
    """Draws it."""
    claim, rules = figure.options['claim'], figure.options['rules']
    judged = {name: statements.judge(under(claim, rule), study) for name, rule in rules.items()}
    reasons = {
        name: '; '.join(filter(None, verdicts.remarks)) or 'a run is missing'
        for name, verdicts in judged.items()
        if verdicts.verdict == 'not measured'
    }
    not_told = [f'not told by these records, {name}: {reason}' for name, reason in reasons.items()]
    return forest.of_verdicts(judged, [figure.title, f'{claim.key}: {claim.sentence}', *not_told])
