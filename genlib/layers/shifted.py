"""Convolutions that see only the past because of how they are shifted (Salimans et al. 2017, PixelCNN++,
arXiv:1701.05517, section 2.3 and figure 2), and what stands between them.

A **down-shifted** kernel of 2 x 3 ends in the row of its pixel: it sees this row and the one above, a column to each
side. On features of the rows above a pixel it yields features of the rows above a pixel. A **down-right-shifted** kernel
of 2 x 2 ends at its pixel: it sees the pixel, its left and upper neighbours. No tap is masked, so none is multiplied in
vain.

With stride 2 they halve the resolution, ceil(H / 2) x ceil(W / 2): the small pixel (i, j) ends at (2i, 2j), so it knows
no more than the *first* of the four pixels it stands for. Transposed they double it: pixels (2i, 2j) to (2i + 1, 2j + 1)
get what (i, j) knows, and that was known at the first of them.

All have optional weight normalisation (Salimans & Kingma 2016, arXiv:1602.07868): w = g v / |v| for each output map.
"""

import math
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Direction = Literal["down", "down-right"]


class Margins(NamedTuple):
    """Zeros around a map: columns to the left and right, rows on top."""

    left: int = 0
    right: int = 0
    top: int = 0


KERNELS: dict[Direction, tuple[int, int]] = {"down": (2, 3), "down-right": (2, 2)}
MARGINS: dict[Direction, Margins] = {"down": Margins(1, 1, 1), "down-right": Margins(1, 0, 1)}


class Convolution(nn.Module):
    """A convolution of what has its margins already, [N, in, H, W] -> [N, out, (H - kh) / stride + 1, ...].

    ``scale``: how large its outputs are at the start. The weights start uniform with the variance scale^2 / fan-in. With
    ``normalised`` weights, `calibrate` makes it exact for a given batch.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int] = (1, 1),
        *,
        stride: int = 1,
        scale: float = 1.0,
        normalised: bool = False,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.scale = kernel, stride, scale
        self.weight = nn.Parameter(torch.empty(self._shape(in_channels, out_channels)))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        bound = scale * math.sqrt(3 / (in_channels * math.prod(kernel)))
        nn.init.uniform_(self.weight, -bound, bound)
        self.gain: nn.Parameter | None = None
        if normalised:
            self.gain = nn.Parameter(self._norms().detach().clone())
        self._calibrates = False

    _output_axis = 0  # of the weight

    def _shape(self, in_channels: int, out_channels: int) -> tuple[int, ...]:
        return out_channels, in_channels, *self.kernel

    def extra_repr(self) -> str:
        return f"{self.weight.shape[1 - self._output_axis]}, {len(self.bias)}, {self.kernel}, stride={self.stride}"

    def _norms(self) -> Tensor:
        """|v| of each output map, [out]."""
        axes = [axis for axis in range(4) if axis != self._output_axis]
        return self.weight.square().sum(axes).sqrt()

    def _factors(self) -> Tensor | None:
        """What the weights are multiplied with, for each output map."""
        return None if self.gain is None else self.gain / self._norms()

    def used_weight(self) -> Tensor:
        """The weights in use, normalised where they should be."""
        factors = self._factors()
        if factors is None:
            return self.weight
        shape = [1] * 4
        shape[self._output_axis] = -1
        return self.weight * factors.view(shape)

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.conv2d(x, weight, bias, self.stride)

    def forward(self, x: Tensor) -> Tensor:
        if self._calibrates:
            self._calibrate(x)
        return self.convolve(x, self.used_weight(), self.bias)

    @torch.no_grad()
    def _calibrate(self, x: Tensor) -> None:
        """Set gain and bias so that each output map of ``x`` has mean 0 and deviation ``scale`` (eq. 6)."""
        assert self.gain is not None
        y = self.convolve(x, self.used_weight(), None)
        variance, mean = torch.var_mean(y, (0, 2, 3), correction=0)
        factor = torch.where(variance > 1e-8, self.scale * variance.clamp(min=1e-8).rsqrt(), 1.0)  # a flat map stays
        self.gain.mul_(factor)
        self.bias.copy_(-mean * factor)


class TransposedConvolution(Convolution):
    """Doubles the resolution: pixel (i, j) is spread over (2i .. 2i + 1, 2j - 1 .. 2j + 1) or (.., 2j .. 2j + 1).

    [N, in, H, W] -> [N, out, 2 H, 2 W], to be cropped at the right and below to an odd size.
    """

    _output_axis = 1

    def __init__(self, in_channels: int, out_channels: int, direction: Direction, *, normalised: bool = False) -> None:
        super().__init__(in_channels, out_channels, KERNELS[direction], stride=2, normalised=normalised)

    def _shape(self, in_channels: int, out_channels: int) -> tuple[int, ...]:
        return in_channels, out_channels, *self.kernel

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        left = self.kernel[1] - 2  # the tap that reaches back to column 2j - 1
        return F.conv_transpose2d(x, weight, bias, 2)[..., left : left + 2 * x.shape[3]]


def calibrate(network: nn.Module, on: bool) -> None:
    """While on, each normalised convolution that runs first adapts itself to its input."""
    for layer in network.modules():
        if isinstance(layer, Convolution):
            layer._calibrates = on and layer.gain is not None


def with_margins(x: Tensor, margins: Margins) -> Tensor:
    """x [N, C, H, W] with zeros around it."""
    return F.pad(x, (margins.left, margins.right, margins.top, 0))


def concat_elu(margins: Margins, *maps: Tensor) -> Tensor:
    """elu(x) and elu(-x) of all maps one after another, with margins: [N, C_i, H, W] -> [N, 2 sum C_i, H', W'].

    The non-linearity of the paper's code (Shang et al. 2016, arXiv:1603.05201, with ELU in place of ReLU). One operation,
    for at these sizes the time goes into moving memory.
    """
    return _ConcatELU.apply(margins, *maps)


class _ConcatELU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, margins: Margins, *maps: Tensor) -> Tensor:
        n, _, h, w = maps[0].shape
        channels = [x.shape[1] for x in maps]
        total = sum(channels)
        size = (n, 2 * total, h + margins.top, w + margins.left + margins.right)
        y = torch.empty(size, dtype=maps[0].dtype, device=maps[0].device, memory_format=torch.channels_last)
        y[:, :, : margins.top] = 0
        y[..., : margins.left] = 0
        y[..., margins.left + w :] = 0
        inner = y[:, :, margins.top :, margins.left : margins.left + w]
        parts = inner.split([*channels, *channels], 1)
        for x, plus, minus in zip(maps, parts, parts[len(maps) :], strict=False):
            below = (
                x.abs().neg_().exp_().sub_(1)
            )  # e^-|x| - 1: elu(x) where x < 0, elu(-x) where x > 0, and the smaller
            torch.maximum(x, below, out=plus)
            torch.maximum(x.neg(), below, out=minus)
        ctx.margins, ctx.channels = margins, channels
        ctx.save_for_backward(y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        (y,) = ctx.saved_tensors
        left, right, top = ctx.margins
        columns = slice(left, y.shape[3] - right)
        slopes = torch.ops.aten.elu_backward(grad, 1, 1, 1, True, y)[:, :, top:, columns]
        total = sum(ctx.channels)
        both = slopes[:, :total] - slopes[:, total:]
        return None, *both.split(ctx.channels, 1)
