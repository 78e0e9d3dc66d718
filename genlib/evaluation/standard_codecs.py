"""What JPEG, JPEG 2000 and WebP make of a small picture at a given size, with and without their headers.

A header says how a file is to be read: sizes, quantisation and code tables. For a photograph it is nothing, for 32 x 32 pixels most of
the file. So both counts are given: all bytes, and those of the picture's own coefficients (JPEG: after the start of scan;
JPEG 2000: after the start of data; WebP: after the chunk and frame headers). Where headers do not count, JPEG takes the code tables of
the standard for every picture: those of its own would smuggle something of it into the header.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

WEBP_HEADER = 30  # RIFF 12, chunk 8, VP8 frame header 10 (RFC 6386, section 9.1; WebP container specification)


@dataclass(frozen=True)
class Coded:
    """A picture after a codec: ``picture`` [1, C, H, W] in [0, 1], its ``data``, of which ``header`` bytes are no coefficients."""

    name: str
    picture: Tensor
    data: bytes
    header: int

    def size(self, *, headers: bool) -> int:
        """Bytes, with headers or without."""
        return len(self.data) - (0 if headers else self.header)


def _jpeg(picture: Image.Image, quality: int, headers: bool) -> bytes:
    return _saved(picture, "JPEG", quality=quality, optimize=headers)


def _jpeg2000(picture: Image.Image, quality: int, headers: bool) -> bytes:
    ratio = 2.0 ** ((200 - quality) / 20)  # 1024 to 1
    return _saved(
        picture, "JPEG2000", quality_mode="rates", quality_layers=[ratio], irreversible=True, no_jp2=True, num_resolutions=4
    )  # fmt: skip


def _webp(picture: Image.Image, quality: int, headers: bool) -> bytes:
    return _saved(picture.convert("RGB"), "WEBP", quality=quality, method=6)


def _saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def _jpeg_header(data: bytes) -> int:
    scan = data.index(b"\xff\xda")
    return scan + 2 + int.from_bytes(data[scan + 2 : scan + 4], "big") + 2  # and the end marker


def _jpeg2000_header(data: bytes) -> int:
    return data.index(b"\xff\x93") + 2 + 2  # and the end marker


@dataclass(frozen=True)
class Codec:
    """``write``: a picture, a quality from ``low`` to ``high`` and whether headers count -> bytes; ``header``: how many of them are
    none of the picture's."""

    write: Callable[[Image.Image, int, bool], bytes]
    header: Callable[[bytes], int]
    low: int
    high: int


CODECS = {
    "JPEG": Codec(_jpeg, _jpeg_header, 1, 95),
    "JPEG 2000": Codec(_jpeg2000, _jpeg2000_header, 0, 200),
    "WebP": Codec(_webp, lambda data: WEBP_HEADER, 0, 100),
}


def code(name: str, image: Tensor, quality: int, *, headers: bool = True) -> Coded:
    """An image [1, C, H, W] in [0, 1] through a codec of `CODECS`; where headers do not count, nothing of the image is in them."""
    codec = CODECS[name]
    data = codec.write(_picture(image), quality, headers)
    with Image.open(io.BytesIO(data)) as file:
        pixels = np.asarray(file.convert("L" if image.shape[1] == 1 else "RGB"))
    pixels = pixels.reshape(*pixels.shape[:2], image.shape[1])
    back = torch.tensor(pixels).permute(2, 0, 1)[None].contiguous().float() / 255
    return Coded(name, back, data, codec.header(data))


def at_bits(name: str, image: Tensor, bits: float, *, headers: bool) -> Coded:
    """The best quality with at most ``bits``, headers counted or not; where even the worst is longer, the worst."""
    codec = CODECS[name]
    coded = partial(code, name, image, headers=headers)
    low, high = codec.low, codec.high
    while low < high:  # sizes grow with the quality
        middle = (low + high + 1) // 2
        if 8 * coded(middle).size(headers=headers) <= bits:
            low = middle
        else:
            high = middle - 1
    return coded(low)


def _picture(image: Tensor) -> Image.Image:
    pixels = (image[0].clamp(0, 1) * 255).round().byte().cpu().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
