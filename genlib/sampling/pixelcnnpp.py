"""What the two streams of PixelCNN++ remember while an image is drawn.

Everything is computed once and when its turn comes (Ramachandran et al. 2017, arXiv:1704.06001):

* once a row, the down stream, and of each down-right kernel the share from the row above;
* once a pixel, the rest of the down-right stream: of each kernel two pixels, the left one and the pixel itself;
* the lower resolutions only in every second or fourth row, and there in every second or fourth column. What they found
  serves until they come round again.

The features x of the down-right stream lie in memory as (x, -x), and weights are prepared so that products give both at
once: then a concatenated ELU is one operation in place. At these sizes the time goes into calling operations, so a
pixel's are a fixed list with prepared views of buffers that keep their addresses.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlib.layers.logistic import LOG_SCALES, LogisticMixture
from genlib.layers.shifted import Convolution, Margins, concat_elu
from genlib.layers.streams import Doubling, GatedBlock, Halving, Pair, TwoStreams

Operation = Callable[[], object]
SIDES = Margins(1, 1, 0)


def depth(place: int) -> int:
    """How many resolutions have something to do in this row or column."""
    return 1 if place % 2 else 2 if place % 4 else 3


def mirrored(x: Tensor) -> Tensor:
    """(x, -x) along the first axis."""
    return torch.cat([x, -x])


def gate(x: Tensor) -> Tensor:
    """The (a, b) of a block -> (a, -a, b, b): its gated unit is that of the block, mirrored."""
    a, b = x.chunk(2)
    return torch.cat([a, -a, b, b])


# --- the down stream, a row at a time ---------------------------------------------------------------------------------


class _RowKernel:
    """A kernel of two rows: keeps the last row it read, [B, in, 1, W] with its margins."""

    def __init__(self, layer: Convolution) -> None:
        self.weight, self.bias, self.stride = layer.used_weight(), layer.bias, layer.stride
        self._last: Tensor | None = None

    def read(self, row: Tensor) -> Tensor:
        """This row and the one above it, [B, in, 2, W]."""
        last = torch.zeros_like(row) if self._last is None else self._last
        self._last = row
        return torch.cat([last, row], 2)

    def __call__(self, rows: Tensor) -> Tensor:
        return F.conv2d(rows, self.weight, self.bias, self.stride)


class _DownBlock:
    """A block of the down stream, [B, F, 1, W] -> [B, F, 1, W]."""

    def __init__(self, block: GatedBlock, labels: Tensor | None) -> None:
        self._first, self._second, self._other = _RowKernel(block.first), _RowKernel(block.second), block.other
        self._label = None if block.label is None else block.label(labels)[:, :, None, None]

    def __call__(self, x: Tensor, shortcut: Tensor | None) -> Tensor:
        y = self._first(self._first.read(concat_elu(SIDES, x)))
        if self._other is not None:
            assert shortcut is not None
            y = y + self._other(concat_elu(Margins(), shortcut))
        y = self._second(self._second.read(concat_elu(SIDES, y)))
        if self._label is not None:
            y = y + self._label
        return x + F.glu(y, 1)


# --- the down-right stream, a pixel at a time -------------------------------------------------------------------------


class _Stage:
    """Features between two layers in the current row, mirrored: x as it is, and its ELU, each [B, 1 + W, 2 F].

    In front of the first column lies one of zeros. Two ``rows`` of x where one step of a lower resolution yields both.
    """

    def __init__(self, like: Tensor, batch: int, columns: int, width: int, rows: int = 1) -> None:
        self.width, self.columns = width, columns
        even = columns + columns % 2
        self.raw = [like.new_zeros(batch, 1 + even, 2 * width)[:, : 1 + columns] for _ in range(rows)]
        self.lit = like.new_zeros(batch, 1 + columns, 2 * width)

    def light(self, column: int, row: int) -> Operation:
        """Computes the ELU at a column."""
        source = self.raw[row % len(self.raw)][:, column + 1]
        return partial(torch.ops.aten.elu.out, source, out=self.lit[:, column + 1])

    def light_row(self, row: int) -> None:
        self.lit[:, 1:] = F.elu(self.raw[row % len(self.raw)][:, 1:])


class _PixelKernel:
    """A kernel of 2 x 2 over a row of maps [B, 1 + W, in]: weights [out, in, 2, 2], bias [out] or [B, 1, out]."""

    def __init__(self, row: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> None:
        self._row, self._bias, self._stride = row, bias, stride
        self._before, self.now = (weight[:, :, i].permute(2, 1, 0).flatten(0, 1).contiguous() for i in range(2))
        columns = -(-(row.shape[1] - 1) // stride)
        self.above = row.new_empty(row.shape[0], columns, weight.shape[0])

    def begin(self, besides: Tensor | None = None) -> None:
        """The share from above, bias included, of every pixel of the new row; ``besides`` [B, W, out] is added."""
        self.above.copy_(self._along(self._before)).add_(self._bias)
        if besides is not None:
            self.above.add_(besides)

    def whole_row(self) -> Tensor:
        """The kernel's results in a row that is known, [B, W, out]."""
        return self.above + self._along(self.now)

    def operation(self, column: int, out: Tensor) -> Operation:
        batch, _, inputs = self._row.shape
        step = self._row.stride(1)
        at = self._row.storage_offset() + column * self._stride * step
        window = self._row.as_strided((batch, 2 * inputs), (self._row.stride(0), 1), at)
        return partial(torch.addmm, self.above[:, column], window, self.now, out=out)

    def _along(self, weight: Tensor) -> Tensor:
        left, own = (self._row[:, i :: self._stride][:, : self.above.shape[1]] for i in range(2))
        return torch.cat([left, own], 2) @ weight


class _Layer(Protocol):
    """A layer of the down-right stream; ``row`` counts at its own resolution."""

    def operations(self, column: int, row: int) -> list[Operation]:
        """What has to be run for a pixel."""

    def whole_row(self, row: int) -> None:
        """The same for all pixels of a row that is known."""


class _First:
    """The first layer: what is left of the pixel, and the share of the rows above that `begin` is given."""

    def __init__(self, image: Tensor, layer: Convolution, to: _Stage) -> None:
        channels = image.shape[2]
        weight = mirrored(layer.used_weight()[:, :, 1, 0])  # [2 F, C + 1]: of the values in [-1, 1] and of the ones
        self._weight = 2 * weight[:, :channels].T.contiguous()  # of values in [0, 1] ...
        self._offset = weight[:, channels] - weight[:, :channels].sum(1)  # ... and what else a left neighbour brings
        self._image, self._to = image, to
        self._above = image.new_empty(image.shape[0], to.columns, 2 * to.width)

    def begin(self, above: Tensor) -> None:
        """``above`` [B, F, 1, W]."""
        self._above.copy_(torch.cat([above, -above], 1)[:, :, 0].mT)
        self._above[:, 1:] += self._offset

    def operations(self, column: int, row: int) -> list[Operation]:
        out = self._to.raw[0][:, column + 1]
        product = partial(torch.addmm, self._above[:, column], self._image[:, column], self._weight, out=out)
        return [product, self._to.light(column, row)]

    def whole_row(self, row: int) -> None:
        self._to.raw[0][:, 1:] = self._above + self._image[:, :-1] @ self._weight
        self._to.light_row(row)


class _RightBlock:
    """A block of the down-right stream."""

    def __init__(
        self, block: GatedBlock, source: _Stage, to: _Stage, shortcut: _Stage | None, labels: Tensor | None
    ) -> None:
        assert block.other is not None
        self._source, self._to, self._shortcut = source, to, shortcut
        self._hidden = torch.zeros_like(source.lit)
        self._first = _PixelKernel(source.lit, mirrored(block.first.used_weight()), mirrored(block.first.bias))
        bias = gate(block.second.bias)
        if block.label is not None:
            bias = bias + gate(block.label(labels).T).T[:, None]
        self._second = _PixelKernel(self._hidden, gate(block.second.used_weight()), bias)
        other = mirrored(block.other.used_weight()[:, :, 0, 0]).T  # [2 (F + of the short-cut), 2 F]
        plus, minus = other.chunk(2)
        width = source.width
        self._from_down = torch.cat([plus[:width], minus[:width]])
        self._from_shortcut = torch.cat([plus[width:], minus[width:]])
        self._bias = mirrored(block.other.bias)
        self._gates = source.lit.new_empty(len(source.lit), 4 * width)
        self._change = source.lit.new_empty(len(source.lit), 2 * width)

    def begin(self, down: Tensor) -> None:
        """A new row, of which the down stream has found [B, F, 1, W]."""
        self._first.begin(concat_elu(Margins(), down)[:, :, 0].mT @ self._from_down + self._bias)
        self._second.begin()

    def operations(self, column: int, row: int) -> list[Operation]:
        hidden = self._hidden[:, column + 1]
        x = self._source.raw[row % len(self._source.raw)][:, column + 1]
        program = [self._first.operation(column, hidden)]
        if self._shortcut is not None:
            program.append(partial(hidden.addmm_, self._shortcut.lit[:, column + 1], self._from_shortcut))
        return [
            *program,
            partial(F.elu_, hidden),
            self._second.operation(column, self._gates),
            partial(torch.ops.aten.glu.out, self._gates, 1, out=self._change),
            partial(torch.add, x, self._change, out=self._to.raw[0][:, column + 1]),
            self._to.light(column, 0),
        ]

    def whole_row(self, row: int) -> None:
        y = self._first.whole_row()
        if self._shortcut is not None:
            y += self._shortcut.lit[:, 1:] @ self._from_shortcut
        self._hidden[:, 1:] = F.elu_(y)
        x = self._source.raw[row % len(self._source.raw)]
        self._to.raw[0][:, 1:] = x[:, 1:] + F.glu(self._second.whole_row(), 2)
        self._to.light_row(0)


class _Shrink:
    """To the next lower resolution."""

    def __init__(self, layer: Convolution, source: _Stage, to: _Stage) -> None:
        weight = mirrored(layer.used_weight())
        weight = torch.cat([weight, torch.zeros_like(weight)], 1)  # nothing from -x
        self._kernel = _PixelKernel(source.raw[0], weight, mirrored(layer.bias), stride=2)
        self._to = to
        self.begin = self._kernel.begin

    def operations(self, column: int, row: int) -> list[Operation]:
        return [self._kernel.operation(column, self._to.raw[0][:, column + 1]), self._to.light(column, 0)]

    def whole_row(self, row: int) -> None:
        self._to.raw[0][:, 1:] = self._kernel.whole_row()
        self._to.light_row(0)


class _Grow:
    """To the next higher resolution: two pixels of each of two rows at once."""

    def __init__(self, layer: Convolution, source: _Stage, to: _Stage) -> None:
        weight = layer.used_weight()  # [in, out, 2, 2]
        # of each row [in, 2 x 2 F]: the left pixel's maps, mirrored, then the right one's
        self._weights = [torch.cat([weight[:, :, i], -weight[:, :, i]], 1).mT.flatten(1).contiguous() for i in range(2)]
        self._bias = mirrored(layer.bias).repeat(2)
        self._source, self._to = source, to

    def operations(self, column: int, row: int) -> list[Operation]:
        x = self._source.raw[0][:, column + 1, : self._source.width]
        program: list[Operation] = []
        for raw, weight in zip(self._to.raw, self._weights, strict=True):
            at = raw.storage_offset() + (1 + 2 * column) * raw.stride(1)
            pixels = raw.as_strided((len(raw), weight.shape[1]), (raw.stride(0), 1), at)
            program.append(partial(torch.addmm, self._bias, x, weight, out=pixels))
        return program

    def whole_row(self, row: int) -> None:
        x = self._source.raw[0][:, 1:, : self._source.width]
        for raw, weight in zip(self._to.raw, self._weights, strict=True):
            raw[:, 1:] = (x @ weight + self._bias).unflatten(2, (2, -1)).flatten(1, 2)[:, : self._to.columns]


class _Light:
    """The ELU of what a lower resolution found, in the columns and rows between as well."""

    def __init__(self, stage: _Stage) -> None:
        self._stage = stage

    def operations(self, column: int, row: int) -> list[Operation]:
        return [self._stage.light(column, row)]

    def whole_row(self, row: int) -> None:
        self._stage.light_row(row)


# --- both -------------------------------------------------------------------------------------------------------------

_Blocks = list[tuple[_DownBlock, _RightBlock]]


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
        )  # the two rows above, as the network reads them
        self._pixels = [[self._image[:, 1 + x, c] for c in range(channels)] for x in range(columns)]
        self._weights = [layer.used_weight() for layer in (network.first_down, network.first_above, network.first_left)]
        self._layers: list[tuple[int, _Layer]] = []  # (resolution, layer) in the order of the network
        self._contracting: list[_Blocks] = []
        self._expanding: list[_Blocks] = []  # by resolution too
        self._build()
        self._shrink_down = [_RowKernel(cast(Halving, layer).down) for layer in network.halving]
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

        def stage(level: int, rows: int = 1) -> _Stage:
            return _Stage(self._image, batch, columns[level], widths[level], rows)

        def blocks(level: int, pairs: nn.Module, x: _Stage, shortcuts: list[_Stage]) -> tuple[_Blocks, list[_Stage]]:
            made, given = [], [x]
            for pair in cast("list[Pair]", pairs):
                shortcut = shortcuts.pop() if shortcuts else None
                given.append(stage(level))
                right = _RightBlock(pair.right, given[-2], given[-1], shortcut, self._labels)
                made.append((_DownBlock(pair.down, self._labels), right))
                self._layers.append((level, right))
            return made, given

        x = stage(0)
        self._first = _First(self._image, network.first_left, x)
        self._layers.append((0, self._first))
        self._shrink: list[_Shrink] = []
        found: list[_Stage] = []
        for level, pairs in enumerate(network.contracting):
            if level:
                small = stage(level)
                self._shrink.append(_Shrink(cast(Halving, network.halving[level - 1]).right, x, small))
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
                self._layers.append((level, _Grow(cast(Doubling, network.doubling[level - 1]).right, x, large)))
                self._layers.append((level - 1, _Light(large)))
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
