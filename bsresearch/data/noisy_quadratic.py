"""The noisy quadratic model (Zhang et al. 2019, arXiv:1907.04164): an example is its own gradient noise ξ_i."""

import numpy as np

from bsresearch.core import lookup
from bsresearch.data import numbers
from bsresearch.data.splits import Split, Splits, checksum
from bsresearch.theory.noisy_quadratic import spectrum


def load(
    *,
    dimension: int = 32,
    num_examples: int = 65536,
    noise: float = 1.0,
    noise_exponent: float = 1.0,
    random_state: int = 0,
) -> Splits:
    """Training examples ξ_i ~ N(0, diag(c)), c_k = noise · k^−noise_exponent; one test example, ξ = 0.

    For model.name=quadratic and loss.name=sum_of_outputs. With its default exponent c ∝ h, as in the paper. A run of at
    most one epoch draws independently from the population. The test loss is the population's, ½ Σ h θ², exactly;
    there is no accuracy.

    Args:
      dimension: d.
      num_examples: of the training set.
      noise: factor of the variances c_k, not of the standard deviations.
      noise_exponent: of the decay of c_k with k.
      random_state: seed of the set.

    Returns:
      inputs (N, d), float32; labels (N,), int32 zeros; one output; read-only arrays.

    Raises:
      ValueError: a value out of range.
    """
    usual = lookup.keywords(load)
    for field, value, low in (('dimension', dimension, 1), ('num_examples', num_examples, 2)):
        numbers.check_integer(f'noisy_quadratic: {field}', value, usual[field], low)
    numbers.check_integer('noisy_quadratic: random_state', random_state, usual['random_state'], 0, 2**32 - 1)
    numbers.check_number('noisy_quadratic: noise', noise, usual['noise'], 0)
    numbers.check_number('noisy_quadratic: noise_exponent', noise_exponent, usual['noise_exponent'], 0)
    numbers.check_total('noisy_quadratic', num_examples, dimension)
    rng = np.random.default_rng(random_state)
    scale = np.sqrt(noise * spectrum(dimension, noise_exponent))
    inputs = (rng.standard_normal((num_examples, dimension)) * scale).astype(np.float32)
    train = Split(inputs, np.zeros(num_examples, np.int32))
    test = Split(np.zeros((1, dimension), np.float32), np.zeros(1, np.int32))
    for array in (*train, *test):
        array.setflags(write=False)  # Every caller in the process shares them.
    return Splits(train, test, num_outputs=1, scale=1.0, checksum=checksum(train, test))
