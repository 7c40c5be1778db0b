"""Experiment D of Shen's article as claims: the gradient norm against batch size at an early and a late checkpoint.

Intervals are those of shen_trials.py: over seeds and over the draws that all seeds share.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from bsresearch.analysis.claims import Claim, Part, Verdict, each, every, listing, together
from bsresearch.analysis.quantities import gradient_norm, laws
from bsresearch.analysis.quantities.gradient_norm import GradientNorms
from bsresearch.analysis.shen_trials import FEWEST_FIT, Sample, samples

SOURCE = 'Shen 2018, the 1000 trials'
TURN = 16  # up to here Shen's late curve is flat or falls
FLAT = 0.05  # relative rise that still counts as flat
FAR = 10.0  # 'far smaller' is at least by this factor
NEAR = 0.25  # relative error of a mean square that still counts as predicted
ROUNDING = 1e-4


def claims(found: Sequence[GradientNorms], seed_of: Mapping[str, str], own_rate: float) -> list[Claim]:
    """D1 to D10.

    Args:
      found: probes. seed_of: the seed of each parent by its run; probes of other runs are passed over.
      own_rate: the η of the article's claims, that of the parents.
    """
    every_rate, chosen = samples(found, seed_of)
    own = sorted((s for s in every_rate if s.learning_rate == own_rate), key=lambda s: s.epoch)
    early, late = own[0] if own else None, own[-1] if len(own) > 1 else None
    made = [
        _rises(early, every_rate), _turns(late), _falls_with_training(early, late), _spread(own), _skewed(own),
        _tails(own), _frozen(own), _single(own), _displacement(own),
    ]  # fmt: skip
    note = f'η = {own_rate:g}' if own else f'no finished gradient_norm probes with η = {own_rate:g}'
    note += '; one seed: the interval is over trials' if {len(s.found) for s in own} == {1} else ''
    noted = lambda claim, *more: claim._replace(remark='; '.join(r for r in (claim.remark, *more, chosen) if r))
    return [*(noted(c, note) for c in made), noted(_law(every_rate))]


def _steps(sample: Sample, name: str, first: int = 0) -> list[Part]:
    """Relative rise from each batch size to the next, from the one at `first` on."""
    rise = lambda i: lambda x: x[..., i + 1] / x[..., i] - 1
    sizes = sample.sizes
    label = lambda i: f'{sizes[i]:,} to {sizes[i + 1]:,}'
    return [sample.part(label(i), rise(i), name) for i in range(first, len(sizes) - 1)]


def _ends(sample: Sample, name: str, label: str = '', low: int = 0, high: int = -1) -> Part:
    """Ln of the factor from the batch size at `low` to that at `high`."""
    return sample.part(label, lambda x: np.log(x[..., high] / x[..., low]), name)


def _percent(*parts: Part, exp: bool = False) -> str:
    return listing(parts, scale=100, unit=' %', exp=exp)


def _rises(early: Sample | None, found: Sequence[Sample]) -> Claim:
    statement = (
        'At the early checkpoint the mean walking norm rises with every batch size '
        '(Shen, epoch 2: from .14 at B = 1 to .364 at 1024, a factor 2.6).'
    )
    if early is None:
        return Claim('D1', SOURCE, statement, 'none', 'not measured')
    steps = _steps(early, 'mean')
    smallest = min(steps, key=lambda p: p.values.mean())
    measured = (
        f'epoch {early.epoch:g}, factor from B = {early.sizes[0]} to {early.sizes[-1]:,}: '
        f'{listing([_ends(early, "mean")], exp=True)}. Least of {len(steps)} steps: {_percent(smallest)}'
    )
    others = [_ends(s, 'mean', f'{s.learning_rate:g}') for s in found
              if s.epoch == early.epoch and s.learning_rate != early.learning_rate]  # fmt: skip
    finite = [p for p in others if np.isfinite(p.values).all()]
    remark = f'the same factor at η = {listing(finite, exp=True)}' if finite else ''
    return Claim('D1', SOURCE, statement, measured, every(steps, low=0.0), remark)


def _turns(late: Sample | None) -> Claim:
    statement = (
        f'At the late checkpoint it is flat or falls up to B ≈ {TURN} (by less than {100 * FLAT:g} % up), then rises '
        '(Shen, epoch 30: ≈.13 at 1, .120 at 16, .240 at 1024).'
    )
    if late is None or len(late.sizes) < 3:
        return Claim('D2', SOURCE, statement, 'none', 'not measured')
    turn = int(np.argmin(np.abs(np.log(late.sizes / TURN))))
    if turn in (0, len(late.sizes) - 1):
        return Claim('D2', SOURCE, statement, f'no batch size about {TURN}', 'not measured')
    below = late.part(f'{late.sizes[0]} to {late.sizes[turn]}', lambda x: x[..., turn] / x[..., 0] - 1, 'mean')
    steps = _steps(late, 'mean', turn)
    whole = late.part(f'{late.sizes[turn]} to {late.sizes[-1]:,}', lambda x: x[..., -1] / x[..., turn] - 1, 'mean')
    flat, rising = every([below], high=FLAT), every(steps, low=0.0)
    measured = f'epoch {late.epoch:g}, rise of the mean from B = {_percent(below, whole)}'
    return Claim(
        'D2', SOURCE, statement, measured, together(flat, rising), f'flat: {flat}; every step above rises: {rising}'
    )


def _falls_with_training(early: Sample | None, late: Sample | None) -> Claim:
    statement = (
        'At every batch size the norm is larger at the early checkpoint than at the late one '
        '(Shen: .14 against .13 at B = 1, .364 against .240 at 1024).'
    )
    both = {f.run for f in early.found} & {f.run for f in late.found} if early and late else set()
    if early is None or late is None or not both:
        return Claim('D3', SOURCE, statement, 'none', 'not measured', 'needs two checkpoints of one run')
    early, late = early.of(both), late.of(both)
    ratio = lambda i: lambda a, b: a[..., i] / b[..., i] - 1
    parts = [early.part(f'B = {b:,}', ratio(i), 'mean', other=late) for i, b in enumerate(early.sizes)]
    ends = sorted(parts, key=lambda p: p.values.mean())
    measured = f'epoch {early.epoch:g} over {late.epoch:g}, least and most: {_percent(ends[0], ends[-1])}'
    return Claim('D3', SOURCE, statement, measured, every(parts, low=0.0))


def _growth(sizes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """The exponent p of (…, B) values as c·B^p, by least squares in logarithms."""
    x = np.log(sizes)
    x = x - x.mean()
    with np.errstate(invalid='ignore', divide='ignore'):
        return lambda values: np.log(values) @ x / (x @ x)


def _spread(own: Sequence[Sample]) -> Claim:
    names = {'std': 'std', 'cv': 'CV'}
    parts = [s.part(f'{what}, epoch {s.epoch:g}', _growth(s.sizes), name) for s in own for name, what in names.items()]
    shown = '; '.join(
        f'CV at epoch {s.epoch:g} from {100 * s.values["cv"][:, 0].mean():.3g} % at B = {s.sizes[0]} to '
        f'{100 * s.values["cv"][:, -1].mean():.3g} % at {s.sizes[-1]:,}' for s in own
    )  # fmt: skip
    return Claim(
        'D4', SOURCE,
        'Standard deviation and coefficient of variation of the walking norm grow with B: an exponent above 0 '
        '(Shen: CV 2.4 % at 16, 4 % at 64, 15 % at 1024; 21 % at epoch 30).',
        f'exponents in B: {listing(parts)}. {shown}' if own else 'none', every(parts, low=0.0),
        'at small B a norm averages over the path, at the largest it is one draw: a part of the difference',
    )  # fmt: skip


def _skewed(own: Sequence[Sample]) -> Claim:
    parts = [s.part(f'epoch {s.epoch:g}, B = {s.sizes[-1]:,}', lambda x: x[..., -1], 'skewness') for s in own]
    small = [s.part(f'epoch {s.epoch:g}, B = {s.sizes[0]}', lambda x: x[..., 0], 'skewness') for s in own]
    return Claim(
        'D5', SOURCE,
        'At the largest batch the norms of the trials are right-skewed: skewness above 0.',
        f'skewness: {listing(parts)}. For comparison: {listing(small)}' if own else 'none', every(parts, low=0.0),
    )  # fmt: skip


def _tails(own: Sequence[Sample]) -> Claim:
    parts = [_ends(s, 'kurtosis', f'epoch {s.epoch:g}') for s in own]
    level = lambda s, i: s.part(f'epoch {s.epoch:g}, B = {s.sizes[i]:,}', lambda x: x[..., i], 'kurtosis')
    levels = [level(s, i) for s in own for i in (0, -1)]
    largest = max((float(f.largest.max()) for s in own for f in s.found), default=np.nan)
    return Claim(
        'D6', SOURCE,
        'Single entries of the gradient have heavier tails at the largest batch than at the smallest: a higher '
        'kurtosis of the entries pooled over trials (Shen: entries up to ±.055 at 1024).',
        f'kurtosis: {listing(levels)}. Factor: {listing(parts, exp=True)}' if own else 'none', every(parts, low=0.0),
        f'largest entry at any batch size {largest:.3g}; kurtosis does not depend on scale' if own else '',
    )  # fmt: skip


def _frozen(own: Sequence[Sample]) -> Claim:
    found = [gradient_norm.identities(f)['frozen'] for s in own for f in s.found]
    statement = (
        'At frozen weights the average gradient of the same examples has one norm for every B that divides them.'
    )
    if not np.isfinite(found).any():
        return Claim('D7', 'follows from the definition', statement, 'none', 'not measured')
    most = float(np.nanmax(found))
    verdict: Verdict = 'holds' if most < ROUNDING else 'does not hold'
    measured = f'largest relative range over B in {len(found)} probes: {most:.1e}'
    remark = f'an identity: up to rounding, {ROUNDING:g}; so the inner steps make the walking norm depend on B'
    return Claim('D7', 'follows from the definition', statement, measured, verdict, remark)


def _single(own: Sequence[Sample]) -> Claim:
    parts = []
    for s in own:
        predicted = np.stack([gradient_norm.predicted(f)[f.samples % f.batch_sizes == 0] for f in s.found])
        error = lambda x, p=predicted: np.log((np.log(x / p) ** 2).mean(axis=-1)) / 2
        parts.append(s.part(f'epoch {s.epoch:g}', error, 'single'))
    falls = [_ends(s, 'single', f'epoch {s.epoch:g}', -1, 0) for s in own]
    return Claim(
        'D8', 'McCandlish et al. 2018, appendix A.1',
        'The mean square norm of one batch at frozen weights falls as ‖∇L‖² + tr Σ/B, both measured on the whole '
        f'training set: typical departure below {100 * NEAR:g} %.',
        f'root mean square of the relative departure over B: {_percent(*parts, exp=True)}. Fall from '
        f'the smallest to the largest batch by a factor: {listing(falls, exp=True)}' if own else 'none',
        every(parts, high=np.log(NEAR)),
    )  # fmt: skip


def _displacement(own: Sequence[Sample]) -> Claim:
    parts = [_ends(s, 'displacement', f'epoch {s.epoch:g}', -1, 0) for s in own]
    return Claim(
        'D9', f'{SOURCE}, against its reading',
        'The weights themselves move far less with large batches for the same examples at equal learning rate: '
        f'by a factor of {FAR:g} at least.',
        f'displacement at the smallest batch over that at the largest: {listing(parts, exp=True)}' if own else 'none',
        every(parts, low=np.log(FAR)),
        '"larger batches take larger steps" is about the average gradient, not about the weights',
    )  # fmt: skip


def _law(found: Sequence[Sample]) -> Claim:
    def r2(sizes: np.ndarray, squares: np.ndarray) -> np.ndarray:
        rows = squares.reshape(-1, squares.shape[-1])
        return laws.least_squares(sizes, rows)[2].reshape(squares.shape[:-1])

    shown, parts, lost = [], [], []
    for s in found:
        name, linear = f'η = {s.learning_rate:g}, epoch {s.epoch:g}', s.sizes.astype(float)
        if not np.isfinite(s.values['square']).all() or len(linear) < 3:
            lost.append(f'{name}: not every norm is finite, or fewer than 3 batch sizes')
            continue
        both = [s.part('', lambda x, b=basis: r2(b, x), 'square') for basis in (linear, np.sqrt(linear))]
        difference = lambda x, b=linear: r2(b, x) - r2(np.sqrt(b), x)
        part = s.part('', difference, 'square', fewest=FEWEST_FIT)
        parts.append(part)
        straight, root = (p.values.mean() for p in both)
        lost += [f'{name}: one seed, the interval is over trials'] if len(s.found) == 1 else []
        shown.append(f'{name}: {straight:.3f} and {root:.3f}, difference {listing([part])}')
    return Claim(
        'D10', f'{SOURCE}, probably',
        'The squared walking norm is linear in B: a + b·B explains it better than a + b·√B at every η and checkpoint '
        '(Shen\'s own points at epoch 2: R² 0.84 and 0.98).',
        f'R² for B and for √B: {"; ".join(shown)}' if shown else 'none', each(parts, low=0.0), '; '.join(lost),
    )  # fmt: skip
