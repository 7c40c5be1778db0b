"""The noise temperature of SGD, g = εN/(B(1−m)) (Smith, Kindermans, Ying & Le 2018, arXiv:1711.00489;
they call it noise scale).

It is the large-N form of ε(N/B − 1)/(1−m), and has nothing to do with the noise scale B_simple = tr Σ/|G|², which is
a property of the gradient. Runs with the same g(examples seen) see, to first order, the same diffusion.
"""

from typing import Any

# float or (K,) arrays.
Number = Any


def effective_learning_rate(learning_rate: Number, momentum: Number) -> Number:
    """ε/(1 − m): what a constant gradient moves the weights by at each update, after some."""
    return learning_rate / (1 - momentum)


def temperature(learning_rate: Number, momentum: Number, epoch_size: int, batch_size: Number) -> Number:
    """G = εN/(B(1−m)).

    Args:
      learning_rate, momentum, batch_size: of an update. epoch_size: N, examples in the training set.
    """
    return effective_learning_rate(learning_rate, momentum) * epoch_size / batch_size
