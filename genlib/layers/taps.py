"""A causal convolution as one matrix product for each tap that is in use.

A masked 3x3 kernel has five taps in use of nine (mask B). A convolution library multiplies the zeros too, or at best the
two rows that are not all zero. Here the image lies in memory as one long list of pixels with all their maps, with one
column of zeros after each row and one row of zeros above each image. A tap is then the same list shifted by a fixed
distance, a view without a copy, and the layer is

    y = b + sum_t shift_t(x) W_t                 x [pixels, in], W_t [in, out]

The products go over a few images at a time, so that what they add to stays in the cache. Both gradients are products of
the same kind: dx = sum_t shift_-t(dy) W_t^T and dW_t = shift_t(x)^T dy.
"""

from typing import Any

import torch
from torch import Tensor

ROWS = 7000  # pixels at a time: a few MB of maps, what a core's caches hold
Taps = tuple[tuple[int, int], ...]
"""(rows down, columns right) of each tap from the pixel it serves: (-1, 0) is the pixel above."""


def tap_convolution(x: Tensor, weight: Tensor, bias: Tensor, taps: Taps) -> Tensor:
    """x [N, in, H, W], weight [T, in, out], bias [out] -> [N, out, H, W]; outside of the image lies zero.

    Taps may lie one row up and one column to either side, or one to the left in the same row, or at the pixel itself.
    """
    if any(not ((down == -1 and abs(right) <= 1) or (down == 0 and right in (-1, 0))) for down, right in taps):
        raise ValueError(f"these taps do not lie in the past within one pixel: {taps}")
    y: Tensor = _TapConvolution.apply(x, weight, bias, taps)
    return y


def _pixels(x: Tensor, before: int, after: int) -> Tensor:
    """[N, C, H, W] -> the list of pixels with its margins, [before + N (H + 1) (W + 1) + after, C]."""
    n, c, h, w = x.shape
    size = n * (h + 1) * (w + 1)
    buffer = x.new_zeros(before + size + after, c)
    _inner(buffer[before : before + size], (n, h, w)).copy_(x.permute(0, 2, 3, 1))
    return buffer


def _inner(pixels: Tensor, size: tuple[int, int, int]) -> Tensor:
    """The images in a list of pixels without its margins, [N, H, W, C], a view."""
    n, h, w = size
    return pixels.view(n, h + 1, w + 1, -1)[:, 1:, :w]


def _add_products(parts: list[tuple[Tensor, Tensor]], out: Tensor) -> None:
    """out += a @ b for each pair."""
    for a, b in parts:
        out.addmm_(a, b)


class _TapConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, taps: Taps) -> Tensor:
        n, _, h, w = x.shape
        shifts = [down * (w + 1) + right for down, right in taps]
        before = -min(shifts)
        pixels = _pixels(x, before, 0)
        y = bias.expand(len(pixels) - before, -1).contiguous()
        for start in range(0, len(y), ROWS):
            part = y[start : start + ROWS]
            sources = [pixels[before + start + s : before + start + s + len(part)] for s in shifts]
            _add_products(list(zip(sources, weight, strict=True)), part)
        ctx.save_for_backward(pixels, weight)
        ctx.size, ctx.shifts = (n, h, w), shifts
        return _inner(y, (n, h, w)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        pixels, weight = ctx.saved_tensors
        shifts, margin = ctx.shifts, -min(ctx.shifts)
        gradient = _pixels(d_y, 0, margin)  # zero at the margins: what was computed there does not count
        size = len(gradient) - margin
        transposed = weight.transpose(1, 2).contiguous()
        d_x = d_y.new_zeros(size, weight.shape[1]) if ctx.needs_input_grad[0] else None
        d_weight = torch.zeros_like(weight)
        for start in range(0, size, ROWS):
            end = min(start + ROWS, size)
            if d_x is not None:
                sources = [gradient[start - s : end - s] for s in shifts]
                _add_products(list(zip(sources, transposed, strict=True)), d_x[start:end])
            for d_w, s in zip(d_weight, shifts, strict=True):
                d_w.addmm_(pixels[margin + start + s : margin + end + s].t(), gradient[start:end])
        d_image = None if d_x is None else _inner(d_x, ctx.size).permute(0, 3, 1, 2)
        return d_image, d_weight, gradient.sum(0), None
