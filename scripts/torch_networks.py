"""The package's image nets in PyTorch, for benchmarks and goldens: its layers, under the package's names.

They take (B, C, H, W) and are written for images of CIFAR's shape, or of MNIST's for the MLPs and the CNN.
"""

import itertools
from typing import Any

from torch import nn  # pyright: ignore[reportMissingImports] (optional)
from torch.nn import functional as F  # pyright: ignore[reportMissingImports] (optional)


def _conv(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> Any:
    return nn.Conv2d(inputs, outputs, size, stride, (size - 1) // 2, bias=False)


class Block(nn.Module):
    """Of a ResNet v1, with the shortcut A or B."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: str):
        super().__init__()
        self.conv_0, self.norm_0 = _conv(inputs, outputs, 3, stride), nn.BatchNorm2d(outputs)
        self.conv_1, self.norm_1 = _conv(outputs, outputs), nn.BatchNorm2d(outputs)
        self.more, self.stride = outputs - inputs, stride
        if self.more and shortcut == 'B':
            self.conv_around, self.norm_around = _conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)

    def forward(self, x: Any) -> Any:
        """(B, C, H, W) → (B, outputs, H / stride, W / stride)."""
        y = F.relu(self.norm_0(self.conv_0(x)))
        y = self.norm_1(self.conv_1(y))
        if hasattr(self, 'conv_around'):
            x = self.norm_around(self.conv_around(x))
        elif self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.more))
        return F.relu(x + y)


class WideBlock(nn.Module):
    """Of a wide ResNet, without dropout."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.norm_in, self.conv_0 = nn.BatchNorm2d(inputs), _conv(inputs, outputs, 3, stride)
        self.norm_0, self.conv_1 = nn.BatchNorm2d(outputs), _conv(outputs, outputs)
        self.conv_around = _conv(inputs, outputs, 1, stride) if inputs != outputs else None

    def forward(self, x: Any) -> Any:
        """(B, C, H, W) → (B, outputs, H / stride, W / stride)."""
        z = F.relu(self.norm_in(x))
        y = self.conv_1(F.relu(self.norm_0(self.conv_0(z))))
        return y + (x if self.conv_around is None else self.conv_around(z))


class ResNet(nn.Module):
    """The package's `resnet`."""

    def __init__(self, depth: int = 20, width: int = 16, shortcut: str = 'A'):
        super().__init__()
        self.conv_0, self.norm_0 = _conv(3, width), nn.BatchNorm2d(width)
        self.blocks, blocks, channels = 3 * ((depth - 2) // 6), (depth - 2) // 6, width
        for i in range(self.blocks):
            outputs, stride = width * 2 ** (i // blocks), 2 if i and i % blocks == 0 else 1
            self.add_module(f'block_{i}', Block(channels, outputs, stride, shortcut))
            channels = outputs
        self.output = nn.Linear(channels, 10)

    def forward(self, x: Any) -> Any:
        """(B, 10) logits."""
        x = F.relu(self.norm_0(self.conv_0(x)))
        for i in range(self.blocks):
            x = self.get_submodule(f'block_{i}')(x)
        return self.output(x.mean((2, 3)))


class WideResNet(nn.Module):
    """The package's `wide_resnet`."""

    def __init__(self, depth: int = 16, widening: int = 4):
        super().__init__()
        self.conv_in = _conv(3, 16)
        self.blocks, blocks, channels = 3 * ((depth - 4) // 6), (depth - 4) // 6, 16
        for i in range(self.blocks):
            outputs, stride = 16 * widening * 2 ** (i // blocks), 2 if i and i % blocks == 0 else 1
            self.add_module(f'block_{i}', WideBlock(channels, outputs, stride))
            channels = outputs
        self.norm_out, self.output = nn.BatchNorm2d(channels), nn.Linear(channels, 10)

    def forward(self, x: Any) -> Any:
        """(B, 10) logits."""
        x = self.conv_in(x)
        for i in range(self.blocks):
            x = self.get_submodule(f'block_{i}')(x)
        return self.output(F.relu(self.norm_out(x)).mean((2, 3)))


class C1(nn.Module):
    """The package's `c1` with pooling=same, without dropout."""

    def __init__(self, width: int = 64, dense_widths: tuple[int, int] = (384, 192), **_: Any):
        super().__init__()
        first, second = dense_widths
        self.conv_0, self.norm_0 = nn.Conv2d(3, width, 5, padding=2), nn.BatchNorm2d(width)
        self.conv_1, self.norm_1 = nn.Conv2d(width, width, 5, padding=2), nn.BatchNorm2d(width)
        self.dense_2, self.norm_2 = nn.Linear(64 * width, first), nn.BatchNorm1d(first)
        self.dense_3, self.norm_3 = nn.Linear(first, second), nn.BatchNorm1d(second)
        self.output = nn.Linear(second, 10)

    def forward(self, x: Any) -> Any:
        """(B, 10) logits."""
        for conv, norm in ((self.conv_0, self.norm_0), (self.conv_1, self.norm_1)):
            x = F.max_pool2d(F.pad(F.relu(norm(conv(x))), (0, 1, 0, 1)), 3, 2)
        x = x.permute(0, 2, 3, 1).flatten(1)  # as the package's images lie
        for dense, norm in ((self.dense_2, self.norm_2), (self.dense_3, self.norm_3)):
            x = F.relu(norm(dense(x)))
        return self.output(x)


def build(name: str, **settings: Any) -> Any:
    """The network of the package's name and settings."""
    if name == 'mlp':
        widths = (784, *settings['widths'])
        hidden = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], 10))
    if name == 'cnn':
        first, second = settings['widths']
        dense = settings['dense_width']
        return nn.Sequential(
            nn.Conv2d(1, first, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(7 * 7 * second, dense), nn.ReLU(), nn.Linear(dense, 10)
        )  # fmt: skip
    return {'resnet': ResNet, 'wide_resnet': WideResNet, 'c1': C1}[name](**settings)
