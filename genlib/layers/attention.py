"""Selective attention with a grid of Gaussian filters (Gregor et al. 2015, "DRAW", arXiv 1502.04623, section 3.2).

An N x N grid of filters lies over an image. Its place and reach are five numbers, the `GlimpseBox`: the centre, the stride
between filters, the filters' standard deviation and an intensity. Reading gives an N x N glimpse, writing spreads an
N x N patch over the image. Both are two small matrix products, so gradients reach the five numbers.

**Coordinates.** The paper counts pixels and filters from 1; here pixel a has its centre at a = 0 .. A-1. Its grid centre
(A+1)/2 (g + 1) is therefore less 1 here, so that g = 0 is the middle of the image, (A-1)/2, and its filter i lies at
g + (i - N/2 + 0.5) delta with i = 0 .. N-1.

**Normalisation.** Each filter sums to one over the image. We write the normalised Gaussian as a softmax over pixels:
the same quotient, without an epsilon, and finite even where a filter has left the image (it then sees the border).
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor


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
    reach = (max(width, height) - 1) / max(n - 1, 1)
    return GlimpseBox(
        centre_x=(width + 1) / 2 * (x + 1) - 1,
        centre_y=(height + 1) / 2 * (y + 1) - 1,
        delta=reach * log_delta.exp(),
        sigma=(0.5 * log_variance).exp(),
        gamma=log_gamma.exp(),
    )


def filter_centres(centre: Tensor, delta: Tensor, n: int) -> Tensor:
    """Centres of n filters: centre + (i - n/2 + 0.5) delta, i = 0 .. n-1 (eqs. 19 and 20). [...] -> [..., n]."""
    offsets = torch.arange(n, device=centre.device, dtype=centre.dtype) - (n / 2 - 0.5)
    return centre[..., None] + offsets * delta[..., None]


def filter_bank(centre: Tensor, delta: Tensor, sigma: Tensor, n: int, size: int) -> Tensor:
    """n Gaussian filters over ``size`` pixels; each row sums to one (eqs. 25 and 26). [...] -> [..., n, size]."""
    pixels = torch.arange(size, device=centre.device, dtype=centre.dtype)
    distance = (pixels - filter_centres(centre, delta, n)[..., None]) / sigma[..., None, None]
    return torch.softmax(-0.5 * distance.square(), -1)


def filter_banks(box: GlimpseBox, n: int, height: int, width: int) -> tuple[Tensor, Tensor]:
    """The vertical and the horizontal filters of a box: F_y [..., n, height] and F_x [..., n, width]."""
    return (
        filter_bank(box.centre_y, box.delta, box.sigma, n, height),
        filter_bank(box.centre_x, box.delta, box.sigma, n, width),
    )


def read(image: Tensor, box: GlimpseBox, n: int) -> Tensor:
    """The n x n glimpse gamma F_y x F_x^T of each channel (eq. 27). [..., C, H, W] -> [..., C, n, n]."""
    fy, fx = filter_banks(box, n, *image.shape[-2:])
    glimpse = fy.unsqueeze(-3) @ image @ fx.unsqueeze(-3).transpose(-1, -2)
    return box.gamma[..., None, None, None] * glimpse


def write(patch: Tensor, box: GlimpseBox, size: tuple[int, int]) -> Tensor:
    """The image F_y^T w F_x / gamma of each channel (eq. 29). [..., C, n, n] -> [..., C, H, W] with ``size`` = (H, W)."""
    fy, fx = filter_banks(box, patch.shape[-1], *size)
    image = fy.unsqueeze(-3).transpose(-1, -2) @ patch @ fx.unsqueeze(-3)
    return image / box.gamma[..., None, None, None]
