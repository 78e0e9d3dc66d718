"""What the two streams of PixelCNN++ remember while an image is drawn.

Everything is computed once and when its turn comes (Ramachandran et al. 2017, arXiv:1704.06001):

* once a row, the down stream, and of each down-right kernel the share from the row above;
* once a pixel, the rest of the down-right stream: of each kernel two pixels, the left one and the pixel itself;
* the lower resolutions only in every second or fourth row, and there in every second or fourth column. What they found
  serves until they come round again.

At these sizes the time goes into calling operations, so what has to be run for a pixel is a fixed list
(`genlib.sampling.streams`), made when it is first needed.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.logistic import LOG_SCALES, LogisticMixture
from genlib.layers.streams import Doubling, Halving, Pair, TwoStreams
from genlib.sampling.streams import (
    DownBlock,
    First,
    Grow,
    Layer,
    Light,
    Operation,
    RightBlock,
    RowKernel,
    Shrink,
    Stage,
)

_Blocks = list[tuple[DownBlock, RightBlock]]


def depth(place: int) -> int:
    """How many resolutions have something to do in this row or column."""
    return 1 if place % 2 else 2 if place % 4 else 3


class TwoStreamsState:
    """A `CausalState` for `TwoStreams` with a mixture of logistics, for images of ``shape`` (C, H, W)."""

    @torch.inference_mode()
    def __init__(
        self, network: TwoStreams, batch: int, shape: tuple[int, int, int], levels: int, labels: Tensor | None
    ) -> None:
        channels, _, columns = shape
        like = network.last.weight
        self._network, self._labels, self._channels, self._levels = network, labels, channels, levels
        self._columns = columns
        self._row = -1
        self._fresh = self._described = False  # are the pixel's features, is its mixture computed?
        self._image = like.new_zeros(batch, 1 + columns, channels)  # the current row, values in [0, 1]
        self._history = like.new_zeros(
            batch, channels + 1, 2, columns + 2
        )  # the two rows above as the network reads them
        self._pixels = [[self._image[:, 1 + x, c] for c in range(channels)] for x in range(columns)]
        self._weights = [layer.used_weight() for layer in (network.first_down, network.first_above, network.first_left)]
        self._layers: list[tuple[int, Layer]] = []  # (resolution, layer) in the order of the network
        self._contracting: list[_Blocks] = []
        self._expanding: list[_Blocks] = []  # by resolution too
        self._build()
        self._shrink_down = [RowKernel(cast(Halving, layer).down) for layer in network.halving]
        self._grow_down = [
            (layer.used_weight(), layer.bias) for layer in (cast(Doubling, d).down for d in network.doubling)
        ]
        self._grown: list[Tensor | None] = [None, None]  # the second row that the last step of a lower resolution gave
        self._to_outputs = network.last.used_weight()[:, :, 0, 0].T.contiguous()
        self._outputs = like.new_empty(batch, len(network.last.bias))
        self._programs: dict[tuple[int, int], list[Operation]] = {}

    def _build(self) -> None:
        """The down-right stream: its layers and what lies between them."""
        network, batch = self._network, len(self._image)
        columns = [self._columns, -(-self._columns // 2), -(-self._columns // 4)]
        widths = [network.first_left.weight.shape[0], *(len(cast(Halving, h).right.bias) for h in network.halving)]

        def stage(level: int, rows: int = 1) -> Stage:
            return Stage(self._image, batch, columns[level], widths[level], rows)

        def blocks(level: int, pairs: nn.Module, x: Stage, shortcuts: list[Stage]) -> tuple[_Blocks, list[Stage]]:
            made, given = [], [x]
            for pair in cast("list[Pair]", pairs):
                shortcut = shortcuts.pop() if shortcuts else None
                given.append(stage(level))
                right = RightBlock(pair.right, given[-2], given[-1], shortcut, self._labels)
                made.append((DownBlock(pair.down, self._labels), right))
                self._layers.append((level, right))
            return made, given

        x = stage(0)
        self._first = First(self._image, network.first_left, x)
        self._layers.append((0, self._first))
        self._shrink: list[Shrink] = []
        found: list[Stage] = []
        for level, pairs in enumerate(network.contracting):
            if level:
                small = stage(level)
                self._shrink.append(Shrink(cast(Halving, network.halving[level - 1]).right, x, small))
                self._layers.append((level, self._shrink[-1]))
                x = small
            made, given = blocks(level, pairs, x, [])
            self._contracting.append(made)
            found += given
            x = given[-1]
        found.pop()
        for level in reversed(range(3)):
            pairs = network.expanding[level]
            number = len(cast(nn.ModuleList, pairs))
            shortcuts = [found.pop() for _ in range(number)][::-1] if network.shortcuts else []
            made, given = blocks(level, pairs, x, shortcuts)
            self._expanding.insert(0, made)
            x = given[-1]
            if level:
                large = stage(level - 1, rows=2)
                self._layers.append((level, Grow(cast(Doubling, network.doubling[level - 1]).right, x, large)))
                self._layers.append((level - 1, Light(large)))
                x = large
        self._end = x

    # --- CausalState --------------------------------------------------------------------------------------------------

    def fill_rows(self, values: Tensor) -> None:
        for row in values.unbind(2):
            self.begin_row()
            self._image[:, 1:] = row.mT
            for level, layer in self._layers:
                if level < depth(self._row):
                    layer.whole_row(self._row >> level)

    def begin_row(self) -> None:
        if self._row >= 0:
            last = self._image[:, 1:].mT[:, :, None]  # [B, C, 1, W]
            last = F.pad(torch.cat([2 * last - 1, torch.ones_like(last[:, :1])], 1), (1, 1))
            self._history = torch.cat([self._history[:, :, 1:], last], 2)
        self._row += 1
        self._fresh = self._described = False
        self._image.zero_()
        self._begin_down(depth(self._row))

    def logits(self, column: int, channel: int) -> Tensor:
        self._see(column)
        if not self._described:
            features = self._end.lit[:, column + 1, : self._end.width]
            torch.addmm(self._network.last.bias, features, self._to_outputs, out=self._outputs)
            self._described = True
        if self._channels == 1 and self._levels == 2:
            return self._bernoulli()
        mixture = LogisticMixture(self._outputs[:, :, None, None], self._channels, self._levels)
        values = self._image[:, 1 + column, :, None, None]
        logs = mixture.level_log_probs(values, slice(channel, channel + 1))[:, 0, :, 0, 0]
        return logs if self._levels > 2 else logs[:, 1:] - logs[:, :1]

    def write(self, column: int, channel: int, values: Tensor) -> None:
        self._see(column)
        self._pixels[column][channel].copy_(values)
        if channel == self._channels - 1:
            self._fresh = self._described = False

    # --- how ----------------------------------------------------------------------------------------------------------

    def _see(self, column: int) -> None:
        """Compute the features of a pixel, from all before it."""
        if self._fresh:
            return
        key = self._row % 4, column
        if key not in self._programs:
            self._programs[key] = [
                operation
                for level, layer in self._layers
                if level < min(depth(self._row), depth(column))
                for operation in layer.operations(column >> level, self._row >> level)
            ]
        for operation in self._programs[key]:
            operation()
        self._fresh = True

    def _bernoulli(self) -> Tensor:
        """The logit of a mixture of Bernoulli distributions, [B, 1]."""
        weights, means, log_scales = self._outputs.chunk(3, 1)
        logits = means * log_scales.clamp(*LOG_SCALES).neg_().exp_()
        chances = torch.stack([logits, -logits]).sigmoid_().mul_(weights.softmax(1)).sum(2, keepdim=True)
        return (chances[0] / chances[1]).log_()

    def _begin_down(self, active: int) -> None:
        """The down stream in the new row, at the ``active`` resolutions, and with it every share from above."""
        down, above, left = self._weights
        network, last = self._network, self._history[:, :, 1:]
        x = F.conv2d(self._history, down, network.first_down.bias)
        from_above = F.conv2d(last, above, network.first_above.bias)
        from_above += F.conv2d(last[..., : self._columns], left[:, :, :1], network.first_left.bias)
        self._first.begin(from_above)
        found = [x]
        for level in range(3):
            if level:
                rows = self._shrink_down[level - 1].read(F.pad(x, (1, 1)))
                if level >= active:
                    break
                x = self._shrink_down[level - 1](rows)
                self._shrink[level - 1].begin()
                found.append(x)
            for block, right in self._contracting[level]:
                x = block(x, None)
                right.begin(x)
                found.append(x)
        if active == 3:
            x = found.pop()
        else:
            grown = self._grown[active - 1]
            assert grown is not None  # a lower resolution was active one row ago
            x = grown
        for level in reversed(range(active)):
            for block, right in self._expanding[level]:
                x = block(x, found.pop())
                right.begin(x)
            if level:
                weight, bias = self._grow_down[level - 1]
                rows = F.conv_transpose2d(x, weight, bias, 2)[..., 1 : 1 + found[-1].shape[3]]
                x, self._grown[level - 1] = rows[:, :, :1], rows[:, :, 1:]
