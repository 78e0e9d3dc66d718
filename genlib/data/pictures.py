"""A visitor's picture, read safely: a file or an upload becomes one image [1, C, H, W] in [0, 1] of the model's shape.

Bytes and pixels are bounded before anything is decoded, only common formats are tried, and every way a picture can be
wrong is one `GenlibError`.
"""

import io
import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genlib.errors import GenlibError

MAX_BYTES = 10 << 20
MAX_PIXELS = 25_000_000  # a decoded picture takes up to four bytes for each
FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
DARKEST_BRIGHT_BORDER = 0.5

# Pillow warns of very large pictures on stderr before we can look at their size; as an error it ends in our own
# sentence.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)


def read_picture(
    source: Path | bytes, shape: tuple[int, int, int], *, dark_background: bool = False, name: str | None = None
) -> Tensor:
    """A picture as float [1, C, H, W] in [0, 1], for ``shape`` (C, H, W).

    The largest centred piece of the right proportions is cut out and resized. ``dark_background``: a picture with a
    bright border (ink on paper) is inverted, as digits here are bright on dark. ``name`` stands for the picture in
    messages.
    """
    name = name or (str(source) if isinstance(source, Path) else "The upload")
    pixels = fit_picture(open_picture(source, name), shape, dark_background=dark_background, name=name)
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]


def fit_picture(
    picture: Image.Image, shape: tuple[int, int, int], *, dark_background: bool = False, name: str
) -> np.ndarray:
    """An RGBA picture as float [H, W, C] in [0, 1], for ``shape`` (C, H, W); see `read_picture`."""
    channels, height, width = shape
    try:
        picture = _resize(_crop(picture, height, width), height, width)
    except MemoryError:
        raise GenlibError(f"{name} does not fit into memory: make it smaller first.") from None
    pixels = _flatten(np.asarray(picture, dtype=np.float32) / 255, dark_background)  # [H, W, 3]
    if channels == 1:
        pixels = pixels @ np.array([[0.299], [0.587], [0.114]], dtype=np.float32)  # luma, ITU-R BT.601
    if dark_background and _border(pixels) > DARKEST_BRIGHT_BORDER:
        pixels = 1 - pixels
    return pixels.clip(0, 1)


def open_picture(source: Path | bytes, name: str) -> Image.Image:
    """The decoded picture (of an animation: its first frame), upright, as RGBA."""
    data = _bytes(source, name)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            if file.width * file.height > MAX_PIXELS:
                raise _too_large(name, f"{file.width} x {file.height} pixels")
            return _eight_bit(ImageOps.exif_transpose(file)).convert("RGBA")
    except GenlibError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(name, "far too many pixels") from None
    except MemoryError:
        raise GenlibError(f"{name} does not fit into memory: make it smaller first.") from None
    except Exception as error:  # decoders meet broken files with every kind of exception
        raise GenlibError(
            f"{name} is not a picture that can be read: give a whole PNG, JPEG, GIF, WebP or BMP file."
        ) from error


def _bytes(source: Path | bytes, name: str) -> bytes:
    """All bytes of the source, never more than the limit."""
    if isinstance(source, bytes):
        data = source
    else:
        try:
            if not source.is_file():  # a folder, a device, a pipe: reading may never end
                what = "is not a file" if source.exists() else "does not exist"
                raise GenlibError(f"{name} {what}: give a picture file.")
            with source.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:  # ValueError: a name with a null character
            reason = getattr(error, "strerror", None) or error
            raise GenlibError(f"{name} cannot be read ({reason}): give a picture file.") from None
    if len(data) > MAX_BYTES:
        raise _too_large(name, f"more than {MAX_BYTES >> 20} MiB")
    return data


class TooLarge(GenlibError):
    """A picture of more bytes or pixels than are read."""


def _too_large(name: str, size: str) -> TooLarge:
    return TooLarge(
        f"{name} is too large ({size}): give a picture of at most {MAX_BYTES >> 20} MiB "
        f"and {MAX_PIXELS // 1_000_000} megapixels."
    )


def _eight_bit(picture: Image.Image) -> Image.Image:
    """16 bits a pixel -> 8; Pillow's own conversion would clip instead of scale."""
    if not picture.mode.startswith("I"):
        return picture
    return Image.fromarray((np.asarray(picture).astype(np.float32) / 257).round().clip(0, 255).astype(np.uint8))


def _crop(picture: Image.Image, height: int, width: int) -> Image.Image:
    """The largest centred piece with the proportions height : width."""
    w = min(picture.width, max(1, round(picture.height * width / height)))
    h = min(picture.height, max(1, round(picture.width * height / width)))
    left, top = (picture.width - w) // 2, (picture.height - h) // 2
    return picture.crop((left, top, left + w, top + h))


def _resize(picture: Image.Image, height: int, width: int) -> Image.Image:
    """Resize; a picture that is a model's image enlarged by a whole factor gives back exactly that image."""
    if picture.size == (width, height):
        return picture
    whole = picture.width % width == 0 and picture.height % height == 0
    return picture.resize((width, height), Image.Resampling.BOX if whole else Image.Resampling.LANCZOS)


def _flatten(pixels: np.ndarray, dark_background: bool) -> np.ndarray:
    """RGBA [H, W, 4] -> RGB [H, W, 3] over white; bright strokes on nothing over black, where one can see them."""
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    painted = float((colour.mean(-1, keepdims=True) * alpha).sum() / max(float(alpha.sum()), 1e-6))
    background = 0.0 if dark_background and painted > 0.5 else 1.0
    return colour * alpha + background * (1 - alpha)


def _border(pixels: np.ndarray) -> float:
    """Median brightness of the outermost pixels, [H, W, C] -> a number."""
    grey = pixels.mean(-1)
    return float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
