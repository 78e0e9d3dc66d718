"""Selective attention with a grid of Gaussian filters (Gregor et al. 2015, "DRAW", arXiv 1502.04623, section 3.2).

An n x n grid of filters lies over an image. Five numbers, the `GlimpseBox`, say where: the centre, the stride between
filters, the filters' standard deviation and an intensity. Reading gives an n x n glimpse, writing spreads an n x n
patch over the image. Both are two small matrix products, so gradients reach the five numbers.

**Coordinates.** The paper counts pixels and filters from 1; here pixel a has its centre at a = 0 .. A-1. The paper's
grid centre (A+1)/2 (g + 1) is therefore less 1 here, so that g = 0 is the middle of the image, (A-1)/2, and filter i
lies at centre + (i - n/2 + 0.5) delta with i = 0 .. n-1.

**Normalisation.** Each filter sums to one over the image. The normalised Gaussian is a softmax over the pixels: the
same quotient, without an epsilon, and finite even where a filter has left the image (it then sees the border).

`read` and `write` are the plain functions, for looking at attention by hand. `FusedGrids` gives the same filters to a
recurrent model, which needs several grids at each of many steps, with as few operations as possible.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from genlib.layers.recurrent import RepeatedLinear


class GlimpseBox(NamedTuple):
    """Where a grid of filters lies; every field has the same shape [...]. Lengths are in pixels."""

    centre_x: Tensor
    centre_y: Tensor
    delta: Tensor
    """Stride: the distance between neighbouring filters."""
    sigma: Tensor
    """Standard deviation of each filter."""
    gamma: Tensor
    """Intensity: a glimpse is multiplied by it, a written patch divided."""

    def width(self, n: int) -> Tensor:
        """Distance between the first and the last of n filters."""
        return self.delta * (n - 1)

    def tensor(self) -> Tensor:
        """[..., 5] in the order of the fields."""
        return torch.stack(tuple(self), -1)

    @classmethod
    def from_tensor(cls, values: Tensor) -> Self:
        """[..., 5] in the order of the fields."""
        return cls(*values.unbind(-1))


def glimpse_box(raw: Tensor, n: int, height: int, width: int) -> GlimpseBox:
    """A network's five outputs [..., 5] = (g~x, g~y, log sigma^2, log delta~, log gamma) -> the box (eqs. 21 to 24)."""
    x, y, log_variance, log_delta, log_gamma = raw.unbind(-1)
    return GlimpseBox(
        centre_x=(width + 1) / 2 * (x + 1) - 1,
        centre_y=(height + 1) / 2 * (y + 1) - 1,
        delta=_reach(n, height, width) * log_delta.exp(),
        sigma=(0.5 * log_variance).exp(),
        gamma=log_gamma.exp(),
    )


def _reach(n: int, height: int, width: int) -> float:
    """The stride at which n filters span the image's longer side."""
    return (max(height, width) - 1) / max(n - 1, 1)


def filter_offsets(n: int) -> Tensor:
    """Where n filters lie about the centre, in strides: i - n/2 + 0.5, i = 0 .. n-1. [n], float64 (exact)."""
    return torch.arange(n, dtype=torch.float64) - (n / 2 - 0.5)


def filter_bank(centre: Tensor, delta: Tensor, sigma: Tensor, n: int, size: int) -> Tensor:
    """n Gaussian filters over ``size`` pixels; each row sums to one (eqs. 19, 20, 25, 26). [...] -> [..., n, size]."""
    means = centre[..., None] + filter_offsets(n).to(centre) * delta[..., None]
    return gaussian_rows(means, (0.5 / sigma.square())[..., None].expand_as(means), size)


def filter_banks(box: GlimpseBox, n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The vertical and the horizontal filters of a box: F_y [..., n, height] and F_x [..., n, width]."""
    return (
        filter_bank(box.centre_y, box.delta, box.sigma, n, height),
        filter_bank(box.centre_x, box.delta, box.sigma, n, width),
    )


def read(image: Tensor, box: GlimpseBox, n: int) -> Tensor:
    """The n x n glimpse gamma F_y x F_x^T of each channel (eq. 27). [..., C, H, W] -> [..., C, n, n]."""
    fy, fx = filter_banks(box, n, *image.shape[-2:])
    glimpse = fy.unsqueeze(-3) @ image @ fx.unsqueeze(-3).mT
    return box.gamma[..., None, None, None] * glimpse


def write(patch: Tensor, box: GlimpseBox, size: tuple[int, int]) -> Tensor:
    """The image F_y^T w F_x / gamma of each channel (eq. 29). [..., C, n, n] -> [..., C, H, W]; ``size`` is (H, W)."""
    fy, fx = filter_banks(box, patch.shape[-1], *size)
    image = fy.unsqueeze(-3).mT @ patch @ fx.unsqueeze(-3)
    return image / box.gamma[..., None, None, None]


def gaussian_rows(means: Tensor, precisions: Tensor, size: int) -> Tensor:
    """exp(-precision (a - mean)^2) over pixels a = 0 .. size-1, normalised to sum to one. [...] -> [..., size].

    ``precisions`` are 1 / (2 sigma^2).
    """
    rows: Tensor = _GaussianRows.apply(means, precisions, size)
    return rows


class _GaussianRows(torch.autograd.Function):
    """`gaussian_rows` with its derivative by hand: half the passes over [..., size] that autograd would make."""

    @staticmethod
    def forward(ctx: Any, means: Tensor, precisions: Tensor, size: int) -> Tensor:
        pixels = torch.arange(size, device=means.device, dtype=means.dtype)
        distances = pixels - means[..., None]
        rows = torch.softmax(distances.square().mul_(-precisions[..., None]), -1)
        ctx.save_for_backward(distances, precisions, rows)
        return rows

    @staticmethod
    def backward(ctx: Any, d_rows: Tensor) -> tuple[Tensor, Tensor, None]:
        distances, precisions, rows = ctx.saved_tensors
        d_logits = torch.ops.aten._softmax_backward_data(d_rows, rows, -1, rows.dtype)
        slope = d_logits.mul_(distances)
        d_means = 2 * precisions * slope.sum(-1)
        return d_means, -slope.mul_(distances).sum(-1), None


class FusedGrids:
    """The filters of several grids in one go: the same numbers as `glimpse_box` and `filter_banks`, for one pass.

    A grid is (the linear map from a state to its five raw outputs, its n, 1 if gamma and -1 if 1 / gamma is wanted).
    All that comes before the exponentials is linear in the state, so constants and the copies for each filter are
    folded into one weight, once. ``extra`` is another linear map of the same state that rides along in the product.
    """

    def __init__(self, grids: Sequence[tuple[nn.Linear, int, int]], height: int, width: int, extra: nn.Linear) -> None:
        self.height, self.width = height, width
        self.sizes = [n for _, n, _ in grids]
        self.filters = sum(self.sizes)  # of all grids along one axis
        folding = _folding(self.sizes, [sign for *_, sign in grids], height, width)
        fold, shift, self.offsets = (constants.to(extra.weight) for constants in folding)
        weight = torch.cat([linear.weight for linear, *_ in grids])  # [5 G, hidden]
        bias = torch.cat([linear.bias for linear, *_ in grids])
        self.linear = RepeatedLinear(
            torch.cat((fold @ weight, extra.weight)), torch.cat((fold @ bias + shift, extra.bias))
        )

    def __call__(self, state: Tensor) -> tuple[list[tuple[Tensor, Tensor, Tensor]], Tensor]:
        """States [N, hidden] -> (F_y [N, n, H], F_x [N, n, W], gamma or 1 / gamma [N, 1]) of each grid; the extra."""
        rows, k = 2 * self.filters, len(self.sizes)
        outputs = self.linear(state)
        centres, logs, extra = outputs.split((rows, 2 * rows + k, outputs.shape[1] - 3 * rows - k), 1)
        strides, precisions, gammas = logs.exp().split((rows, rows, k), 1)
        means = torch.addcmul(centres, self.offsets, strides)
        if self.height == self.width:
            fy, fx = gaussian_rows(means, precisions, self.width).split(self.filters, 1)
        else:
            (mean_y, mean_x), (precision_y, precision_x) = means.chunk(2, 1), precisions.chunk(2, 1)
            fy = gaussian_rows(mean_y, precision_y, self.height)
            fx = gaussian_rows(mean_x, precision_x, self.width)
        return list(zip(fy.split(self.sizes, 1), fx.split(self.sizes, 1), gammas.split(1, 1), strict=True)), extra


def _folding(sizes: Sequence[int], signs: Sequence[int], height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Constants of `FusedGrids`: outputs = fold @ raw + shift, and each filter's offset in strides.

    With R = 2 x (sum of the sizes) filters, first all vertical, then all horizontal ones, the outputs are R centres,
    then the logarithms of R strides, of R precisions 1 / (2 sigma^2) and of each grid's gamma.
    """
    rows, k = 2 * sum(sizes), len(sizes)
    fold = torch.zeros(3 * rows + k, 5 * k, dtype=torch.float64)
    shift = torch.zeros(3 * rows + k, dtype=torch.float64)
    row = 0
    for axis, length in (
        (1, height),
        (0, width),
    ):  # raw outputs are in the order x, y, log sigma^2, log delta~, log gamma
        for grid, n in enumerate(sizes):
            span = slice(row, row + n)
            fold[span, 5 * grid + axis], shift[span] = (length + 1) / 2, (length + 1) / 2 - 1
            span = slice(rows + row, rows + row + n)
            fold[span, 5 * grid + 3], shift[span] = 1.0, math.log(_reach(n, height, width))
            span = slice(2 * rows + row, 2 * rows + row + n)
            fold[span, 5 * grid + 2], shift[span] = -1.0, math.log(0.5)
            row += n
    for grid, sign in enumerate(signs):
        fold[3 * rows + grid, 5 * grid + 4] = sign
    return fold, shift, torch.cat([filter_offsets(n) for n in sizes]).repeat(2)
