"""Updates per second of this engine against PyTorch loops: same model, data, optimizer and batch, in one run.

    pip install -r requirements-benchmark.txt
    python -m scripts.benchmark [--models=mlp,cnn,resnet_8] [--batch_sizes=1,8,32,128,512,1024] [--rounds=5]

All train on images in memory (of Fashion-MNIST's or CIFAR's shape) with SGD and momentum, float32, all cores, in turns.
PyTorch: eager; eager with images and weights channels last (nets with convolutions); and, where a C++ compiler is
found, `torch.compile`. Ratios are medians of those within a round, with their range. The fraction is of the
matrix-multiplication rate measured in the same run.
"""

import shutil
import statistics
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from bsresearch.analysis import command
from bsresearch.planning import resolve, schema
from bsresearch.planning.plan import Plan
from bsresearch.train import program
from bsresearch.train.devices import compiling
from bsresearch.train.sizing import flops

from . import turns
from .turns import Turn

_MODELS = flags.DEFINE_list('models', ['mlp', 'cnn'], 'Which models.')
_BATCH_SIZES = flags.DEFINE_list('batch_sizes', ['1', '8', '32', '128', '512', '1024'], 'Which batch sizes.')
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each side.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'Length of a turn.')
_DATA = flags.DEFINE_string('data', 'fashion_mnist', 'Data set of the MLP and the CNN.')
_MICRO = flags.DEFINE_integer('micro_batch_size', None, 'Examples per gradient call; by default the engine chooses.')

MEAN, STD = 0.1307, 0.3081
GREY = ('mlp', 'cnn')  # 28×28×1; the others take 32×32×3, by chance: speed does not follow what images show
MODELS: dict[str, dict[str, Any]] = {
    'mlp': {'name': 'mlp', 'widths': (1024, 1024)},
    'cnn': {'name': 'cnn', 'widths': (32, 64), 'dense_width': 128},
    'resnet_8': {'name': 'resnet', 'depth': 8},
    'resnet_20': {'name': 'resnet', 'depth': 20},
    'c1': {'name': 'c1', 'dropout': 0.0},
    'wrn_16_4': {'name': 'wide_resnet', 'depth': 16, 'widening': 4},
}


def plan(model: str, batch_size: int) -> Plan:
    """The benchmark's run."""
    c = schema.defaults()
    c.data.name = _DATA.value if model in GREY else 'scripts.turns:images'
    c.batch_size, c.momentum, c.learning_rate = batch_size, 0.9, 0.001
    c.data.mean, c.data.std = (MEAN,), (STD,)
    c.optimizer.name, c.total_examples, c.micro_batch_size = 'momentum', 10**9, _MICRO.value
    declared = c.to_dict() | {'model': MODELS[model]}
    del declared['sweep']
    return resolve.resolve(declared)


def theirs(p: Plan, model: str, channels_last: bool = False, compiled: bool = False) -> Turn:
    """A turn of n updates → seconds, by a PyTorch loop on the CPU; data in memory, indices drawn per epoch."""
    import torch  # pyright: ignore[reportMissingImports] (optional)

    from . import torch_networks

    train = resolve.dataset(p.data).train
    inputs = torch.tensor(np.array(train.inputs)).permute(0, 3, 1, 2).float().div(255).sub(MEAN).div(STD)
    labels = torch.tensor(np.array(train.labels)).long()
    settings = {k: v for k, v in MODELS[model].items() if k != 'name'}
    network = torch_networks.build(MODELS[model]['name'], **settings)
    if channels_last:
        inputs, network = (x.to(memory_format=torch.channels_last) for x in (inputs, network))
    forward = torch.compile(network) if compiled else network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)

    def batches() -> Iterator[Any]:
        while True:
            rows = torch.randperm(len(labels))
            # Whole batches alone: another size is another program to torch.compile.
            yield from rows[: len(rows) // p.batch_size * p.batch_size].split(p.batch_size)

    stream = batches()

    def turn(updates: int) -> float:
        start = time.perf_counter()
        for _ in range(updates):
            rows = next(stream)
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(forward(inputs[rows]), labels[rows])
            loss.backward()
            optimizer.step()
        return time.perf_counter() - start

    turn(3)
    return turn


def matmul_rate() -> float:
    """FLOP/s of a large float32 matrix product, best of several."""
    x = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    jax.block_until_ready(product(x))
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready(product(x))
        best = min(best, time.perf_counter() - start)
    return 2 * 2048**3 / best


def compare(model: str, batch_size: int, limit: float) -> None:
    """Lets all sides take turns and prints a line for each."""
    p = plan(model, batch_size)
    ours, compile_seconds = turns.of_run(p)
    sides = {'ours': ours, 'eager': theirs(p, model)}
    if model != 'mlp':
        sides['channels last'] = theirs(p, model, channels_last=True)
    if shutil.which('g++') or shutil.which('clang++'):
        sides['compiled'] = theirs(p, model, compiled=True)
    counts = {name: max(2, int(_SECONDS.value * 5 / max(side(5), 1e-6))) for name, side in sides.items()}
    rates = turns.rates(sides, counts, _ROUNDS.value)
    middle = statistics.median(rates['ours'])
    operations = flops.of_update([p], resolve.dataset(p.data), batch_size)
    micro = program.micro_batch(p, compiling.platform(), batch_size)
    print(
        f'{model:9} B = {batch_size:<4} micro-batch {micro:<4} ours {middle:9,.1f}/s   '
        f'{middle * operations / limit:4.0%} of the matrix product   compile {compile_seconds:.1f} s'
    )
    for name in list(sides)[1:]:
        ratios = [a / b for a, b in zip(rates['ours'], rates[name], strict=True)]
        print(
            f'     {name:14} {statistics.median(rates[name]):9,.1f}/s   ours {statistics.median(ratios):5.2f} times '
            f'({min(ratios):.2f} to {max(ratios):.2f})', flush=True,
        )  # fmt: skip


def main() -> None:
    """Prints each model at each batch size."""
    try:
        import torch  # pyright: ignore[reportMissingImports] (optional)
    except ImportError as e:
        raise ValueError('it compares with PyTorch: pip install -r requirements-benchmark.txt') from e

    limit = matmul_rate()
    print(
        f'jax {jax.__version__} against torch {torch.__version__}, {torch.get_num_threads()} threads, '
        f'{jax.devices()[0].device_kind}; matrix product {limit / 1e9:.0f} GFLOP/s; n = {_ROUNDS.value} turns a side; '
        'ranges are min to max'
    )
    for model in _MODELS.value:
        for batch_size in _BATCH_SIZES.value:
            compare(model, int(batch_size), limit)


if __name__ == '__main__':
    command.run('benchmark', main)
