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
    untold = [f'not told by these records, {name}: {why(v)}' for name, v in judged.items() if lacks(v)]
    return forest.of_verdicts(judged, [figure.title, f'{claim.key}: {claim.sentence}', *untold])


def lacks(verdicts: statements.Verdicts) -> bool:
    """Whether no interval of it can be drawn."""
    return verdicts.verdict == 'not measured'


def why(verdicts: statements.Verdicts) -> str:
    """Why it was not measured."""
    return '; '.join(filter(None, verdicts.remarks)) or 'a run is missing'
