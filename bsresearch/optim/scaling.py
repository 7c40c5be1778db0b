"""How the learning rate follows the batch size. Nothing does unless the config names the rule; k = B/B_ref."""

import math


def none(learning_rate: float, k: float) -> float:
    """The same for every batch size (k is ignored)."""
    del k
    return learning_rate


def linear(learning_rate: float, k: float) -> float:
    """ε·k (Goyal et al. 2017, arXiv:1706.02677)."""
    return learning_rate * k


def sqrt(learning_rate: float, k: float) -> float:
    """ε·√k (Hoffer et al. 2017, arXiv:1705.08741)."""
    return learning_rate * math.sqrt(k)
