"""Gated convolution in two stacks (van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders,
arXiv:1606.05328, sections 2.1 to 2.3 and figure 2).

    y = tanh(W_f * x + V_f^T h) . sigmoid(W_g * x + V_g^T h)                                            (eq. 2, 4 and 5)

* The **vertical** stack looks at the rows above a pixel, as wide as its kernels carry. It needs no masks: its first layer
  reads the image shifted down by one row, so that all its maps at a row know the rows above and nothing else.
* The **horizontal** stack looks at the row of the pixel, from the left. In every layer it is told what the vertical stack
  found, through a 1x1 convolution; the vertical stack never hears of it. Its input is added to its output.

Together they see every earlier pixel: there is no blind spot. A shift in *every* vertical layer, which is no less causal,
brings it back: what a path gains in width it then has to pay for in rows.

With C image channels the maps of the horizontal stack are split into C groups, as in `genlib.layers.masked`; W_f and W_g
are one convolution, and of its 2p maps each group has its own part of W_f, then its own part of W_g. The vertical stack
knows whole pixels only, so it has no groups.

A masked row or column is not even multiplied: the vertical kernel has k // 2 + 1 rows and ends at the (shifted) row, the
horizontal one has k // 2 + 1 columns and ends at the pixel.
"""

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.masked import MaskedConv2d, MaskKind, causal_mask


class _Gate(torch.autograd.Function):
    """tanh(f) . sigmoid(g) of a sum of feature maps whose channels are (f, g) for each group.

    tanh(f) = 1 - 2 sigmoid(-2 f), so a single sigmoid over all 2p maps does for both halves: on a CPU that takes a third of
    the time of tanh and sigmoid apart. Kept for the backward pass are the sigmoids alone.
    """

    @staticmethod
    def forward(ctx: Any, groups: int, term: Tensor | None, maps: Tensor, more: Tensor | None) -> Tensor:
        s = maps.clone() if more is None else maps + more
        if term is not None:
            s += term if term.ndim == 4 else term[:, :, None, None]
        f, g = _halves(s, groups)
        f *= -2
        s.sigmoid_()
        ctx.save_for_backward(s)
        ctx.groups, ctx.more, ctx.term = groups, more is not None, None if term is None else term.ndim
        return torch.addcmul(g, f, g, value=-2).flatten(3).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor, Tensor | None]:
        (s,) = ctx.saved_tensors
        dy = grads[0].permute(0, 2, 3, 1).unflatten(3, (ctx.groups, -1))
        d = torch.empty_like(s)
        df, dg = _halves(d, ctx.groups)
        f, g = _halves(s, ctx.groups)
        torch.mul(dy, g, out=df)
        df *= 4  # -2 of the output, -2 of the input
        torch.addcmul(dy, dy, f, value=-2, out=dg)
        torch.ops.aten.sigmoid_backward.grad_input(d, s, grad_input=d)
        term = None if ctx.term is None else d if ctx.term == 4 else d.sum((2, 3))
        return None, term, d, d if ctx.more else None


def _halves(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """[N, 2p, H, W] -> its f and g, [N, H, W, groups, p / groups] each, views."""
    split = x.permute(0, 2, 3, 1).unflatten(3, (groups, 2, -1))
    return split[..., 0, :], split[..., 1, :]


def gate(groups: int, term: Tensor | None, maps: Tensor, more: Tensor | None = None) -> Tensor:
    """The gate of ``maps`` [N, 2p, H, W] (+ ``more``) + ``term`` ([N, 2p] or [N, 2p, H, W]) -> [N, p, H, W]."""
    return _Gate.apply(groups, term, maps, more)


GATED = 3.0
"""Gain at the start for what reads the output of a gate, whose root mean square is about a third of its input's."""


class VerticalConv2d(nn.Module):
    """k // 2 + 1 rows by k columns that end at the pixel's row, or with ``shift`` at the row above it."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, shift: bool, gain: float = 1.0) -> None:
        super().__init__()
        self.reach, self.shift = kernel // 2, shift
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, self.reach + 1, kernel))
        self.bias = nn.Parameter(torch.empty(out_channels))
        _start(self.weight, self.bias, gain)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H, W]."""
        if self.shift:
            x = F.pad(x, (self.reach, self.reach, self.reach + 1, -1))
        else:
            x = F.pad(x, (self.reach, self.reach, self.reach, 0))
        return F.conv2d(x, self.weight, self.bias)


class HorizontalConv2d(nn.Module):
    """One row of k // 2 + 1 columns that ends at the pixel; mask A or B there, as in `genlib.layers.masked`."""

    def __init__(
        self, kind: MaskKind, in_channels: int, out_channels: int, kernel: int, groups: int, gain: float = 1.0
    ) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 1, self.reach + 1))
        _start(self.weight, gain=gain)  # no bias: the convolution from the vertical stack beside it has one
        mask = torch.ones(self.weight.shape, device="cpu")
        mask[..., -1:] = causal_mask(kind, out_channels, in_channels, 1, groups)
        self.unmasked = bool(mask.all())
        self.register_buffer("mask", mask.to(self.weight.device), persistent=False)
        self.mask: Tensor

    def causal_weight(self) -> Tensor:
        """The weights in use, masked: [out, in, 1, k // 2 + 1]."""
        return self.weight if self.unmasked else self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H, W]."""
        return F.conv2d(F.pad(x, (self.reach, 0, 0, 0)), self.causal_weight())


def _start(weight: Tensor, bias: Tensor | None = None, gain: float = 1.0) -> None:
    """The usual start of a convolution, uniform by fan-in, times a ``gain``."""
    bound = 1 / math.sqrt(weight[0].numel())
    nn.init.uniform_(weight, -gain * bound, gain * bound)
    if bias is not None:
        nn.init.uniform_(bias, -bound, bound)


class Terms(NamedTuple):
    """V^T h of one layer for the two stacks, [N, 2p] or [N, 2p, H, W] each; None where there is none."""

    vertical: Tensor | None
    horizontal: Tensor | None


class GatedLayer(nn.Module):
    """One layer of both stacks (figure 2).

    The first layer reads the image in both stacks, with a shift and mask A, and has nothing to add its output to. Of the
    last layer's vertical stack only what the horizontal one is told is ever used.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        kernel: int,
        groups: int,
        *,
        condition: int,
        first: bool,
        last: bool,
        shift: bool,
    ) -> None:
        super().__init__()
        self.width, self.groups, self.first, self.last = width, groups, first, last
        gain = 1.0 if first else GATED
        self.vertical = VerticalConv2d(inputs, 2 * width, kernel, shift=shift, gain=gain)
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        assert self.across.bias is not None
        _start(self.across.weight, self.across.bias, math.sqrt(3))  # what it reads keeps its size
        self.horizontal = HorizontalConv2d("A" if first else "B", inputs, 2 * width, kernel, groups, gain)
        self.out = MaskedConv2d("B", width, width, 1, groups)
        self.condition = nn.Linear(condition, 2 * width * (1 if last else 2), bias=False) if condition else None

    def terms(self, h: Tensor | None) -> Terms:
        """What a condition h, [N, condition] or a map [N, condition, H, W], adds to the layer's gates."""
        if self.condition is None or h is None:
            return Terms(None, None)
        weight = self.condition.weight
        both = F.linear(h, weight) if h.ndim == 2 else F.conv2d(h, weight[:, :, None, None])
        if self.last:
            return Terms(None, both)
        return Terms(both[:, : 2 * self.width], both[:, 2 * self.width :])

    def forward(self, v: Tensor, x: Tensor, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """Maps of the vertical and the horizontal stack [N, in, H, W], condition -> both, [N, width, H, W]."""
        terms = self.terms(h)
        found = self.vertical(v)
        y = self.out(gate(self.groups, terms.horizontal, self.across(found), self.horizontal(x)))
        v = v if self.last else gate(1, terms.vertical, found)
        return v, y if self.first else y + x
