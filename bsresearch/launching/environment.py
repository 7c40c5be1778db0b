"""Facts about a run that are not its config: what code, versions and device it is made with."""

import functools
import os
import pathlib
import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import metadata
from typing import Any

import jax

import bsresearch
from bsresearch import models
from bsresearch.core import own_part, when
from bsresearch.launching import provenance
from bsresearch.planning import resolve, sections
from bsresearch.planning.plan import Plan
from bsresearch.store import paths, verify

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


@functools.cache
def processor() -> str:
    """The CPU's name with its cores, as the system tells them."""
    name, info = platform.processor(), pathlib.Path('/proc/cpuinfo')
    if info.exists():
        named = [
            line.split(':', 1)[1].strip()
            for line in info.read_text(encoding='utf-8').splitlines()
            if line.startswith('model name')
        ]
        name = named[0] if named else name
    return f'{name or platform.machine()}, {os.cpu_count()} cores'


@functools.cache
def _installed() -> dict[str, str]:
    return {name: metadata.version(name) for name in PACKAGES}


def package_versions() -> dict[str, str]:
    """Of this package and those that numbers come from."""
    return {'bsresearch': bsresearch.__version__} | _installed()


def versions() -> dict[str, str]:
    """Of Python and the packages."""
    return {'python': platform.python_version()} | package_versions()


def facts(plan: Plan) -> dict[str, Any]:
    """What a run is made with."""
    device = jax.devices()[0]
    return (
        {
            'versions': versions(),
            'platform': device.platform,
            'device': device.device_kind,
            'processor': processor(),
            'memory_gib': round(os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30, 1),
            'machine': platform.node(),
            'commit': provenance.commit(),
            'source_sha256': provenance.source_sha256(),
            'changed_files': provenance.changed_files(),
            'seeds': {'seed': plan.seed, 'init_seed': plan.init_seed, 'data_seed': plan.data_seed},
            'matmul_precision': plan.matmul_precision,
        }
        | own_sources(plan)
        | _own_classes(plan)
        | _convolutions(plan, device.platform)
    )


def _convolutions(plan: Plan, platform: str) -> dict[str, Any]:
    """How a network's convolutions are computed; {} without any."""
    module = sections.built('model', plan.model, plan.num_outputs)
    convolutions = models.convolutions_of(module, plan.example_shape)
    if not (convolutions.products or convolutions.kept):
        return {}
    xla = "XLA's own"
    return {
        'convolutions': {'as products': convolutions.products, xla: convolutions.kept} if platform == 'cpu' else xla
    }


def slow_convolutions(plan: Plan) -> str:
    """A line on convolutions that a CPU is slow at within a loop, where a user's own network has some; else ''."""
    kept = _convolutions(plan, jax.devices()[0].platform).get('convolutions', {})
    count = kept.get("XLA's own", 0) if isinstance(kept, dict) else 0
    if not count:
        return ''
    return (
        f'  {count} convolutions of model {plan.model["name"]} lie where they cannot become products (a custom_jvp or '
        'custom_vjp, or batch groups): on a CPU each runs 10 to 30 times slower here than outside the training loop'
    )


def own_sources(plan: Plan) -> dict[str, Any]:
    """Import path → sha256 of the file, of a plan's parts of a user's own; {} without any."""
    sources = own_part.sources(plan.resolved())
    return {'own_sources': sources} if sources else {}


def own_data(plans: Sequence[Plan]) -> list[str]:
    """What became of the data that functions of a user's own gave, a line each."""
    sets = ((own_part.unplaced(plan.data['name']), resolve.own_set(plan.data)) for plan in plans)
    lines = (f'data set {name}: {"; ".join(own.notes)}' for name, own in sets if own is not None and own.notes)
    return list(dict.fromkeys(lines))


def beyond_the_data(plans: Sequence[Plan]) -> list[str]:
    """A line for each batch size above the training set: its updates see examples more than once."""
    sizes = {(plan.length.largest_batch_size, plan.epoch_size) for plan in plans}
    return [
        f'batch_size={size} is above the {examples:,} training examples: an update holds each of them '
        f'{size / examples:.2g} times in the mean, and an epoch is {examples / size:.2g} of an update'
        for size, examples in sorted(sizes)
        if size > examples
    ]


def without_points(plans: Sequence[Plan], overrides: Iterable[str]) -> list[str]:
    """A line for each measurement that no run makes, though the command line sets a field of it, or it is one's own.

    Args:
      overrides: dotted paths that the command line sets.
    """
    asked = {path.split('.')[1] for path in overrides if path.startswith('measure.')}
    sections = [plan.recording['measure'] for plan in plans]
    asked |= {name for section in sections for name, spec in section.items() if 'function' in spec}
    off = lambda spec: not any(spec[field] for field in when.FIELDS)
    return [
        f'measure.{name} is set, but off: it has no points; --config.measure.{name}.every_epochs=1 switches it on'
        for name in sorted(asked)
        if all(name not in section or off(section[name]) for section in sections)
    ]


def _own_classes(plan: Plan) -> dict[str, Any]:
    """The labels of a data set that a user's function gave, in the order of their numbers; {} of any other."""
    own = resolve.own_set(plan.data)
    return {'classes': own.about['classes']} if own is not None and 'classes' in own.about else {}


def begin(directory: pathlib.Path, plan: Plan, layout: str = '1 device') -> None:
    """Notes what a run is made with, and where.

    `layout`: the devices that share it. A resume on others is noted in `layouts_later`.
    """
    stored = paths.read_json(directory / 'meta.json') or {}
    if verify.KEY in stored:
        # It was sealed with its group half ended, and goes back to the group's checkpoint.
        stored = {k: v for k, v in stored.items() if k != verify.KEY} | {'status': 'running'}
        paths.write_json(directory / 'meta.json', stored)
    place = {'layout': layout, 'processes': jax.process_count()}
    if stored.get('versions') is None:
        order = {'reduction': plan.execution['reduction']}
        update(directory, facts(plan) | place | order | {'started': time.time()})
    elif place != {name: stored.get(name, place[name]) for name in place}:
        update(directory, {'layouts_later': [*stored.get('layouts_later', ()), place]})


def note_code(directories: Sequence[pathlib.Path], plan: Plan, unit: str, at: int, say: Callable[[str], None]) -> None:
    """Adds to each meta's `code` the code that goes on from here, where it is not the one before; says so, once.

    `code` lists what a run or probe was made with: {unit: where it began, 'versions', 'commit', 'source_sha256',
    'changed_files', 'own_sources' where parts are a user's own}. Of what an older version began the first entry has no
    hash of the source: it counts as other code.

    Args:
      directories: of a group's runs, or of a probe. plan: one of them. unit, at: 'step' and the update, or 'block' and
        its number.
    """
    now = {unit: at, 'versions': versions()} | provenance.facts() | own_sources(plan)
    differences: dict[str, list[str]] = {}
    for directory in directories:
        stored = paths.read_json(directory / 'meta.json') or {}
        begun = {unit: 0} | {k: stored.get(k) for k in now if k != unit}
        code = stored.get('code') or [begun if _difference(begun, now) else now]
        difference = _difference(code[-1], now)
        if difference or 'code' not in stored:
            update(directory, {'code': [*code, now] if difference else code})
        if difference:
            differences.setdefault(difference, []).append(directory.name)
    for difference, names in differences.items():
        these = f'{names[0]} goes' if len(names) == 1 else f'{names[0]} and {len(names) - 1} more go'
        say(
            f'{these} on from {unit} {at:,} with other code than made what is there: {difference}; CHANGELOG.md says '
            "which numbers changed, and each meta.json's `code` what was made with which"
        )


def _difference(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What differs between two entries of `code`, in words; '' where nothing does."""
    old, new = before['versions'] or {}, now['versions']
    changed = [f'{name} {old.get(name)} → {version}' for name, version in new.items() if old.get(name) != version]
    if before['source_sha256'] != now['source_sha256']:
        marks = [f'{(e["source_sha256"] or "unknown")[:8]} (commit {e["commit"]})' for e in (before, now)]
        changed.append(f'source {" → ".join(marks)}')
    return ', '.join([*changed, *changed_sources(before.get('own_sources') or {}, now.get('own_sources', {}))])


def changed_sources(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Files of a user's own parts that changed, with the beginnings of both hashes."""
    known = ((name, before[name], now[name]) for name in sorted(before.keys() & now.keys()))
    return [f'{name} {old[:8]} → {new[:8]}' for name, old, new in known if old != new]


def changed_since(directory: pathlib.Path, plan: Plan) -> list[str]:
    """Files of a user's own parts that are not those which a run or a probe was made with last, by its meta.json."""
    if not (sources := own_part.sources(plan.resolved())):
        return []
    meta = paths.read_json(directory / 'meta.json') or {}
    last = (meta.get('code') or [{}])[-1]
    return changed_sources((meta.get('own_sources') or {}) | (last.get('own_sources') or {}), sources)


def tell_changed(made: Iterable[tuple[pathlib.Path, Plan]], what: str, say: Callable[[str], None]) -> None:
    """Says, once, which files of a user's own are not those that runs or probes were made with.

    Args:
      made: directories, and what is made of them or with them now. what: words for them.
    """
    if changed := sorted({part for directory, plan in made for part in changed_since(directory, plan)}):
        say(f'  {what} made with other code of your own: {", ".join(changed)}')


def tell_parents_changed(runs: Iterable[tuple[pathlib.Path, Plan]], say: Callable[[str], None]) -> None:
    """Of branches among runs (directory, plan) that have not begun: as `tell_changed`, of what their parents are."""
    begin = ((directory, plan) for directory, plan in runs if not (directory / 'lineage.json').exists())
    parents = (
        (paths.parent_dir(directory.parent.parent, plan.parent['directory']), plan)
        for directory, plan in begin if plan.parent is not None
    )  # fmt: skip
    tell_changed(parents, 'what they begin with was', say)


def update(directory: pathlib.Path, facts: dict[str, Any]) -> None:
    """Merges facts into a run's meta.json."""
    path = directory / 'meta.json'
    paths.write_json(path, (paths.read_json(path) or {}) | facts)
