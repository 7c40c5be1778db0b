"""The device, the versions, and the rates of matrix products that updates are compared with."""

import functools
import importlib.util
from collections.abc import Iterator
from importlib import metadata

import jax

from bsresearch.launching import environment
from bsresearch.train.devices import compiling

from .. import turns
from .work import Row, Work

# What the config says of each precision.
FIELDS: dict[str, dict[str, str]] = {
    'float32': {}, 'TF32': {'matmul_precision': 'default'}, 'bfloat16': {'dtype': 'bfloat16'},
}  # fmt: skip


def lacks(precision: str) -> str:
    """Why the device has no such precision; '' where it has."""
    return 'a mode of NVIDIA GPUs' if precision == 'TF32' and compiling.platform() != 'gpu' else ''


def precisions(work: Work) -> tuple[list[str], list[Row]]:
    """Those of the wanted ones that the device has; rows on the others."""
    there = [name for name in work.precisions if not lacks(name)]
    return there, [{'precision': name, 'skipped': lacks(name)} for name in work.precisions if lacks(name)]


@functools.cache
def product_rate(precision: str) -> float:
    """FLOP/s of a matrix product."""
    fields, size = FIELDS[precision], 2048 if compiling.platform() == 'cpu' else 8192
    return turns.matmul_rate(fields.get('dtype', 'float32'), fields.get('matmul_precision', 'highest'), size)


def torch_device() -> tuple[str, list[Row]]:
    """PyTorch's name of the device that JAX has; or '', and a row that says why there is none."""
    if importlib.util.find_spec('torch') is None:
        return '', [{'against': 'PyTorch', 'skipped': 'PyTorch is not installed'}]
    import torch  # pyright: ignore[reportMissingImports] (optional)

    there = {'cpu': 'cpu', 'gpu': 'cuda' if torch.cuda.is_available() else ''}.get(compiling.platform(), '')
    why = f'PyTorch {torch.__version__} has no {compiling.platform()} here'
    return there, [] if there else [{'against': 'PyTorch', 'skipped': why}]


def rows(work: Work) -> Iterator[Row]:
    """The machine, then a rate for each precision."""
    device, stats = jax.devices()[0], turns.device_memory()
    facts = {
        'platform': device.platform, 'device': device.device_kind, 'devices': len(jax.devices()),
        'memory of the device': f'{stats["bytes_limit"] / 2**30:.0f} GiB' if 'bytes_limit' in stats else 'not told',
        'processor': environment.processor(), **environment.versions(),
    }  # fmt: skip
    if importlib.util.find_spec('torch') is not None:
        facts['torch'] = metadata.version('torch')
    yield from ({'fact': name, 'value': str(value)} for name, value in facts.items())
    there, lacking = precisions(work)
    yield from lacking
    yield from ({'precision': name, 'matrix product, TFLOP/s': product_rate(name) / 1e12} for name in there)
