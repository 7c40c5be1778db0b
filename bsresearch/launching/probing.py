"""Runs a stage of probes: each block is stored when it is done, a finished probe is left alone."""

import functools
import pathlib
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from bsresearch.core import own_part, precision
from bsresearch.launching import environment
from bsresearch.launching.console import Console, clock
from bsresearch.measure.probes import Arrays, Place
from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan, canonical
from bsresearch.planning.probe import Probe, kind
from bsresearch.store import leases, paths, presence, verify
from bsresearch.store.paths import RESTORE, Damaged
from bsresearch.train import program
from bsresearch.train.devices import compiling, parallel
from bsresearch.train.feed import to_device
from bsresearch.train.observing.evaluate import Evaluator
from bsresearch.train.saving import restore
from bsresearch.train.state import Data

# Seconds between two lines about a probe.
LINE_SECONDS = 10.0


class Bench:
    """What probes of like runs share: data and compiled programs."""

    def __init__(self, plan: Plan):
        self.plan, self.dataset = plan, resolve.dataset(plan.data)
        if self.dataset.checksum != plan.data_checksum:
            raise ValueError(f'data set {plan.data["name"]} changed since run {plan.id} was planned; restore it')
        self.task = program.task(plan, self.dataset.scale, compiling.platform())
        self.group = parallel.DeviceGroup(1, 'sequential', plan.matmul_precision)

    @functools.cached_property
    def evaluator(self) -> Evaluator:
        """Of the training and the test set, on the device from its first use on."""
        named = {name: split for name, split in self.dataset.named().items() if name in ('train', 'test')}
        resident = {name: to_device(split, self.group) for name, split in named.items()}
        return Evaluator(self.task, self.plan, named, resident, self.group)


def directory(workdir: pathlib.Path, probe: Probe) -> pathlib.Path:
    """Of a probe: beside the runs of its study."""
    return paths.run_dir(workdir, probe.study, probe.id)


def describe(workdir: pathlib.Path, probe: Probe) -> pathlib.Path:
    """Writes the probe's plan.json, once: of what is to be made --status tells by it; its directory."""
    folder = directory(workdir, probe)
    if not (folder / 'plan.json').exists():
        folder.parent.mkdir(exist_ok=True)
        folder.mkdir(exist_ok=True)
        paths.write_json(folder / 'plan.json', probe.to_json())
    return folder


def launch(
    workdir: pathlib.Path,
    probes: Sequence[Probe],
    console: Console,
    caught: Sequence[int],
    stay: presence.Stay | None = None,
) -> None:
    """Takes probes to their end, or until a signal is `caught`; the block in hand is finished first.

    `stay`: as in `bsresearch.launching.runner.launch`.

    Raises:
      ValueError: a run has no checkpoint at a point, or a damaged one. restore.Diverged: all the runs diverged before.
      leases.Owned: another live process makes one of the probes. Stopped: a signal came while its lease was watched.
      presence.Gone: a directory is not where it was.
    """
    finished = {p.id: p for p in probes if done(directory(workdir, p))}
    todo = [p for p in probes if p.id not in finished]
    if finished:
        console.say(f'{len(finished)} of {len(probes)} probes are finished already and are left alone')
        described = ((directory(workdir, p), p.points[0][0]) for p in finished.values())
        environment.tell_changed(described, 'they were', console.say)
    todo = _with_weights(workdir, todo, console)
    benches: dict[str, Bench] = {}
    watch = leases.Watch(console.say, caught)
    for number, probe in enumerate(todo, 1):
        if caught:
            return
        paths.claim_workdir(workdir, stay)
        folder = describe(workdir, probe)
        with leases.Lease(folder, watch):
            if not done(folder):  # by another process, since this one looked
                make(workdir, probe, console, caught, benches, f'{number}/{len(todo)}')


def done(folder: pathlib.Path) -> bool:
    """Whether the probe in this directory is finished."""
    return (paths.read_json(folder / 'meta.json') or {}).get('status') == 'done'


def check(workdir: pathlib.Path, probe: Probe) -> None:
    """Raises ValueError unless the weights at its points can be had; restore.Diverged where they never will be."""
    for plan, step in probe.points:
        restore.check(workdir, plan, step)


def _with_weights(workdir: pathlib.Path, probes: Sequence[Probe], console: Console) -> list[Probe]:
    """The probes whose points are all there; those of diverged runs are told of and left out, unless all are."""
    ready, diverged = [], []
    for probe in probes:
        try:
            check(workdir, probe)
            ready.append(probe)
        except restore.Diverged as e:
            diverged.append(e)
    if diverged and not ready:
        raise diverged[0]
    for e in diverged:
        console.say(f'{e}; it is not probed there')
    return ready


def _place(probe: Probe, bench: Bench, states: Sequence[Any]) -> Place:
    """Where a probe is made, from the state at each of its points."""

    def evaluate(params: Any, stats: Any) -> dict[str, float]:
        return bench.evaluator([states[0]._replace(params=params, stats=stats)], [True])[0]

    def batch_statistics(params: Any, batch: Any) -> Any:
        return program.batch_statistics(bench.task, params, states[0].stats, batch.inputs)

    return Place(
        params=[s.params for s in states],
        stats=[s.stats for s in states],
        losses=lambda params, stats, batch: program.losses_of(bench.task, 'batch', stats, params, Data(*batch)),
        evaluate=evaluate,
        batch_statistics=batch_statistics,
        call=bench.group.call,
        one_by_one=parallel.choose(probe.points[0][0].execution['strategy'], 2, compiling.platform()) == 'sequential',
        train=bench.dataset.train,
        ghost_batch_size=probe.points[0][0].ghost_batch_size,
    )


def seconds(probe: Probe, bench: Bench) -> float:
    """What a probe like this one takes, without compiling: a short one is timed, at initial weights."""
    settings, times = probe.kind.brief
    short = kind({**probe.section, **settings})
    state = jax.tree.map(np.asarray, jax.jit(functools.partial(program.initial, bench.task, bench.plan))())
    place = _place(probe, bench, [state] * len(probe.points))
    block_result = short.run(place, probe.learning_rate, 0)  # compiles
    start = time.perf_counter()
    short.run(place, probe.learning_rate, 0)
    block_seconds = time.perf_counter() - start
    short.finish(place, [block_result] * short.blocks)
    start = time.perf_counter()
    short.finish(place, [block_result] * short.blocks)
    return times * block_seconds + time.perf_counter() - start


def make(
    workdir: pathlib.Path, probe: Probe, console: Console, caught: Sequence[int], benches: dict[str, Bench], number: str
) -> None:
    """One probe, from where it stands, as `launch` does; the caller holds its lease, and benches of earlier ones."""
    folder, plan = directory(workdir, probe), probe.points[0][0]
    key = canonical([plan.static_key(), probe.section])
    with presence.Stay(folder), precision.of(plan):
        presence.clear([folder / 'arrays'], folder)
        bench = benches[key] = benches.get(key) or Bench(plan)
        try:
            _make(workdir, probe, bench, console, caught, f'probe {number}: {probe}')
        finally:
            console.go_on()


def _make(
    workdir: pathlib.Path, probe: Probe, bench: Bench, console: Console, caught: Sequence[int], title: str
) -> None:
    folder, probed = directory(workdir, probe), probe.kind
    begun = _begin(folder, probe)
    place = _place(probe, bench, [restore.state(workdir, plan, step) for plan, step in probe.points])
    spent = (paths.read_json(folder / 'meta.json') or {}).get('seconds', 0.0)
    console.say(title)
    if begun:
        of_runs = ((paths.run_dir(workdir, plan.study, plan.id), plan) for plan, _ in probe.points)
        environment.tell_changed(of_runs, 'what is probed was', console.say)
    console.wait('compiling')
    start = said = time.perf_counter()
    compiled = bench.group.compile_seconds
    net = lambda: spent + time.perf_counter() - start - (bench.group.compile_seconds - compiled)
    files = [folder / 'arrays' / f'block-{block:06d}.npz' for block in range(probed.blocks)]
    missing = [block for block, file in enumerate(files) if not (file.exists() and _is_whole(file, console))]
    if missing:
        environment.note_code([folder], probe.points[0][0], 'block', missing[0], console.say)
    for block in missing:
        if caught:
            environment.update(folder, {'seconds': net()})
            return
        _save(files[block], probed.run(place, probe.learning_rate, block))
        now = time.perf_counter()
        if now - said > LINE_SECONDS or block == 0:
            console.go_on()
            said, left = now, (probed.blocks - block - 1) * net() / (block + 1)
            console.say(f'  block {block + 1}/{probed.blocks} · ETA {clock(left)}{console.all_left()}')
    result = folder / 'arrays' / f'{probe.name}-{probe.points[0][1]}.npz'
    _save(result, probed.finish(place, [paths.read_npz(file) for file in files]))
    facts = {'status': 'done', 'seconds': net(), 'ended': time.time(), 'arrays': f'arrays/{result.name}'}
    environment.update(folder, facts | {verify.KEY: {'arrays': {result.name: verify.of_file(result)}}})
    # Also halves of blocks that a kill left behind.
    for part in (folder / 'arrays').glob('*block-*'):
        part.unlink()
    console.say(f'  finished after {clock(net())}')
    console.probed(probe, net())


def _begin(folder: pathlib.Path, probe: Probe) -> bool:
    """Writes what it is, once: probe.json and meta.json; whether it was not begun before."""
    points = [
        {'run': p.id, 'study': p.study, 'step': s, 'examples': p.length.examples_at(s), 'epoch': p.length.epoch_at(s)}
        for p, s in probe.points
    ]
    if paths.read_json(folder / 'probe.json') is None:
        stated = {'probe': own_part.unplaced(probe.section), 'points': points, 'learning_rate': probe.learning_rate}
        paths.write_json(folder / 'probe.json', stated)
    if paths.read_json(folder / 'meta.json') is not None:
        return False
    facts = {'id': probe.id, 'study': probe.study, 'status': 'running', 'identity': probe.identity()}
    facts |= {'started': time.time()} | environment.facts(probe.points[0][0])
    paths.write_json(folder / 'meta.json', facts)
    return True


def _is_whole(file: pathlib.Path, console: Console) -> bool:
    """Whether a stored block can be read; one that cannot is made anew."""
    try:
        paths.read_npz(file)
    except Damaged as e:
        console.say(f'  {e}'.replace(RESTORE, 'it is made anew'))
        return False
    return True


def _save(file: pathlib.Path, arrays: Arrays) -> None:
    """Whole or not at all."""
    file.parent.mkdir(exist_ok=True)
    paths.write_npz(file, arrays)
