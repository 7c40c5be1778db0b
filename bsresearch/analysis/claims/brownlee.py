"""What Brownlee says of batch size and stability, and what the runs of config.study=brownlee came to.

Source: J. Brownlee, "How to Control the Stability of Training Neural Networks With the Batch Size" (2019); his numbers
are of one run each. Here differences are paired by seed; how diverged and censored runs enter them: `brownlee.Found`.
"""

import pathlib

import numpy as np
import pandas as pd
from scipy import stats

from bsresearch.analysis import brownlee, summary
from bsresearch.analysis.brownlee import Arm, Found
from bsresearch.analysis.claims import Claim, Estimate, Part, Verdict, estimate, every, listing, positive, signs, text

SOURCE = 'Brownlee 2019, {}'
BENGIO = 'Bengio 2012 (arXiv:1206.5533), section 3.1.1; Brownlee 2019'
# What counts as equal to a number of his, of one run on 500 test examples: 2 points; to "about 60 %": 5.
MARGIN, ABOUT = 0.02, 0.05
# "Fails": this much below batch gradient descent (he: 20 points).
FAILS = 0.1


def claims(workdir: pathlib.Path, last: float | None = None) -> list[Claim]:
    """All of them, in the order of the source; `last`: epochs that volatility is of (None: a quarter of the run).

    Raises:
      FileNotFoundError: no runs of the study. ValueError: as `brownlee.load` and `volatility.of_runs`.
    """
    found = brownlee.found(workdir, last)
    r = found.roles
    same, smaller = f'B = 1 at the learning rate of the others ({r.rate:g})', 'B = 1 at a smaller learning rate'
    smaller += f' ({r.slow[1]:g})' if r.slow else ' (0.001)'
    return [
        _level(found, 'batch', 'batch gradient descent', r.full, (0.816, 0.830), MARGIN),
        _settled(found),
        _fails(found, same),
        _level(found, 'stochastic level', same, r.online, (0.612, 0.606), ABOUT),
        _unstable(found, 'stochastic volatility', same, r.online),
        _level(found, 'smaller rate', smaller, r.slow, (0.816, 0.824), MARGIN),
        _fast(found, smaller),
        _unstable(found, 'smaller rate volatility', smaller, r.slow),
        _level(found, 'mini-batch', f'B = {brownlee.MINI_BATCH}', r.mini, (0.832, 0.812), MARGIN),
        _steadier(found, smaller),
        _trend(
            found, 'panel volatility', 'The larger the batch, the steadier the accuracy at the end', 'volatility', -1
        ),
        _trend(found, 'panel speed', 'Small batches learn in few epochs, large ones more slowly', 'epochs_to', 1),
        _default(found),
    ]


def _over(by_seed: pd.Series, rounding: float = 0.0) -> Estimate:
    return estimate(by_seed.to_numpy(float), rounding=rounding)


def _percent(found: Estimate) -> str:
    return text(found, scale=100, unit=' %', decimals=1)


def _points(found: Estimate) -> str:
    return text(found, scale=100, unit=' points', decimals=2)


def one_run(values: np.ndarray) -> tuple[float, float]:
    """Where a further run lies with 95 %: m ± t_{0.975, n−1}·s·√(1 + 1/n) of n values (n,), taken as normal."""
    n = len(values)
    if n < 2:
        return float('nan'), float('nan')
    half = stats.t.ppf((1 + summary.LEVEL) / 2, n - 1) * values.std(ddof=1) * np.sqrt(1 + 1 / n)
    return float(values.mean() - half), float(values.mean() + half)


def _level(found: Found, key: str, name: str, arm: Arm | None, his: tuple[float, float], margin: float) -> Claim:
    """Accuracies near the end, of (train, test), against his of one run at the end."""
    said, near, measured = [], [], []
    for split, number in zip(('train', 'test'), his, strict=True):
        level, ends = found.of(arm, 'level', split), found.of(arm, 'final', split).to_numpy(float)
        rounding = found.rounding('level', arm, split=split)
        near.append(Part(split, (level - number).to_numpy(float), rounding=rounding))
        said.append(f'{100 * number:.1f} % {split}')
        low, high = one_run(ends)
        range_ = f'; a single run ends between {100 * low:.1f} and {100 * high:.1f} %' if len(ends) > 1 else ''
        measured.append(f'{split} {_percent(_over(level, rounding))}{range_}')
    return Claim(
        key,
        SOURCE.format('printed accuracies'),
        f'{name[0].upper()}{name[1:]} ends at {" and ".join(said)} (here: the mean over the last epochs is equal '
        f'within ± {100 * margin:g} points).',
        '. '.join(measured),
        every(near, -margin, margin),
        found.remark(arm),
    )


def _settled(found: Found, epoch: float = 100.0) -> Claim:
    """Change of batch gradient descent after epoch 100."""
    arm, parts = found.roles.full, []
    for split, table in found.splits.items():
        rows = found.loaded.rows
        later = rows[(rows['epoch'] >= epoch) & rows[f'{split}_accuracy'].notna()].sort_values('epoch')
        then = later.groupby('run')[f'{split}_accuracy'].first()
        change = (brownlee.of_arm(table, arm).set_index('run')['final'] - then).dropna()
        # Two evaluations of the same runs.
        parts.append(Part(split, change.to_numpy(float), rounding=found.rounding('final', arm, arm, split=split)))
    return Claim(
        'batch converged',
        SOURCE.format('first figure'),
        f'Batch gradient descent has converged by about epoch {epoch:g} (here: from then on it changes by less than '
        f'{100 * MARGIN:g} points).',
        listing(parts, scale=100, unit=' points', decimals=2),
        every(parts, -MARGIN, MARGIN),
        found.remark(arm),
    )


def _fails(found: Found, name: str) -> Claim:
    """How far below batch gradient descent, on the test set over the last epochs."""
    r = found.roles
    below = _over(found.of(r.full, 'level') - found.of(r.online, 'level'), found.rounding('level', r.full, r.online))
    return Claim(
        'stochastic fails',
        SOURCE.format('stochastic gradient descent'),
        f'{name} fails: about 20 points below batch gradient descent (here: at least {100 * FAILS:g}).',
        f'{_points(below)} below, test accuracy over the last epochs',
        positive(below, FAILS),
        found.remark(r.full, r.online),
    )


def _larger(*pairs: tuple[pd.Series, pd.Series]) -> Verdict:
    """Whether volatility a is larger than b in every pair, seed by seed; where all runs of a diverged it is.

    Not where runs of b diverged: its survivors alone do not make it the steadier. Nor do those of a refute it.
    """
    gone = lambda a, b: len(a) > 0 and np.isinf(a).all() and np.isfinite(b).any()
    parts = [Part('', (a - b).to_numpy(float)) for a, b in pairs if not gone(a, b)]
    found = every(parts, 0.0) if parts else 'holds'
    lost = {'holds': [b for _, b in pairs], 'does not hold': [a for a, _ in pairs]}
    return 'undecided' if any(np.isinf(values).any() for values in lost.get(found, [])) else found


def _unstable(found: Found, key: str, name: str, arm: Arm | None) -> Claim:
    """Its volatility against that of batch gradient descent."""
    full = found.roles.full
    own, still = found.of(arm, 'volatility'), found.of(full, 'volatility')
    return Claim(
        key,
        SOURCE.format('stochastic gradient descent'),
        f'{name} is volatile to the end, which makes a final model hard to choose; batch gradient descent is steady.',
        f'standard deviation over the last epochs {_points(_over(own))} against {_points(_over(still))}',
        _larger((own, still)),
        found.remark(full, arm),
    )


def _fast(found: Found, name: str) -> Claim:
    """Epochs to 80 % against 25, and against batch gradient descent."""
    r = found.roles
    own, full = found.epochs(r.slow), found.epochs(r.full)
    # Arrivals are told at evaluations only: rounded, the one in the source too.
    rounding = 2 * found.late() ** 2 / 12
    parts = [Part('', (other - own).to_numpy(float), rounding=rounding) for other in (25.0, full)]
    updates = _over(own * found.loaded.runs['epoch_size'].iloc[0])
    return Claim(
        'smaller rate fast',
        SOURCE.format('stochastic gradient descent'),
        f'{name} reaches about 80 % by about epoch 25 (12,500 updates), batch gradient descent by epoch 100 (100).',
        f'{text(_over(own))} epochs ({text(updates, digits=4)} updates) against {text(_over(full))}, '
        f'to {100 * brownlee.THRESHOLD:g} % test accuracy',
        every(parts, 0.0),
        found.remark(r.full, r.slow),
    )


def _steadier(found: Found, name: str) -> Claim:
    """Volatility of the mini-batch against both rates of B = 1."""
    r = found.roles
    mini, online, slow = (found.of(arm, 'volatility') for arm in (r.mini, r.online, r.slow))
    values = '; '.join(_points(_over(v)) for v in (mini, online, slow))
    return Claim(
        'mini-batch steadier',
        SOURCE.format('mini-batch gradient descent'),
        f'B = {brownlee.MINI_BATCH} learns fast and is steadier near the end than stochastic gradient descent.',
        f'standard deviation over the last epochs {values} (B = {brownlee.MINI_BATCH}; B = 1 at the same rate; {name})',
        _larger((online, mini), (slow, mini)),
        found.remark(r.mini, r.online, r.slow),
    )


def _trend(found: Found, key: str, statement: str, quantity: str, sign: int) -> Claim:
    """Kendall's τ between batch size and a quantity of the test accuracy, seed by seed; ∞ ranks last.

    It takes few values, so a sign test over the seeds decides.
    """
    r = found.roles
    table = pd.DataFrame({size: found.of((size, r.rate), quantity) for size in r.panel})
    by_seed = [row.dropna() for _, row in table.iterrows()]
    taus = np.array([stats.kendalltau(row.index, row).statistic for row in by_seed if len(row) > 2])
    ends = sorted({r.panel[0], r.panel[-1]}) if r.panel else []
    show = _points if quantity == 'volatility' else lambda e: text(e, unit=' epochs')
    values = ', '.join(f'{show(_over(table[size]))} at B = {size}' for size in ends)
    return Claim(
        key,
        SOURCE.format('figure of eight batch sizes'),
        f"{statement} (here: Kendall's τ between them is {'positive' if sign > 0 else 'negative'}).",
        f'τ = {text(estimate(taus)._replace(low=np.nan))} over {len(r.panel)} batch sizes, of the claimed sign in '
        f'{(sign * taus > 0).sum()}; {values}',
        signs(sign * taus),
        '; '.join(filter(None, (_rest(found) if sign < 0 else '', found.remark(*((b, r.rate) for b in r.panel))))),
    )


def _rest(found: Found) -> str:
    """The last batch of an epoch, where it is much shorter than the others: its noise is what is then evaluated."""
    runs = found.loaded.runs
    n, boundary = int(runs['epoch_size'].iloc[0]), runs['epoch_boundary'].iloc[0]
    shares = {size: n % size / size for size in found.roles.panel if size < n and n % size}
    if boundary != 'partial' or not shares:
        return ''
    size = min(shares, key=lambda b: shares[b])
    return (
        f'the last update of an epoch, before the accuracy is measured, is of the examples left: at B = {size} of '
        f'{n % size}'
    )


def _default(found: Found) -> Claim:
    """Where 32 lies among the batch sizes tried: all that one task and one learning rate can say."""
    r = found.roles
    levels = {size: found.of((size, r.rate), 'level') for size in r.panel}
    best = max(levels, key=lambda size: levels[size].mean(), default=None)
    mini = found.of(r.mini, 'level')
    # Chosen by the very numbers that are compared: an interval would cover too little.
    gap = _over(levels[best] - mini)._replace(low=np.nan) if best is not None else estimate([])
    level = _percent(_over(mini, found.rounding('level', r.mini)))
    return Claim(
        'default',
        BENGIO,
        'B between 1 and a few hundred; 32 is a good default.',
        f'B = {brownlee.MINI_BATCH}: {level} test over the last epochs; highest mean at B = {best}, '
        f'{_points(gap)} above',
        'not measured',
        'a default is for tasks and learning rates in general; here is one of each, and the best is picked by test '
        'accuracy',
    )
