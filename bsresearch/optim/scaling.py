"""How hyperparameters follow the batch size. Nothing does unless the config names the rule; k = B/B_ref.

A rule is a function (base, k) → the hyperparameters at batch size k·B_ref. A single quantity may be given a rule of
its own in `config.scaling.weight_decay`, `.momentum` and `.warmup` (POWERS, MOMENTA below).
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple


class Scaled(NamedTuple):
    """What a rule may change.

    learning_rate: ε, the schedule's peak. momentum: μ or β₁; None where the schedule brings its own.
    weight_decay: λ. warmup: length of the warm-up in examples, as a multiple of the declared one.
    beta2: decay of the second moment; epsilon: Adam's. None for optimizers without.
    """

    learning_rate: float
    momentum: float | None
    weight_decay: float
    warmup: float = 1.0
    beta2: float | None = None
    epsilon: float | None = None


# Rules for one quantity: multiples of it …
POWERS = {'none': lambda k: 1.0, 'linear': lambda k: k, 'sqrt': math.sqrt}
# … and what becomes of m: the same half-life in examples, or ε/(B(1−m)) constant at a constant ε.
MOMENTA = {
    'none': lambda m, k: m,
    'half_life': lambda m, k: m**k,
    'noise_temperature': lambda m, k: 1 - (1 - m) / k,
}


def none(base: Scaled, k: float) -> Scaled:
    """The same for every batch size (k is ignored)."""
    del k
    return base


def linear(base: Scaled, k: float) -> Scaled:
    """ε·k (Goyal et al. 2017, arXiv:1706.02677)."""
    return base._replace(learning_rate=base.learning_rate * k)


def sqrt(base: Scaled, k: float) -> Scaled:
    """ε·√k (Hoffer et al. 2017, arXiv:1705.08741)."""
    return base._replace(learning_rate=base.learning_rate * math.sqrt(k))


def adam_sde(base: Scaled, k: float) -> Scaled:
    """ε·√k, 1−β₁ and 1−β₂ times k, Adam's own ε over √k (Malladi et al. 2022, arXiv:2205.10287)."""
    if base.momentum is None or base.beta2 is None or base.epsilon is None:
        raise ValueError(
            'scaling.name=adam_sde is for Adam with a fixed momentum (β₁); use --config.optimizer.name=adam'
        )
    return base._replace(
        learning_rate=base.learning_rate * math.sqrt(k),
        momentum=1 - k * (1 - base.momentum),
        beta2=1 - k * (1 - base.beta2),
        epsilon=base.epsilon / math.sqrt(k),
    )


def half_life(base: Scaled, k: float, *, learning_rate: str = 'none') -> Scaled:
    """β^k for β₂ (Marek et al. 2025, arXiv:2507.07101), and likewise for momentum or β₁: half-lives in examples stay.

    Args:
      learning_rate: rule for ε: none, linear, sqrt.
    """
    if base.momentum is None:
        raise ValueError(
            'scaling.name=half_life: the schedule brings its own momentum; set schedule.cycle_momentum=False'
        )
    if not base.momentum and base.beta2 is None:
        raise ValueError(
            'scaling.name=half_life: this optimizer keeps no moment whose half-life could stay; use another'
        )
    return base._replace(
        learning_rate=base.learning_rate * power('learning_rate', learning_rate, k),
        momentum=base.momentum**k,
        beta2=None if base.beta2 is None else base.beta2**k,
    )


def legw(base: Scaled, k: float) -> Scaled:
    """ε·√k and the warm-up's epochs times k (You et al. 2019, arXiv:1901.08256: linear-epoch gradual warm-up)."""
    return base._replace(learning_rate=base.learning_rate * math.sqrt(k), warmup=k)


def noise_temperature(base: Scaled, k: float, *, by: str = 'learning_rate') -> Scaled:
    """G = εN/(B(1−m)) constant (Smith et al. 2018, arXiv:1711.00489).

    Args:
      by: which of the two follows B: `learning_rate` (the linear rule) or `momentum` (1−m becomes (1−m)/k).
    """
    if by == 'learning_rate':
        return linear(base, k)
    if by != 'momentum':
        raise ValueError(f'scaling.by={by!r}: allowed are learning_rate, momentum')
    if base.momentum is None:
        raise ValueError('scaling.by=momentum: the schedule brings its own momentum; use by=learning_rate')
    return base._replace(momentum=MOMENTA['noise_temperature'](base.momentum, k))


def critical(base: Scaled, k: float, *, noise_scale: float = 1.0, exponent: float = 1.0) -> Scaled:
    """ε_max/(1 + B_noise/B)^α: rising with B up to the noise scale (McCandlish et al. 2018, arXiv:1812.06162).

    Args:
      noise_scale: B_noise, in multiples of B_ref. exponent: α.
    """
    for name, value in (('noise_scale', noise_scale), ('exponent', exponent)):
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f'scaling.{name}={value}: a number above 0 is needed')
    factor = ((1 + noise_scale) / (1 + noise_scale / k)) ** exponent
    return base._replace(learning_rate=base.learning_rate * factor)


def power(field: str, rule: str, k: float) -> float:
    """The multiple of a quantity by a rule of POWERS."""
    if rule not in POWERS:
        raise ValueError(f'scaling.{field}={rule!r}: allowed are {", ".join(POWERS)}')
    return POWERS[rule](k)


def stretch(section: Mapping[str, Any], batch_size: int) -> Fraction:
    """By regime adaptation (Hoffer et al. 2017): B/B_ref, which makes equal updates at all batch sizes; else 1.

    Lengths and boundaries of the run, its schedules and warm-up in epochs or examples are multiplied by it. Fractions
    and updates stay as they are, and so does the half-life of the weights' average.
    """
    return Fraction(batch_size, section['reference_batch_size']) if section['regime_adaptation'] else Fraction(1)
