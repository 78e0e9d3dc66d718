"""What a network of two-dimensional LSTM layers remembers while an image is drawn.

A state at a drawn pixel never changes again. So each pixel goes through the layers once: the left-to-right states when its
turn comes, and the right-to-left ones when its row is complete. These are not late: the right-to-left map is moved down by
a row, so the first to read them are the pixels of the next row.

With C channels a pixel goes through the layers once for each channel. The masks see to it that the groups that are ready
do not change.

`KernelNetwork` computes with the compiled kernel, a call for each pixel; `EagerNetwork` does the same in tensor operations.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from genlib.layers.lstm2d import LSTM2d
from genlib.layers.lstm2d_kernel import Causal, Network, Recurrent, serves
from genlib.layers.maps import tap_weights, taps
from genlib.layers.masked import Step
from genlib.layers.sweeps import Tap


class PixelNetwork(Protocol):
    """A network over maps that stay: ``image`` [H, W, B, C] is read and ``logits`` [H, W, B, outputs] written."""

    image: Tensor
    logits: Tensor

    def forward_rows(self, first: int, end: int) -> None:
        """Rows ``first`` to ``end`` (not included), whole."""

    def forward_pixel(self, row: int, column: int) -> None:
        """One pixel, from what is known of it and of earlier ones."""

    def end_row(self, row: int) -> None:
        """What only a complete row allows: its right-to-left states."""


class LSTMState:
    """A `CausalState` for a network of steps (the first reads the image) and LSTM layers.

    A mirrored direction whose map is not moved down (a lesson, not a model) reads the pixels to come, which are zero so far.
    Then nothing is final before the row is, and each pixel computes its whole row anew.

    The maps have ``margin`` more columns than the image (C, H, W), to its right; what they are given there is zero.
    """

    @torch.inference_mode()
    def __init__(
        self, steps: Sequence[Step | LSTM2d], batch: int, shape: tuple[int, int, int], margin: int = 0
    ) -> None:
        self._channels, height, self._width = shape
        width = self._width + margin
        weights = [
            w for step in steps for w in (step.parameters() if isinstance(step, LSTM2d) else step.layer.parameters())
        ]
        kind = KernelNetwork if serves(*weights) and batch else EagerNetwork
        self._network: PixelNetwork = kind(steps, weights[0].new_zeros(height, width, batch, self._channels))
        self._answers = self._network.logits.chunk(self._channels, -1)
        self._leaks = any(isinstance(step, LSTM2d) and 0 in step.sweep.shifts[1:] for step in steps)
        self._row = -1  # the row that is being drawn, or the last one that is known
        self._open = False  # is it being drawn?
        self._fresh = False  # has the current pixel been computed from all that is known of it?

    def fill_rows(self, values: Tensor) -> None:
        self._end_row()
        first, rows = self._row + 1, values.shape[2]
        self._network.image[first : first + rows, : self._width] = values.permute(2, 3, 0, 1)
        self._network.forward_rows(first, first + rows)
        self._row += rows

    def begin_row(self) -> None:
        self._end_row()
        self._row += 1
        self._open = True

    def logits(self, column: int, channel: int) -> Tensor:
        self._compute(column)
        return self._answers[channel][self._row, column]

    def write(self, column: int, channel: int, values: Tensor) -> None:
        self._network.image[self._row, column, :, channel] = values
        if channel < self._channels - 1:  # later channels read this value
            self._fresh = False
            return
        self._compute(column)
        self._fresh = False

    def _compute(self, column: int) -> None:
        if self._fresh:
            return
        if self._leaks:
            self._network.forward_rows(self._row, self._row + 1)
        else:
            self._network.forward_pixel(self._row, column)
        self._fresh = True

    def _end_row(self) -> None:
        if self._open:
            if self._leaks:
                self._network.forward_rows(self._row, self._row + 1)
            else:
                for column in range(self._width, self._network.image.shape[1]):
                    self._network.forward_pixel(self._row, column)
                self._network.end_row(self._row)
        self._open = False


def _empty_map(like: Tensor, size: int) -> Tensor:
    return like.new_zeros(*like.shape[:3], size)


def _empty_states(layer: LSTM2d, like: Tensor) -> tuple[Tensor, Tensor]:
    shape = (len(layer.sweep.shifts), *like.shape[:3], layer.hidden)
    return like.new_zeros(shape), like.new_zeros(shape)


class KernelNetwork(Network):
    """A `PixelNetwork` by the compiled kernel."""

    def __init__(self, steps: Sequence[Step | LSTM2d], image: Tensor) -> None:
        self.image = x = image
        layers: list[Recurrent | Causal] = []
        for step in steps:
            if isinstance(step, LSTM2d):
                weight, bias, up, up_bias = (t.detach().contiguous() for t in step.causal_weights())
                state, cell = _empty_states(step, x)
                y = torch.zeros_like(x)
                layers.append(
                    Recurrent(
                        step.sweep, x, y=y, weight=weight, bias=bias, up=up, up_bias=up_bias, state=state, cell=cell
                    )
                )
            else:
                y = _empty_map(x, len(step.layer.bias))
                weight, bias = tap_weights(step.layer).detach().contiguous(), step.layer.bias.detach()
                relus = (step.relu_before, step.relu_after)
                layers.append(Causal(taps(step.layer), weight, bias, x, y, relus=relus))
            x = y
        self.logits = x
        super().__init__(layers)


class EagerNetwork:
    """A `PixelNetwork` in tensor operations, on every device and in every type."""

    def __init__(self, steps: Sequence[Step | LSTM2d], image: Tensor) -> None:
        self.image = x = image
        self._steps = list(steps)
        self._maps = [x]
        self._states: list[tuple[Tensor, Tensor] | None] = []
        self._weights: list[tuple[Tensor, ...]] = []
        for step in self._steps:
            if isinstance(step, LSTM2d):
                self._weights.append(tuple(t.detach() for t in step.causal_weights()))
                self._states.append(_empty_states(step, x))
                x = torch.zeros_like(x)
            else:
                weight = tap_weights(step.layer).detach().flatten(0, 1)
                self._weights.append((weight, step.layer.bias.detach()))
                self._states.append(None)
                x = _empty_map(x, len(step.layer.bias))
            self._maps.append(x)
        self.logits = x

    def forward_rows(self, first: int, end: int) -> None:
        columns = range(self.image.shape[1])
        for i, step in enumerate(self._steps):
            for row in range(first, end):
                if isinstance(step, LSTM2d):
                    for column in columns:
                        self._sweep(i, step, 0, row, column)
                    self._mirrored(i, step, row)
                for column in columns:
                    self._output(i, step, row, column)

    def forward_pixel(self, row: int, column: int) -> None:
        for i, step in enumerate(self._steps):
            if isinstance(step, LSTM2d):
                self._sweep(i, step, 0, row, column)
            self._output(i, step, row, column)

    def end_row(self, row: int) -> None:
        for i, step in enumerate(self._steps):
            if isinstance(step, LSTM2d):
                self._mirrored(i, step, row)

    def _mirrored(self, i: int, step: LSTM2d, row: int) -> None:
        if len(step.sweep.shifts) == 2:
            for column in reversed(range(self.image.shape[1])):
                self._sweep(i, step, 1, row, column)

    def _seen(self, x: Tensor, places: Sequence[Tap], row: int, column: int, sign: int = 1) -> list[Tensor]:
        """What lies at some places around a pixel, [B, features] each; zeros outside."""
        height, width = x.shape[:2]
        found = []
        for dr, dc in places:
            r, c = row + dr, column + sign * dc
            found.append(x[r, c] if 0 <= r < height and 0 <= c < width else torch.zeros_like(x[0, 0]))
        return found

    def _sweep(self, i: int, step: LSTM2d, direction: int, row: int, column: int) -> None:
        """State and cell of one direction at a pixel."""
        states = self._states[i]
        assert states is not None
        state, cell = (each[direction] for each in states)
        weight, bias = (each[direction] for each in self._weights[i][:2])
        sign = -1 if direction else 1
        sweep = step.sweep
        seen = self._seen(self._maps[i], sweep.input_taps, row, column, sign)
        seen += self._seen(state, sweep.state_taps, row, column, sign)
        inside, out, candidate, *forget = torch.addmm(bias, torch.cat(seen, 1), weight).chunk(
            3 + len(sweep.cell_taps), 1
        )
        new = inside.sigmoid() * candidate.tanh()
        for f, old in zip(forget, self._seen(cell, sweep.cell_taps, row, column, sign), strict=True):
            new = new + f.sigmoid() * old
        cell[row, column] = new
        state[row, column] = out.sigmoid() * new.tanh()

    def _output(self, i: int, step: Step | LSTM2d, row: int, column: int) -> None:
        """What a step gives at a pixel."""
        x, y = self._maps[i : i + 2]
        if isinstance(step, LSTM2d):
            states = self._states[i]
            assert states is not None
            *_, up, up_bias = self._weights[i]
            met = [
                state[row - shift, column]
                for state, shift in zip(states[0], step.sweep.shifts, strict=True)
                if row >= shift
            ]
            y[row, column] = x[row, column] + torch.addmm(up_bias, torch.stack(met).sum(0), up)
            return
        weight, bias = self._weights[i]
        seen = torch.cat(self._seen(x, taps(step.layer), row, column), 1)
        result = torch.addmm(bias, seen.relu() if step.relu_before else seen, weight)
        y[row, column] = result.relu() if step.relu_after else result
