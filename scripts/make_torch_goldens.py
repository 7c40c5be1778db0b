"""Writes tests/torch_goldens.json: what torch's optimizers and networks make, for tests that run without torch.

    pip install -r requirements-benchmark.txt
    python -m scripts.make_torch_goldens

The gradient of update t at w is a·w + b·(t + 1) elementwise, in float64: simple to repeat, different at every update.
Networks: logits, loss and first update in training mode, in float64, from the weights and images of golden_inputs.py.
"""

import json
import pathlib
from typing import Any

import torch  # pyright: ignore[reportMissingImports] (optional)

from . import golden_inputs, torch_networks

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


def path_of(name: str) -> str:
    """The package's path of a parameter that torch calls `name`."""
    layer, _, kind = name.replace('.', '/').rpartition('/')
    weight = 'scale' if layer.rpartition('/')[2].startswith('norm') else 'kernel'
    return f'{layer}/{weight if kind == "weight" else kind}'


def as_ours(weight: torch.Tensor) -> torch.Tensor:
    """A kernel with its outputs last."""
    return weight.permute(*range(2, weight.ndim), 1, 0) if weight.ndim > 1 else weight


def as_theirs(weight: torch.Tensor) -> torch.Tensor:
    """Of a kernel with its outputs last."""
    return weight.permute(-1, -2, *range(weight.ndim - 2)) if weight.ndim > 1 else weight


def network(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Logits (2 examples), loss, and by path how far the first update goes along golden_inputs.waves."""
    net = torch_networks.build(name.partition(',')[0], **settings).double().train()
    before = {}
    for theirs, parameter in net.named_parameters():
        path = path_of(theirs)
        before[path] = torch.tensor(golden_inputs.weights(path, tuple(as_ours(parameter).shape)))
        parameter.data = as_theirs(before[path]).clone(memory_format=torch.contiguous_format)
    pixels, labels = golden_inputs.images(golden_inputs.COUNT, (32, 32, 3))
    logits = net(torch.tensor(pixels).permute(0, 3, 1, 2).double() / 255)
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels).long())
    loss.backward()
    settings = {'momentum': golden_inputs.MOMENTUM, 'weight_decay': golden_inputs.DECAY}
    torch.optim.SGD(net.parameters(), lr=golden_inputs.RATE, **settings).step()
    moved = {}
    for theirs, parameter in net.named_parameters():
        path = path_of(theirs)
        move = as_ours(parameter.detach()) - before[path]
        moved[path] = float((move * torch.tensor(golden_inputs.waves(f'{path} moves', tuple(move.shape)))).sum())
    return {'logits': logits[:2].tolist(), 'loss': float(loss.detach()), 'moved': moved}


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
        'networks': {name: network(name, settings) for name, settings in golden_inputs.NETWORKS.items()},
    }
    path = pathlib.Path(__file__).parent.parent / 'tests' / 'torch_goldens.json'
    path.write_text(json.dumps(goldens, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
