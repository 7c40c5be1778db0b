"""AUC and calibration error of whole splits: scikit-learn's, pairs and bins one by one; of a trained run."""

import pathlib
import re
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import toy
from scipy.special import softmax
from sklearn.metrics import roc_auc_score

from bsresearch.analysis import recorded
from bsresearch.analysis.of_runs import unit_of
from bsresearch.core.flat import flatten
from bsresearch.core.target import better
from bsresearch.data.splits import Split, Splits, checksum
from bsresearch.models import losses
from bsresearch.planning import resolve
from bsresearch.train.observing import scores

HERE = pathlib.Path(__file__).parent
BOTH = ('auc', 'calibration_error')
RUN: dict[str, Any] = toy.BARE | {
    'total_steps': 6, 'evaluate__at_steps': (6,), 'evaluate__batch_size': 100, 'data__fraction': 0.2,
}  # fmt: skip


def pairs(has: np.ndarray, values: np.ndarray) -> float:
    """P(s⁺ > s⁻) + ½ P(s⁺ = s⁻), every pair compared."""
    wins = np.sign(values[has == 1][:, None] - values[has == 0])
    return float(np.mean(wins + 1)) / 2


def bins_one_by_one(probabilities: np.ndarray, labels: np.ndarray) -> float:
    gaps, count = [], len(labels)
    for m in range(1, 16):
        inside = [i for i in range(count) if (m - 1) / 15 < probabilities[i].max() <= m / 15]
        if inside:
            right = np.mean([probabilities[i].argmax() == labels[i] for i in inside])
            told = np.mean([probabilities[i].max() for i in inside])
            gaps.append(len(inside) / count * abs(right - told))
    return float(np.sum(gaps))


@pytest.mark.parametrize('levels', [1, 3, 50])
def test_auc_of_tied_scores_is_that_of_scikit_learn_and_of_all_pairs(levels: int):
    """Scores of few levels: ties within and between the classes; one level is 1/2."""
    draw = np.random.default_rng(levels)
    outputs, labels = draw.integers(0, levels, (80, 2)).astype(float), np.arange(80, dtype=np.int32) % 2
    score = outputs[:, 1] - outputs[:, 0]
    assert scores.auc(outputs, labels, softmax=True) == {'auc': roc_auc_score(labels, score)}
    assert scores.auc(outputs, labels, softmax=True)['auc'] == pytest.approx(pairs(labels, score), rel=1e-12)
    several = draw.integers(0, 2, (80, 3)).astype(np.int32)
    logits = draw.integers(0, levels, (80, 3)).astype(float)
    each = scores.auc(logits, several, softmax=False)
    expected = [roc_auc_score(several[:, c], logits[:, c]) for c in range(3)]
    assert each == {'auc': np.mean(expected)} | {f'auc/{c}': value for c, value in enumerate(expected)}
    classes, distinct = np.arange(80, dtype=np.int32) % 3, draw.normal(size=(80, 3))
    against_rest = scores.auc(distinct, classes, softmax=True)
    for c in range(3):
        expected = pairs(classes == c, softmax(distinct, axis=1)[:, c])
        assert against_rest[f'auc/{c}'] == pytest.approx(expected, rel=1e-12)


def test_calibration_error_is_that_of_bins_one_by_one():
    """A probability on an edge lies in the bin below it; a sure and wrong network is wrong by 1."""
    draw = np.random.default_rng(0)
    outputs, labels = draw.normal(0, 2, (500, 4)), draw.integers(0, 4, 500).astype(np.int32)
    expected = bins_one_by_one(softmax(outputs, axis=1), labels)
    assert scores.calibration_error(outputs, labels) == pytest.approx(expected, rel=1e-12)
    assert 0.05 < expected < 0.95
    sure = np.array([[100.0, 0.0]] * 4)
    assert scores.calibration_error(sure, np.array([1, 1, 1, 1], np.int32)) == pytest.approx(1)
    assert scores.calibration_error(sure, np.array([0, 0, 0, 0], np.int32)) == pytest.approx(0)
    even = np.zeros((4, 2))
    assert scores.calibration_error(even, np.array([0, 1, 0, 1], np.int32)) == pytest.approx(0)


def test_outputs_that_are_not_finite_have_none():
    outputs = np.array([[np.inf, 0.0], [0.0, 1.0]])
    row = scores.of_split({'outputs': outputs, 'accuracy': np.ones(2)}, np.array([0, 1], np.int32), BOTH)
    assert row.pop('accuracy') == 1
    assert row.keys() == {*BOTH}
    assert np.isnan(list(row.values())).all()


def test_a_run_records_them_where_asked_and_is_the_same_run(tmp_path: pathlib.Path):
    """Of the weights at the end, by a forward call of our own; also of a finished run, from its checkpoint."""
    plain, asked = toy.plans(**RUN), toy.plans(**RUN, evaluate__metrics=BOTH)
    assert [p.id for p in plain] == [p.id for p in asked]
    toy.train(tmp_path / 'at once', asked)
    toy.train(tmp_path / 'later', plain)
    assert not any(
        'auc' in key or 'calibration' in key for row in toy.rows(tmp_path / 'later', plain[0]) for key in row
    )
    toy.train(tmp_path / 'later', asked)
    (plan,) = asked
    row, late = (list(toy.rows(tmp_path / name, plan))[-1] for name in ('at once', 'later'))
    params, data = toy.final(tmp_path / 'at once', plan), resolve.dataset(plan.data)
    x = data.test.inputs.reshape(len(data.test.labels), -1) / data.scale
    hidden = np.maximum(x @ params['dense_0']['kernel'] + params['dense_0']['bias'], 0)
    chances = softmax(hidden @ params['output']['kernel'] + params['output']['bias'], axis=1)
    expected = [roc_auc_score(data.test.labels == c, chances[:, c]) for c in range(10)]
    for found in (row, late):
        assert [found[f'test_auc/{c}'] for c in range(10)] == pytest.approx(expected, abs=2e-4)  # near ties in float32
        assert found['test_auc'] == pytest.approx(np.mean(expected), abs=2e-4)
        error = bins_one_by_one(chances, data.test.labels)
        assert found['test_calibration_error'] == pytest.approx(error, abs=2e-3)
        assert {'train_auc', 'train_calibration_error'} <= found.keys()
    toy.assert_equal(toy.final(tmp_path / 'later', plan), params)


def several(*, extra: int = 0) -> Splits:
    """Two labels an example: whether the first and the second input are above 0."""
    x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
    parts = [Split(x[rows], (x[rows, :2] > 0).astype(np.int32) + extra) for rows in (slice(60), slice(60, 90))]
    return Splits(parts[0], parts[1], 2, 1.0, checksum(*parts))


def one_and_one(*, labels: int = 2) -> Splits:
    """As many examples with either label in the training set; in the test set only the first `labels` of both."""
    whole = several()
    test = whole.test._replace(labels=whole.test.labels * (np.arange(2) < labels).astype(np.int32))
    return whole._replace(test=test, checksum=checksum(whole.train, test))


def test_sigmoid_loss_of_labels(tmp_path: pathlib.Path):
    """Brute force in float64; a network of one output for each label learns them, and its AUC says so."""
    draw = np.random.default_rng(0)
    f, y = draw.normal(0, 3, (7, 3)), draw.integers(0, 2, (7, 3)).astype(np.int32)
    chance = 1 / (1 + np.exp(-f))
    expected = -(y * np.log(chance) + (1 - y) * np.log(1 - chance)).sum(1)
    outputs = jnp.asarray(f, jnp.float32)
    found = losses.sigmoid_cross_entropy(outputs, jnp.asarray(y))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    classes = draw.integers(0, 3, 7).astype(np.int32)
    of_both = (jnp.asarray(classes), jnp.asarray(np.eye(3, dtype=np.int32)[classes]))
    of_classes, of_one_hot = (losses.sigmoid_cross_entropy(outputs, labels) for labels in of_both)
    np.testing.assert_array_equal(of_classes, of_one_hot)
    labels = {'data__name': f'{__file__}:several', 'loss__name': 'sigmoid_cross_entropy', 'learning_rate': 0.1}
    (plan,) = toy.plans(**toy.BARE | labels, total_steps=80, evaluate__at_steps=(80,), evaluate__metrics=('auc',))
    toy.train(tmp_path, [plan])
    row = list(toy.rows(tmp_path, plan))[-1]
    assert row['test_auc'] == pytest.approx((row['test_auc/0'] + row['test_auc/1']) / 2)
    assert row['test_auc'] > 0.9
    assert 'test_accuracy' not in row


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'evaluate__metrics': ('auk',)}, "'auk'; did you mean 'auc'"),
        ({'evaluate__metrics': ('auc',), 'data__name': 'linear_regression', 'loss__name': 'squared_error'},
         'auc is of classes or labels, and under loss.name=squared_error outputs are neither; leave it out'),
        ({'evaluate__metrics': ('calibration_error',), 'loss__name': 'sigmoid_cross_entropy'},
         'loss.name=sigmoid_cross_entropy has none; leave it out'),
        ({'evaluate__metrics': ('auc',), 'data__validation': 0.01},
         r'none of the \d+ in the validation split have label \d; leave it out'),
        ({'evaluate__metrics': ('auc',), 'data__name': f'{__file__}:one_and_one', 'data__labels': 1,
          'loss__name': 'sigmoid_cross_entropy'}, 'none of the 30 in the test split have label 1; leave it out'),
        ({'data__name': f'{__file__}:several'}, 'needs one class an example, not 2 labels; use --config.loss.name=sig'),
        ({'data__name': f'{__file__}:several', 'data__extra': 1, 'loss__name': 'sigmoid_cross_entropy'},
         r'labels are int32 \(60, 2\), in \[1, 2\]; allowed of several an example'),
        ({'stop_at_target': 'test_auc:0.9'}, r"test_auc is not evaluated; use config.evaluate.metrics=\('auc',\)"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_in_one_line(changes: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message) as raised:
        toy.plans(**changes)
    assert len(str(raised.value).splitlines()) == 1


def test_analysis_knows_their_direction_unit_and_setting():
    assert better('test_auc') is better('test_auc/3') is True
    assert better('test_calibration_error') is False
    assert unit_of('validation_auc/3').show(0.9876) == '0.988'
    assert unit_of('test_calibration_error').show(0.0123) == '1.23 %'
    (run,) = toy.plans(**RUN)
    runs = pd.DataFrame([flatten(run.resolved())])
    assert recorded.section_of('test_auc/3') == 'evaluate'
    assert recorded.cure(runs, 'test_auc/3') == "config.evaluate.metrics=('auc',)"
    asked = toy.plans(**RUN, evaluate__metrics=('auc',))[0]
    both = pd.DataFrame([flatten(asked.resolved())])
    assert recorded.cure(both, 'test_auc') == ''
    assert re.search('calibration_error', recorded.cure(both, 'test_calibration_error'))
