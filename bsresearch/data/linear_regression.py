"""Gaussian linear regression: real-valued targets, and a gradient, covariance and Hessian that are known."""

import numpy as np

from bsresearch.core import lookup
from bsresearch.data import numbers
from bsresearch.data.splits import Split, Splits, checksum
from bsresearch.theory.noisy_quadratic import spectrum


def load(
    *,
    dimension: int = 16,
    num_examples: int = 2048,
    exponent: float = 1.0,
    noise: float = 1.0,
    random_state: int = 0,
) -> Splits:
    """Inputs x ~ N(0, Λ), Λ = diag(k^−exponent), targets y = Σ_k x_k + ε, ε ~ N(0, noise²).

    The true weights are all 1, the intercept 0. For model.name=linear and loss.name=squared_error.
    theory/least_squares.py has G, Σ and H, of the population and of the training set. There is no accuracy.

    Args:
      dimension: d.
      num_examples: of the training set; the test set has as many.
      exponent: of the decay of the inputs' variances, which are the Hessian's eigenvalues.
      noise: standard deviation of the targets about the line.
      random_state: seed of the whole data set.

    Returns:
      inputs (N, d), labels (N,), float32; one output; read-only arrays.

    Raises:
      ValueError: a value out of range.
    """
    usual = lookup.keywords(load)
    for field, value, low in (('dimension', dimension, 1), ('num_examples', num_examples, 2)):
        numbers.check_integer(f'linear_regression: {field}', value, usual[field], low)
    numbers.check_integer('linear_regression: random_state', random_state, usual['random_state'], 0, 2**32 - 1)
    numbers.check_number('linear_regression: noise', noise, usual['noise'], 0)
    numbers.check_number('linear_regression: exponent', exponent, usual['exponent'], 0)
    numbers.check_total('linear_regression', 2 * num_examples, dimension)
    rng = np.random.default_rng(random_state)
    x = rng.standard_normal((2 * num_examples, dimension)) * np.sqrt(spectrum(dimension, exponent))
    y = x.sum(1) + noise * rng.standard_normal(len(x))
    inputs, labels = x.astype(np.float32), y.astype(np.float32)
    for array in (inputs, labels):
        array.setflags(write=False)  # Every caller in the process shares them.
    train, test = (Split(inputs[rows], labels[rows]) for rows in (slice(num_examples), slice(num_examples, None)))
    return Splits(train, test, num_outputs=1, scale=1.0, checksum=checksum(train, test))
