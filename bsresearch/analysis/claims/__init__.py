"""Claims of a source put to the test: `<study>.py: claims(workdir) -> list[Claim]`, a file per study that has some.

A verdict follows from an interval, never from a mean alone: a claimed direction holds where the 95 % interval of the
difference, paired by seed, lies on its side of 0, does not hold where it lies on the other, and is undecided between.
The interval is over seeds on one test set, its counting included; another test set is not in it.
Values that are all alike, or few, have a sign test instead, which needs six seeds.
A claim of several parts holds where all 95 % intervals do; it does not hold where one fails with the level shared out
among the parts (Bonferroni), so that many parts do not refute it by chance.
"""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy import special

from bsresearch.analysis import summary

Verdict = Literal['holds', 'does not hold', 'undecided', 'depends', 'not measured']


class Claim(NamedTuple):
    """A claim and what was found.

    Attributes:
      key: short and unique in its study, e.g. 'A1'. source: who says so, with year and place.
      statement: the claim, as a sentence. measured: numbers with interval, unit and n.
      verdict: of them. remark: what it depends on, or why it came out so; '' for nothing.
    """

    key: str
    source: str
    statement: str
    measured: str
    verdict: Verdict
    remark: str = ''


class Estimate(NamedTuple):
    """A mean over seeds with its 95 % interval (Student's t); NaN ends where n < 2 and no error is known."""

    mean: float
    low: float
    high: float
    n: int


class Part(NamedTuple):
    """What one interval is made of: a value for each seed, and the standard error of what all of them share.

    Seeds whose probes draw the same examples differ less than the draws make the result uncertain; `error` is that
    of their mean from leaving draws out, 0 where nothing is shared, NaN where it is not known, and has `freedom`
    degrees of freedom. `rounding` is the
    variance that counting adds to each value (resolution.py), 0 where nothing is counted.
    """

    label: str
    values: np.ndarray
    error: float = 0.0
    rounding: float = 0.0
    freedom: float = np.inf

    def estimate(self, level: float = summary.LEVEL) -> 'Estimate':
        """Its mean with its interval."""
        return estimate(self.values, level, self.error, self.rounding, self.freedom)


def estimate(
    values: Sequence[float] | np.ndarray,
    level: float = summary.LEVEL,
    error: float = 0.0,
    rounding: float = 0.0,
    freedom: float = np.inf,
) -> Estimate:
    """Over independent values, one per seed; those that are not finite count as missing.

    The half width is √(t²·(s² + rounding)/n + (t'·error)²), t' with the freedom of the error; of one value t'·error
    alone, if there is one. With both parts it covers more than it need (96 to 99 %). There is no interval (NaN ends)
    where nothing varies, or `error` is not known.
    """
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    n = len(finite)
    if not n:
        return Estimate(np.nan, np.nan, np.nan, 0)
    mean = float(finite.mean())
    within = special.ndtri((1 + level) / 2) if np.isinf(freedom) else special.stdtrit(freedom, (1 + level) / 2)
    shared = float(within) * (error if np.isnan(error) or summary.varies(error**2, mean) else 0.0)
    if n == 1:
        half = shared
    else:
        variance = finite.var(ddof=1) + rounding
        spread = np.sqrt(variance / n) if summary.varies(variance, mean) else 0.0
        half = float(np.hypot(special.stdtrit(n - 1, (1 + level) / 2) * spread, shared))
    half = half or np.nan
    return Estimate(mean, mean - half, mean + half, n)


def inside(finite: Estimate, low: float, high: float) -> Verdict:
    """Whether a number lies between `low` and `high` (±inf for no bound), by its interval."""
    if np.isnan(finite.low):
        return 'undecided' if finite.n else 'not measured'
    if low < finite.low and finite.high < high:
        return 'holds'
    return 'does not hold' if finite.low > high or finite.high < low else 'undecided'


def positive(difference: Estimate, least: float = 0.0) -> Verdict:
    """Whether a difference lies above `least`, by its interval."""
    return inside(difference, least, np.inf)


def within(difference: Estimate, margin: float) -> Verdict:
    """Whether two are equal up to ± `margin`, by the interval of their difference (two one-sided tests)."""
    return inside(difference, -margin, margin)


def every(parts: Sequence[Part], low: float = -np.inf, high: float = np.inf) -> Verdict:
    """Whether the number of every part lies between `low` and `high`.

    It holds where all 95 % intervals do, and does not where one, of level 1 − 0.05/parts, lies outside.
    """
    return together(*_verdicts(parts, low, high))


def _verdicts(parts: Sequence[Part], low: float, high: float) -> list[Verdict]:
    """Of each part: it holds by its 95 % interval, and does not hold only by that of level 1 − 0.05/parts.

    Values that are all alike have no interval; a sign test against each bound takes its place.
    """
    verdicts: list[Verdict] = []
    stricter = 1 - (1 - summary.LEVEL) / max(len(parts), 1)
    for part in parts:
        plain = _verdict(part, low, high, summary.LEVEL)
        undone = plain == 'does not hold' and _verdict(part, low, high, stricter) != plain
        verdicts.append('undecided' if undone else plain)
    return verdicts


def _verdict(part: Part, low: float, high: float, level: float) -> Verdict:
    finite = part.estimate(level)
    if not np.isnan(finite.low) or np.isnan(part.error):
        return inside(finite, low, high)
    sides = [sign * (part.values - end) for end, sign in ((low, 1), (high, -1)) if np.isfinite(end)]
    outcomes: list[Verdict] = [signs(side, level) for side in sides]
    return together(*outcomes)


def signs(values: Sequence[float] | np.ndarray, level: float = summary.LEVEL) -> Verdict:
    """Whether values that can take few different ones lie above 0: a two-sided sign test at 5 %, one for each seed.

    An interval of such values covers too little, and has no width where they are all alike. Six of one sign decide.
    """
    finite = np.asarray(values, float)
    finite = finite[np.isfinite(finite)]
    above, below = int((finite > 0).sum()), int((finite < 0).sum())
    if not above + below:
        return 'undecided' if len(finite) else 'not measured'
    if 2 * special.bdtr(min(above, below), above + below, 0.5) > 1 - level:
        return 'undecided'
    return 'holds' if above > below else 'does not hold'


def together(*verdicts: Verdict) -> Verdict:
    """Of a claim with several parts: the worst of them. What fails in one part fails, measured or not elsewhere."""
    order: list[Verdict] = ['does not hold', 'not measured', 'undecided', 'depends', 'holds']
    for verdict in order:
        if verdict in verdicts:
            return verdict
    return 'not measured'


def across(*verdicts: Verdict) -> Verdict:
    """Of one claim under several conditions: 'depends' where it holds under some and does not under others."""
    return 'depends' if {'holds', 'does not hold'} <= set(verdicts) else together(*verdicts)


def each(parts: Sequence[Part], low: float = -np.inf, high: float = np.inf) -> Verdict:
    """As `every`, of parts that are conditions: 'depends' where some lie between the two and some outside."""
    return across(*_verdicts(parts, low, high))


def text(
    found: Estimate,
    digits: int = 3,
    scale: float = 1.0,
    unit: str = '',
    decimals: int | None = None,
    exp: bool = False,
) -> str:
    """'0.0312 (0.0298 to 0.0326, n = 3)'; `scale` multiplies, e.g. 100 for per cent.

    `digits` are significant ones; `decimals`, where given, those after the point instead. `exp`: of a logarithm, so
    that the geometric mean is shown.
    """
    value = lambda v: (np.exp(v) if exp else v) * scale
    show = lambda v: f'{value(v):.{digits}g}' if decimals is None else f'{value(v):.{decimals}f}'
    if not found.n:
        return 'none'
    if np.isnan(found.low):
        return f'{show(found.mean)}{unit} (n = {found.n})'
    return f'{show(found.mean)}{unit} ({show(found.low)} to {show(found.high)}, n = {found.n})'


def listing(parts: Sequence[Part], **form: Any) -> str:
    """'<label>: 0.0312 (0.0298 to 0.0326, n = 3); …', each as `text` with its arguments."""
    shown = [text(p.estimate(), **form) for p in parts]
    return '; '.join(f'{p.label}: {s}' if p.label else s for p, s in zip(parts, shown, strict=True)) or 'none'


def report(found: Sequence[Claim]) -> str:
    """Key, verdict and numbers of each claim, a line each, for a terminal."""
    width = max((len(c.key) for c in found), default=0)
    return '\n'.join(f'  {c.key:<{width}}  {c.verdict:<13}  {c.measured}' for c in found)
