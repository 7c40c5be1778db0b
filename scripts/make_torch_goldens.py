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
# lr and momentum (β₁) used by each update; weight decay.
RATES, MOMENTA, DECAY = (0.1, 0.05, 0.2, 0.01), (0.9, 0.9, 0.9, 0.9), 0.1
CASES: dict[str, dict[str, Any]] = {
    'sgd': {'class': 'SGD'},
    'momentum': {'class': 'SGD', 'momentum': 0.9},
    'nesterov': {'class': 'SGD', 'momentum': 0.9, 'nesterov': True},
    'adam': {'class': 'Adam', 'betas': (0.9, 0.999), 'eps': 1e-8},
    'adamw': {'class': 'AdamW', 'betas': (0.9, 0.999), 'eps': 1e-8},
}


def trajectory(case: dict[str, Any], decay: float) -> list[list[float]]:
    """Weights after each update."""
    settings = dict(case)
    w = torch.tensor(WEIGHTS, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, settings.pop('class'))([w], lr=RATES[0], weight_decay=decay, **settings)
    found = []
    for t, rate in enumerate(RATES):
        optimizer.param_groups[0]['lr'] = rate
        w.grad = torch.tensor(SLOPE, dtype=torch.float64) * w.detach() + (t + 1) * torch.tensor(DRIFT).double()
        optimizer.step()
        found.append(w.detach().tolist())
    return found


def main() -> None:
    """Writes the file."""
    goldens = {
        'torch': torch.__version__,
        'weights': WEIGHTS,
        'slope': SLOPE,
        'drift': torch.tensor(DRIFT).double().tolist(),
        'rates': RATES,
        'momenta': MOMENTA,
        'decay': DECAY,
        'cases': {name: {str(d): trajectory(case, d) for d in (0.0, DECAY)} for name, case in CASES.items()},
    }
    path = pathlib.Path(__file__).parent.parent / 'tests' / 'torch_goldens.json'
    path.write_text(json.dumps(goldens, indent=1) + '\n')


if __name__ == '__main__':
    main()
