"""Writes tests/schedule_goldens.json: schedules of torch and fastai, for tests without them.

    pip install -r requirements-benchmark.txt fastai==2.8.12
    python -m scripts.make_schedule_goldens

Each case: what made it, its settings, the shape with ours, the updates t, the learning rates and momenta used by them.
The peak is 1, so that learning rates are factors. fastai computes its positions in float32; beside what its fit used
stand the values of its own functions with positions in float64.
"""

import json
import math
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports] (optional)


def optimizer() -> torch.optim.SGD:
    """One that has a momentum, with nothing to do."""
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0, momentum=0.9)


def used(scheduler: Any, updates: int) -> tuple[list[float], list[float]]:
    """Learning rates and momenta in effect at updates 0 … updates − 1 under plain .step()."""
    group, rates, momenta = scheduler.optimizer.param_groups[0], [], []
    for t in range(updates):
        rates.append(group['lr'])
        momenta.append(group['momentum'])
        if t < updates - 1:
            scheduler.optimizer.step()
            scheduler.step()
    return rates, momenta


def case(shape: str, settings: dict[str, Any], steps: int, rates: Iterable[float], **more: Any) -> dict[str, Any]:
    """One golden."""
    return {'shape': shape, 'settings': settings, 'steps': steps, 'rates': list(rates), **more}


def one_cycles() -> Iterator[dict[str, Any]]:
    """OneCycleLR: two and three phases, cosine and linear, shortest runs included."""
    lengths = [(T, 0.3) for T in (*range(3, 11), 11, 100, 101)] + [(3, 0.5), (7, 0.45), (10, 0.15), (64, 0.123)]
    for three_phase in (False, True):
        for strategy in ('cos', 'linear'):
            for T, pct in lengths:
                if pct * T <= (1.5 if three_phase else 1) or (strategy == 'linear' and T == 101):
                    continue
                settings = {'pct_start': pct, 'anneal_strategy': strategy, 'three_phase': three_phase}
                if T == 64:
                    settings |= {'div_factor': 7.0, 'final_div_factor': 30.0, 'base_momentum': 0.5, 'max_momentum': 0.9}
                scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer(), 1.0, total_steps=T, **settings)
                rates, momenta = used(scheduler, T)
                yield case('one_cycle', settings, T, rates, momenta=momenta)


def cyclicals() -> Iterator[dict[str, Any]]:
    """CyclicLR: three modes, equal and unequal sides."""
    for mode, gamma in (('triangular', 1.0), ('triangular2', 1.0), ('exp_range', 0.9)):
        for up, down in ((4, 4), (4, 6), (5, 1), (1, 3)):
            given: dict[str, Any] = {'step_size_up': up, 'step_size_down': down, 'mode': mode, 'gamma': gamma}
            scheduler = torch.optim.lr_scheduler.CyclicLR(optimizer(), 0.1, 1.0, **given)
            rates, momenta = used(scheduler, 33)
            settings = {'mode': mode, 'base': 0.1, 'up_steps': up, 'down_steps': down, 'gamma': gamma}
            yield case('cyclical', settings, 33, rates, momenta=momenta)


def restarts() -> Iterator[dict[str, Any]]:
    """CosineAnnealingWarmRestarts under plain .step(): from the start, and around restarts up to t = 5·10⁶.

    Far restarts are reached by setting the scheduler's own counters to three updates before the end of each cycle.
    """
    for first, multiplier in ((1, 1), (7, 1), (1, 2), (10, 2), (1, 3), (5, 3)):
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer(), first, multiplier, eta_min=0.001)
        rates, _ = used(scheduler, 60)
        settings = {'first_cycle_steps': first, 'cycle_multiplier': multiplier, 'final': 0.001}
        yield case('warm_restarts', settings, 60, rates)
    for first, multiplier in ((1000, 1), (1, 2), (3, 2), (1, 3), (7, 3)):
        scheduler = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer(), first, multiplier)
        updates, rates, start = [], [], 0
        while start < 5_000_000:
            length = scheduler.T_i
            if length > 6 and (multiplier > 1 or start in (0, 999_000, 4_999_000)):
                scheduler.T_cur = length - 4
                for t in range(start + length - 3, start + length + 3):
                    scheduler.optimizer.step()
                    scheduler.step()
                    updates.append(t)
                    rates.append(scheduler.optimizer.param_groups[0]['lr'])
            start += length
            scheduler.T_cur, scheduler.T_i = 0, length * multiplier
        settings = {'first_cycle_steps': first, 'cycle_multiplier': multiplier}
        yield case('warm_restarts', settings, max(updates) + 1, rates, t=updates)


def decays() -> Iterator[dict[str, Any]]:
    """Schedulers without cycles, stepped each update; those of epochs with two updates an epoch."""
    library = torch.optim.lr_scheduler
    declared: list[tuple[str, dict[str, Any], int, Callable[..., Any]]] = []
    for T in (1, 2, 9, 50):
        declared.append(
            ('cosine', {'ends': 'past', 'final': 0.02}, T, lambda o, T=T: library.CosineAnnealingLR(o, T, 0.02))
        )
        for power in (1.0, 2.5):
            settings = {'ends': 'past', 'power': power}
            declared.append(('polynomial', settings, T, lambda o, T=T, p=power: library.PolynomialLR(o, T, p)))
    declared.append(('linear', {'start': 0.3, 'final': 0.9}, 11, lambda o: library.LinearLR(o, 0.3, 0.9, 10)))
    settings = {'factor': 0.2, 'at_epochs': [3, 7, 8]}
    declared.append(('step', settings, 24, lambda o: library.MultiStepLR(o, [6, 14, 16], 0.2)))
    declared.append(('step', {'factor': 0.5, 'every_epochs': 3}, 24, lambda o: library.StepLR(o, 6, 0.5)))
    for shape, settings, T, make in declared:
        yield case(shape, settings, T, used(make(optimizer()), T)[0])
    rates = np.repeat(used(library.ExponentialLR(optimizer(), 0.9), 12)[0], 2).tolist()
    yield case('exponential_rate', {'factor': 0.9, 'staircase': True}, 24, rates)


def fastai_cycles() -> Iterator[dict[str, Any]]:
    """What a Learner's fit_one_cycle used, and the same functions at float64 positions."""
    from fastai.basics import DataLoaders, Learner  # pyright: ignore[reportMissingImports] (optional)
    from fastai.callback import schedule  # pyright: ignore[reportMissingImports]

    for T, settings in ((2, {}), (3, {}), (10, {}), (40, {}), (17, {'pct_start': 0.4, 'div': 10.0, 'div_final': 50.0})):
        moms = (0.9, 0.8, 0.7) if settings else (0.95, 0.85, 0.95)
        data = [(torch.zeros(1), torch.zeros(1))] * T
        loader = torch.utils.data.DataLoader(data, batch_size=1)  # pyright: ignore[reportArgumentType]
        learner = Learner(DataLoaders(loader, loader), torch.nn.Linear(1, 1), loss_func=torch.nn.MSELoss())
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(1, 1.0, moms=moms, **settings)
        hypers = learner.recorder.hps
        original, schedule.tensor = schedule.tensor, lambda x: torch.tensor([float(v) for v in x], dtype=torch.float64)
        pct, div, final = (settings.get(k, d) for k, d in (('pct_start', 0.25), ('div', 25.0), ('div_final', 1e5)))
        factor, momentum = (schedule.combined_cos(pct, *levels) for levels in ((1 / div, 1.0, 1 / final), moms))
        places = [t / T for t in range(T)]
        more = {'momenta': [momentum(p) for p in places], 'recorded': [float(v) for v in hypers['lr']]}
        more['recorded_momenta'] = [float(v) for v in hypers['mom']]
        settings = {**settings, 'moms': moms}
        yield case('one_cycle_fastai', settings, T, [factor(p) for p in places], **more)
        schedule.tensor = original


def main() -> None:
    """Writes the file."""
    warnings.simplefilter('ignore')
    import fastai  # pyright: ignore[reportMissingImports] (optional)

    cases = {'torch': [*one_cycles(), *cyclicals(), *restarts(), *decays()], 'fastai': [*fastai_cycles()]}
    assert all(math.isfinite(rate) for of_library in cases.values() for each in of_library for rate in each['rates'])
    goldens = {'versions': {'torch': torch.__version__, 'fastai': fastai.__version__}, 'cases': cases}
    path = pathlib.Path(__file__).parent.parent / 'tests' / 'schedule_goldens.json'
    path.write_text(json.dumps(goldens) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
