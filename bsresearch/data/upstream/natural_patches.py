"""Patches of twelve photographs, 32×32 pixels in colour, without a network; the label is the photograph.

Of Debian's mate-backgrounds (47 MB), the photographs of `nature`: cut from the upper left corner on into ⌊W/32⌋·⌊H/32⌋
patches that do not overlap, 36,434 in all, 1,280 to 4,800 a photograph. Columns of patches are parted by their number
modulo 20: 0 to 13 train (25,730), 14 and 19 are left out (3,568), 15 to 18 test (7,136). So two patches of different
parts are 32 pixels apart at least, and both parts show all of a photograph.

Colour alone gives most photographs away. Hence, beside `natural_patches`, its configurations
  grey: one channel, 0.299 R + 0.587 G + 0.114 B;
  normalized: each channel of each patch with mean 0 and standard deviation 1, stored as 128 + 32z cut off to 0 … 255;
    what is constant there is 128.
What still differs beside what is shown: sharpness, noise and the JPEG's own coding.
"""

import hashlib
import pathlib

import numpy as np
from PIL import Image

from bsresearch.data.own import Source

PACKAGE, FOLDER = 'mate-backgrounds', '/usr/share/backgrounds/mate/nature'
# sha256 of the files, equal in version 1.26: another photograph, or another encoding, is another set.
PHOTOGRAPHS = {
    'Aqua.jpg': '5c30118205982da441bf7e6a1ada636a8a0be879408140b3148280c665ed6bce',
    'Blinds.jpg': 'f7aac0dcc2e06d0491643e84df3da1d9db7c4610f58806a880d56e074799f600',
    'Dune.jpg': '8a67c2cb0be8c46b70c237311a4fa4d2b4ac7d39568135384787801fa5cc9a91',
    'FreshFlower.jpg': '972b0a0c4e5e3fa93f4f244fc84bc64b121a5eac3aaa5856f1308c1f38a02f8e',
    'Garden.jpg': 'd3095ee09d425ef23d27155412136cf14fc3c9af76ca58b452f55e23da324e78',
    'GreenMeadow.jpg': '8fa0de0aa4089f7319c9fb7a6d006d4cab6023e8c8853731557cff53567b4832',
    'LadyBird.jpg': 'e35a9a4126ef969c90b29c038058c5a575a20eadd84106a37bf1fa9931e7b61d',
    'RainDrops.jpg': '3e4ea9671c28c90a86cf67b3db9daf18c4741587c596333a7529ca589aaa0c16',
    'Storm.jpg': '77ca53077831d3237f73393a91fc879158abc046d852941c26e90de336356957',
    'TwoWings.jpg': '665e5abf8a5399070a91a9a8e455fe071e5b61697ff78fdeda4e9843ef545aeb',
    'Wood.jpg': '19c78500ac00a622e19907ab9cc7d06d46fe08c4a6142759a84195696150ec07',
    'YellowFlower.jpg': '254da96256acb7add685679775a04d1e4a5bc8cd13e5a5a3d61351ce198a5306',
}
FILES = tuple(PHOTOGRAPHS)
CONFIGURATIONS = ('grey', 'normalized')
SIDE = 32  # pixels
# Columns of patches: of each period so many train, then a gap, some that test, and a gap.
TRAIN, GAP, TEST = 14, 1, 4
CENTRE, STEP = 128, 32  # what z = 0 is stored as, and what 1 more is


def load(files: dict[str, pathlib.Path], configuration: str) -> Source:
    """Patches (N, 32, 32, 3), or 1 channel of grey, uint8, photograph after photograph and row after row.

    Raises:
      ValueError: a file that is not the published one; names it.
    """
    parts: tuple[list[np.ndarray], ...] = ([], [])
    labels: tuple[list[str], ...] = ([], [])
    left_out = 0
    for name in FILES:
        patches = _patches(_pixels(files[name], PHOTOGRAPHS[name], 'L' if configuration == 'grey' else 'RGB'))
        if configuration == 'normalized':
            patches = normalized(patches)
        sides = part_of(patches.shape[1])
        for side, (part, of_part) in enumerate(zip(parts, labels, strict=True)):
            part.append(patches[:, sides == side].reshape(-1, *patches.shape[2:]))
            of_part.extend([name.removesuffix('.jpg')] * len(part[-1]))
        left_out += patches.shape[0] * patches.shape[1] - len(parts[0][-1]) - len(parts[1][-1])
    train, test = ((np.concatenate(part), np.array(names)) for part, names in zip(parts, labels, strict=True))
    note = f'{left_out:,} patches between the two parts are left out: those {GAP * SIDE} pixels belong to neither'
    return Source(train, test, False, {'left_out': left_out, 'gap_pixels': GAP * SIDE}, (note,))


def part_of(columns: int) -> np.ndarray:
    """Of each column of patches: 0 where it trains, 1 where it tests, −1 in the gaps between; (columns,)."""
    period = [0] * TRAIN + [-1] * GAP + [1] * TEST + [-1] * GAP
    return np.resize(period, columns)


def normalized(patches: np.ndarray) -> np.ndarray:
    """Each channel of each patch as 128 + 32z, of mean 0 and standard deviation 1 in z; (…, H, W, C), uint8.

    Sums of whole numbers and of their squares are exact in float64, and so is the variance where H·W is a power of 2:
    the result is the same bytes everywhere.
    """
    values = patches.astype(np.float64)
    mean = values.mean((-3, -2), keepdims=True)
    std = np.sqrt((values**2).mean((-3, -2), keepdims=True) - mean**2)
    z = (values - mean) / np.where(std > 0, std, 1.0)
    return np.clip(np.rint(CENTRE + STEP * z), 0, 255).astype(np.uint8)


def _patches(pixels: np.ndarray) -> np.ndarray:
    """(H, W, C) → (rows, columns, 32, 32, C); what is left at the lower and right edge is cut off."""
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    whole = pixels[: rows * SIDE, : columns * SIDE]
    return whole.reshape(rows, SIDE, columns, SIDE, -1).swapaxes(1, 2)


def _pixels(file: pathlib.Path, sha256: str, mode: str) -> np.ndarray:
    """(H, W, C), uint8."""
    actual = hashlib.sha256(file.read_bytes()).hexdigest()
    if actual != sha256:
        raise ValueError(
            f'{file} is not the published file, but damaged or another: expected sha256 {sha256}, found {actual}; '
            f'{PACKAGE} 1.26 has it'
        )
    with Image.open(file) as image:
        pixels = np.asarray(image.convert(mode))
    return pixels.reshape(*pixels.shape[:2], -1)
