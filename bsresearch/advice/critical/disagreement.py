"""Where critical batch sizes differ by more than their ends, and the reasons for it that are known.

Two disagree where the ends of one lie beyond those of the other. A reason is one that may apply to such a pair; which
of several it was is not tested here.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from bsresearch.advice.critical.of_runs import OF_RUNS
from bsresearch.advice.critical.sizes import BRANCHED, CURVED, HYPERBOLA, OVERHEAD, SIMPLE, Size
from bsresearch.analysis.quantities.branched.rates import TUNED

OF_LAW, OF_BRANCHES, OF_NOISE = (HYPERBOLA, OVERHEAD), tuple(BRANCHED.values()), (SIMPLE, CURVED)
PLAIN = ('', 'sgd', 'momentum')  # optimizers whose step is the gradient, or its running sum


class Facts(NamedTuple):
    """What reasons depend on.

    optimizer: of the runs, '' where it is not known. momentum: whether it has any. tuned: whether each batch size of
    the runs had its own rate, the best of several. differing: fields of task and optimizer in which branches differ
    from the runs.
    """

    optimizer: str = ''
    momentum: bool = False
    tuned: bool = True
    differing: tuple[str, ...] = ()


class Disagreement(NamedTuple):
    """One size lies below another; the known reasons why that may be."""

    below: str
    above: str
    reasons: tuple[str, ...]


def of(sizes: Sequence[Size], facts: Facts) -> list[Disagreement]:
    """All pairs that disagree."""
    pairs = [(low, high) for low in sizes for high in sizes if _below(low, high)]
    return [Disagreement(low.name, high.name, tuple(reasons(low, high, facts))) for low, high in pairs]


def lines(found: Sequence[Disagreement]) -> list[str]:
    """One for each size that lies below others, its reasons by number, and one for each reason."""
    numbers = {reason: i for i, reason in enumerate(dict.fromkeys(r for one in found for r in one.reasons), 1)}
    above: dict[str, list[str]] = {}
    for one in found:
        reasons = ', '.join(str(numbers[reason]) for reason in one.reasons)
        above.setdefault(one.below, []).append(f'{one.above} ({reasons})')
    disagree = [f'disagree: {below} lies below {"; ".join(others)}' for below, others in above.items()]
    return [*disagree, *(f'known reason {i}: {reason}' for reason, i in numbers.items())]


def reasons(a: Size, b: Size, facts: Facts) -> list[str]:
    """Why two may differ."""
    names = {a.name.removesuffix(OF_RUNS), b.name.removesuffix(OF_RUNS)}
    law, branch, noise = (bool(names & set(group)) for group in (OF_LAW, OF_BRANCHES, OF_NOISE))
    untuned = law and branch and facts.tuned != (BRANCHED[TUNED] in names)
    known = [
        (names == set(OF_LAW),
         'two readings of one fit; the second is about a fifth of the first where that is much larger than B_0'),
        (names <= set(OF_BRANCHES),
         'only the rate differs: what ends the smaller one is its rate, not the noise of the gradient'),
        (law and branch,
         'one counts whole runs to a target; the other a window from one point, with weights and optimizer of a small '
         'batch, and allows a loss of its tolerance'),
        (untuned,
         f'the rate was {_tuned(facts.tuned)} at each batch size in the runs, {_tuned(not facts.tuned)} in branches'),
        (law and noise, 'a noise scale is local in time and rises in training, while a target counts all of a run'),
        (branch and noise,
         'at the noise scale a step has lost half of its best gain, another share than the tolerance allows'),
        (OVERHEAD in names and not names <= set(OF_LAW), '20 % more examples are a fifth of what B_crit allows'),
        (len(names) == 1,
         'a noise scale grows as ε/B falls: of the runs it is at their rates and batch sizes, else at the parents’'),
        (SIMPLE in names and len(names) > 1, 'B_simple takes the Hessian as a multiple of the identity'),
        (CURVED in names and len(names) > 1,
         'B_noise is of one step of the best length on a quadratic, and the Hessian is indefinite'),
        (noise and facts.optimizer not in PLAIN,
         f'{facts.optimizer} divides its steps, a noise scale is of gradients (measure.noise_scale.preconditioned)'),
        (noise and facts.momentum, 'momentum averages gradients over updates, which a noise scale leaves out'),
        (law and not names <= set(OF_LAW) and bool(facts.differing), f'not one task: {"; ".join(facts.differing)}'),
    ]  # fmt: skip
    return [reason for holds, reason in known if holds]


def _tuned(is_tuned: bool) -> str:
    return 'tuned' if is_tuned else 'not tuned'


def _below(low: Size, high: Size) -> bool:
    ends = (low.high, high.low)
    return not any(map(math.isnan, ends)) and low.high < high.low
