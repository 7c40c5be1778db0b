"""Turns of PyTorch loops: the same model, images and optimizer, data in the device's memory."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports] (optional)

from bsresearch.planning import resolve
from bsresearch.planning.plan import Plan

from . import torch_networks, turns
from .turns import Turn


def _batches(examples: int, batch_size: int, device: str) -> Iterator[Any]:
    """Rows of whole batches, epoch after epoch: another size is another program to torch.compile."""
    while True:
        rows = torch.randperm(examples, device=device)
        yield from rows[: examples // batch_size * batch_size].split(batch_size)


def of_loop(
    plan: Plan,
    model: Mapping[str, Any],
    *,
    channels_last: bool = False,
    compiled: bool = False,
    device: str = 'cpu',
    precision: str = 'float32',
) -> Turn:
    """Turns of a loop on `device`.

    Args:
      model: as the config has it.
      precision: float32, TF32 (CUDA; of the whole process), or bfloat16, which is autocast with weights in float32.
    """
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == 'TF32'
    train = resolve.dataset(plan.data).train
    pixels = torch.tensor(np.array(train.inputs)).to(device).permute(0, 3, 1, 2).float()
    inputs = pixels.div(255).sub(turns.MEAN).div(turns.STD)
    labels = torch.tensor(np.array(train.labels)).to(device).long()
    network = torch_networks.build(**model).to(device)
    if channels_last:
        inputs, network = (x.to(memory_format=torch.channels_last) for x in (inputs, network))
    forward = torch.compile(network) if compiled else network
    optimizer = torch.optim.SGD(network.parameters(), lr=0.001, momentum=0.9)
    stream = _batches(len(labels), plan.batch_size, device)
    half = precision == 'bfloat16'

    def turn(updates: int) -> float:
        start = time.perf_counter()
        for _ in range(updates):
            rows = next(stream)
            optimizer.zero_grad()
            with torch.autocast(device, torch.bfloat16) if half else contextlib.nullcontext():
                loss = torch.nn.functional.cross_entropy(forward(inputs[rows]), labels[rows])
            loss.backward()
            optimizer.step()
        if device == 'cuda':
            torch.cuda.synchronize()
        return time.perf_counter() - start

    turn(3)
    return turn
