"""Experiments A, B and C of Shen's article as claims: accuracy against batch size, a higher rate, a switch in training.

Values at the end of the runs that came to it, in differences paired by seed; accuracies in per cent, differences in
points. One evaluation is noisy: remarks give the differences with the median of each run's last five beside them.
"""

import itertools
from collections.abc import Sequence

import pandas as pd

from bsresearch.analysis.claims import Claim, Part, Verdict, every, listing
from bsresearch.analysis.shen import Arm, Study

SOURCE = 'Shen 2018'
LAST = 5
MARGIN = 0.01  # accuracies that differ by less than a point count as equal; Shen's control lies 1.6 points below


def part(arm: Arm, metric: str, label: str = '') -> Part:
    """The final values of one arm."""
    return Part(label or arm.name, arm.final(metric).to_numpy(), rounding=arm.rounding(metric))


def difference(a: Arm, b: Arm, metric: str, label: str = '', last: int = 1) -> Part:
    """A − b at the end, over the seeds that both have; of the medians of the `last` evaluations."""
    values = (a.final(metric, last) - b.final(metric, last)).dropna().to_numpy()
    return Part(label or f'{a.name} − {b.name}', values, rounding=a.rounding(metric) + b.rounding(metric))


def percent(parts: Sequence[Part]) -> str:
    """Accuracies as text."""
    return listing(parts, scale=100, decimals=2, unit=' %')


def points(parts: Sequence[Part]) -> str:
    """Differences of accuracies as text."""
    return listing(parts, scale=100, decimals=2, unit=' points')


def lost(*arms: Arm) -> str:
    """Runs that are not in the numbers, in words."""
    found = []
    for arm in arms:
        for what, n in (('diverged', arm.diverged), ('are unfinished', arm.unfinished)):
            found += [f'{arm.name}: {n} of {len(arm.runs)} runs {what}, not counted'] if n else []
    return '; '.join(found)


def steadier(pairs: Sequence[tuple[Arm, Arm, str]]) -> str:
    """The differences in test accuracy (a, b, label) between medians of the last evaluations, for a remark."""
    parts = [difference(a, b, 'test_accuracy', label, LAST) for a, b, label in pairs]
    parts = [p for p in parts if len(p.values)]
    return f'medians of the last {LAST} evaluations differ by: {points(parts)}' if parts else ''


def joined(*remarks: str) -> str:
    """Those that say something."""
    return '; '.join(r for r in remarks if r)


def capped(verdict: Verdict, *arms: Arm) -> Verdict:
    """A claim does not hold on survivors alone: with a diverged run it is undecided at best."""
    return 'undecided' if verdict == 'holds' and any(a.diverged for a in arms) else verdict


def claims(study: Study) -> list[Claim]:
    """A1 to A3, B1, B2, C1 to C3."""
    return [*_batch_size(study), *_higher_rate(study), *_switched(study)]


def _batch_size(study: Study) -> list[Claim]:
    arms = study.sizes
    large = arms[-1]
    named = lambda a, b: (a, b, f'{a.batch_size:,} − {b.batch_size:,}')
    steps = [named(a, b) for a, b in itertools.pairwise(arms)]
    test = [difference(a, b, 'test_accuracy', label) for a, b, label in steps]
    smallest = arms[:-1][:1]
    train = [difference(a, large, 'train_accuracy', named(a, large)[2]) for a in smallest]
    wider = [_gap_difference(a, large, named(a, large)[2]) for a in arms[:-1]]
    remark = lost(*arms)
    levels = lambda metric: percent([part(a, metric, f'B = {a.batch_size:,}') for a in arms])
    gaps = points([Part(f'B = {a.batch_size:,}', _gap(a).to_numpy(), rounding=_gap_rounding(a)) for a in arms])
    return [
        Claim(
            'A1', f'{SOURCE}, takeaway 1',
            'At equal epochs and learning rate a larger batch ends with a lower test accuracy '
            '(Shen: ≈97.9, 97.2 and 95.2 % at B = 64, 256 and 1024).',
            f'{levels("test_accuracy")}. Differences: {points(test)}',
            capped(every(test, low=0.0), *arms), joined(steadier(steps), remark),
        ),
        Claim(
            'A2', f'{SOURCE}, figures',
            'The large batch is under-trained: its training accuracy is lower than the small batch\'s too '
            '(Shen: ≈99.9 % at B = 64, ≈95.5 % at 1024).',
            f'{levels("train_accuracy")}. Difference: {points(train)}',
            capped(every(train, low=0.0), *smallest, large), lost(*smallest, large),
        ),
        Claim(
            'A3', f'{SOURCE}, figures',
            'The generalization gap, training minus test accuracy, is smallest for the largest batch '
            '(Shen: ≈0.3 points at B = 1024, ≈2 at 64).',
            f'{gaps}. Differences: {points(wider)}',
            capped(every(wider, low=0.0), *arms), remark,
        ),
    ]  # fmt: skip


def _gap(arm: Arm) -> pd.Series:
    return arm.final('train_accuracy') - arm.final('test_accuracy')


def _gap_rounding(arm: Arm) -> float:
    """Training and test set have a count each."""
    return arm.rounding('train_accuracy') + arm.rounding('test_accuracy')


def _gap_difference(a: Arm, b: Arm, label: str) -> Part:
    return Part(label, (_gap(a) - _gap(b)).dropna().to_numpy(), rounding=_gap_rounding(a) + _gap_rounding(b))


def _higher_rate(study: Study) -> list[Claim]:
    large, rates, small = study.role('large')[0], study.role('higher rate'), study.role('small')
    arms = [*small, *rates, large]
    pairs = [(r, s, f'{r.name} − {s.name}') for r in rates for s in small]
    equal = [difference(r, s, 'test_accuracy', label) for r, s, label in pairs]
    better = [difference(r, large, 'test_accuracy', f'{r.name} − lr {large.learning_rate:g}') for r in rates]
    levels = percent([part(a, 'test_accuracy') for a in arms])
    return [
        Claim(
            'B1', f'{SOURCE}, takeaway 2',
            'Ten times the learning rate gives the large batch the small one\'s test accuracy, within '
            f'{100 * MARGIN:g} point (Shen: ≈97.7 to 97.8 % against ≈97.9 %).',
            f'{levels}. Difference: {points(equal)}',
            capped(every(equal, -MARGIN, MARGIN), *rates, *small), joined(steadier(pairs), lost(*rates, *small)),
        ),
        Claim(
            'B2', f'{SOURCE}, takeaway 2',
            'The higher rate raises the large batch\'s test accuracy (Shen: from ≈95.2 to ≈97.7 %).',
            f'{levels}. Difference: {points(better)}',
            capped(every(better, low=0.0), *rates, large), lost(*rates, large),
        ),
    ]  # fmt: skip


def _switched(study: Study) -> list[Claim]:
    small, controls = study.role('small'), study.branch('control')
    switched = [a for a in study.branches if a.role in ('smaller batch', 'higher rate')]
    pairs = [(a, s, a.name) for a in switched for s in small]
    reached = [difference(a, s, 'test_accuracy', label) for a, s, label in pairs]
    against = [(a, c, a.name) for a in switched for c in controls if c.branch_epoch == a.branch_epoch]
    compared = list({id(arm): arm for pair in against for arm in pair[:2]}.values())
    above = [difference(a, c, 'test_accuracy', label) for a, c, label in against]
    last = controls[-1:]
    gain = lambda c: (c.final('test_accuracy') - c.start('test_accuracy')).to_numpy()
    helped = [Part('', gain(c), rounding=2 * c.rounding('test_accuracy')) for c in last]
    absent = joined(*(m for m in study.missing if 'branch' in m))
    whole = lambda verdict: 'not measured' if absent and verdict != 'does not hold' else verdict
    end = lambda arms: percent([part(a, 'test_accuracy') for a in arms])
    return [
        Claim(
            'C1', f'{SOURCE}, takeaway 3',
            'A start with the large batch does not trap the model: switched to the small batch or the higher rate, '
            f'early or late, it ends no more than {100 * MARGIN:g} point below the small batch from scratch '
            '(Shen: all ≈97.9 to 98.0 %).',
            f'from scratch: {end(small)}. Switched minus that: {points(reached)}',
            whole(capped(every(reached, low=-MARGIN), *switched, *small)),
            joined(steadier(pairs), absent, lost(*switched, *small)),
        ),
        Claim(
            'C2', f'{SOURCE}, takeaway 3',
            'The control, trained as long without a change, ends below every switched run '
            '(Shen: ≈96.3 % against ≈97.9 %).',
            f'{end(controls)}. Switched minus the control of its epoch: {points(above)}',
            whole(capped(every(above, low=0.0), *compared)),
            joined(steadier(against), absent, lost(*compared)),
        ),
        Claim(
            'C3', f'{SOURCE}, figure recovery',
            'The control of the last branch point ends above its own start: longer training helps a little '
            '(Shen: from ≈95.3 to ≈96.3 %).',
            f'{end(last)}. Above its start: {points(helped)}', capped(every(helped, low=0.0), *last), lost(*last),
        ),
    ]  # fmt: skip
