"""Replica groups that fit the device: how many runs are trained together is settled before anything is written."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax

from bsresearch.core import precision, when
from bsresearch.data.select import Dataset
from bsresearch.planning import resolve, sweep
from bsresearch.planning.plan import OUTSIDE_PROGRAM, Plan, canonical
from bsresearch.train import feed, program
from bsresearch.train.devices import compiling, layout, parallel
from bsresearch.train.sizing import memory

T = TypeVar('T')
# Of a device's memory, what a group that could be split may take: allocators fragment, libraries want workspace.
HEADROOM = 0.9
# Below this share of the memory the estimate is trusted: XLA's own number costs a compilation for each program, which
# an ordinary launch should not wait for, and stays within twice the estimate (tests/test_planning.py).
WORTH_COMPILING = 0.2
# And above this multiple, which no compilation would bring down to what there is.
HOPELESS = 4.0
CURES = (
    'config.micro_batch_size (smaller gradient calls; changes no result), config.data_residence=host (examples are '
    'brought chunk by chunk), more devices to share a batch (config.devices, config.mesh.batch), or, for a growing '
    'batch, config.batch_schedule.max_batch_size'
)
# Where `vmap` is faster on a CPU (pays_together): bytes of all runs' weights and of their layers' outputs at most; and
# at least so many examples, or FLOPs of an update of one run and of all.
CACHED_WEIGHTS, CACHED_OUTPUTS = 28e6, 8e6
WORTH_BATCH, WORTH_FLOPS_EACH, WORTH_FLOPS = 8, 2e5, 2e6


def words(size: float) -> str:
    """Bytes for people: 21582000000 → '20.1 GiB'."""
    for unit, scale in (('GiB', 2**30), ('MiB', 2**20)):
        if size >= scale:
            return f'{size / scale:,.1f} {unit}'
    return f'{size / 2**10:,.1f} KiB'


def room(mesh: layout.Layout) -> int:
    """Bytes that each device of a mesh has. Several devices of one host's CPU share its memory."""
    sharing = len(jax.local_devices()) if compiling.platform() == 'cpu' and not mesh.single else 1
    return feed.device_memory() // sharing


# Of a plan, what changes neither the shape of an array nor a program: lengths and points, but for what `size_key` adds.
SIZELESS = ('batch_size', *OUTSIDE_PROGRAM)


def size_key(plan: Plan) -> dict[str, object]:
    """What the size of a run's arrays and programs depends on: all that makes its group, without SIZELESS."""
    events, recording = plan.events, plan.recording
    sizes = sorted({s.batch_size for s in plan.length.segments if s.stop > plan.start})
    fields = {name: value for name, value in plan.static().items() if name not in SIZELESS}
    return fields | {
        'branches': plan.parent is not None,
        'batch_sizes': sizes,
        'updates_per_chunk': [feed.capacity(plan, on_device, max(sizes)) for on_device in (True, False)],
        'recording': {name: when.rest(spec) for name, spec in recording.items() if isinstance(spec, Mapping)},
        'measured': {n: when.rest(spec) for n, spec in recording['measure'].items() if events.measure[n]},
        'norms': bool(events.norms) or events.all_norms,
        'evaluates': bool(events.evaluate or events.snapshots),
    }


_KNOWN: dict[str, Any] = {}


def once(measure: Callable[..., T], plans: Sequence[Plan], *rest: object) -> T:
    """`measure`(plans, data set, *rest), made once for all plans of one size."""
    dataset = resolve.dataset(plans[0].data)
    on_device = feed.resident(plans[0].execution['data_residence'], dataset)
    function = f'{measure.__module__}.{measure.__qualname__}'
    key = canonical([function, size_key(plans[0]), len(plans), on_device, *map(str, rest)])
    if key not in _KNOWN:
        with precision.of(plans):
            _KNOWN[key] = measure(plans, dataset, *rest)
    return _KNOWN[key]


def needs(plans: Sequence[Plan], strategy: str, mesh: layout.Layout) -> int:
    """Bytes on each device that a group takes: the estimate where it is small or far too large, else as XLA has it.

    One of several processes cannot compile for all of them: there the estimate must do.
    """
    guess, there = once(memory.estimate, plans, strategy, mesh).total, room(mesh)
    if not WORTH_COMPILING * there < guess < HOPELESS * there or jax.process_count() > 1:
        return guess
    return once(memory.analysed, plans, strategy, mesh).total


def strategy_of(plans: Sequence[Plan], platform: str | None = None) -> str:
    """How a new group's runs are mapped onto a device: the config's, or what is faster there.

    `platform`: as groups.form takes it.
    """
    there, execution = platform or compiling.platform(), plans[0].execution
    asked, ordered = execution['strategy'], execution['reduction'] == 'ordered'
    # Several devices share the work as they are; ordered sums promise the bits of one run on one of them.
    if (asked, there) != ('auto', 'cpu') or len(plans) == 1 or ordered or not _single(plans, platform):
        return parallel.choose(asked, len(plans), there)
    return 'vmap' if once(pays_together, plans) else 'sequential'


def pays_together(plans: Sequence[Plan], dataset: Dataset) -> bool:
    """Whether `vmap` is faster than one after another for these runs on a CPU: while the weights of all, and what their
    layers put out for a batch, stay in its caches, and the operations are worth starting.

    Work counts each weight once for an example, so a convolution's is more. The bounds are those of
    scripts/benchmark_replicas.py and its like with 2 to 64 runs on 2 cores of a Xeon (0.7 to 1.9 times as fast): near
    them either way is off by some 10 %. Timing at the start of a group would give other bits at every launch.
    """
    runs, shapes = len(plans), memory.Shapes(plans[:1], dataset, 'sequential', layout.ALONE)
    batch, params = program.micro_batch(plans[0], 'cpu', memory.largest(plans[0]).batch_size), shapes.start.state.params
    work = 6 * batch * sum(math.prod(x.shape) for x in jax.tree.leaves(params))
    worthwhile = batch >= WORTH_BATCH or (work >= WORTH_FLOPS_EACH and runs * work >= WORTH_FLOPS)
    fits = runs * memory.size(params) <= CACHED_WEIGHTS and runs * shapes.outputs(batch) <= CACHED_OUTPUTS
    return worthwhile and fits


def _single(plans: Sequence[Plan], platform: str | None) -> bool:
    """Whether one device takes them; of those of a job elsewhere only what is asked for is known."""
    if platform is None:
        return layout.choose(plans).single
    execution = plans[0].execution
    return all((n or 1) == 1 for n in (execution['devices'], *execution['mesh'].values()))


def placed(plans: Sequence[Plan]) -> tuple[str, layout.Layout]:
    """The strategy and the devices of a new group."""
    return strategy_of(plans), layout.choose(plans)


def groups(plans: Sequence[Plan], say: Callable[[str], None] = lambda _: None) -> list[list[Plan]]:
    """As sweep.groups; one that this machine's devices cannot hold is split into the fewest even ones that they can.

    Raises:
      ValueError: there is no room for a single run.
    """
    return [part for members in sweep.groups(list(plans)) for part in _split(members, say)]


def _split(plans: list[Plan], say: Callable[[str], None]) -> list[list[Plan]]:
    if _fits(plans):
        return [plans]
    parts = [plans]
    strategy, mesh = placed(plans)
    needed, there = needs(plans, strategy, mesh), room(mesh)
    for parts in _finer(plans, needed, there, once(memory.estimate, plans, strategy, mesh).data, mesh.replicas):
        if all(_fits(part) for part in {len(part): part for part in parts}.values()):
            break
    else:
        check(parts[-1])
    sizes = ' and '.join(str(n) for n in sorted({len(part) for part in parts}, reverse=True))
    if len(parts) > 1:
        say(
            f'group of {len(plans)} runs needs {words(needed)} per device, there are {words(there)}: split into '
            f'{len(parts)} of {sizes}'
        )
    return parts


def _fits(plans: list[Plan]) -> bool:
    strategy, mesh = placed(plans)
    return needs(plans, strategy, mesh) <= (HEADROOM if len(plans) > 1 else 1) * room(mesh)


def _finer(plans: list[Plan], needed: int, there: int, data: int, rows: int) -> Iterator[list[list[Plan]]]:
    """Ever finer cuts into parts as even as can be, in order; each a whole number of the mesh's rows while it can."""
    # Even if all but the data shrank with the group, it would take so many parts.
    fewest = max(2, int(min((needed - data) / max(HEADROOM * there - data, 1), len(plans))))
    largest, given = len(plans), plans[0].execution['mesh']['replica'] is not None
    for count in range(fewest, len(plans) + 1):
        unit = rows if given or count <= len(plans) // rows else 1
        pieces = len(plans) // unit
        ends = [unit * (pieces * i // min(count, pieces)) for i in range(min(count, pieces) + 1)]
        parts = [plans[a:b] for a, b in itertools.pairwise(ends)]
        if max(map(len, parts)) < largest:
            largest = max(map(len, parts))
            yield parts


def check(plans: Sequence[Plan], strategy: str | None = None) -> None:
    """Raises ValueError unless this machine's devices can hold a group as it is."""
    chosen, mesh = placed(plans)
    needed, there = needs(plans, strategy or chosen, mesh), room(mesh)
    if needed <= there:
        return
    batch, runs = memory.largest(plans[0]).batch_size, 'a run' if len(plans) == 1 else f'a group of {len(plans)} runs'
    cure = '' if len(plans) == 1 else 'train it on a larger device, or its runs in another workdir; else '
    raise ValueError(
        f'{runs} at batch_size={batch} needs {needed:,} bytes ({words(needed)}) on each device, which has {there:,} '
        f'({words(there)}); {cure}use {CURES}'
    )
