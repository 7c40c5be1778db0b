"""Writes tests/torch_goldens.json: weights after updates of torch's optimizers, for tests that run without torch.

    pip install -r requirements-benchmark.txt
    python -m scripts.make_torch_goldens

The gradient of update t at w is a·w + b·(t + 1) elementwise, in float64: simple to repeat, different at every update.
"""

import json
import pathlib
from typing import Any

import torch  # pyright: ignore[reportMissingImports] (optional)

WEIGHTS, SLOPE, DRIFT = (0.5, -1.25, 2.0, 0.0), (1.0, 0.3, -0.2, 2.0), (0.1, -0.4, 0.05, 1.0)
# lr used by each update; weight decay.
RATES, DECAY = (0.1, 0.05, 0.2, 0.01), 0.1
# Momentum (β₁) used by each update; cases with a momentum are run with both courses.
COURSES = {'none': (0.0, 0.0, 0.0, 0.0), 'constant': (0.9, 0.9, 0.9, 0.9), 'cycled': (0.95, 0.85, 0.9, 0.8)}
CASES: dict[str, dict[str, Any]] = {
    'sgd': {'class': 'SGD'},
    'momentum': {'class': 'SGD', 'momentum': 0.9},
    'nesterov': {'class': 'SGD', 'momentum': 0.9, 'nesterov': True},
    'adam': {'class': 'Adam', 'betas': (0.9, 0.999), 'eps': 1e-8},
    'adamw': {'class': 'AdamW', 'betas': (0.9, 0.999), 'eps': 1e-8},
    'rmsprop': {'class': 'RMSprop', 'alpha': 0.99, 'eps': 1e-8},
    'rmsprop_centered': {'class': 'RMSprop', 'alpha': 0.99, 'eps': 1e-8, 'centered': True},
    'rmsprop_momentum': {'class': 'RMSprop', 'alpha': 0.99, 'eps': 1e-8, 'momentum': 0.9},
    'adagrad': {'class': 'Adagrad', 'eps': 1e-10},
    'adagrad_initial': {'class': 'Adagrad', 'eps': 1e-10, 'initial_accumulator_value': 0.1},
    'adadelta': {'class': 'Adadelta', 'rho': 0.9, 'eps': 1e-6},
}


def trajectory(case: dict[str, Any], decay: float, momenta: tuple[float, ...]) -> list[list[float]]:
    """Weights after each update."""
    settings = dict(case)
    w = torch.tensor(WEIGHTS, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, settings.pop('class'))([w], lr=RATES[0], weight_decay=decay, **settings)
    (group,) = optimizer.param_groups
    weights = []
    for t, (rate, momentum) in enumerate(zip(RATES, momenta, strict=True)):
        group['lr'] = rate
        if 'betas' in settings:
            group['betas'] = (momentum, settings['betas'][1])
        elif 'momentum' in settings:
            group['momentum'] = momentum
        w.grad = torch.tensor(SLOPE, dtype=torch.float64) * w.detach() + (t + 1) * torch.tensor(DRIFT).double()
        optimizer.step()
        weights.append(w.detach().tolist())
    return weights


def courses(case: dict[str, Any]) -> tuple[str, ...]:
    """Of COURSES, those that make a difference."""
    return ('constant', 'cycled') if {'betas', 'momentum'} & set(case) else ('none',)


def main() -> None:
    """Writes the file."""
    goldens = {
        'torch': torch.__version__,
        'weights': WEIGHTS,
        'slope': SLOPE,
        'drift': torch.tensor(DRIFT).double().tolist(),
        'rates': RATES,
        'momenta': COURSES,
        'decay': DECAY,
        'cases': {
            name: {
                course: {str(d): trajectory(case, d, COURSES[course]) for d in (0.0, DECAY)} for course in courses(case)
            }
            for name, case in CASES.items()
        },
    }
    path = pathlib.Path(__file__).parent.parent / 'tests' / 'torch_goldens.json'
    path.write_text(json.dumps(goldens, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
