"""Drawing pixel by pixel in raster order, for any causal network.

The walk, the random numbers, the temperature and what is known are here; the network is behind `CausalState`. Each
sub-pixel is drawn by inverting its cumulative distribution at a uniform number, and all uniform numbers are drawn
beforehand from one generator. So two networks, or two samplers of one network, that agree on the probabilities draw the
same image, and picture i does not depend on how many are drawn beside it.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor

from genlib.errors import GenlibError
from genlib.layers.precision import full_precision


class CausalState(Protocol):
    """What a network remembers of the pixels so far, for a batch of B images with C channels.

    Rows come in order, each either whole through `fill_rows` or pixel by pixel after `begin_row`. Values are what the
    network reads: coded sub-pixels in [0, 1].
    """

    def fill_rows(self, values: Tensor) -> None:
        """Take the next R rows as known, values [B, C, R, W]."""

    def begin_row(self) -> None:
        """Start the next row."""

    def logits(self, column: int, channel: int) -> Tensor:
        """Logits of a sub-pixel given all before it, [B, levels] or [B, 1] (Bernoulli). Valid until the next call."""

    def write(self, column: int, channel: int, values: Tensor) -> None:
        """The value of a sub-pixel, [B]. For a known one, `logits` need not have been asked."""


class Draws(Protocol):
    """Where the values come from: random numbers, or a bit stream that is read, or an image that is written to one."""

    def __call__(self, logits: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Logits [B, levels] or [B, 1] of a sub-pixel -> its values in [0, 1], [B]."""


def check_temperature(temperature: float) -> None:
    """Refuse what is no temperature. 0 is one: always the likeliest value."""
    if not 0 <= temperature < math.inf:
        raise GenlibError(f"The temperature cannot be {temperature}: give a number from 0 (likeliest values) upwards.")


def uniforms(images: int, shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """The uniform numbers behind ``images`` images of shape (C, H, W), as [H, W, C, images]."""
    channels, height, width = shape
    u = torch.rand(images, height, width, channels, generator=generator, device=generator.device)
    return u.permute(1, 2, 3, 0).contiguous()


class PixelDraws:
    """Turns logits into values with prepared uniform numbers u [H, W, C, B].

    p(value) is proportional to exp(logit / temperature). With two levels the value is 1 where
    u < sigmoid(logit / temperature), which is logit > temperature ln(u / (1 - u)): its right side is ready beforehand.
    """

    def __init__(self, u: Tensor, levels: int, temperature: float) -> None:
        self.levels = levels
        self.temperature = temperature
        self._numbers = temperature * u.clamp(min=torch.finfo(u.dtype).tiny).logit() if levels == 2 else u

    def __call__(self, logits: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Logits [B, levels] or [B, 1] -> values in [0, 1], [B]."""
        numbers = self._numbers[row, column, channel]
        if self.levels == 2:
            return (logits[:, 0] > numbers).to(logits.dtype)
        if self.temperature == 0:
            values = logits.argmax(1)
        else:
            logits = (logits - logits.amax(1, keepdim=True)) / self.temperature  # never overflows, however cold
            cumulative = logits.softmax(1).cumsum(1)[:, :-1]  # [B, levels - 1]; the last level takes the rest
            values = (numbers[:, None] >= cumulative).sum(1)
        return values.to(logits.dtype) / (self.levels - 1)


def draw_rows(state: CausalState, canvas: Tensor, known: Tensor, draws: Draws) -> Iterator[int]:
    """Draw what is not ``known`` [H, W] into ``canvas`` [B, C, H, W], in place; yields each row with something to draw.

    Rows that are known as a whole go to the network in one piece, and the walk ends after the last unknown pixel.
    """
    unknown: list[list[bool]] = (~known).tolist()
    todo = [row for row, pixels in enumerate(unknown) if any(pixels)]
    done = 0
    for row in todo:
        columns = canvas.shape[3]
        if row == todo[-1]:
            columns -= unknown[row][::-1].index(True)
        with torch.inference_mode(), full_precision(canvas.device):
            if row > done:
                state.fill_rows(canvas[:, :, done:row])
            _draw_row(state, canvas, row, unknown[row][:columns], draws)
        done = row + 1
        yield row  # with the caller's own modes, not ours


def _draw_row(state: CausalState, canvas: Tensor, row: int, unknown: list[bool], draws: Draws) -> None:
    values = canvas[:, :, row].permute(2, 1, 0).contiguous()  # [W, C, B]
    state.begin_row()
    for column, wanted in enumerate(unknown):
        for channel, value in enumerate(values[column]):
            if wanted:
                value.copy_(draws(state.logits(column, channel), row, column, channel))
            state.write(column, channel, value)
    canvas[:, :, row] = values.permute(2, 1, 0)
