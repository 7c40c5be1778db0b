"""Facts about a run that are not its config: versions, device, commit."""

import functools
import os
import pathlib
import platform
import subprocess
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import jax

import bsresearch
from bsresearch.plan import Plan
from bsresearch.store import paths


@functools.cache
def _commit() -> str | None:
    """The source tree's commit, marked if it has changes; None outside a repository."""
    root = pathlib.Path(bsresearch.__file__).parent.parent
    command = ['git', '-C', str(root), 'describe', '--always', '--dirty', '--abbrev=12']
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


@functools.cache
def _processor() -> str:
    """The CPU's name with its cores, as the system tells them."""
    name, info = platform.processor(), pathlib.Path('/proc/cpuinfo')
    if info.exists():
        named = [
            line.split(':', 1)[1].strip() for line in info.read_text().splitlines() if line.startswith('model name')
        ]
        name = named[0] if named else name
    return f'{name or platform.machine()}, {os.cpu_count()} cores'


def environment(plan: Plan) -> dict[str, Any]:
    """What a run was made with."""
    packages = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')
    device = jax.devices()[0]
    return {
        'versions': {'bsresearch': bsresearch.__version__, 'python': platform.python_version()}
        | {name: metadata.version(name) for name in packages},
        'platform': device.platform,
        'device': device.device_kind,
        'processor': _processor(),
        'memory_gib': round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
        'machine': platform.node(),
        'commit': _commit(),
        'seeds': {'seed': plan.seed, 'init_seed': plan.init_seed, 'data_seed': plan.data_seed},
        'matmul_precision': plan.matmul_precision,
    }


def begin(directory: pathlib.Path, plan: Plan, say: Callable[[str], None], layout: str = '1 device') -> None:
    """Notes what a run is made with, and where; on a resume, tells where versions differ from what it started with.

    `layout`: the devices that share it. A resume on others is noted in `layouts_later`.
    """
    now = environment(plan)
    stored = paths.read_json(directory / 'meta.json') or {}
    before, place = stored.get('versions'), {'layout': layout, 'processes': jax.process_count()}
    if before is None:
        order = {'reduction': plan.execution['reduction']}
        update(directory, now | place | order | {'started': time.time()})
        return
    if place != {name: stored.get(name, place[name]) for name in place}:
        update(directory, {'layouts_later': [*stored.get('layouts_later', ()), place]})
    changed = [f'{k} {v} → {now["versions"].get(k)}' for k, v in before.items() if now['versions'].get(k) != v]
    if changed:
        say(f'run {plan.id} goes on with other versions than it was started with: {", ".join(changed)}')
        update(directory, {'versions_later': now['versions']})


def update(directory: pathlib.Path, facts: dict[str, Any]) -> None:
    """Merges facts into a run's meta.json."""
    path = directory / 'meta.json'
    paths.write_json(path, (paths.read_json(path) or {}) | facts)
