"""Occlusions: which pixels of a picture a model may see.

A mask is ``known``, bool [H, W]: True is kept, False is hidden and drawn anew. The named ones say what they hide.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genlib.data.pictures import open_picture
from genlib.errors import GenlibError

# name -> hidden(row, column, H, W): rows and columns broadcast to [H, W]
_HIDDEN: dict[str, Callable[[Tensor, Tensor, int, int], Tensor]] = {
    "lower-half": lambda y, x, h, w: y >= h // 2,
    "upper-half": lambda y, x, h, w: y < h // 2,
    "left-half": lambda y, x, h, w: x < w // 2,
    "right-half": lambda y, x, h, w: x >= w // 2,
    "centre-square": lambda y, x, h, w: (y >= h // 4) & (y < h - h // 4) & (x >= w // 4) & (x < w - w // 4),
    "nothing": lambda y, x, h, w: y < 0,
    "everything": lambda y, x, h, w: y >= 0,
}
NAMES: tuple[str, ...] = tuple(_HIDDEN)


def occlusion(name: str, height: int, width: int) -> Tensor:
    """The mask ``known`` [H, W] of a named occlusion. An unknown name is a `GenlibError`."""
    if name not in _HIDDEN:
        raise GenlibError(
            f"There is no occlusion named {name!r}; choose one of {', '.join(NAMES)}, or give a mask image."
        )
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    return ~_HIDDEN[name](rows, columns, height, width).expand(height, width)


def occlusion_from_picture(source: Path | bytes, height: int, width: int, *, name: str | None = None) -> Tensor:
    """The mask ``known`` [H, W] of a mask image: pixels darker than middle grey are hidden, bright and transparent
    ones kept.

    The image must have exactly H x W pixels: a resized mask would hide other pixels than the ones that were meant.
    """
    name = name or (str(source) if isinstance(source, Path) else "The mask")
    picture = open_picture(source, name)
    if picture.size != (width, height):
        raise GenlibError(
            f"The mask {name} has {picture.width} x {picture.height} pixels, but the model's images have "
            f"{width} x {height}: give a mask of that size, or a named one."
        )
    pixels = np.asarray(picture, dtype=np.float32) / 255
    alpha = pixels[..., 3]
    grey = pixels[..., :3].mean(-1) * alpha + (1 - alpha)
    return torch.from_numpy(grey >= 0.5)


def find_occlusion(text: str, height: int, width: int) -> Tensor:
    """A named occlusion, or else the path of a mask image -> ``known`` [H, W]."""
    if text in _HIDDEN:
        return occlusion(text, height, width)
    if not Path(text).exists():
        raise GenlibError(
            f"There is no occlusion and no mask image {text!r}: choose one of {', '.join(NAMES)}, "
            "or give an image file."
        )
    return occlusion_from_picture(Path(text), height, width)
