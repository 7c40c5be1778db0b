"""Experiments E and F of Shen's article as claims: how far the weights travel, and the line between two solutions.

Ratios are taken seed by seed in logarithms, so that means are geometric and intervals stay positive.
"""

import itertools
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from bsresearch.analysis.claims import Claim, Part, each, every, listing
from bsresearch.analysis.quantities import growth
from bsresearch.analysis.quantities.interpolation import Interpolation
from bsresearch.analysis.shen import Arm, Study
from bsresearch.analysis.shen_accuracy import capped, difference, joined, lost, points

SOURCE = 'Shen 2018, distance'
UNITS = (1.0, 10.0)  # 'a few units'
CONSTANT = 0.02  # relative change of a norm that still counts as constant
FARTHER = 3.0  # 'much farther' is at least by this factor
COINCIDE = 1.2  # curves closer than this factor coincide
BARRIER = 0.01  # rise above the higher end, as a share of it, that still counts as none
METRIC = 'distance'


def ratio(a: Arm, b: Arm, label: str = '') -> Part:
    """Ln of the final distance of `a` over that of `b`, per seed."""
    both = pd.concat([a.final(METRIC), b.final(METRIC)], axis=1, join='inner')
    return Part(label or f'{a.name} over {b.name}', np.log(both.iloc[:, 0] / both.iloc[:, 1]).to_numpy())


def claims(study: Study) -> list[Claim]:
    """E1 to E7."""
    own = [*study.sizes, *study.role('higher rate')]
    others = study.role('other optimizer')
    return [*_reach(own), *_other(own, others), _collapse(study.sizes), _law(own), _short(study)]


def _reach(own: Sequence[Arm]) -> list[Claim]:
    far = [Part(a.name, np.log(a.final(METRIC)).to_numpy()) for a in own]
    limits = np.log(UNITS).tolist()
    norm = lambda a: (a.final('parameter_norm') / a.start('parameter_norm') - 1).to_numpy()
    change = [Part(a.name, norm(a)) for a in own]
    return [
        Claim(
            'E1', SOURCE,
            f'Under SGD the weights end a few units from where they began: between {UNITS[0]:g} and {UNITS[1]:g} '
            '(Shen: ≈6.7 at epoch 30).',
            listing(far, exp=True), capped(each(far, *limits), *own), lost(*own),
        ),
        Claim(
            'E2', SOURCE,
            f'Under SGD the norm of the weights stays as it was, within {100 * CONSTANT:g} %: they move along '
            'the sphere of the initial radius (Shen: from 43.9 to ≈44).',
            f'change of the norm: {listing(change, scale=100, decimals=2, unit=" %")}',
            capped(each(change, -CONSTANT, CONSTANT), *own), lost(*own),
        ),
    ]  # fmt: skip


def _other(own: Sequence[Arm], others: Sequence[Arm]) -> list[Claim]:
    """Another optimizer against the arm of the parents' optimizer that goes farthest, or that ends best."""
    mean = lambda metric: lambda a: float(a.final(metric).mean())
    ended = [a for a in own if len(a.final(METRIC))]
    accurate = [a for a in own if len(a.final('test_accuracy'))]
    # Until all runs have ended nobody knows which arm it is.
    open_ = sum(a.unfinished for a in own)
    unknown = f'{open_} runs of SGD are unfinished: which goes farthest or ends best is not known' if open_ else ''
    reach = [max(ended, key=mean(METRIC))] if ended and not open_ else []
    farther = [ratio(o, arm) for o in others for arm in reach]
    lower, fits = [], []
    if accurate and not open_:
        # Chosen by training accuracy: the best of several test accuracies is high by choice.
        best = max(accurate, key=mean('train_accuracy'))
        fits, lower = [best], [difference(best, o, 'test_accuracy') for o in others]
    levels = [Part(o.name, np.log(o.final(METRIC)).to_numpy()) for o in others]
    return [
        Claim(
            'E3', SOURCE,
            f'Adam goes much farther than SGD ever does: by a factor of {FARTHER:g} at least (Shen: 254 against 6.7).',
            f'{listing(levels, exp=True)}. Ratios: {listing(farther, exp=True)}',
            capped(each(farther, low=float(np.log(FARTHER))), *reach, *others),
            joined(lost(*own, *others), unknown),
        ),
        Claim(
            'E4', SOURCE,
            'Adam\'s test accuracy is lower than that of the SGD arm that fits the training set best, for which its '
            'large weights are a reason.',
            points(lower), capped(each(lower, low=0.0), *fits, *others),
            joined(lost(*own, *others), unknown),
        ),
    ]  # fmt: skip


def at_updates(arm: Arm, updates: Sequence[float]) -> pd.DataFrame:
    """Ln distance of each run that came to its end, by `pair`, at some numbers of updates: linear in the logarithms."""
    rows = arm.done[arm.done[METRIC].notna() & (arm.done['step'] > 0)].sort_values('step')
    found = {
        pair: np.interp(np.log(updates), np.log(mine['step'].to_numpy(float)), np.log(mine[METRIC].to_numpy(float)))
        for pair, mine in rows.groupby('pair')
    }
    return pd.DataFrame.from_dict(found, orient='index')


def _updates(arm: Arm) -> pd.Series:
    """Numbers of updates after which the distance was measured."""
    rows = arm.done[arm.done[METRIC].notna() & (arm.done['step'] > 0)] if METRIC in arm.done else arm.done[:0]
    return rows['step']


def _collapse(sizes: Sequence[Arm]) -> Claim:
    parts, apart, compared = [], [], []
    for small, large in itertools.combinations([a for a in sizes if len(_updates(a))], 2):
        first = max(_updates(small).min(), _updates(large).min())
        last = min(_updates(small).max(), _updates(large).max())
        names = f'{large.batch_size:,} over {small.batch_size:,}'
        if first > last:
            apart.append(f'{names}: no equal updates')
            continue
        compared += [arm for arm in (small, large) if arm.name not in {a.name for a in compared}]
        updates = sorted({int(first), int(last)})
        difference = (at_updates(large, updates) - at_updates(small, updates)).dropna()
        parts += [Part(f'{names} at {u:,} updates', difference[i].to_numpy()) for i, u in enumerate(updates)]
    margin = float(np.log(COINCIDE))
    return Claim(
        'E5', SOURCE,
        'Against updates the distances of different batch sizes at equal learning rate coincide, within a factor of '
        f'{COINCIDE:g}: reach is a matter of steps.',
        f'ratio of distances at the first and last equal updates: {listing(parts, exp=True)}',
        capped(every(parts, -margin, margin), *compared), joined(*apart, lost(*sizes)),
    )  # fmt: skip


def _law(own: Sequence[Arm]) -> Claim:
    parts, exponents = [], []
    for arm in own:
        fits = []
        if METRIC in arm.done:
            rows = arm.done[arm.done[METRIC].notna() & (arm.done['step'] > 0)].sort_values('step')
            for _, mine in rows.groupby('pair'):
                t, distance = mine['step'].to_numpy(float), mine[METRIC].to_numpy(float)
                if len(t) >= growth.FEWEST:
                    fits.append((growth.logarithm(t, distance), growth.power(t, distance)))
        label = arm.name
        parts.append(Part(label, np.array([log.aic - power.aic for log, power in fits])))
        exponents.append(Part(label, np.array([power.second for _, power in fits])))
    return Claim(
        'E6', f'{SOURCE}; log: Hoffer et al. 2017',
        'Distance grows as a power of time and not as its logarithm: the power law has the lower AIC '
        '(Shen\'s curve: exponent ≈0.32).',
        f'AIC of the logarithm minus that of the power law: {listing(parts)}. Exponents: {listing(exponents)}',
        capped(each(parts, low=0.0), *own),
        joined('points of a run are not independent: the AIC tells which curve is nearer', lost(*own)),
    )  # fmt: skip


def _short(study: Study) -> Claim:
    large = study.role('large')[0]
    farther = [*study.role('small'), *study.role('higher rate')]
    parts = [ratio(a, large) for a in farther]
    return Claim(
        'E7', SOURCE,
        'The large batch at the low rate stops short of where the small batch and the higher rate end '
        '(Shen: good solutions lie ≈6 away, out of its reach in 30 epochs).',
        f'ratio of distances: {listing(parts, exp=True)}', capped(every(parts, low=0.0), *farther, large),
        lost(*farther, large),
    )  # fmt: skip


def line_claims(found: Sequence[Interpolation], seed_of: Mapping[str, str], small: Collection[str]) -> list[Claim]:
    """F1 and F2, from interpolation between the smallest batch (α = 0, the runs `small`) and the large one (α = 1).

    Of several lines between the same two runs the one with the most points: each seed counts once.
    """
    between = [f for f in found if f.large in seed_of and f.small in small and 'linear' in f.paths]
    mine = list({(f.small, f.large): f for f in sorted(between, key=lambda f: len(f.alpha))}.values())
    rises, sharper, ends = [], [], []
    for f in mine:
        loss = f.values['linear/train_loss']
        inside = loss[(f.alpha >= 0) & (f.alpha <= 1)]
        at = lambda alpha, x=f.alpha, y=loss: float(np.interp(alpha, x, y))
        top = max(at(0), at(1))
        rises.append(max(float(inside.max()), top) / top - 1)
        step = float(np.diff(f.alpha).min())
        beyond = f.alpha.min() <= -step and f.alpha.max() >= 1 + step
        curvature = lambda a, at=at, step=step: (at(a - step) - 2 * at(a) + at(a + step)) / step**2
        sharper.append(curvature(1.0) - curvature(0.0) if beyond else np.nan)
        ends.append((curvature(0.0), curvature(1.0)) if beyond else (np.nan, np.nan))
    barrier, difference = Part('', np.array(rises)), Part('', np.array(sharper))
    levels = [Part(f'{name}', np.array([e[i] for e in ends])) for i, name in enumerate(('small', 'large'))]
    source = 'Keskar et al. 2017; in Shen 2018 unconfirmed'
    return [
        Claim(
            'F1', source,
            'On the line between the small- and the large-batch solution the training loss has no barrier: it rises '
            f'by less than {100 * BARRIER:g} % above its higher end.',
            f'rise: {listing([barrier], scale=100, unit=" %")}', every([barrier], high=BARRIER),
            'the ends have unequal losses: one that changes one way all along the line has no barrier',
        ),
        Claim(
            'F2', source,
            'Along that line the large-batch solution is the sharper one: a larger second difference of the training '
            'loss.',
            f'second difference over α: {listing(levels)}. Large minus small: {listing([difference])}',
            every([difference], low=0.0),
            'one direction of many; the ends have unequal losses, and the large-batch end is no minimum',
        ),
    ]  # fmt: skip
