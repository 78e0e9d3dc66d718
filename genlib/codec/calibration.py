"""Counting code tables: how often each symbol is written, on pictures that neither training nor a test has seen.

What an encoder writes hangs on what it costs, and what it costs on how often it is written. So both are found in turns: write
symbols by the tables so far, count them, and turn the weight of a nat towards the wanted bits of each picture. How many steps a
rate keeps, how coarse its grid is and how much larger codes are written are tried out: those with which the pictures, refined
and finished by the prior's mean, come out nearest to the originals. (Few steps written well beat many written badly: where a
number of the code has far less than a bit to say, rounding wastes most of it.)
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlib.codec.lossy import CHUNK, WEIGHTS, coder_of, quantise
from genlib.codec.refining import refine
from genlib.codec.stream import same_arithmetic
from genlib.codec.tables import (
    BITS,
    CONTEXTS,
    GAIN,
    GRID,
    LARGEST,
    SYMBOLS,
    CodeTables,
    Rate,
    contexts,
    counted,
    guessed,
)
from genlib.models.contract import Model

ROUNDS = 5
GRIDS = (0.75, 1.0, 1.4, 2.0, 2.8, 4.0)  # in units of the prior's sigma
GAINS = (1.0, 1.4, 1.8, 2.2, 2.6)
SEARCHED = 32  # pictures that these are tried out with
JUDGED = 16  # of them, refined, that decide
FALL = 0.8  # the error falls about as so high a power of the bits

Progress = Callable[[int, int], None]
"""Called with (rates done, rates in all)."""


@torch.no_grad()
def calibrate(
    model: Model, images: Tensor, *, bits: Sequence[float] = BITS, progress: Progress | None = None
) -> CodeTables:
    """Tables for ``bits`` a picture each, counted on images [N, C, H, W] (some hundred are enough)."""
    network = coder_of(model)
    images = images.to(network.device)
    guess, rates = guessed(model), []
    with same_arithmetic():
        for done, each in enumerate(sorted(map(float, bits))):
            steps = max(1, round(network.config.steps * each / max(bits)))
            at_first = _Place(steps, GRIDS.index(GRID), GAINS.index(GAIN))
            rates.append(_searched(network, images, each, guess.rates[guess.nearest(each)], at_first))
            if progress is not None:
                progress(done + 1, len(bits))
    return CodeTables(tuple(rates))


def _searched(model: Any, images: Tensor, bits: float, guess: Rate, start: "_Place") -> Rate:
    """The rate for so many bits: from place to better place beside it."""
    tried: dict[_Place, tuple[float, Rate]] = {}

    def loss(at: _Place) -> float:
        if at not in tried:
            first = Rate(bits, at.steps, GRIDS[at.grid], GAINS[at.gain], guess.counts[: at.steps])
            tried[at] = _counted(model, images[:SEARCHED], first)
        return tried[at][0]

    place: _Place | None = start
    while place is not None:
        best = place
        place = next((near for near in best.beside(model.config.steps) if loss(near) < loss(best)), None)
    return _counted(model, images, tried[best][1])[1]


class _Place(NamedTuple):
    """What is tried out: a number of steps, which of `GRIDS`, and which of `GAINS`."""

    steps: int
    grid: int
    gain: int

    def beside(self, most: int) -> list["_Place"]:
        """One step more or fewer, one grid coarser or finer, one gain up or down."""
        near = [
            self._replace(**{field: value + by})
            for by in (1, -1)
            for field, value in zip(self._fields, self, strict=True)
        ]
        return [at for at in near if 1 <= at.steps <= most and 0 <= at.grid < len(GRIDS) and 0 <= at.gain < len(GAINS)]


def _counted(model: Any, images: Tensor, rate: Rate) -> tuple[float, Rate]:
    """How badly pictures fare, and the rate with tables counted on them.

    Each has its own weight, and so about the same bits, as in a file. The first figure is the mean of ln error of the first
    `JUDGED`, refined, where more bits than wanted count as the error that they spare.
    """
    wanted = rate.bits * math.log(2)
    weight = torch.zeros(len(images), dtype=torch.float64)  # natural logarithms
    for _ in range(ROUNDS):
        chunks = zip(images.split(CHUNK), weight.exp().float().split(CHUNK), strict=True)
        parts = [quantise(model, part, rate, rate.steps, weights) for part, weights in chunks]
        values, nats = (torch.cat(each) for each in list(zip(*parts, strict=True))[:2])
        # bits fall about as a power of the weight between -1/2 and -1
        weight = (weight + 1.2 * (nats.clamp(min=1e-3) / wanted).log()).clamp(*WEIGHTS)
        rate = replace(rate, counts=counted(histogram(values)))
    found = refine(model, values[:JUDGED], images[:JUDGED], rate, wanted)
    spent = (found.nats / wanted).clamp(min=1)  # bits that a place cannot make use of are not to its credit
    return float((found.error.double().log() + FALL * spent).mean()), rate


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
