"""Masked convolution (van den Oord et al. 2016, Pixel Recurrent Neural Networks, section 3.4 and figure 2).

Pixels are read in raster order: row by row from the top, each row from left to right, and within a pixel the channels
in order (R, then G, then B). A masked convolution uses only what comes earlier in this order. Two masks differ at the
pixel itself:

* mask **A** is not connected to itself: channel c sees the channels before c of its pixel. It is used once, on the
  image.
* mask **B** is connected to itself: channel c sees the channels up to and with c. It is used on features, which by then
  hold no more of the pixel than they may.

Feature maps are split into as many groups of equal size as the image has channels: the group of a map is the channel
whose prediction it may serve. With one channel the masks are half kernels.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.taps import HERE, Link, Taps, tap_stack

MaskKind = Literal["A", "B"]
TAPS: Taps = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0))  # what mask B leaves of a 3x3 kernel
TAPS_FROM = 16  # input maps from which products tap by tap are faster than a convolution; measured


def causal_mask(kind: MaskKind, out_channels: int, in_channels: int, kernel: int, groups: int = 1) -> Tensor:
    """The mask [out, in, k, k] of zeros and ones for weights of a convolution with an odd kernel."""
    middle = kernel // 2
    # On the CPU even under torch.device("meta"), where the arithmetic below would first import the compiler, for seconds
    mask = torch.zeros(out_channels, in_channels, kernel, kernel, device="cpu")
    mask[:, :, :middle] = 1  # the rows above
    mask[:, :, middle, :middle] = 1  # the same row, to the left
    out_group = (
        torch.arange(out_channels, device="cpu") * groups // out_channels
    )  # [out]: the image channel a map belongs to
    in_group = torch.arange(in_channels, device="cpu") * groups // in_channels  # [in]
    earlier = in_group[None] < out_group[:, None] if kind == "A" else in_group[None] <= out_group[:, None]  # [out, in]
    mask[:, :, middle, middle] = earlier.to(mask.dtype)
    return mask


class MaskedConv2d(nn.Module):
    """A convolution that sees only the past of each pixel; the image keeps its size.

    The full weight [out, in, k, k] is stored, as the papers count it. The rows below the middle are always masked, so
    they are not even multiplied: the kernel that runs has k // 2 + 1 rows.
    """

    def __init__(self, kind: MaskKind, in_channels: int, out_channels: int, kernel: int, groups: int = 1) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"a masked convolution needs an odd kernel, not {kernel}")
        if in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} -> {out_channels} feature maps do not split into {groups} equal groups")
        self.kind = kind
        self.kernel = kernel
        self.groups = groups
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(out_channels))
        bound = 1 / math.sqrt(in_channels * kernel * kernel)  # the usual start of a convolution: uniform, by fan-in
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)
        self.unmasked = kernel == 1 and kind == "B" and groups == 1  # then every weight is in use
        mask = causal_mask(kind, out_channels, in_channels, kernel, groups)
        self.register_buffer("mask", mask[:, :, : kernel // 2 + 1].to(self.weight.device), persistent=False)
        self.mask: Tensor

    def extra_repr(self) -> str:
        out_channels, in_channels = self.weight.shape[:2]
        return f"{self.kind}, {in_channels}, {out_channels}, kernel={self.kernel}, groups={self.groups}"

    def causal_weight(self) -> Tensor:
        """The weights in use, masked: [out, in, k // 2 + 1, k]."""
        if self.unmasked:
            return self.weight
        return self.weight[:, :, : self.kernel // 2 + 1] * self.mask

    @property
    def taps(self) -> Taps:
        """The taps in use where products tap by tap can be faster than a convolution; else none."""
        if self.kind == "A" or self.kernel > 3 or self.weight.shape[1] < TAPS_FROM:
            return ()
        return TAPS if self.kernel == 3 else HERE

    def tap_weight(self) -> Tensor:
        """The weights of `taps`, [T, in, out]."""
        weight = self.causal_weight()
        middle = self.kernel // 2
        return torch.stack([weight[:, :, middle + down, middle + right].t() for down, right in self.taps])

    def forward(self, x: Tensor) -> Tensor:
        """[N, in, H, W] -> [N, out, H, W]."""
        if self.kernel == 3 and self.taps and _in_float_on_cpu(x):
            return tap_stack(x, [Link(self.taps)], [self.tap_weight(), self.bias])
        reach = self.kernel // 2
        if reach:
            x = F.pad(x, (reach, reach, reach, 0))  # left, right, top; nothing below is looked at
        return F.conv2d(x, self.causal_weight(), self.bias)


def _in_float_on_cpu(x: Tensor) -> bool:
    """Where matrix products tap by tap win: not under autocast, and a GPU has kernels of its own."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


@dataclass(frozen=True)
class Step:
    """One layer of a causal stack with what surrounds it: y = [kept +] [relu] layer([relu] x).

    A stack is a list of steps. Training runs it over whole images (`run`); drawing runs the same list pixel by pixel.
    """

    layer: MaskedConv2d
    relu_before: bool = False
    relu_after: bool = False
    opens: bool = False
    """A residual block begins: the input is kept ..."""
    closes: bool = False
    """... and added to this step's output."""
    shift: Tensor | None = None
    """A map [N, out, H, W] that is added to what the layer gives: what else the prediction depends on."""


def run(steps: Iterable[Step], x: Tensor) -> Tensor:
    """A stack over whole images, [N, in, H, W] -> [N, out, H, W]."""
    steps = list(steps)
    start = _by_taps_from(steps) if _in_float_on_cpu(x) else len(steps)
    kept = x
    for step in steps[:start]:
        if step.opens:
            kept = x
        x = step.layer(x.relu() if step.relu_before else x)
        if step.shift is not None:
            x = x.add_(step.shift)  # in place: nor does it need this
        if step.relu_after:
            x = x.relu_()  # in place: a convolution's gradient does not need its output
        if step.closes:
            x = kept + x
    if start == len(steps):
        return x
    links = [Link(s.layer.taps, s.relu_before, s.relu_after, s.opens, s.closes) for s in steps[start:]]
    return tap_stack(x, links, [t for s in steps[start:] for t in (s.layer.tap_weight(), s.layer.bias)])


def _by_taps_from(steps: list[Step]) -> int:
    """The step from which the rest of a stack can go as products tap by tap; no residual block is cut in two."""
    start, inside = len(steps), False
    for i, step in reversed(list(enumerate(steps))):
        if not step.layer.taps or step.shift is not None:
            break
        inside = (inside or step.closes) and not step.opens
        start = start if inside else i
    return start
