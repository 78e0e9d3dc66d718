"""How many bytes the same images take, without loss: a model's file against PNG, WebP and JPEG XL.

Two ways of counting, both of whole files with their headers:

* one image a file, which is how pictures are usually kept, and where headers weigh most;
* all images in one file: for the others a mosaic of them, square or in one column, whichever is smaller; for a model its own file of
  many images. This is the fair comparison of what the coders know about pictures.

The others get their best: all of Pillow's effort, one bit a pixel for black and white where the format can, grey where an image
is grey. What is not installed has no figure.
"""

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, features
from torch import Tensor

from genlib.codec import lossless
from genlib.models.contract import Model

Progress = Callable[[int, int], None]
NOT_INSTALLED = "not installed"


@dataclass(frozen=True)
class Size:
    """Bytes for each image, the mean over the images. None: the format is not installed here."""

    name: str
    single: float | None
    """One image a file."""
    batch: float | None
    """All images in one file."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a model's files and of the others', for the same images."""

    images: int
    levels: int
    nats: float
    """The model's -ln p(x), the mean over the images; its bytes are nats / (8 ln 2)."""
    payload: float
    """Bytes for each image in the model's file of all images, without its header."""
    rows: list[Size]
    """The model first."""

    def saving(self, name: str, *, batch: bool = True) -> float | None:
        """By how much the model's files are smaller than those of a format: 0.3 is 30 %."""
        ours, theirs = (next(row for row in self.rows if row.name == one) for one in (self.rows[0].name, name))
        a, b = (ours.batch, theirs.batch) if batch else (ours.single, theirs.single)
        return None if a is None or b is None else 1 - a / b


def _png(picture: Image.Image) -> bytes:
    return _saved(picture, "PNG", optimize=True)


def _webp(picture: Image.Image) -> bytes:
    return _saved(picture.convert("RGB"), "WEBP", lossless=True, quality=100, method=6)


def _jxl(picture: Image.Image) -> bytes:
    return _saved(picture.convert("L") if picture.mode == "1" else picture, "JXL", lossless=True, effort=9)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def formats() -> dict[str, Callable[[Image.Image], bytes] | None]:
    """The lossless formats: name -> what writes a picture, or None where it is not installed."""
    return {
        "PNG": _png,
        "WebP": _webp if features.check("webp") else None,
        "JPEG XL": _jxl if _has_jxl() else None,
    }


def _has_jxl() -> bool:
    """Pillow writes JPEG XL by a plugin, which registers itself when it is imported."""
    try:
        import pillow_jxl  # noqa: F401  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return False
    return True


def pictures(images: Tensor, levels: int) -> np.ndarray:
    """Images [N, C, H, W] in [0, 1] -> uint8 [N, H, W] or [N, H, W, 3]; bool for black and white."""
    pixels = (images.clamp(0, 1) * 255).round().byte().cpu().permute(0, 2, 3, 1).numpy()
    if pixels.shape[3] == 1:
        return pixels[..., 0] > 127 if levels == 2 else pixels[..., 0]
    return pixels


def mosaic(pixels: np.ndarray, columns: int) -> np.ndarray:
    """[N, H, W, ...] -> one picture of tiles edge to edge, ``columns`` in a row; empty places are black."""
    n, height, width, *rest = pixels.shape
    rows = math.ceil(n / columns)
    sheet = np.zeros((rows * columns, height, width, *rest), pixels.dtype)
    sheet[:n] = pixels
    return (
        sheet.reshape(rows, columns, height, width, *rest).swapaxes(1, 2).reshape(rows * height, columns * width, *rest)
    )


def format_size(name: str, pixels: np.ndarray) -> Size:
    """What one of `formats` makes of the pictures."""
    write = formats()[name]
    if write is None:
        return Size(name, None, None)
    single = sum(len(write(Image.fromarray(one))) for one in pixels) / len(pixels)
    sheets = (mosaic(pixels, columns) for columns in (1, math.ceil(math.sqrt(len(pixels)))))
    return Size(name, single, min(len(write(Image.fromarray(sheet))) for sheet in sheets) / len(pixels))


def file_sizes(
    model: Model, images: Tensor, *, name: str | None = None, names: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> Sizes:  # fmt: skip
    """The same images [N, C, H, W] by a model with an exact likelihood and by every other format in ``names`` (all).

    The images are first reduced to the model's values; all formats get these. ``name``: the checkpoint's, for the header
    and the table.
    """
    from genlib.codec.container import Container

    network = lossless.coder_of(model)
    coded = network.code(images)
    name = name or model.name

    def written(part: Tensor) -> Container:
        return Container.from_bytes(lossless.compress(model, part)).renamed(name)

    whole = written(coded)
    single = 0
    for done in range(len(coded)):
        single += len(written(coded[done : done + 1]).to_bytes())
        if progress is not None:
            progress(done + 1, len(coded))
    n = len(coded)
    ours = Size(name, single / n, len(whole.to_bytes()) / n)
    pixels = pictures(coded, network.config.levels)
    others = [format_size(one, pixels) for one in (formats() if names is None else names)]
    nats = -float(model.log_prob(coded).double().mean())  # type: ignore[operator]
    return Sizes(n, network.config.levels, nats, len(whole.payload) / n, [ours, *others])
