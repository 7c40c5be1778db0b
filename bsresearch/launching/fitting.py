"""Replica groups that fit the device: how many runs are trained together is settled before anything is written."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import jax

from bsresearch.core import precision
from bsresearch.planning import resolve, sweep
from bsresearch.planning.plan import Plan, canonical
from bsresearch.train import feed
from bsresearch.train.devices import layout, parallel
from bsresearch.train.sizing import cost, held

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


def words(size: float) -> str:
    """Bytes for people: 21582000000 → '20.1 GiB'."""
    for unit, scale in (('GiB', 2**30), ('MiB', 2**20)):
        if size >= scale:
            return f'{size / scale:,.1f} {unit}'
    return f'{size / 2**10:,.1f} KiB'


def room(mesh: layout.Layout) -> int:
    """Bytes that each device of a mesh has. Several devices of one host's CPU share its memory."""
    sharing = len(jax.local_devices()) if parallel.platform() == 'cpu' and not mesh.single else 1
    return feed.device_memory() // sharing


def analysed(plans: Sequence[Plan], strategy: str, mesh: layout.Layout) -> held.Memory:
    """What a group takes, by XLA's analysis; like groups are analysed once."""
    return _known(plans, strategy, mesh, True)


_MEMORY: dict[str, held.Memory] = {}


@precision.held
def _known(plans: Sequence[Plan], strategy: str, mesh: layout.Layout, exact: bool) -> held.Memory:
    dataset = resolve.dataset(plans[0].data)
    resident = feed.resident(plans[0].execution['data_residence'], dataset)
    key = canonical([facts(plans[0]), len(plans), strategy, str(mesh), resident, exact])
    if key not in _MEMORY:
        _MEMORY[key] = (cost.memory if exact else held.estimate)(plans, dataset, strategy, mesh)
    return _MEMORY[key]


def facts(plan: Plan) -> list[object]:
    """What the size of a run's arrays and programs depends on."""
    events, sizes = plan.events, sorted({s.batch_size for s in plan.length.segments if s.stop > plan.start})
    due = {n: {k: v for k, v in spec.items() if not k.startswith(('every_', 'at_', 'log_'))}
           for n, spec in plan.recording['measure'].items() if events.measure[n]}  # fmt: skip
    evaluation = [plan.recording['evaluate'][k] for k in ('batch_size', 'train')]
    return [
        plan.model, plan.data, plan.dtype, plan.matmul_precision, plan.loss, plan.optimizer, plan.clip, plan.no_decay,
        plan.ghost_batch_size, plan.policy.weight_decay > 0, plan.ema['half_life_examples'] is None,
        plan.parent is None, plan.execution, sizes,
        [feed.capacity(plan, on_device, max(sizes)) for on_device in (True, False)], due,
        bool(events.norms) or events.all_norms, plan.recording['norms']['update'], evaluation,
        bool(events.evaluate or events.snapshots),
    ]  # fmt: skip


def needs(plans: Sequence[Plan], strategy: str, mesh: layout.Layout) -> int:
    """Bytes on each device that a group takes: the estimate where it is small or far too large, else as XLA has it.

    One of several processes cannot compile for all of them: there the estimate must do.
    """
    guess, there = _known(plans, strategy, mesh, False).total, room(mesh)
    if not WORTH_COMPILING * there < guess < HOPELESS * there or jax.process_count() > 1:
        return guess
    return analysed(plans, strategy, mesh).total


_TOGETHER: dict[str, bool] = {}


def strategy_of(plans: Sequence[Plan], platform: str | None = None) -> str:
    """How a new group's runs are mapped onto a device: the config's, or what is faster there.

    `platform`: as groups.form takes it.
    """
    there, execution = platform or parallel.platform(), plans[0].execution
    asked, ordered = execution['strategy'], execution['reduction'] == 'ordered'
    # Several devices share the work as they are; ordered sums promise the bits of one run on one of them.
    if (asked, there) != ('auto', 'cpu') or len(plans) == 1 or ordered or not _single(plans, platform):
        return parallel.choose(asked, len(plans), there)
    key = canonical([facts(plans[0]), len(plans)])
    if key not in _TOGETHER:
        with precision.of(plans):
            _TOGETHER[key] = held.pays_together(plans, resolve.dataset(plans[0].data))
    return 'vmap' if _TOGETHER[key] else 'sequential'


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
    for parts in _finer(plans, needed, there, _known(plans, strategy, mesh, False).data, mesh.replicas):
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
    batch, runs = held.largest(plans[0]).batch_size, 'a run' if len(plans) == 1 else f'a group of {len(plans)} runs'
    cure = '' if len(plans) == 1 else 'train it on a larger device, or its runs in another workdir; else '
    raise ValueError(
        f'{runs} at batch_size={batch} needs {needed:,} bytes ({words(needed)}) on each device, which has {there:,} '
        f'({words(there)}); {cure}use {CURES}'
    )
