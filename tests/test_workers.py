"""W simulated workers: an explicit loop over their shards, one large batch, and what cannot be shared."""

import functools
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy
from twins import RESNET, Twin

from bsresearch.data import order
from bsresearch.planning import branch, resolve, sweep
from bsresearch.planning.plan import Plan
from bsresearch.studies import critical_batch_size
from bsresearch.train import program
from bsresearch.train.devices import parallel
from bsresearch.train.feed import Feed
from bsresearch.train.state import State

MLP = {'name': 'mlp', 'widths': (16,), 'batch_norm': True}
CNN = {'name': 'cnn', 'widths': (3,), 'dense_width': 8, 'batch_norm': True}
WORKERS, BATCH, MOMENTUM, DECAY = 4, 64, 0.9, 1e-3


def ours(plan: Plan) -> list[State]:
    """Our state before each update and at the end, by the program the loop runs."""
    dataset = resolve.dataset(plan.data)
    task = program.task(plan, dataset.scale, 'cpu')
    feed = Feed([plan], dataset, parallel.DeviceGroup(1, 'sequential'), task.dtype)
    data, tables = feed.one(0, 0, plan.length.total_steps)
    start = jax.jit(lambda: program.initial(task, plan))()
    advance = jax.jit(functools.partial(program.advance, task, False))
    after = lambda count: advance(start, None, data, tables, program.keys(plan), jnp.int32(count))[0]
    return [start, *map(after, range(1, plan.length.total_steps + 1))]


def shards(plan: Plan, t: int) -> list[np.ndarray]:
    """The examples of each worker at update t of a run of whole epochs; one at a short epoch's end may have none."""
    per_epoch, share = -(-plan.epoch_size // plan.batch_size), plan.batch_size // WORKERS
    epoch, place = divmod(t, per_epoch)
    batch = order.permutation(plan.data_seed, plan.epoch_size, epoch)[place * plan.batch_size :][: plan.batch_size]
    return [batch[w * share : (w + 1) * share] for w in range(WORKERS)]


def looped(plan: Plan, start: State, gradient: Any, *, by_examples: bool) -> list[tuple[Any, Any]]:
    """(weights, statistics) after each update of SGD with momentum: in each, one worker after another, then a mean.

    `by_examples`: of the workers, weighted by what they hold; else all that hold any count alike.
    """
    dataset = resolve.dataset(plan.data)
    params, stats = jax.tree.map(np.asarray, (start.params, start.stats))
    velocity = jax.tree.map(np.zeros_like, params)
    ends = []
    for t in range(plan.length.total_steps):
        held = [ids for ids in shards(plan, t) if len(ids)]
        total = sum(map(len, held))
        weights = [len(ids) / total if by_examples else 1 / len(held) for ids in held]
        inputs = (dataset.train.inputs[ids].astype(np.float64) / dataset.scale for ids in held)
        each = [gradient(params, stats, x, dataset.train.labels[ids]) for x, ids in zip(inputs, held, strict=True)]
        mean = lambda *leaves, weights=weights: sum(w * leaf for w, leaf in zip(weights, leaves, strict=True))
        g, stats = jax.tree.map(mean, *each)
        velocity = jax.tree.map(lambda v, g, p: MOMENTUM * v + g + DECAY * p, velocity, g, params)
        params = jax.tree.map(lambda p, v: p - plan.policy.learning_rate * v, params, velocity)
        ends.append((params, stats))
    return ends


def worker_gradient(plan: Plan) -> Any:
    """(weights, statistics, inputs, labels) → the gradient of a worker's mean loss, and new statistics, as NumPy's."""
    twin = Twin(plan.model)

    def loss(params: Any, stats: Any, inputs: jax.Array, labels: jax.Array) -> tuple[jax.Array, Any]:
        variables = {'params': params} | ({'batch_stats': stats} if stats else {})
        out, new = twin.apply(variables, inputs, mutable=['batch_stats'])
        return optax.softmax_cross_entropy_with_integer_labels(out, labels).mean(), new.get('batch_stats', {})

    compiled = jax.jit(jax.grad(loss, has_aux=True))
    return lambda *args: jax.tree.map(np.asarray, compiled(*args))


def relative(a: Any, b: Any, start: Any) -> float:
    """‖a − b‖/‖b − start‖ over all leaves: the error of how far it came."""
    flat = [np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (a, b, start)]
    return float(np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1] - flat[2]))


# 172 examples an epoch: batches of 64, 64 and 44, which four workers of 16 hold as 16, 16, 12 and none.
RUN = {
    'batch_size': BATCH, 'total_steps': None, 'total_epochs': 1.0, 'epoch_boundary': 'partial', 'data__fraction': 0.12,
    'dtype': 'float64', 'optimizer__name': 'momentum', 'momentum': MOMENTUM, 'weight_decay': DECAY,
    'measure__distance__every_epochs': 0.0, 'measure__parameter_norm__every_epochs': 0.0,
}  # fmt: skip


@pytest.mark.parametrize(
    'model',
    [MLP, CNN, pytest.param(RESNET, marks=pytest.mark.slow), MLP | {'batch_norm': False}],
    ids=['mlp', 'cnn', 'resnet', 'plain'],
)
def test_workers_are_a_loop_over_shards(model: dict[str, Any]):
    """Brute force with flax's own layers, float64: weights and running statistics after 1, 2 and the short 3rd update.

    The short batch is weighed by examples: workers whose means count alike would end elsewhere.
    """
    with jax.enable_x64(True):
        (plan,) = toy.plans(**RUN, workers=WORKERS, model=model)
        assert [[len(ids) for ids in shards(plan, t)] for t in range(3)] == [[16] * 4, [16] * 4, [16, 16, 12, 0]]
        assert plan.length.total_steps == 3
        start, *states = ours(plan)
        assert bool(start.stats) == model.get('batch_norm', True)
        assert jax.tree.leaves(start.params)[0].dtype == np.float64
        gradient = worker_gradient(plan)
        for by_examples in (True, False):
            ends = looped(plan, start, gradient, by_examples=by_examples)
            for t, (state, (params, stats)) in enumerate(zip(states, ends, strict=True)):
                errors = [relative(state.params, params, start.params)]
                errors += [relative(state.stats, stats, start.stats)] if stats else []
                same = by_examples or t < 2
                assert max(errors) < 1e-12 if same else min(errors) > 1e-4, errors


def test_without_batch_norm_workers_are_one_large_batch(workdir: pathlib.Path):
    """The same plan, id, rows and weights, bit for bit, for every number of workers."""
    runs = [toy.plans(workers=w)[0] for w in (None, 1, 8)]
    assert len({r.id for r in runs}) == 1
    for w, run in enumerate(runs):
        toy.train(workdir / str(w), [run])
        assert toy.rows(workdir / str(w), run) == toy.rows(workdir / '0', run)
        toy.assert_equal(toy.final(workdir / str(w), run), toy.final(workdir / '0', run))


def test_with_batch_norm_workers_are_groups():
    """W = 1 is the plain run; W workers are the run that names their group; each W another, at a fixed batch."""
    one = lambda **changes: toy.plans(model=MLP, batch_size=64, **changes)[0]
    assert one(workers=1).id == one(workers=None).id == one().id
    assert one(workers=1, ghost_batch_size=16).id == one(ghost_batch_size=16).id
    for workers in (2, 4, 32):
        run = one(workers=workers)
        assert run.ghost_batch_size == 64 // workers
        assert run.id == one(ghost_batch_size=64 // workers).id
        assert run.id == one(workers=workers, ghost_batch_size=64 // workers).id
    assert len({one(workers=w).id for w in (1, 2, 4, 32)}) == 4
    assert one(workers=4, batch_schedule__name='growth', batch_schedule__at_fractions=(0.5,),
               batch_schedule__as_learning_rate=True).ghost_batch_size == 16  # fmt: skip


GROWN = {
    'total_steps': None,
    'total_epochs': 2.0,
    'batch_schedule__name': 'growth',
    'batch_schedule__at_fractions': (0.5,),
    'batch_schedule__factor': 2.0,
}
BAD: dict[str, tuple[dict[str, Any], str]] = {
    'none': ({'workers': 0}, 'config.workers=0: must be at least 1'),
    'a fraction': ({'workers': 2.5}, 'config.workers=2.5: a value of type int'),
    'unequal shards': ({'workers': 3}, 'config.workers=3 cannot share a batch of 64 equally; choose a batch_size that'),
    'more workers than examples': ({'workers': 128}, 'config.workers=128 cannot share a batch of 64'),
    'another group': (
        {'workers': 4, 'ghost_batch_size': 32},
        'config.workers=4 with batch_size=64 makes batch-norm groups of 16, but ghost_batch_size=32; give one of the',
    ),
    'groups that grow': (
        {'workers': 4, **GROWN},
        'changes (64, 128): each worker would normalize over 16, 32 examples in turn, and a run has one group; set '
        'workers=None and ghost_batch_size=16',
    ),
    'workers of one example each': ({'workers': 64}, 'groups of 1 example'),
    'a micro-batch that cuts a worker': (
        {'workers': 4, 'micro_batch_size': 8},
        'micro_batch_size=8 is not a whole number of batch-norm groups of ghost_batch_size=16',
    ),
}


@pytest.mark.parametrize('case', BAD, ids=lambda c: c.replace(' ', '-'))
def test_what_cannot_be_shared_is_refused(case: str):
    """ValueError, one line, with the values and the cure."""
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=re.escape(message)) as e:
        toy.plans(model=MLP, **{'batch_size': 64, **changes})
    assert '\n' not in str(e.value)


def test_a_growing_batch():
    """Without batch norm W workers share whatever it comes to, or are refused; with it the cure that is named works."""
    plain = {'model': {'name': 'mlp', 'widths': (16,)}, 'batch_size': 12}
    assert toy.plans(**plain, **GROWN, workers=4)[0].id == toy.plans(**plain, **GROWN)[0].id
    with pytest.raises(ValueError, match='workers=4 cannot share a batch of 18 equally'):
        toy.plans(**plain, **GROWN | {'batch_schedule__factor': 1.5}, workers=4)
    (cured,) = toy.plans(model=MLP, batch_size=64, ghost_batch_size=16, **GROWN)
    assert cured.ghost_batch_size == 16
    assert [s.batch_size // 16 for s in cured.length.segments] == [4, 8]


def test_branches_of_a_run_with_workers():
    """More examples keep the workers; critical_batch_size keeps a worker's batch, so that k times as many share kB."""
    (run,) = toy.plans(model=MLP, batch_size=8, workers=2, study='critical_batch_size', branch__at_steps=(20,),
                       branch__multiples=(1, 2), branch__more_epochs=0.0, branch__evaluations=1,
                       branch__more_examples=160, branch__learning_rate_rule='none')  # fmt: skip
    assert [(p.batch_size, p.ghost_batch_size) for p in critical_batch_size.branches([run])] == [(8, 4), (16, 4)]
    longer = branch.branch(run, 'train/x', 20, {'total_steps': 60})
    assert (longer.batch_size, longer.ghost_batch_size) == (8, 4)


def test_a_branch_of_a_run_from_before_there_were_workers():
    """What was declared then lacks the field: it resolves to the same run still."""
    (run,) = toy.plans()
    older = {k: v for k, v in run.declared.items() if k != 'workers'}
    again = resolve.resolve(older)
    assert (again.id, again.declared) == (run.id, older)


def test_an_axis_of_workers():
    """W and B together, a fixed batch per worker: one group for all. Without batch norm W alone makes no runs."""
    config = toy.declared(model=MLP)
    config['sweep'] |= {'zip': {'workers': (1, 4, 16), 'batch_size': (8, 32, 128)}}
    assert [(p.batch_size, p.ghost_batch_size) for p in sweep.expand(config)] == [(8, 8), (32, 8), (128, 8)]
    config = toy.declared(batch_size=64)
    config['sweep'] |= {'workers': (1, 4)}
    with pytest.raises(ValueError, match='names 2 runs but only 1 differ'):
        sweep.expand(config)
