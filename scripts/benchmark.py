"""Updates per second of this engine against PyTorch loops: same model, data, optimizer and batch, in one run.

    pip install -r requirements-benchmark.txt
    python -m scripts.benchmark [--models=mlp,cnn,resnet_8] [--batch_sizes=1,8,32,128,512,1024] [--rounds=5]

All train on images in memory (of Fashion-MNIST's or CIFAR's shape) with SGD and momentum, float32, all cores, in turns,
each in a process of its own that waits while another is at its turn.
PyTorch: eager; eager with images and weights channels last (nets with convolutions); and, where a C++ compiler is
found, `torch.compile`. Ratios are medians of those within a round, with their range. The fraction is of the
matrix-multiplication rate measured in the same run.
"""

import shutil
import statistics

import jax
from absl import flags

from bsresearch.analysis import command
from bsresearch.planning import resolve
from bsresearch.train import program
from bsresearch.train.devices import compiling
from bsresearch.train.sizing import flops

from . import turns

_MODELS = flags.DEFINE_list('models', ['mlp', 'cnn'], 'Which models.')
_BATCH_SIZES = flags.DEFINE_list('batch_sizes', ['1', '8', '32', '128', '512', '1024'], 'Which batch sizes.')
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Turns of each side.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'Length of a turn.')
_DATA = flags.DEFINE_string('data', 'fashion_mnist', 'Data set of the MLP and the CNN.')
_MICRO = flags.DEFINE_integer('micro_batch_size', None, 'Examples per gradient call; by default the engine chooses.')


def compare(model: str, batch_size: int, limit: float) -> None:
    """Lets all sides take turns and prints a line for each."""
    data = {'data.name': _DATA.value} if model in turns.GREY else {}
    p = turns.plan(model, batch_size, {'micro_batch_size': _MICRO.value} | data)
    ours, compile_seconds = turns.of_run(p)
    loops: dict[str, dict[str, bool]] = {'eager': {}}
    if model != 'mlp':
        loops['channels last'] = {'channels_last': True}
    if shutil.which('g++') or shutil.which('clang++'):
        loops['compiled'] = {'compiled': True}
    with turns.beside_torch({'ours': ours}, p, turns.FAMILIES[model], loops) as sides:
        rates = turns.rates(sides, turns.lengths(sides, _SECONDS.value), _ROUNDS.value)
    middle = statistics.median(rates['ours'])
    operations = flops.of_update([p], resolve.dataset(p.data), batch_size)
    micro = program.micro_batch(p, compiling.platform(), batch_size)
    print(
        f'{model:9} B = {batch_size:<4} micro-batch {micro:<4} ours {middle:9,.1f}/s   '
        f'{middle * operations / limit:4.0%} of the matrix product   compile {compile_seconds:.1f} s'
    )
    for name in loops:
        ratio = turns.Ratio.of(rates['ours'], rates[name])
        print(
            f'     {name:14} {statistics.median(rates[name]):9,.1f}/s   ours {ratio.median:5.2f} times '
            f'({ratio.low:.2f} to {ratio.high:.2f})', flush=True,
        )  # fmt: skip


def main() -> None:
    """Prints each model at each batch size."""
    try:
        import torch  # pyright: ignore[reportMissingImports] (optional)
    except ImportError as e:
        raise ValueError('it compares with PyTorch: pip install -r requirements-benchmark.txt') from e

    limit = turns.matmul_rate()
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
