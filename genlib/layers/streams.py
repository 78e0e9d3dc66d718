"""The body of PixelCNN++ (Salimans et al. 2017, arXiv:1701.05517, figure 2): two streams of gated blocks at three
resolutions.

* The **down** stream knows the rows above a pixel, the **down-right** stream also what is left of it; the second reads
  the first at every block. So there is no blind spot.
* Strided convolutions lead to half and to a quarter of the resolution (section 2.3), transposed ones back. What the
  contracting pass found is handed to the expanding pass, to a block each (section 2.4): the short-cuts.
* A block is x + a * sigmoid(b) where (a, b) are two convolutions deep, concatenated ELUs before them, dropout between
  them (section 2.5). A class adds a learnt vector to (a, b).
"""

from itertools import pairwise
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.shifted import (
    KERNELS,
    MARGINS,
    Convolution,
    Direction,
    Margins,
    TransposedConvolution,
    concat_elu,
    with_margins,
)

Streams = tuple[Tensor, Tensor]
"""Features of the down and of the down-right stream, [N, F, H, W] each."""


class GatedBlock(nn.Module):
    """One block of a stream, [N, F, H, W] -> [N, F, H, W], reading ``other`` maps besides (0: none)."""

    def __init__(self, direction: Direction, width: int, other: int, classes: int, dropout: float, norm: bool) -> None:
        super().__init__()
        self.margins, self.dropout = MARGINS[direction], dropout
        kernel = KERNELS[direction]
        self.first = Convolution(2 * width, width, kernel, normalised=norm)
        self.other = Convolution(2 * other, width, normalised=norm) if other else None
        self.second = Convolution(2 * width, 2 * width, kernel, scale=0.1, normalised=norm)
        self.label = nn.Embedding(classes, 2 * width) if classes else None
        if self.label is not None:
            nn.init.normal_(self.label.weight, std=0.1)  # as large as what it is added to

    def forward(self, x: Tensor, *others: Tensor, labels: Tensor | None, noise: torch.Generator | None) -> Tensor:
        """``labels`` [N] with classes; ``noise`` drives the dropout in training."""
        y = self.first(concat_elu(self.margins, x))
        if self.other is not None:
            y = y + self.other(concat_elu(Margins(), *others))
        y = concat_elu(self.margins, y)
        if self.training and self.dropout:
            y = y * torch.empty_like(y).bernoulli_(1 - self.dropout, generator=noise).div_(1 - self.dropout)
        y = self.second(y)
        if self.label is not None:
            y = y + self.label(labels)[:, :, None, None]
        return x + F.glu(y, 1)


class Pair(nn.Module):
    """A block of either stream; the down-right one reads the down one's result, both their short-cut, if any."""

    def __init__(self, width: int, shortcut: bool, classes: int, dropout: float, norm: bool) -> None:
        super().__init__()
        own = width if shortcut else 0
        self.down = GatedBlock("down", width, own, classes, dropout, norm)
        self.right = GatedBlock("down-right", width, width + own, classes, dropout, norm)

    def forward(self, streams: Streams, shortcut: Streams | None, **given: Any) -> Streams:
        down, right = streams
        if shortcut is None:
            down = self.down(down, **given)
            return down, self.right(right, down, **given)
        down = self.down(down, shortcut[0], **given)
        return down, self.right(right, down, shortcut[1], **given)


class Halving(nn.Module):
    """Half the resolution, for either stream."""

    def __init__(self, inputs: int, outputs: int, norm: bool) -> None:
        super().__init__()
        self.down = Convolution(inputs, outputs, KERNELS["down"], stride=2, normalised=norm)
        self.right = Convolution(inputs, outputs, KERNELS["down-right"], stride=2, normalised=norm)

    def forward(self, streams: Streams) -> Streams:
        down, right = streams
        return (
            self.down(with_margins(down, MARGINS["down"])),
            self.right(with_margins(right, MARGINS["down-right"])),
        )


class Doubling(nn.Module):
    """Twice the resolution, for either stream."""

    def __init__(self, inputs: int, outputs: int, norm: bool) -> None:
        super().__init__()
        self.down = TransposedConvolution(inputs, outputs, "down", normalised=norm)
        self.right = TransposedConvolution(inputs, outputs, "down-right", normalised=norm)

    def forward(self, streams: Streams, height: int, width: int) -> Streams:
        down, right = streams
        return self.down(down)[..., :height, :width], self.right(right)[..., :height, :width]


class TwoStreams(nn.Module):
    """Images [N, C, H, W] in [-1, 1] -> ``outputs`` numbers for each pixel, from all before it, [N, outputs, H, W].

    ``widths`` and ``depths`` are those of the three resolutions; a depth counts the pairs of blocks in the contracting
    pass, and the expanding pass has one more at the first two, for there is one more thing to hand on.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        widths: tuple[int, int, int],
        depths: tuple[int, int, int],
        *,
        shortcuts: bool,
        classes: int,
        dropout: float,
        norm: bool,
    ) -> None:
        super().__init__()
        self.shortcuts = shortcuts
        rest = (classes, dropout, norm)
        inputs = channels + 1  # and a map of ones, zero beyond the edge: so the network knows where that is
        self.first_down = Convolution(inputs, widths[0], (2, 3), normalised=norm)
        self.first_above = Convolution(inputs, widths[0], (1, 3), normalised=norm)
        self.first_left = Convolution(inputs, widths[0], (2, 1), normalised=norm)
        self.contracting = nn.ModuleList(
            nn.ModuleList(Pair(width, False, *rest) for _ in range(depth))
            for width, depth in zip(widths, depths, strict=True)
        )
        self.halving = nn.ModuleList(Halving(a, b, norm) for a, b in pairwise(widths))
        self.expanding = nn.ModuleList(
            nn.ModuleList(Pair(width, shortcuts, *rest) for _ in range(depth + (level < 2)))
            for level, (width, depth) in enumerate(zip(widths, depths, strict=True))
        )
        self.doubling = nn.ModuleList(Doubling(b, a, norm) for a, b in pairwise(widths))
        self.last = Convolution(widths[0], outputs, normalised=norm)

    def forward(self, x: Tensor, labels: Tensor | None = None, noise: torch.Generator | None = None) -> Tensor:
        given = {"labels": labels, "noise": noise}
        streams = self.first(x)
        found = [streams]
        for level, pairs in enumerate(self.contracting):
            if level:
                streams = self.halving[level - 1](streams)
                found.append(streams)
            for pair in cast(nn.ModuleList, pairs):
                streams = pair(streams, None, **given)
                found.append(streams)
        streams = found.pop()
        for level in reversed(range(3)):
            for pair in cast(nn.ModuleList, self.expanding[level]):
                shortcut = found.pop()
                streams = pair(streams, shortcut if self.shortcuts else None, **given)
            if level:
                streams = self.doubling[level - 1](streams, *found[-1][0].shape[2:])
        return self.last(F.elu(streams[1]))

    def first(self, x: Tensor) -> Streams:
        """Both streams' first features: what is above a pixel, and that and what is left of it."""
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1).contiguous(memory_format=torch.channels_last)
        down = self.first_down(with_margins(x, Margins(1, 1, 2))[:, :, :-1])
        above = self.first_above(with_margins(x, Margins(1, 1, 1))[:, :, :-1])
        return down, above + self.first_left(with_margins(x, Margins(1, 0, 1))[..., :-1])
