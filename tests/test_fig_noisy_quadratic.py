"""The figure of the noisy quadratic: planted losses against the closed form of plain SGD; what it refuses."""

import pathlib
from typing import Any

import drawn
import numpy as np
import pytest
from fake_records import write_run

from bsresearch.analysis import figures, study
from bsresearch.analysis.quantities import noisy_quadratic
from bsresearch.report.figures import noisy_quadratic as special

FIELDS: dict[str, Any] = {
    'epoch_size': 256,
    'total_examples': 256,
    'model': {'name': 'quadratic', 'exponent': 1.0, 'start': 2.0},
    'momentum_schedule': {'name': 'constant'},
    'batch_schedule': {'name': 'constant'},
}


def write(workdir: pathlib.Path, **fields: Any) -> None:
    """At θ_0 and at the end of the one epoch; three seeds, each with a set of its own."""
    for size in (4, 16):
        for seed, last in enumerate((0.1, 0.2, 0.6)):
            data = {'name': 'noisy_quadratic', 'dimension': 1, 'noise': 3.0, 'noise_exponent': 1.0}
            own: dict[str, Any] = FIELDS | {'data': data | {'random_state': seed}} | fields
            write_run(workdir, batch_size=size, seed=seed, values={'test_loss': [2.0, last]}, **own)


def test_the_prediction_is_that_of_plain_sgd(tmp_path: pathlib.Path):
    """Closed form in one dimension, h = 1, c = 3, ε = 0.1, θ_0 = 2; mean and standard error by hand."""
    write(tmp_path)
    table = noisy_quadratic.compare(study.load(tmp_path, 'train'))
    assert table['step'].tolist() == [0, 64, 0, 16]
    for row in table[table['step'] > 0].to_dict('records'):
        rho = 0.9 ** (2 * row['step'])
        limit = 0.5 * 0.1 * 3 / row['batch_size'] / (2 - 0.1)
        assert row['limit'] == pytest.approx(limit)
        assert row['expected'] == pytest.approx(rho * 2 + (1 - rho) * limit)
        assert (row['n'], row['mean']) == (3, pytest.approx(0.3))
        assert row['standard_error'] == pytest.approx(np.sqrt(0.07 / 3))
        assert row['deviation'] == pytest.approx((0.3 - row['expected']) / np.sqrt(0.07 / 3))
    assert table.loc[table['step'] == 0, 'deviation'].isna().all()
    assert table.loc[table['step'] == 0, 'expected'].tolist() == [2.0, 2.0]


def test_the_figure_is_drawn_with_its_numbers(tmp_path: pathlib.Path):
    write(tmp_path)
    of_train = study.load(tmp_path, 'train')
    plotted = drawn.table(of_train, figures.special('noisy_quadratic', name='nqm'), tmp_path / 'figures')
    table = noisy_quadratic.compare(of_train)
    np.testing.assert_allclose(plotted['expected'], table['expected'])
    largest = table['deviation'].abs().max()
    assert f'largest {largest:.2f}' in special.text(of_train)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'total_examples': 512}, 'over its set more than once'),
        ({'schedule': {'name': 'cosine'}}, r"schedule\.name is 'cosine'; 'constant' is needed"),
        ({'weight_decay': 0.1}, r'weight_decay is 0\.1'),
    ],
)
def test_runs_it_cannot_predict_are_refused(fields: dict[str, Any], message: str, tmp_path: pathlib.Path):
    write(tmp_path, **fields)
    with pytest.raises(ValueError, match=message):
        noisy_quadratic.compare(study.load(tmp_path, 'train'))
    write_run(tmp_path / 'other', status='running', values={'test_loss': [1.0]})
    with pytest.raises(ValueError, match='1 of 1 runs diverged or are not finished'):
        noisy_quadratic.compare(study.load(tmp_path / 'other', 'train'))
