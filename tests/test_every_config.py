"""Every config of configs/, trained at toy size."""

import functools
import pathlib
from typing import Any

import pytest
import toy

from bsresearch.planning import sweep
from bsresearch.planning.plan import Plan
from bsresearch.store import paths

ROOT = pathlib.Path(__file__).parent.parent
# One of each procedure, and some whose nets, optimizers or schedules no other test trains. All are planned in
# test_config.py.
BY_DEFAULT = (
    'batch_size_sweep',
    'brownlee',
    'disciplined',
    'grow_batch',
    'interpolation',
    'lr_range_test',
    'shen',
    'tune',
    'yolo',
)
CONFIGS = sorted(p.stem for p in (ROOT / 'configs').glob('*.py'))


def toy_runs(config: str) -> list[Plan]:
    """A config's runs at toy size."""
    return toy_grid(config).plans


@functools.cache
def toy_grid(config: str) -> sweep.Grid:
    """A config at toy size: a narrow net, two epochs of embedded data, or ten updates at the largest batch."""
    namespace: dict[str, Any] = {}
    exec((ROOT / 'configs' / f'{config}.py').read_text(), namespace)
    declared = namespace['get_config']().to_dict()
    sections = {name: arm for name, arm in declared['arms'].items() if not isinstance(arm, str)}
    largest = max([arm.get('batch_size', 0) for arm in sections.values()], default=0)
    swept = max((0, *declared['sweep'].get('batch_size', ()), *declared['sweep'].get('zip', {}).get('batch_size', ())))
    overrides: dict[str, Any] = {
        'total_epochs': max(2.0, 10 * largest // 1437, -(-swept // 1000)),  # a batch has to be filled once
        'keep.at_epochs': (),
        'norms.log_spaced': 0,
        'probe.at_epochs': (),
        'branch.at_epochs': (),
        'evaluate.at_epochs': (),
        'evaluate.at_steps': (),
    }
    overrides |= {f'arms.{name}.{section}.at_epochs': () for name, arm in sections.items()
                  for section in ('probe', 'branch') if section in arm}  # fmt: skip
    if 'widths' in declared['model']:
        overrides['model.widths'] = (4,) if declared['model']['name'] == 'cnn' else (16,)
    if declared['data']['name'] not in ('digits', 'blobs'):
        small = {'data.name': 'digits', 'data.mean': (0.0,), 'data.std': (1.0,), 'data.fraction': 1.0}
        overrides |= small | {'replicates': None}
    shares = {name: arm['data']['fraction'] for name, arm in sections.items() if 'fraction' in arm.get('data', {})}
    if shares:  # as they are to each other, and to the base
        scale = 1.0 / max(*shares.values(), declared['data']['fraction'])
        overrides['data.fraction'] = scale * declared['data']['fraction']
        overrides |= {f'arms.{name}.data.fraction': scale * share for name, share in shares.items()}
    if lengths := {f'arms.{name}.total_steps': 20 for name, arm in sections.items() if 'total_steps' in arm}:
        overrides = {field: value for field, value in overrides.items() if field != 'total_epochs'} | lengths
    for name, spec in declared['measure'].items():
        overrides[f'measure.{name}.at_epochs'] = tuple(e for e in spec['at_epochs'] if e <= 2)
    measured = [(arm, name) for arm, section in sections.items() for name in section.get('measure', {})]
    overrides |= {f'arms.{arm}.measure.{name}.at_epochs': (2.0,) for arm, name in measured}
    if declared['warmup']['epochs']:
        overrides['warmup.epochs'] = min(declared['warmup']['epochs'], 2.0)
    for name, arm in sections.items():  # cycles are so much shorter as the run is
        cycle = {field: arm.get('schedule', {}).get(field) for field in ('up_epochs', 'first_cycle_epochs', 'up_steps')}
        toy_cycle = {f: 5 if f == 'up_steps' else 2.0 * v / declared['total_epochs'] for f, v in cycle.items() if v}
        overrides |= {f'arms.{name}.schedule.{field}': value for field, value in toy_cycle.items()}
    if declared['ghost_batch_size']:
        overrides |= {'batch_size': 11, 'ghost_batch_size': 11}  # of which a tenth of the set is a multiple
        times = lambda sizes: tuple(11 * size // declared['batch_size'] for size in sizes)
        overrides |= {f'arms.{name}.batch_schedule.batch_sizes': times(arm['batch_schedule']['batch_sizes'])
                      for name, arm in sections.items() if 'batch_sizes' in arm.get('batch_schedule', {})}  # fmt: skip
    return sweep.grid(declared, overrides)


@pytest.mark.parametrize('number', [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    'config', [pytest.param(c, marks=() if c in BY_DEFAULT else pytest.mark.slow) for c in CONFIGS]
)
def test_every_config_runs(config: str, number: int, workdir: pathlib.Path):
    """A run of the first group of the grid, and of the second, is trained to its end."""
    plans = [members[0] for members in sweep.groups(toy_runs(config))][number : number + 1]
    if not plans:
        pytest.skip('one group')
    toy.train(workdir, plans)
    for plan in plans:
        meta = paths.read_json(paths.run_dir(workdir, plan.study, plan.id) / 'meta.json')
        # A range test ends where it diverges, and some stop at a target.
        whole = meta['step'] == plan.length.total_steps or meta['step'] == meta['stopped_step']
        ended = whole if meta['status'] == 'done' else config == 'lr_range_test'
        assert ended, meta['status']
        assert len(meta['seconds_per_update']) == len(plan.length.segments)
        assert min(meta['seconds_per_update']) > 0
