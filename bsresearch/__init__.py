"""bsresearch: what the batch size does to training.

    import bsresearch as bs

    bs.noise_scale(loss_fn, params, batch, small=32)                    B_simple, |G|², tr Σ, and an interval
    bs.Monitor(loss_fn, params, noise_scale=dict(every=50))             measurements inside a loop of your own
    bs.gradient_norm_vs_batch_size(loss_fn, params, data, (1, 8, 64))   walking, frozen, single-batch: a table
    bs.schedules.one_cycle(peak=0.1, steps=1000)                        learning rate and momentum, for optax
    bs.plan('quickstart', {'batch_size': 64}), bs.run(plans, 'runs/a')  the engine's runs, as of `bsresearch run`
    bs.load('runs/a')                                                   their records, one table
    bs.schema                                                           for config files

These names, what they take and what they return are a promise: they follow semantic versioning (CONTRIBUTING.md). All
other modules may change. Nothing is imported before its name is asked for: `import bsresearch` takes no JAX.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bsresearch.face import schedules
    from bsresearch.face.gradient_norm import gradient_norm_vs_batch_size
    from bsresearch.face.monitor import Monitor, MonitorState
    from bsresearch.face.noise_scale import NoiseScale, noise_scale
    from bsresearch.face.runs import plan, run
    from bsresearch.planning import schema
    from bsresearch.store.records import load

__all__ = [
    'Monitor', 'MonitorState', 'NoiseScale', 'gradient_norm_vs_batch_size', 'load', 'noise_scale', 'plan', 'run',
    'schedules', 'schema',
]  # fmt: skip
__version__ = '0.1.0'

# Where each name lies: a module, or a name in one.
_PLACES = {
    'Monitor': 'bsresearch.face.monitor:Monitor',
    'MonitorState': 'bsresearch.face.monitor:MonitorState',
    'NoiseScale': 'bsresearch.face.noise_scale:NoiseScale',
    'gradient_norm_vs_batch_size': 'bsresearch.face.gradient_norm:gradient_norm_vs_batch_size',
    'load': 'bsresearch.store.records:load',
    'noise_scale': 'bsresearch.face.noise_scale:noise_scale',
    'plan': 'bsresearch.face.runs:plan',
    'run': 'bsresearch.face.runs:run',
    'schedules': 'bsresearch.face.schedules',
    'schema': 'bsresearch.planning.schema',
}


def __getattr__(name: str) -> Any:
    """A promised name when it is first asked for: the doors listen to signals before the imports that take seconds."""
    if name not in _PLACES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}; it has {", ".join(__all__)}')
    module, _, attribute = _PLACES[name].partition(':')
    loaded = importlib.import_module(module)
    globals()[name] = getattr(loaded, attribute) if attribute else loaded
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
