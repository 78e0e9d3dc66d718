"""Sheets of samples as PNG, for the run folder."""

import io
import math

from PIL import Image
from torch import Tensor


def sheet_png(images: Tensor, columns: int | None = None, scale: int = 1) -> bytes:
    """Images [N, C, H, W] in [0, 1] -> one PNG, tiles edge to edge in rows of ``columns`` (default: as square as can
    be), each pixel ``scale`` times as large: a browser would blur what it has to enlarge itself.
    """
    images = images.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    n, c, h, w = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    sheet = images.new_zeros(rows * columns, c, h, w)
    sheet[:n] = images
    pixels = (sheet.clamp(0, 1) * 255).round().byte().cpu()
    pixels = pixels.reshape(rows, columns, c, h, w).permute(0, 3, 1, 4, 2).reshape(rows * h, columns * w, c)
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1).numpy()).save(buffer, "PNG")
    return buffer.getvalue()
