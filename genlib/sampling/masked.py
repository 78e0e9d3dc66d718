"""What a stack of masked convolutions remembers while an image is drawn.

A feature of a causal network at a drawn pixel never changes again, so each is computed once:

* once a row, every layer's share from the rows above, which are complete in all layers: one matrix product per layer;
* once a pixel, its share from the left and from the pixel itself: one small product per layer.

With C channels, the feature maps of group c wait for the value of channel c - 1 of the same pixel; the maps of each
group are computed in their turn, so colour costs no more arithmetic.

All buffers keep their addresses. So what has to be run for a pixel is a fixed list of prepared operations, made once
per column and channel: at these sizes the time goes into calling operations, not into arithmetic.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from genlib.layers.masked import MaskedConv2d, Step

Operation = Callable[[], object]


class _Memory:
    """The input of one layer that has a kernel, and the layer's share from above for the current row.

    ``reach`` is k // 2. Pixels lie in memory one after the other with all their maps, [.., W + 2 reach, in], with
    margins of zeros, so that the window which ends at a pixel is one run of numbers.
    """

    def __init__(self, step: Step, batch: int, width: int) -> None:
        layer = step.layer
        weight = layer.causal_weight()  # [out, in, reach + 1, k]
        out, inputs, rows, kernel = weight.shape
        reach = rows - 1
        self.layer, self.batch, self.width, self.reach, self.inputs = layer, batch, width, reach, inputs
        self.past = weight.new_zeros(batch, reach, width + 2 * reach, inputs)  # the rows above
        self.row = weight.new_zeros(batch, width + 2 * reach, inputs)  # this row
        self.above = weight.new_empty(batch, width, out)
        self._windows = weight.new_empty(batch, width, reach, kernel, inputs)
        # [H, B, W, out]: each row in one piece
        self._shift = None if step.shift is None else step.shift.permute(2, 0, 3, 1).contiguous()
        self._from_above = weight[:, :, :reach].permute(2, 3, 1, 0).reshape(-1, out)  # [reach * k * in, out]

    def begin_row(self, row: int) -> None:
        """Compute the share from above, bias and shift included, of every pixel of the new row."""
        b, r, w, i = self.past.shape
        size = (b, self.width, r, self._windows.shape[3], i)
        self._windows.copy_(self.past.as_strided(size, (r * w * i, i, w * i, i, 1)))
        windows = self._windows.view(b * self.width, -1)
        torch.addmm(self.layer.bias, windows, self._from_above, out=self.above.view(b * self.width, -1))
        if self._shift is not None:
            self.above += self._shift[row]

    def end_row(self) -> None:
        """The current row becomes the last of the past."""
        if self.reach > 1:
            self.past[:, :-1] = self.past[:, 1:].clone()
        self.past[:, -1] = self.row

    def take(self, x: Tensor) -> Tensor:
        """Known rows x [B, in, R, W] go into the past; gives them with margins and with the rows above."""
        rows = torch.cat([self.past.permute(0, 3, 1, 2), F.pad(x, (self.reach, self.reach))], 2)
        self.past = rows[:, :, -self.reach :].permute(0, 2, 3, 1).contiguous()
        return rows

    def fill(self, x: Tensor, row: int) -> Tensor:
        """Known rows, the first of them ``row``, pass through the layer as a whole, [B, in, R, W] -> [B, out, R, W]."""
        y = F.conv2d(self.take(x), self.layer.causal_weight(), self.layer.bias)
        return y if self._shift is None else y + self._shift[row : row + x.shape[2]].permute(1, 3, 0, 2)

    def left(self, column: int, length: int) -> Tensor:
        """The first ``length`` numbers of this row's window that ends at a pixel, [B, length], without a copy."""
        return self.row.as_strided((self.batch, length), (self.row.stride(0), 1), column * self.inputs)


class MaskedStackState:
    """A `CausalState` for a stack of steps of which the first has a kernel and reads the image.

    Only layers with a kernel may have a shift.

    A first layer with mask B sees the pixel it should predict (a lesson, not a model): the features of a pixel then
    change with its own value, and are computed once more when that is known.
    """

    @torch.inference_mode()
    def __init__(self, steps: Sequence[Step], batch: int, channels: int, width: int) -> None:
        self._steps = list(steps)
        self._memories = [_Memory(step, batch, width) if step.layer.kernel > 1 else None for step in self._steps]
        if any(step.shift is not None for step in self._steps if step.layer.kernel == 1):
            raise ValueError("a step with a 1x1 kernel cannot be shifted while images are drawn")
        self._last = max(i for i, memory in enumerate(self._memories) if memory)  # later ones serve the logits only
        self._image = self._memory(0)
        self._leaky = steps[0].layer.kind == "B"
        self._row = 0  # the next one
        self._open = False  # was a row begun that is not in the past yet?
        self._fresh = False  # are the features of the current sub-pixel computed?

        empty = self._image.row.new_empty
        self._inputs = [empty(batch, step.layer.weight.shape[1]) for step in self._steps]
        self._rectified = [torch.empty_like(x) for x in self._inputs]
        self._outputs = empty(batch, self._steps[-1].layer.weight.shape[0])
        self._answers = self._outputs.chunk(channels, 1)
        columns, groups = range(width), range(channels)
        self._pixels = [[self._image.row[:, self._image.reach + x, c] for c in groups] for x in columns]
        weights = [[_group_weights(step.layer, c, channels) for step in self._steps] for c in groups]
        self._programs = [[self._compile(x, c, channels, weights[c]) for c in groups] for x in columns]

    def fill_rows(self, values: Tensor) -> None:
        self._end_row()
        x = kept = values.contiguous(memory_format=torch.channels_last)
        row, self._row = self._row, self._row + x.shape[2]
        for i, (step, memory) in enumerate(zip(self._steps, self._memories, strict=True)):
            if step.opens:
                kept = x
            if step.relu_before:
                x = x.relu()
            if i == self._last:  # what follows would serve the logits of these rows, which nobody asks for
                self._memory(i).take(x)
                return
            x = memory.fill(x, row) if memory else step.layer(x)
            if step.relu_after:
                x = x.relu_()
            if step.closes:
                x = kept + x

    def begin_row(self) -> None:
        self._end_row()
        self._open = True
        if self._leaky:
            self._image.row.zero_()
        for memory in self._memories:
            if memory:
                memory.begin_row(self._row)
        self._row += 1

    def logits(self, column: int, channel: int) -> Tensor:
        features, head = self._programs[column][channel]
        if not self._fresh:
            _run(features)
            self._fresh = True
        _run(head)
        return self._answers[channel]

    def write(self, column: int, channel: int, values: Tensor) -> None:
        self._pixels[column][channel].copy_(values)
        features, head = self._programs[column][channel]
        if self._leaky:
            _run(features)
            _run(head)  # the next channel's head reads this one's
        elif not self._fresh:
            _run(features)
        self._fresh = False

    def _end_row(self) -> None:
        if self._open:
            for memory in self._memories:
                if memory:
                    memory.end_row()
        self._open = False

    def _memory(self, index: int) -> _Memory:
        memory = self._memories[index]
        if memory is None:
            raise ValueError(f"step {index} of the stack has a 1x1 kernel and remembers nothing")
        return memory

    def _compile(
        self, column: int, channel: int, channels: int, weights: list[tuple[Tensor, Tensor]]
    ) -> tuple[list[Operation], list[Operation]]:
        """The operations for one group's features at a column, and those that turn them into logits."""

        def group(x: Tensor) -> Tensor:  # [B, maps] -> [B, maps / C]
            return x.chunk(channels, 1)[channel]

        def place(i: int, *, rectified: bool) -> Tensor:
            """Where the input of step i lies, before or after the step's own ReLU, [B, in]."""
            own_relu = self._steps[i].relu_before
            memory = self._memories[i]
            if memory and (rectified or not own_relu):
                return memory.row[:, memory.reach + column]
            return self._rectified[i] if rectified and own_relu else self._inputs[i]

        program: list[Operation] = []
        head = 0
        kept = self._outputs
        for i, (step, memory, (bias, weight)) in enumerate(zip(self._steps, self._memories, weights, strict=True)):
            x = place(i, rectified=True)
            if step.opens:
                kept = group(place(i, rectified=False))
            if step.relu_before:
                program.append(partial(torch.clamp, group(place(i, rectified=False)), min=0, out=group(x)))
            if i == self._last:
                head = len(program)
            y = group(self._outputs if i == len(self._steps) - 1 else place(i + 1, rectified=False))
            if memory:
                start, window = group(memory.above[:, column]), memory.left(column, len(weight))
            else:
                start, window = bias, x[:, : len(weight)]
            program.append(partial(torch.addmm, start, window, weight, out=y))
            if step.relu_after:
                program.append(partial(torch.relu_, y))
            if step.closes:
                program.append(partial(torch.add, y, kept, out=y))
        return program[:head], program[head:]


def _group_weights(layer: MaskedConv2d, channel: int, channels: int) -> tuple[Tensor, Tensor]:
    """Bias [out / C] and weights [length, out / C] of one group of maps.

    The ``length`` inputs are the pixels to the left, with all their maps, then the groups of the pixel itself that the
    mask lets through.
    """
    out, inputs = layer.weight.shape[:2]
    reach = layer.kernel // 2
    groups = channel if layer.kind == "A" else channel + 1
    length = inputs * reach + groups * inputs // channels
    maps = slice(channel * out // channels, (channel + 1) * out // channels)
    weight = layer.causal_weight()[maps, :, reach, : reach + 1].permute(2, 1, 0).reshape(-1, out // channels)
    return layer.bias[maps], weight[:length].contiguous()


def _run(operations: list[Operation]) -> None:
    for operation in operations:
        operation()
