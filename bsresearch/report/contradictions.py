"""The questions on which the literature disagrees: both sides' claims, judged on the records that are kept.

What each side says is a list of claims of findings, by study and key; a claim that was not run here stands as that.
What decides between the sides is a matter of protocol, and is said of the question, not read off the verdicts.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bsresearch.report import markdown
from bsresearch.report.forest import MARKS, Row
from bsresearch.report.questions import Question

Claim = tuple[str, str]  # findings, key
NOT_RUN = 'not run here'


class Side(NamedTuple):
    """An answer. who: gives it. claims: that say so."""

    answer: str
    who: str
    claims: tuple[Claim, ...] = ()


class Contradiction(NamedTuple):
    """A question. decides: what the sides hold fixed or measure otherwise. lacks: what would settle what is open."""

    question: str
    sides: tuple[Side, ...]
    decides: str
    lacks: str


CONTRADICTIONS = (
    Contradiction(
        'Is there an inherent generalization gap of large batches?',
        (
            Side('yes', 'Keskar et al. 2017; Masters & Luschi 2018; at one rate Shen 2018, Chang & Pathak 2020 and '
                 'caffenet-benchmark',
                 (('shen', 'A1'), ('keskar', 'test accuracy'), ('hoffer', 'gap'), ('chang_pathak', 'fixed, seen'),
                  ('caffenet', 'fixed'), ('masters_luschi', 'best, norm'),
                  ('masters_luschi', 'best, plain'))),
            Side('no', 'Hoffer et al. 2017; Goyal et al. 2017; Shallue et al. 2019; Smith et al. 2018; YOLOv5; at a '
                 'scaled rate Chang & Pathak 2020 and caffenet-benchmark',
                 (('hoffer', 'adapted'), ('hoffer', 'better when adapted'), ('shallue', 'no harm'), ('goyal', 'flat'),
                  ('shen', 'B1'), ('shen', 'C1'), ('simulated_workers', 'scaled'), ('yolo', 'plain equal at the end'),
                  ('chang_pathak', 'scaled'), ('caffenet', 'scaled'))),
        ),
        'What is held fixed. At equal epochs and one rate a large batch makes fewer steps, and its training accuracy '
        'is lower too (Shen A2). At equal updates, or tuned at every batch size, that handicap is gone. '
        'Where both nearly fit the training set (98 to 99.7 %), as in Keskar et al., a gap is left with batch norm and '
        'none that shows without; in a small C1 the large batch had not finished, which is no evidence of an inherent '
        'gap. That of 64 simulated workers is 0.7 points, inside the margin of a point.',
        'Colour images and residual nets, where Keskar and Masters & Luschi worked, tuned and at equal updates.',
    ),
    Contradiction(
        'By which law does the best learning rate follow the batch size?',
        (
            Side('in proportion to B',
                 'Goyal et al. 2017; Smith et al. 2018; Masters & Luschi 2018; Chang & Pathak 2020; caffenet-benchmark',
                 (('simulated_workers', 'scaling helps'), ('goyal', 'flat'), ('chang_pathak', 'epochs, scaled'),
                  ('caffenet', 'gain'), ('caffenet', 'scaled'))),
            Side('as √B', 'Krizhevsky 2014; Hoffer et al. 2017', (('hoffer', 'root rate'),)),
            Side('in proportion, then level: no law for all', 'McCandlish et al. 2018; Shallue et al. 2019',
                 (('mccandlish', 'hyperbola'), ('masters_luschi', 'largest falls'), ('shallue', 'diminishing'))),
        ),
        'Where B lies to the critical batch size: below it the noise of a step sets the rate, above it curvature does. '
        'The study of McCandlish et al. finds one ε* of ε*/(1 + 128/B) best at B = 4 to 1,024 for two of three goals.',
        'Exponents of the best rate with intervals on several tasks, and with Adam.',
    ),
    Contradiction(
        'Do large batches travel less far from the initial weights?',
        (
            Side('yes', 'Shen 2018, E; Keskar et al. 2017; Hoffer et al. 2017 at equal epochs; Chang & Pathak 2020',
                 (('shen', 'E7'), ('shen', 'D9'), ('keskar', 'farther'), ('chang_pathak', 'distance'))),
            Side('no: further per example in the norm of gradients; as far at equal updates', 'Shen 2018, D and E',
                 (('shen', 'E5'), ('shen', 'D1'))),
        ),
        'The axis, and what is called far: at equal examples the weights move less, at equal updates as far, and the '
        'mean gradient of a walk is a norm and no displacement.',
        'Hoffer et al. at equal epochs; the distances of Keskar et al. at equal updates.',
    ),
    Contradiction(
        'How does the distance from the initial weights grow?',
        (
            Side('as ln t', 'Hoffer et al. 2017', (('hoffer', 'logarithm'),)),
            Side('as a power, about t^0.32', "Shen's curves", (('shen', 'E6'),)),
        ),
        'Which part of training is fitted: Hoffer et al. the phase of the high rate, Shen a whole run at one rate.',
        'Both fits over the same phases, on more tasks.',
    ),
    Contradiction(
        'Does the norm of the gradient grow with the batch size?',
        (
            Side('yes', 'Shen 2018, D: the walking norm', (('shen', 'D1'), ('shen', 'D2b'))),
            Side('no', 'the norm of one batch falls, the frozen one is constant', (('shen', 'D7'), ('shen', 'D8'))),
        ),
        'Which statistic: one batch at frozen weights, the mean of many at frozen weights, or the mean along a walk.',
        'Nothing: three statistics of the same examples.',
    ),
    Contradiction(
        'Is the squared norm of the gradient linear in B?',
        (
            Side('yes', 'a statement on Shen 2018', (('shen', 'D10'),)),
            Side('no: as √B', "Shen's own points", (('shen', 'D10'),)),
        ),
        'The learning rate η of the walk, so how far it goes. R² of a + b·B less that of a + b·√B is −0.20 and −0.14 '
        'at η = 0.001 (epochs 2 and 30), so that √B explains more; at 0.01 it is 0.06, which is open, and 0.18, for B.',
        'Walks at the low rate of more than one run, and of another net.',
    ),
    Contradiction(
        'Which batch size is best?',
        (
            Side('2 to 32', 'Masters & Luschi 2018; Bengio 2012',
                 (('masters_luschi', 'best, norm'), ('masters_luschi', 'best, plain'))),
            Side('as large as fits; or the critical one', 'Smith 2018; McCandlish et al. 2018; Shallue et al. 2019',
                 (('mccandlish', 'order of magnitude'), ('shallue', 'perfect scaling'), ('shallue', 'no harm'))),
            Side('that of one noise temperature', 'Smith & Le 2018',
                 (('smith_le', 'knee, rate'), ('smith_le', 'knee, set'), ('smith_le', 'knee, momentum'))),
        ),
        'What best means: accuracy after so many epochs, or time and examples to a target.',
        'A budget of epochs that suits each batch size; accuracy at equal seconds is question 8.',
    ),
    Contradiction(
        'Do large batches give the better accuracy and small ones the lower loss?',
        (
            Side('yes', 'Smith 2018, at equal seconds',
                 (('disciplined', 'nearly equal'), ('disciplined', 'rising'), ('disciplined', 'test loss'),
                  ('disciplined', 'training loss'))),
        ),
        'What more epochs are worth: in equal seconds a larger batch sees more examples, which helps while the set is '
        'not fitted and is overfitting after; and which loss is meant, that of the test or of the training set.',
        'A larger, augmented set, which no batch size fits in the time; sizes of 128 to 1,024 on a GPU.',
    ),
    Contradiction(
        'Is batch norm over more examples better?',
        (
            Side('yes', 'intuition: better estimates', (('yolo', 'smaller is noisier'),)),
            Side('no', 'Masters & Luschi 2018 (4 to 8); Hoffer et al. 2017 (ghost batch norm)',
                 (('masters_luschi', 'norm over fewer'), ('hoffer', 'ghost norm'), ('yolo', 'fewer than 64'))),
        ),
        'Whether the examples of a norm are told apart from those of an update.',
        'Ghost sizes over a grid of batch sizes in a residual net.',
    ),
    Contradiction(
        'Are warm restarts, growing batches and falling rates the same?',
        (
            Side('yes, at one noise temperature', 'Smith et al. 2018',
                 (('grow_batch', 'accuracy'), ('grow_batch', 'loss'), ('grow_batch', 'early accuracy'),
                  ('grow_batch', 'early loss'), ('grow_batch', 'restart accuracy'), ('grow_batch', 'restart loss'))),
            Side('only about, and late in training', 'Masters & Luschi 2018', (('grow_batch', 'apart soon'),)),
            Side('restarts in place of a falling rate do no harm', 'Loshchilov & Hutter 2017',
                 (('clr', 'restarts end alike'),)),
        ),
        'The first two are compatible: at one temperature at every update accuracy ends within half a point, early and '
        'late, in restarts too; the training loss of early changes and restarts is 5 and 6 % higher where the batch '
        'grows, late 3 % (−2 to 8, five seeds): too few to say that it differs less there. The third is open.',
        'A residual net, at batches up to the limits of the linear rule; restarts of `clr` at several peak rates, as '
        'step decay has them.',
    ),
)  # fmt: skip

HEAD = """# Where the literature disagrees

Both sides' claims, judged on the runs that were made here ([studies](studies/index.md)); a verdict is on these tasks,
an MLP or a small convolutional net on Fashion-MNIST. Made by `python -m scripts.study_index` from the records.
"""


def text(every: Sequence[Question]) -> str:
    """The page, from the questions of the kept studies."""
    rows = {(question.key, row.key): row for question in every for row in question.rows}
    parts = [_part(number, one, rows) for number, one in enumerate(CONTRADICTIONS, 1)]
    return HEAD + ''.join(parts)


def _part(number: int, one: Contradiction, rows: dict[Claim, Row]) -> str:
    lines = [f'\n## {number}. {one.question}\n', '| answer | who | claim | verdict | number |', '|---|---|---|---|---|']
    for side in one.sides:
        claims = [(claim, rows.get(claim)) for claim in side.claims] or [(None, None)]
        lines += [_row(side if not i else None, *pair) for i, pair in enumerate(claims)]
    return '\n'.join([*lines, '', f'**What decides:** {one.decides}', '', f'**What is missing:** {one.lacks}', ''])


def _row(side: Side | None, claim: Claim | None, row: Row | None) -> str:
    """side: None below the first row of one."""
    if claim is None:
        cells = ['', NOT_RUN, '']
    elif row is None:
        cells = [f'{claim[0]}, {claim[1]}', NOT_RUN, '']
    else:
        link = f'[{markdown.escape(claim[0])}](studies/{claim[0]}/report.md)'
        mark = next((mark for verdict, mark in MARKS.items() if verdict == row.verdict), '')
        cells = [f'{markdown.escape(row.short)} ({link})', f'{mark} {row.verdict}', markdown.escape(row.number)]
    who = [markdown.escape(side.answer), markdown.escape(side.who)] if side else ['', '']
    return f'| {" | ".join([*who, *cells])} |'
