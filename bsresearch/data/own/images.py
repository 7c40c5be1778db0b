"""Images in folders, one per class; or two such trees, train and test, in one folder."""

import pathlib
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from PIL import Image, ImageOps

from bsresearch.data.own import Source

T = TypeVar('T')
TRAIN, TEST = 'train', 'test'
GREY = ('1', 'L', 'LA', 'I;16', 'I;16L', 'I;16B', 'I', 'F')  # modes


def read(folder: pathlib.Path, size: int | None, grey: bool | None) -> Source:
    """The images of a folder, in the order of their names.

    Args:
      size: height and width in pixels: the shorter side is resized to it, the middle is cut out; None: all images have
        one size. grey: one channel; None: where every image is grey.

    Raises:
      FileNotFoundError: no such folder. ValueError: no classes, an empty one, a file that is no image, unequal sizes.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f'--images={folder}: no such folder')
    if size is not None and not 1 <= size <= 4096:
        raise ValueError(f'--size={size}: allowed: 1 to 4096 pixels')
    names = {path.name for path in _folders(folder)}
    trees = [folder / TRAIN, folder / TEST] if names == {TRAIN, TEST} else [folder]
    files = [_by_class(tree) for tree in trees]
    if len(files) == 2 and set(files[0]) != set(files[1]):
        strange = sorted(set(files[0]) ^ set(files[1]))[0]
        raise ValueError(f'--images={folder}: {TRAIN} and {TEST} have different classes: {strange!r} is in one alone')
    every = [file for tree in files for of_class in tree.values() for file in of_class]
    looked = [_read(file, lambda image: (image.mode, image.has_transparency_data)) for file in every]
    if grey is None:
        grey = all(mode in GREY for mode, _ in looked)
    mode, shape = ('L', ()) if grey else ('RGB', (3,))
    sides = size or _read(every[0], ImageOps.exif_transpose).size
    parts = [_part(tree, sides, mode, shape) for tree in files]
    about = {'images': folder.name, 'size': size, 'grey': grey}
    how = f'{"grey" if grey else "RGB"} images of {parts[0][0].shape[1]}×{parts[0][0].shape[2]}'
    if size is not None:
        how += ': the shorter side resized, the middle cut out'
    through = sum(transparent for _, transparent in looked)
    notes = (how, *([f'{through} of them have transparent parts, which are laid on white'] if through else []))
    return Source(parts[0], parts[1] if len(parts) == 2 else None, False, about, notes)


def _folders(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith('.'))


def _by_class(tree: pathlib.Path) -> dict[str, list[pathlib.Path]]:
    """Class → its files; hidden files are left out."""
    classes = _folders(tree)
    if len(classes) < 2:
        raise ValueError(
            f'{tree} has {len(classes) or "no"} folder{"s" * (len(classes) != 1)} in it; allowed: one for each class, '
            'two at least, with images'
        )
    files = {}
    for of_class in classes:
        files[of_class.name] = sorted(path for path in of_class.iterdir() if not path.name.startswith('.'))
        if not files[of_class.name]:
            raise ValueError(f'{of_class} holds no image; remove the folder or fill it')
        if inner := next((path for path in files[of_class.name] if path.is_dir()), None):
            raise ValueError(f'{inner} is a folder in that of a class; images lie in their class directly')
    return files


def _read(file: pathlib.Path, look: Callable[[Image.Image], T]) -> T:
    """What is made of an image, all of it: what a broken file raises depends on its format.

    Raises:
      ValueError: it cannot be read, or is several; names the file.
    """
    try:
        with Image.open(file) as image:
            frames, result = getattr(image, 'n_frames', 1), look(image)
            several = frames > 1 and image.format != 'MPO'  # which is a photograph with its preview
    except Exception as error:
        raise ValueError(f'{file} cannot be read as an image; mend or remove it') from error
    if several:
        raise ValueError(f'{file} has {frames} frames; save the one that is meant as an image of its own')
    return result


def _part(
    files: dict[str, list[pathlib.Path]], size: int | tuple[int, int], mode: str, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, H, W, channels) and the names of their classes."""
    count = sum(map(len, files.values()))
    height, width = (size, size) if isinstance(size, int) else size[::-1]
    inputs = np.empty((count, height, width, *(shape or (1,))), np.uint8)
    labels = np.repeat(list(files), list(map(len, files.values())))
    for i, file in enumerate(file for of_class in files.values() for file in of_class):
        inputs[i] = _pixels(file, size, mode).reshape(inputs.shape[1:])
    return inputs, labels


def _pixels(file: pathlib.Path, size: int | tuple[int, int], mode: str) -> np.ndarray:
    image = _eight_bits(file, _read(file, ImageOps.exif_transpose))
    try:
        if image.has_transparency_data:
            image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image.convert('RGBA'))
        eight = image.convert(mode)
    except ValueError as error:
        raise ValueError(f'{file} is of mode {image.mode}, which cannot become {mode}; save it as {mode}') from error
    if isinstance(size, tuple):
        if eight.size != size:
            raise ValueError(
                f'{file} has {eight.size[0]}×{eight.size[1]} pixels, the first image {size[0]}×{size[1]}; --size=32 '
                'makes them alike'
            )
        return np.asarray(eight)
    shorter = min(eight.size)
    scaled = [max(size, round(side * size / shorter)) for side in eight.size]
    eight = eight.resize((scaled[0], scaled[1]), Image.Resampling.BILINEAR, reducing_gap=2.0)
    left, top = ((side - size) // 2 for side in scaled)
    return np.asarray(eight.crop((left, top, left + size, top + size)))


def _eight_bits(file: pathlib.Path, image: Image.Image) -> Image.Image:
    """Sixteen-bit grey as eight: Pillow would cut off what is above 255.

    Raises:
      ValueError: numbers whose range a file does not tell.
    """
    if image.mode.startswith('I;16'):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ('I', 'F'):
        raise ValueError(f'{file} holds 32-bit numbers, whose range is not known; save it with 8 or 16 bits')
    return image
