"""Shen's article from records: roles, verdicts on planted numbers, what is missing, the study's conclusion."""

import pathlib
import re
from typing import Any

import numpy as np
import pytest
import shen_records

from bsresearch.analysis import shen, shen_accuracy, shen_distance
from bsresearch.analysis.claims import Claim
from bsresearch.analysis.claims import shen as claims
from bsresearch.analysis.quantities.interpolation import Interpolation
from bsresearch.studies import shen as study

KEYS = ['A1', 'A2', 'A3', 'B1', 'B2', 'C1', 'C2', 'C3', *(f'D{i}' for i in range(1, 11)),
        *(f'E{i}' for i in range(1, 8)), 'F1', 'F2']  # fmt: skip


def by_key(workdir: pathlib.Path) -> dict[str, Claim]:
    return {c.key: c for c in claims.claims(workdir)}


# --- roles


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A workdir with every arm and branch at three seeds, to be read alone."""
    workdir = tmp_path_factory.mktemp('whole')
    shen_records.write(workdir)
    return workdir


@pytest.fixture(scope='module')
def loaded(whole: pathlib.Path) -> shen.Study:
    return shen.load(whole)


def test_roles_follow_from_the_configs(loaded: shen.Study):
    """No number of the article is in them: here B = 4, 16, 64."""
    roles = {a.name: a.role for a in loaded.arms}
    assert roles == {
        'B = 4, lr 0.01': 'small', 'B = 16, lr 0.01': 'middle', 'B = 64, lr 0.01': 'large',
        'B = 64, lr 0.1': 'higher rate', 'adam, B = 64, lr 0.01': 'other optimizer',
    }  # fmt: skip
    assert [a.batch_size for a in loaded.sizes] == [4, 16, 64]
    assert [(a.name, a.role) for a in loaded.branches] == [
        (f'{change} from epoch {at}', role) for at in (2, 8) for change, role in
        (('no change', 'control'), ('B = 4', 'smaller batch'), ('lr 0.1', 'higher rate'))
    ]  # fmt: skip
    assert loaded.missing == []
    assert loaded.facts[1:] == [
        '8 epochs, branches 8 more',
        'mean and 95 % interval over n = 3 seeds, on this test set',
    ]


def test_values_are_of_runs_that_ended(loaded: shen.Study):
    """The last, the first and the median of the last five, by seed."""
    (small,) = loaded.role('small')
    values = 0.1 + 0.1 * np.arange(9)
    assert small.final('test_accuracy').to_dict() == pytest.approx({'0': 0.8995, '1': 0.9, '2': 0.9005})
    assert small.final('test_accuracy', 5)['1'] == pytest.approx(np.median(values[-5:]))
    assert small.start('test_accuracy')['1'] == pytest.approx(0.1)
    (control, _) = loaded.branch('control')
    assert control.start('test_accuracy')['1'] == pytest.approx(0.1 + 0.75 * 2 / 8)


def test_what_is_missing_is_named(tmp_path: pathlib.Path):
    gone = {'status': 'diverged', 'diverged_step': 40}
    shen_records.write(tmp_path, skip=('middle', 'higher', 'adam'), rate=gone, control={'status': 'running'})
    assert shen.load(tmp_path).missing == [
        'no arm with another optimizer',
        'no branch at epoch 2 with B = 64, lr 0.1',
        'no branch at epoch 8 with B = 64, lr 0.1',
        'B = 64, lr 0.1: 3 of 3 diverged',
        'no change from epoch 2: 3 of 3 unfinished',
        'no change from epoch 8: 3 of 3 unfinished',
    ]


def test_what_is_no_such_workdir_is_refused(tmp_path: pathlib.Path):
    shen_records.write(tmp_path / 'a', skip=('large',))
    with pytest.raises(ValueError, match=r'one large-batch arm with config\.branch\.at_epochs.*found: none'):
        shen.load(tmp_path / 'a')
    shen_records.write(tmp_path / 'b', middle={'recording': shen_records.PARENT})
    with pytest.raises(ValueError, match=r'found: B = 16, lr 0\.01, sgd, B = 64, lr 0\.01, sgd'):
        shen.load(tmp_path / 'b')
    shen_records.write(tmp_path / 'c', middle={'model': {'name': 'mlp', 'widths': [16]}})
    with pytest.raises(ValueError, match=r'differ in model\.widths too; use a workdir for each value'):
        shen.load(tmp_path / 'c')
    shen_records.write(tmp_path / 'd', middle={'study': 'train'}, small={'study': 'train'})
    assert [a.role for a in shen.load(tmp_path / 'd').sizes] == ['large']
    with pytest.raises(FileNotFoundError):
        shen.load(tmp_path / 'nowhere')


# --- verdicts of A, B, C and E on planted numbers


def test_planted_claims_hold(whole: pathlib.Path):
    """Accuracies as in the article, distance = c·√updates whatever B: all of A, B, C and E; nothing probed."""
    found = by_key(whole)
    assert list(found) == KEYS
    probed = [k for k in KEYS if k[0] in 'DF']
    assert {k: c.verdict for k, c in found.items()} == dict.fromkeys(KEYS, 'holds') | dict.fromkeys(
        probed, 'not measured'
    )
    # 2 points in every seed; √ of 8 epochs of 16 updates over that of 8 of one.
    # The small batch's accuracies are counted on 2,000 examples: ± t·√(1/12/3)/2000.
    assert '4 − 16: 2.00 points (1.96 to 2.04, n = 3)' in found['A1'].measured
    assert re.search(r'B = 4, lr 0.01 over B = 64, lr 0.01: 4 \(4 to 4, n = 3\)', found['E7'].measured)
    # The large batch makes 8 updates, the small one 16 before its first measurement.
    assert '64 over 4: no equal updates' in found['E5'].remark
    assert '16 over 4 at 32 updates: 1 (1 to 1, n = 3)' in found['E5'].measured


def replanted(study: shen.Study, role: str, **ends: float) -> shen.Study:
    """With other final values where a role is: those of the middle seed; the others keep their distance to it."""

    def change(arm: shen.Arm) -> shen.Arm:
        if arm.role != role:
            return arm
        rows = arm.rows.copy()
        last = ~rows.duplicated('run', keep='last')
        for metric, end in ends.items():
            middle = rows.loc[last & (rows['pair'] == '1'), metric].iloc[0]
            rows.loc[last, metric] += end - middle
        return arm._replace(rows=rows)

    return study._replace(arms=[change(a) for a in study.arms], branches=[change(a) for a in study.branches])


@pytest.mark.parametrize(
    ('key', 'role', 'ends', 'verdict'),
    [
        ('A1', 'middle', {'test_accuracy': 0.91}, 'does not hold'),
        ('A1', 'middle', {'test_accuracy': 0.9}, 'undecided'),
        ('A2', 'large', {'train_accuracy': 0.96}, 'does not hold'),
        ('A3', 'large', {'train_accuracy': 0.89}, 'does not hold'),
        ('B1', 'higher rate', {'test_accuracy': 0.88}, 'does not hold'),
        ('B1', 'higher rate', {'test_accuracy': 0.90}, 'holds'),
        ('B2', 'higher rate', {'test_accuracy': 0.84}, 'does not hold'),
        ('C1', 'higher rate', {'test_accuracy': 0.88}, 'does not hold'),
        ('C1', 'higher rate', {'test_accuracy': 0.95}, 'holds'),
        ('C2', 'smaller batch', {'test_accuracy': 0.855}, 'does not hold'),
        ('C3', 'control', {'test_accuracy': 0.84}, 'does not hold'),
        ('E1', 'small', {'distance': 12.0}, 'depends'),
        ('E2', 'higher rate', {'parameter_norm': 48.0}, 'depends'),
        ('E3', 'other optimizer', {'distance': 8.0}, 'does not hold'),
        ('E4', 'other optimizer', {'test_accuracy': 0.92}, 'does not hold'),
        ('E5', 'large', {'distance': 1.8}, 'does not hold'),
        ('E7', 'large', {'distance': 7.0}, 'does not hold'),
    ],
)
def test_planted_claims_fail(key: str, role: str, ends: dict[str, float], verdict: str, loaded: shen.Study):
    """One number changed, the claim about it follows."""
    study = replanted(loaded, role, **ends)
    made = shen_distance.claims(study) if key[0] == 'E' else shen_accuracy.claims(study)
    assert {c.key: c.verdict for c in made}[key] == verdict


def test_distances_that_grow_as_a_logarithm_are_told(loaded: shen.Study):
    """Planted in all arms; in one alone the law depends on the arm."""

    def logarithmic(arm: shen.Arm) -> shen.Arm:
        rows = arm.rows.assign(distance=np.log(arm.rows['step'] + 1e-9) * (1 + 0.01 * arm.rows['pair'].astype(int)) + 3)
        return arm._replace(rows=rows)

    law = lambda arms: {c.key: c for c in shen_distance.claims(loaded._replace(arms=arms))}['E6'].verdict
    assert law([logarithmic(a) for a in loaded.arms]) == 'does not hold'
    assert law([logarithmic(a) if a.role == 'small' else a for a in loaded.arms]) == 'depends'


def test_one_seed_decides_nothing(tmp_path: pathlib.Path):
    shen_records.write(tmp_path, seeds=(1,))
    found = by_key(tmp_path)
    assert {c.verdict for k, c in found.items() if k[0] in 'ABCE'} == {'undecided'}
    assert all('one seed: no interval' in found[k].remark for k in ('A1', 'C2', 'E5'))


def test_a_diverged_run_keeps_a_claim_open(loaded: shen.Study):
    """The others agree; that one did not is said, and the claim no longer holds."""

    def gone(arm: shen.Arm) -> shen.Arm:
        lost = arm.rows['pair'] == '2'
        return arm if arm.role != 'higher rate' else arm._replace(rows=arm.rows.assign(gone=arm.rows['gone'] | lost))

    found = {c.key: c for c in shen_accuracy.claims(loaded._replace(arms=[gone(a) for a in loaded.arms]))}
    assert found['B1'].verdict == found['B2'].verdict == 'undecided'
    assert 'B = 64, lr 0.1: 1 of 3 runs diverged, not counted' in found['B1'].remark
    assert 'n = 2' in found['B1'].measured
    assert found['A1'].verdict == 'holds'


def test_only_what_is_compared_caps_a_claim(loaded: shen.Study):
    """A diverged run of the middle batch keeps A1 and A3 open, and not A2, which is about the other two."""

    def changed(arm: shen.Arm, role: str, **columns: Any) -> shen.Arm:
        return arm._replace(rows=arm.rows.assign(**columns)) if arm.role == role else arm

    lost = loaded._replace(arms=[changed(a, 'middle', gone=a.rows['pair'] == '2') for a in loaded.arms])
    found = {c.key: c.verdict for c in shen_accuracy.claims(lost)}
    assert [found[k] for k in ('A1', 'A2', 'A3')] == ['undecided', 'holds', 'undecided']
    # The farthest arm of SGD is chosen among all: not while one of them is not finished.
    lost_one = lambda a: a if a.role == 'other optimizer' else changed(a, a.role, gone=a.rows['pair'] == '2')
    gone = loaded._replace(arms=[lost_one(a) for a in loaded.arms])
    running = [
        changed(a, 'middle', status=a.rows['status'].mask(a.rows['pair'] == '2', 'running')) for a in loaded.arms
    ]
    far = lambda s: {c.key: c.verdict for c in shen_distance.claims(s)}['E3']
    assert (far(loaded), far(gone), far(loaded._replace(arms=running))) == ('holds', 'undecided', 'not measured')


def test_what_is_there_is_still_claimed(tmp_path: pathlib.Path):
    """Without branches, Adam and the middle batch; nothing raises, nothing is made up."""
    shen_records.write(tmp_path, skip=('middle', 'control', 'smaller', 'higher', 'adam'))
    found = by_key(tmp_path)
    assert [found[k].verdict for k in ('A1', 'B1', 'C1', 'C2', 'C3', 'E3', 'E4')] == [
        'holds', 'holds', *['not measured'] * 5
    ]  # fmt: skip
    assert 'no branch at epoch 2 with B = 64, lr 0.01' in found['C1'].remark


def test_a_parent_alone_is_loaded(tmp_path: pathlib.Path):
    shen_records.write(tmp_path, skip=('small', 'middle', 'rate', 'control', 'smaller', 'higher', 'adam'))
    found = by_key(tmp_path)
    assert {found[k].verdict for k in KEYS if k[0] in 'ABCDF'} == {'not measured'}


def test_missing_branches_leave_their_claim_unmeasured(tmp_path: pathlib.Path):
    """Two of four switched arms do not speak for all; one that fails does."""
    shen_records.write(tmp_path, skip=('higher', 'adam'))
    study = shen.load(tmp_path)
    c1 = lambda s: {c.key: c.verdict for c in shen_accuracy.claims(s)}['C1']
    assert c1(study) == 'not measured'
    assert c1(replanted(study, 'smaller batch', test_accuracy=0.88)) == 'does not hold'


def test_distances_at_equal_updates_are_interpolated_in_logarithms(loaded: shen.Study):
    """Exact for a power of the updates."""
    (small,) = loaded.role('small')
    found = shen_distance.at_updates(small, [16, 50])
    assert found.loc['0'].tolist() == pytest.approx(np.log(0.5 * np.sqrt([16, 50])))


# --- F

PARENTS = {f'run{i}': str(i) for i in range(3)}


def line(large: str, loss: Any) -> Interpolation:
    """Seeds differ by a thousandth of the loss's square."""
    alpha = np.linspace(-1, 2, 25)
    own = loss(alpha) + 1e-3 * int(PARENTS[large]) * loss(alpha) ** 2
    return Interpolation(large, 'small', large, alpha, ('linear',), {'linear/train_loss': own}, 1.0, 1.0, np.ones(2))


def test_a_line_without_a_barrier_and_its_sharper_end():
    """Loss 1 + α⁴: second differences of step h are 12 + 2h² at 1 and 2h² at 0."""
    found = shen_distance.line_claims([line(r, lambda a: 1 + a**4) for r in PARENTS], PARENTS, {'small'})
    # No rise at all in any of them has no spread: three seeds do not decide, six do.
    assert [c.verdict for c in found] == ['undecided', 'holds']
    six = [line(r, lambda a: 1 + a**4)._replace(large=f'{r}-{i}') for r in PARENTS for i in range(2)]
    pairs = {f.large: f.large for f in six}
    assert [c.verdict for c in shen_distance.line_claims(six, pairs, {'small'})] == ['holds', 'holds']
    assert 'small: 0.0313' in found[1].measured
    assert 'large: 12' in found[1].measured


def test_a_barrier_is_seen():
    """Ends at 1, a top of 1.25 between them."""
    found = shen_distance.line_claims([line(r, lambda a: 1 + a * (1 - a)) for r in PARENTS], PARENTS, {'small'})
    assert found[0].verdict == 'does not hold'
    assert 'rise: 25' in found[0].measured


def test_each_seed_counts_once_in_the_line():
    """Another setting of the probe, and a line from another run, are no further seeds."""
    lines = [line(r, lambda a: 1 + a**4) for r in PARENTS]
    more = [*lines, *lines, *(f._replace(small='middle') for f in lines)]
    found, same = (shen_distance.line_claims(x, PARENTS, {'small'})[1].measured for x in (more, lines))
    assert found == same


# --- the study


def test_the_study_concludes_with_its_claims(whole: pathlib.Path, tmp_path: pathlib.Path):
    said: list[str] = []
    study.conclude(whole, [], said.append)
    assert [line.split()[0] for line in said[0].splitlines()[1:]] == KEYS
    shen_records.write(tmp_path, seeds=(0,), middle={'model': {'name': 'mlp', 'widths': [16]}})
    study.conclude(tmp_path, [], said.append)
    assert said[1].startswith('no table of claims: ')
    assert 'model.widths' in said[1]
