"""The layers of PixelCNN++ as its cached sampler walks through them, see `genlib.sampling.pixelcnnpp`.

The down stream goes a row at a time. The down-right one goes a pixel at a time: for a pixel each layer gives a list of
prepared operations on buffers that keep their addresses, and a row that is known it does as a whole.

The features x of the down-right stream lie in memory as (x, -x), and weights are prepared so that products give both at
once: then a concatenated ELU is one operation in place.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.layers.shifted import Convolution, Margins, concat_elu
from genlib.layers.streams import GatedBlock

Operation = Callable[[], object]
SIDES = Margins(1, 1, 0)


def mirrored(x: Tensor) -> Tensor:
    """(x, -x) along the first axis."""
    return torch.cat([x, -x])


def gate(x: Tensor) -> Tensor:
    """The (a, b) of a block -> (a, -a, b, b): its gated unit is that of the block, mirrored."""
    a, b = x.chunk(2)
    return torch.cat([a, -a, b, b])


# --- the down stream, a row at a time ---------------------------------------------------------------------------------


class RowKernel:
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


class DownBlock:
    """A block of the down stream, [B, F, 1, W] -> [B, F, 1, W]."""

    def __init__(self, block: GatedBlock, labels: Tensor | None) -> None:
        self._first, self._second, self._other = RowKernel(block.first), RowKernel(block.second), block.other
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


class Stage:
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


class PixelKernel:
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


class Layer(Protocol):
    """A layer of the down-right stream; ``row`` counts at its own resolution."""

    def operations(self, column: int, row: int) -> list[Operation]:
        """What has to be run for a pixel."""

    def whole_row(self, row: int) -> None:
        """The same for all pixels of a row that is known."""


class First:
    """The first layer: what is left of the pixel, and the share of the rows above that `begin` is given."""

    def __init__(self, image: Tensor, layer: Convolution, to: Stage) -> None:
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


class RightBlock:
    """A block of the down-right stream."""

    def __init__(
        self, block: GatedBlock, source: Stage, to: Stage, shortcut: Stage | None, labels: Tensor | None
    ) -> None:
        assert block.other is not None
        self._source, self._to, self._shortcut = source, to, shortcut
        self._hidden = torch.zeros_like(source.lit)
        self._first = PixelKernel(source.lit, mirrored(block.first.used_weight()), mirrored(block.first.bias))
        bias = gate(block.second.bias)
        if block.label is not None:
            bias = bias + gate(block.label(labels).T).T[:, None]
        self._second = PixelKernel(self._hidden, gate(block.second.used_weight()), bias)
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


class Shrink:
    """To the next lower resolution."""

    def __init__(self, layer: Convolution, source: Stage, to: Stage) -> None:
        weight = mirrored(layer.used_weight())
        weight = torch.cat([weight, torch.zeros_like(weight)], 1)  # nothing from -x
        self._kernel = PixelKernel(source.raw[0], weight, mirrored(layer.bias), stride=2)
        self._to = to
        self.begin = self._kernel.begin

    def operations(self, column: int, row: int) -> list[Operation]:
        return [self._kernel.operation(column, self._to.raw[0][:, column + 1]), self._to.light(column, 0)]

    def whole_row(self, row: int) -> None:
        self._to.raw[0][:, 1:] = self._kernel.whole_row()
        self._to.light_row(0)


class Grow:
    """To the next higher resolution: two pixels of each of two rows at once."""

    def __init__(self, layer: Convolution, source: Stage, to: Stage) -> None:
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


class Light:
    """The ELU of what a lower resolution found, in the columns and rows between as well."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def operations(self, column: int, row: int) -> list[Operation]:
        return [self._stage.light(column, row)]

    def whole_row(self, row: int) -> None:
        self._stage.light_row(row)
