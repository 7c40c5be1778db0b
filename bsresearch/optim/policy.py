"""A policy: the schedules used together (learning rate, momentum or β₁, weight decay, batch size), as tables.

Each is a float64 function of the integer update, tabulated on the host for a chunk of updates and handed to the step,
which uses those very values; they are what is recorded.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from bsresearch.core import kinds, lookup, own_part
from bsresearch.core.units import Length, Span
from bsresearch.optim import batch_schedules, noise, schedules
from bsresearch.optim.schedules import Paired

CONVENTIONS = ('zero_based', 'one_based')
WARMUPS = ('gradual', 'constant')
Section = Mapping[str, Any]
# Updates looked at when a policy is checked: all, or the ends and as many between.
CHECKED = 2**20
# Updates whose noise temperature is compared, all of them at once.
MOST_COMPARED = 2**25


class Policy(NamedTuple):
    """The resolved numbers of a run's schedules.

    learning_rate: peak, after scaling. momentum: what momentum_schedule multiplies; None where `schedule` brings its
      own. schedule, momentum_schedule, weight_decay_schedule: {'name', settings}. warmup: {'examples', 'start',
      'convention', 'shape', 'delays_schedule'}. batch_schedule: {'name', …}. batch_changes: what it resolved to,
      (examples, batch size) each. stretch: how many times longer lengths in epochs and examples are than declared.
    """

    learning_rate: float
    momentum: float | None
    weight_decay: float
    schedule: Section
    momentum_schedule: Section
    weight_decay_schedule: Section
    warmup: Section
    batch_schedule: Section
    batch_changes: batch_schedules.Changes = ()
    stretch: Fraction = Fraction(1)


class Values(NamedTuple):
    """What updates use, (K,) each: float64, batch_size int64."""

    learning_rate: np.ndarray
    momentum: np.ndarray
    weight_decay: np.ndarray
    batch_size: np.ndarray


def shape(section: Section, t: np.ndarray, span: Span) -> Paired:
    """A shape's factors, and its momentum if it schedules one, at updates t of the span."""
    settings = {k: v for k, v in section.items() if k != 'name'}
    factors = schedules.member(section['name'])(t, span, **settings)
    if own_part.is_path(section['name']):
        factors = _checked(section['name'], factors, len(t))
    return factors if isinstance(factors, Paired) else Paired(factors, None)


def _checked(name: str, factors: Any, count: int) -> np.ndarray:
    """Raises ValueError unless a shape of a user's own gives a finite factor for each update."""
    if getattr(factors, 'shape', None) != (count,) or factors.dtype.kind not in 'iuf' or not np.isfinite(factors).all():
        what = f'{factors.dtype}{list(factors.shape)}' if hasattr(factors, 'dtype') else type(factors).__name__
        raise ValueError(f'schedule {name} gives {what} for {count} updates; allowed: a finite factor for each')
    return np.asarray(factors, np.float64)


def _alone(quantity: str, section: Section, t: np.ndarray, span: Span) -> np.ndarray:
    try:
        course = shape(section, t, span)
    except ValueError as error:
        raise ValueError(str(error).replace('schedule.', f'{quantity}_schedule.', 1)) from error
    if course.momentum is not None:
        raise ValueError(
            f'{quantity}_schedule.name={section["name"]!r} schedules a learning rate and its momentum together; use it '
            f'as config.schedule, or set {quantity}_schedule.cycle_momentum=False for its course as a factor'
        )
    return course.factor


def warmup(t: np.ndarray, steps: int, start: float, convention: str, kind: str = 'gradual') -> np.ndarray:
    """Factor in front of a schedule over its first `steps` updates, 1 after.

    Args:
      start: fraction of the schedule's value at the start.
      convention: `zero_based` uses t/W (update 0 at `start`: with start = 0 that update moves nothing), `one_based`
        uses (t + 1)/W (update W − 1 is the first at full value).
      kind: `gradual`, a straight line from `start` to 1; `constant`, `start` throughout (Goyal et al. 2017, 2.2).
    """
    if convention not in CONVENTIONS:
        raise ValueError(f'warmup.convention={convention!r}: allowed are {", ".join(CONVENTIONS)}')
    if steps == 0:
        return np.ones(len(t))
    if kind == 'constant':
        return np.where(t < steps, start, 1.0)
    progress = np.minimum(1, (t + (convention == 'one_based')) / steps)
    return start + (1 - start) * progress


def _span(policy: Policy, length: Length) -> Span:
    """The updates over which the learning rate's schedule stretches."""
    warm = policy.warmup
    first = length.step_at(warm['examples']) if warm['delays_schedule'] else 0
    return Span(length, first, length.total_steps, policy.stretch)


def cycle_ends(policy: Policy, length: Length, stretch: Length, since: int) -> list[int]:
    """Updates t of a run at whose θ_t a whole cycle of schedule.name=warm_restarts has ended.

    `stretch`: the length that the schedule stretches over, from where the run has seen `since` examples on.
    """
    section = policy.schedule
    read = _first_length(stretch) if policy.batch_schedule['name'] == 'instead_of_decay' else stretch
    span = _span(policy, read)
    settings = {k: section[k] for k in lookup.keywords(schedules.cycle_ends)}
    ends = [span.start + end for end in schedules.cycle_ends(span, **settings)]
    seen = [since + read.examples_at(end) for end in ends]
    return [length.step_at(examples) for examples in seen if examples <= length.total_examples]


def _on(policy: Policy, length: Length, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learning rate, momentum and weight decay at updates t of a run of this length."""
    warm, total = policy.warmup, length.total_steps
    t = np.minimum(t, total - 1)  # past the end the last value holds
    steps = length.step_at(warm['examples'])
    span = _span(policy, length)
    course = shape(policy.schedule, np.maximum(t - span.start, 0), span)
    rate = policy.learning_rate * course.factor
    rate = rate * warmup(t, steps, warm['start'], warm['convention'], warm['shape'])
    whole = Span(length, 0, total, policy.stretch)
    if course.momentum is not None:
        momentum = course.momentum
    else:
        momentum = (policy.momentum or 0.0) * _alone('momentum', policy.momentum_schedule, t, whole)
    decay = policy.weight_decay * _alone('weight_decay', policy.weight_decay_schedule, t, whole)
    return rate, momentum, decay


def _first_length(length: Length) -> Length:
    return Length(length.epoch_size, length.batch_size, length.total_examples, length.boundary)


def update_reading(length: Length, examples: np.ndarray) -> np.ndarray:
    """The update that reads the example at each position of the stream, (n,); it goes on past the run's end."""
    at = np.searchsorted([p.start_examples for p in length.pieces], examples, side='right') - 1
    first, before, size = (np.array(column, np.int64)[at] for column in zip(*length.pieces, strict=True))
    if length.boundary == 'through':
        return first + (examples - before) // size
    inside = before % length.epoch_examples  # a piece may start within an epoch
    epochs, offset = np.divmod(examples - before + inside, length.epoch_examples)
    updates = epochs * -(-length.epoch_examples // size)
    return first + updates + np.where(epochs > 0, offset, offset - inside) // size


def at(policy: Policy, length: Length, t: np.ndarray, first: int | None = None) -> Values:
    """What updates t use; past the schedule's end its last value holds.

    `first`: B_first where it is not the length's, in a branch that reads its parent's schedule at another batch size.

    `instead_of_decay` reads the schedules where a run at the first batch size would have seen as many examples, and
    multiplies the learning rate by B/B_first: equal noise temperature at equal examples. `as_learning_rate` keeps the
    first batch size and multiplies by B_first/B instead: the same the other way round.
    """
    seen = length.examples_before(np.minimum(t, length.total_steps - 1))
    points = np.array([e for e, _ in policy.batch_changes], np.int64)
    first = first or length.batch_size
    sizes = np.array([first, *(b for _, b in policy.batch_changes)], np.int64)
    size = sizes[np.searchsorted(points, seen, side='right')]
    if policy.batch_schedule['name'] == 'instead_of_decay':
        base = _first_length(length)
        rate, momentum, decay = _on(policy, base, update_reading(base, seen))
        ratio = size / first
    else:
        rate, momentum, decay = _on(policy, length, t)
        ratio = np.ones(len(t))
    if policy.batch_schedule['as_learning_rate']:
        return Values(rate * (ratio * first / size), momentum, decay, np.full_like(size, first))
    return Values(rate * ratio, momentum, decay, size)


def relative_noise(policy: Policy, length: Length) -> np.ndarray:
    """(T,): g(t)/g(0) at each update of a run at the first batch size, without its warm-up."""
    base = _first_length(length)
    if base.total_steps > MOST_COMPARED:
        raise ValueError(
            f'batch_schedule.name=instead_of_decay looks at every update of a run at the first batch size, of which '
            f'{base.total_steps} are too many (at most {MOST_COMPARED}); use --config.batch_schedule.name=steps'
        )
    flat = {**policy.warmup, 'start': 1.0, 'shape': 'constant'}  # it may still delay the schedule
    rate, momentum, _ = _on(policy._replace(warmup=flat), base, np.arange(base.total_steps))
    g = noise.effective_learning_rate(rate, momentum)
    if not (g > 0).all():
        raise ValueError(
            f'batch_schedule.name=instead_of_decay: the learning rate of schedule.name={policy.schedule["name"]} is 0 '
            f'at update {int(np.argmin(g > 0))}; its noise temperature would need an unbounded batch'
        )
    return g / g[0]


def ema_rate(half_life: int, examples: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """How far an exponential moving average of weights goes towards θ_{t+1}: ā ← ā + r(θ_{t+1} − ā).

    Weights are 2^(−age/half-life) in examples, over their sum, so r = (1 − 2^(−n/H))/(1 − 2^(−e/H)): no start from 0
    to be corrected, and no weight on θ_0.

    Args:
      half_life: H in examples. examples: (K,) seen before each update. counts: (K,) n, examples in its batch.
    """
    rate = np.log(2.0) / half_life
    return np.expm1(-rate * counts) / np.expm1(-rate * (examples + counts))


def _check_peak(policy: Policy, used: Values, t: np.ndarray) -> None:
    above = used.learning_rate > policy.learning_rate * (1 + 1e-9)
    if above.any():
        i = int(np.argmax(above))
        raise ValueError(
            f'batch_schedule.name=instead_of_decay: the noise temperature of schedule.name={policy.schedule["name"]} '
            f'rises again after the batch has grown, so that learning_rate={used.learning_rate[i]:g} at update {t[i]} '
            f'would exceed its peak of {policy.learning_rate:g}; limit max_growths, or use a schedule that only decays'
        )


_PASSED: set[str] = set()  # schedules, lengths and types that were checked


def check(policy: Policy, length: Length, dtype: str = 'float32') -> None:
    """Raises ValueError where a value of the run cannot be. `dtype`: of its computation.

    Looks at every update of a run of up to 4·CHECKED; of a longer one at the first and last CHECKED, and at as many
    between; once for all runs of a grid that differ in other things.
    """
    key, total = repr((policy, length, dtype)), length.total_steps
    if key in _PASSED:
        return
    if total <= 4 * CHECKED:
        chunks = [np.arange(s, min(s + CHECKED, total), dtype=np.int64) for s in range(0, total, CHECKED)]
    else:
        middle = np.arange(0, total, -(-total // CHECKED), dtype=np.int64)
        chunks = [np.arange(CHECKED, dtype=np.int64), middle, np.arange(total - CHECKED, total, dtype=np.int64)]
    for t in chunks:
        used = at(policy, length, t)
        if policy.batch_schedule['name'] == 'instead_of_decay':
            _check_peak(policy, used, t)
        limits = {'learning_rate': (0.0, np.inf), 'momentum': (0.0, 1.0), 'weight_decay': (0.0, np.inf)}
        for name, (low, high) in limits.items():
            values = getattr(used, name)
            bad = ~((values >= low) & (values < high))
            if bad.any():
                i = int(np.argmax(bad))
                raise ValueError(
                    f'the schedule gives {name}={values[i]:g} at update {t[i]}: it must lie in [{low:g}, {high:g}); '
                    f'see config.{"schedule" if name == "learning_rate" else f"{name}_schedule"}'
                )
            if name != 'momentum':
                kinds.check_precision(name, values, t, dtype)
    _PASSED.add(key)
