"""Kandel & Castelli, "The effect of batch size on the generalizability of the CNNs…" (2020, ICT Express 6(4)).

Their table is not at hand: what they found is recalled, and so are the claims' directions. An interaction depends on
the scale: AUCs near 1 leave no room for a difference, logit AUCs do. Written before any record was looked at; an
undecided headline gets 5 more seeds, once.
"""

from bsresearch.analysis.contrasts import Selector, at, every, interaction, minus
from bsresearch.analysis.figures import curves, heat, versus
from bsresearch.analysis.of_runs import final
from bsresearch.analysis.quantity import Quantity, logit
from bsresearch.analysis.statements import Statement

SOURCE = 'Kandel & Castelli 2020'
QUESTION = 'In fine-tuning, does the batch size that suits depend on the learning rate?'

AUC = final('test_auc', diverged=0.5)
LOGIT = logit(AUC)
RATES = {'sgd': (0.001, 0.1), 'adam': (0.0001, 0.01)}  # the lowest and the highest
SIZES = 16, 256


def cells(arm: str, rate: int) -> list[Selector]:
    """The small and the large batch of an optimizer at its lowest (0) or highest (1) rate."""
    return [at(arm, batch_size=size, learning_rate=RATES[arm][rate]) for size in SIZES]


def interactions(key: str, scale: str, quantity: Quantity) -> Statement:
    """What the small batch gains at the lowest rate is more than what it gains at the highest."""
    label = '{}: gain at the lowest rate − at the highest'
    contrasts = every(interaction(*cells(arm, 0), *cells(arm, 1), label=label.format(arm)) for arm in RATES)
    sentence = f'The lower the rate, the more a batch of 16 gains over one of 256, in {scale}.'
    return Statement(key, 'conclusions', sentence, quantity, contrasts, low=0, conditions=True)


# Said after the records were seen.
TOO_LOW = (
    'protocol: at its lowest rate SGD comes too short in 20 epochs to be the best; Adam, whose steps are not as '
    'small, does not'
)

CLAIMS = (
    interactions('interaction, AUC', 'AUC', AUC),
    interactions('interaction, logit', 'logit AUC', LOGIT),
    Statement('small at low', 'conclusions', 'At the lowest rate the small batch does better.', AUC,
              every(minus(*cells(arm, 0)) for arm in RATES), low=0, conditions=True),
    Statement('large at high', 'conclusions', 'At the highest rate the large batch does better.', AUC,
              every(minus(*reversed(cells(arm, 1))) for arm in RATES), low=0, conditions=True),
    Statement('low and small', 'abstract', 'The small batch at the lowest rate does better than the large one at the '
              'highest.', AUC, every(minus(cells(arm, 0)[0], cells(arm, 1)[1]) for arm in RATES), low=0,
              conditions=True, reason=TOO_LOW),
)  # fmt: skip
FIGURES = (
    versus(AUC, LOGIT, x='batch_size', by='learning_rate', panel='arm', title='AUC after 20 epochs of fine-tuning'),
    heat(AUC, 'batch_size', 'learning_rate', title='AUC'),
    curves('test_auc', 'train_loss', panel='arm', title='Fine-tuning'),
)
HEADLINE = ('interaction, AUC', 0)
