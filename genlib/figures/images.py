"""Pictures of small images: float tensors -> uint8 arrays, tints, heat maps, sheets, PNG.

Everything here works on uint8 arrays [..., H, W, 3] of single image pixels until `enlarge` or `sheet` repeats each
pixel, for files and for places where a browser would blur what it has to enlarge itself. Gaps are transparent, so that
sheets suit light and dark pages alike.
"""

import base64
import io
import math

import numpy as np
from PIL import Image, ImageColor
from torch import Tensor

from genlib.figures.palette import BLUE, ORANGE, SKY, YELLOW

# Heat: dark to light through hues that stay apart for every kind of colour vision; lightness never falls.
_STOPS = ((0.0, "#080A14"), (0.3, BLUE), (0.6, SKY), (0.85, YELLOW), (1.0, "#FFFFF0"))


def rgb(colour: str) -> np.ndarray:
    """A colour as CSS writes it -> uint8 [3]."""
    return np.array(ImageColor.getrgb(colour)[:3], np.uint8)


HEAT = np.stack(
    [np.interp(np.linspace(0, 1, 256), [at for at, _ in _STOPS], [rgb(c)[k] for _, c in _STOPS]) for k in range(3)], 1
)
HEAT = HEAT.round().astype(np.uint8)  # [256, 3]


def heat_gradient() -> str:
    """The heat scale as a CSS gradient from left to right, for legends."""
    return f"linear-gradient(to right, {', '.join(f'{colour} {at:.0%}' for at, colour in _STOPS)})"


def to_pixels(images: Tensor) -> np.ndarray:
    """Images [..., C, H, W] in [0, 1] with one or three channels -> uint8 [..., H, W, 3]."""
    pixels = to_levels(images)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:-1], 3)))


def to_levels(images: Tensor) -> np.ndarray:
    """The same with as many channels as the images have, uint8 [..., H, W, C]."""
    if images.shape[-3] not in (1, 3):
        raise ValueError(f"expected images [..., 1 or 3, H, W], got {list(images.shape)}")
    return (images.detach().clamp(0, 1) * 255).round().byte().movedim(-3, -1).cpu().numpy()


def blend(pixels: np.ndarray, where: np.ndarray, colour: str, strength: float | np.ndarray = 0.6) -> np.ndarray:
    """``colour`` laid over the pixels [..., H, W, 3] where bool ``where`` [H, W] is set.

    ``strength`` is a number or [H, W]; 1 covers what is below.
    """
    strength = np.asarray(strength)[..., None]
    mixed = pixels * (1 - strength) + rgb(colour) * strength
    return np.where(where[..., None], mixed.round().astype(np.uint8), pixels)


def dye(pixels: np.ndarray, where: np.ndarray, colour: str) -> np.ndarray:
    """The same pixels with white turned into ``colour`` where ``where`` [H, W] is set; black stays black."""
    dyed = (pixels.astype(np.uint16) * rgb(colour).astype(np.uint16) + 127) // 255
    return np.where(where[..., None], dyed.astype(np.uint8), pixels)


def heat(values: np.ndarray, top: float) -> np.ndarray:
    """Values [..., H, W] from 0 to ``top`` -> uint8 [..., H, W, 3] on the heat scale; what lies outside gets the
    end's colour.
    """
    share = np.clip(np.asarray(values, float) / top, 0, 1)
    return HEAT[(share * 255).round().astype(np.uint8)]


def enlarge(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Each pixel of [..., H, W, channels] as a block of scale x scale."""
    return pixels.repeat(scale, -3).repeat(scale, -2)


def hatch(pixels: np.ndarray, where: np.ndarray, scale: int, strength: float = 0.5) -> np.ndarray:
    """White diagonal lines over the enlarged picture [H * scale, W * scale, 3] where ``where`` [H, W] is set."""
    rows, columns = np.indices(pixels.shape[:2])
    line = (rows + columns) % (2 * scale) < max(1, scale // 4)
    return blend(pixels, line & enlarge(where[..., None], scale)[..., 0], "#FFFFFF", strength)


def frame(pixels: np.ndarray, cell: tuple[int, int], scale: int, colour: str = ORANGE) -> np.ndarray:
    """A frame around one pixel, (row, column), of an enlarged picture [H * scale, W * scale, 3]; dark rim, so that
    it shows on any ground.
    """
    framed = pixels.copy()
    top, left = cell[0] * scale, cell[1] * scale
    for margin, paint in ((3, np.zeros(3, np.uint8)), (2, rgb(colour))):
        edge = np.zeros(pixels.shape[:2], bool)
        edge[max(0, top - margin) : top + scale + margin, max(0, left - margin) : left + scale + margin] = True
        edge[top : top + scale, left : left + scale] = False
        framed[edge] = paint
    return framed


def best_columns(n: int, aspect: float) -> int:
    """Columns in which n square tiles come out largest in a space of width / height = ``aspect``; of equals, the
    fewest empty places.
    """

    def quality(columns: int) -> tuple[float, int, int]:
        rows = math.ceil(n / columns)
        return min(aspect / columns, 1 / rows), n - rows * columns, -columns

    return max(range(1, n + 1), key=quality)


def sheet(tiles: np.ndarray, columns: int, *, scale: int = 8, gap: int = 6) -> np.ndarray:
    """Tiles uint8 [N, H, W, 3] side by side, enlarged -> RGBA uint8 [h, w, 4], with ``gap`` transparent pixels
    between them.
    """
    n, height, width = tiles.shape[:3]
    rows = math.ceil(n / columns)
    big = enlarge(tiles, scale)
    down, right = height * scale + gap, width * scale + gap
    canvas = np.zeros((rows * down - gap, columns * right - gap, 4), np.uint8)
    for i, tile in enumerate(big):
        top, left = i // columns * down, i % columns * right
        canvas[top : top + height * scale, left : left + width * scale, :3] = tile
        canvas[top : top + height * scale, left : left + width * scale, 3] = 255
    return canvas


def png(pixels: np.ndarray) -> bytes:
    """Lossless PNG of uint8 [H, W, 3] or [H, W, 4]."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(
        buffer, "PNG", compress_level=2
    )  # enlarged pictures shrink well at any level; 2 is quick
    return buffer.getvalue()


def data_url(pixels: np.ndarray) -> str:
    """The same as an address that a figure can hold."""
    return "data:image/png;base64," + base64.b64encode(png(pixels)).decode()
