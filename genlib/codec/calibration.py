"""Counting code tables: how often each symbol is written, on pictures that neither training nor a test has seen.

What an encoder writes hangs on what it costs, and what it costs on how often it is written. So both are found in turns: write
symbols by the tables so far, count them, and turn the weight of a nat towards the wanted bits a picture. How many steps a
rate keeps, and how coarse its grid is, are tried out: those with which the pictures, finished by the prior's mean, come out nearest
to the originals. (Few steps written well beat many written badly: where a number of the code has far less than a bit to
say, rounding wastes most of it.)
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlib.codec.lossy import CHUNK, coder_of, quantise
from genlib.codec.stream import same_arithmetic
from genlib.codec.tables import BITS, CONTEXTS, LARGEST, SYMBOLS, CodeTables, Rate, contexts, counted, guessed
from genlib.models.contract import Model

ROUNDS = 6
GRIDS = (0.5, 0.75, 1.0, 1.5, 2.0)  # in units of the prior's sigma

Progress = Callable[[int, int], None]
"""Called with (rates done, rates in all)."""


@torch.no_grad()
def calibrate(
    model: Model, images: Tensor, *, bits: Sequence[float] = BITS, progress: Progress | None = None
) -> CodeTables:
    """Tables for ``bits`` a picture each, counted on images [N, C, H, W] (some hundred are enough)."""
    network = coder_of(model)
    images = images.to(network.device)
    start = guessed(model)
    rates: list[Rate] = []
    place = _Place(1, 2)
    with same_arithmetic():
        for done, each in enumerate(sorted(map(float, bits))):
            before = start.rates[start.nearest(each)]
            tried: dict[_Place, tuple[float, Rate]] = {}

            def loss(at: _Place, before: Rate = before, each: float = each, tried: Any = tried) -> float:
                if at not in tried:
                    tried[at] = _counted(network, images, before, each, at.steps, GRIDS[at.grid])
                return float(tried[at][0])

            while (better := min((place, *place.beside(network.config.steps)), key=loss)) != place:
                place = better
            rates.append(tried[place][1])
            if progress is not None:
                progress(done + 1, len(bits))
    return CodeTables(tuple(rates))


class _Place(NamedTuple):
    """What is tried out: a number of steps, and which of `GRIDS`."""

    steps: int
    grid: int

    def beside(self, most: int) -> list["_Place"]:
        """One step more or fewer, one grid finer or coarser."""
        near = [
            (self.steps + 1, self.grid),
            (self.steps - 1, self.grid),
            (self.steps, self.grid + 1),
            (self.steps, self.grid - 1),
        ]
        return [_Place(steps, grid) for steps, grid in near if 1 <= steps <= most and 0 <= grid < len(GRIDS)]


def _counted(model: Any, images: Tensor, before: Rate, bits: float, steps: int, grid: float) -> tuple[float, Rate]:
    """The squared error of the pictures at so many steps, and the rate that writes them."""
    rate = Rate(bits, steps, grid, before.counts[:steps])
    wanted = bits * torch.log(torch.tensor(2.0)).item()
    weight = 0.0  # natural logarithm
    for turn in range(ROUNDS):
        weights = torch.full((CHUNK,), weight).exp()
        parts = [quantise(model, part, rate, steps, weights[: len(part)]) for part in images.split(CHUNK)]
        values = torch.cat([part.values for part in parts])
        rate = Rate(bits, steps, grid, counted(histogram(values)))
        spent = _cost(values, rate)
        if turn < ROUNDS - 1:  # bits fall about as a power of the weight between -1/2 and -1
            weight += 1.2 * torch.log(torch.tensor(max(spent, 1e-3) / wanted)).item()
    return float(torch.cat([part.error for part in parts]).log().mean()), rate


def histogram(values: Tensor) -> Tensor:
    """How often each symbol stands in each context: int8 [N, steps, channels, h, w] -> [steps, channels, CONTEXTS, SYMBOLS]."""
    used = (values != 0).any(2)  # [N, steps, h, w]
    before = torch.cat((torch.zeros_like(used[:, :1]), used[:, :-1]), 1)
    context = contexts(used, before)[:, :, None].expand(values.shape)
    _, steps, channels, _, _ = values.shape
    row = torch.arange(steps)[:, None] * channels + torch.arange(channels)  # [steps, channels]
    index = (row[..., None, None] * CONTEXTS + context) * SYMBOLS + values.long() + LARGEST
    return torch.bincount(index.flatten(), minlength=steps * channels * CONTEXTS * SYMBOLS).view(
        steps, channels, CONTEXTS, SYMBOLS
    )


def _cost(values: Tensor, rate: Rate) -> float:
    """Nats a picture by the rate's own tables."""
    return float((histogram(values).double() * rate.nats.double()).sum()) / len(values)
