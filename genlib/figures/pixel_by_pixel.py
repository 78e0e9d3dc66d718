"""A picture as a walk from sub-pixel to sub-pixel: what the model predicted at each step, and what came.

The model is autoregressive: what it predicts on the way to a picture depends on the picture's earlier values alone. So
one `pixel_distribution` of the finished picture gives every prediction of the way, exactly.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from genlib.figures import images, palette
from genlib.figures.completion import tempered

CHANNELS = ("red", "green", "blue")
INKS = (palette.VERMILLION, palette.GREEN, palette.SKY)  # of bars, a sub-pixel's own
HEAT = ["#" + bytes(row).hex() for row in images.HEAT[::17]]  # the scale of `images.heat` from low to high
MOST_BARS = 64  # more could not be told apart on a screen
SMALLEST = float(np.finfo(np.float32).tiny)  # a probability that the model's arithmetic rounds to 0 counts as this


@dataclass(frozen=True, eq=False)
class Walk:
    """The T = C x H x W sub-pixels of one picture in drawing order.

    Attributes:
        p: what the model predicted at each step, float [T, levels]; rows sum to one.
        values: the value that came, int [T], 0 .. levels - 1.
        order: the step of each sub-pixel, int [C, H, W]: every number from 0 to T - 1 once.
    """

    p: np.ndarray
    values: np.ndarray
    order: np.ndarray

    @property
    def steps(self) -> int:
        return len(self.values)

    @property
    def levels(self) -> int:
        return self.p.shape[1]

    @cached_property
    def places(self) -> np.ndarray:
        """(channel, row, column) of each step, int [T, 3]."""
        return np.stack(np.unravel_index(self.order.ravel().argsort(), self.order.shape), 1)

    @cached_property
    def chance(self) -> np.ndarray:
        """p of the value that came, [T]."""
        return self.p[np.arange(self.steps), self.values]

    @cached_property
    def surprise(self) -> np.ndarray:
        """-ln p of the value that came, nats [T]. Their sum is -ln p(picture)."""
        return -np.log(np.maximum(self.chance, SMALLEST)) + 0.0

    @cached_property
    def entropy(self) -> np.ndarray:
        """Of each prediction, bits [T]: the surprise that the model itself expects."""
        return -(self.p * np.log2(np.maximum(self.p, SMALLEST))).sum(1) + 0.0

    @cached_property
    def mean(self) -> np.ndarray:
        """The expected value of each prediction, [T] in [0, 1]; for ink or none, the probability of ink."""
        return self.p @ np.arange(self.levels) / (self.levels - 1)

    @cached_property
    def so_far(self) -> np.ndarray:
        """The surprise up to and with each step, nats [T]."""
        return self.surprise.cumsum()

    def at_temperature(self, temperature: float) -> np.ndarray:
        """What is drawn from at a temperature, [T, levels]: p ** (1 / T) made to sum to one."""
        return tempered(torch.from_numpy(self.p), temperature).numpy()

    def pixels(self, shares: np.ndarray | None = None) -> np.ndarray:
        """Numbers in [0, 1] by step as uint8 [T]; by default the values that came."""
        shares = self.values / (self.levels - 1) if shares is None else shares
        return (np.clip(shares, 0, 1) * 255).round().astype(np.uint8)

    def picture(self, shares: np.ndarray | None = None) -> np.ndarray:
        """The same as a picture, uint8 [H, W] or [H, W, 3]."""
        return as_picture(self.pixels(shares)[self.order])

    def picture_order(self) -> np.ndarray:
        """The step of each value of `picture`, in its shape."""
        return as_picture(self.order)

    def strips(self, of_sub_pixels: np.ndarray) -> np.ndarray:
        """[C, H, W] -> [H, W C]: a pixel's sub-pixels side by side, as on a screen."""
        channels, height, width = of_sub_pixels.shape
        return np.ascontiguousarray(np.moveaxis(of_sub_pixels, 0, -1).reshape(height, width * channels))

    def heat(self, numbers: np.ndarray, top: float) -> np.ndarray:
        """Numbers by step, [T], as a heat map of sub-pixels, uint8 [H, W C, 3]."""
        return images.heat(self.strips(numbers[self.order]), top)


def as_picture(of_sub_pixels: np.ndarray) -> np.ndarray:
    """[C, H, W] -> [H, W, 3], or [H, W] for one channel."""
    pixels = np.moveaxis(of_sub_pixels, 0, -1)
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def side_by_side(film: np.ndarray, frame: int, gap: int, across: int = 1) -> np.ndarray:
    """A film as one tall picture [T frame, W(, 3)] -> its frames in rows [h, w(, 3)], as wide as the screen likes them.

    ``frame`` rows each; between them lies a row, or ``across`` columns, of ``gap``. A last frame that is cut off is filled up with it.
    """
    frames = -(-len(film) // frame)
    columns = images.best_columns(frames, 4 / 3)
    rows = -(-frames // columns)
    height, width = frame + 1, film.shape[1] + across
    sheet = np.full((rows * height - 1, columns * width - across, *film.shape[2:]), gap, film.dtype)
    for t in range(frames):
        part = film[t * frame : (t + 1) * frame]
        top, left = t // columns * height, t % columns * width
        sheet[top : top + len(part), left : left + film.shape[1]] = part
    return sheet


def walk(p: Tensor, coded: Tensor, order: Tensor) -> Walk:
    """A model's `pixel_distribution` [C, levels, H, W] of a coded picture [C, H, W], put in the drawing order [C, H, W]."""
    ranks = order.cpu().numpy().astype(np.int64)
    by_step = ranks.ravel().argsort()
    levels = p.shape[1]
    table = p.double().movedim(1, -1).reshape(-1, levels).cpu().numpy()[by_step]
    values = (coded.double() * (levels - 1)).round().long().reshape(-1).cpu().numpy()[by_step]
    return Walk(table, values, ranks)


def surprise_top(levels: int) -> int:
    """Where the scale of surprise ends, in nats: somewhat above that of a value picked blindly."""
    return math.ceil(math.log(levels) + 2)


def grouped(table: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Bars of at most `MOST_BARS`: neighbouring values of a distribution [T, levels] share one.

    Returns (bars [T, n], the bar of each of ``values`` [T], values a bar).
    """
    steps, levels = table.shape
    size = -(-levels // MOST_BARS)
    padded = np.pad(table, ((0, 0), (0, -levels % size)))
    return padded.reshape(steps, -1, size).sum(2), values // size, size


def ticks(channels: int, levels: int) -> list[tuple[int, str]]:
    """(value, word) for the axis of a distribution."""
    if channels == 1 and levels == 2:
        return [(0, "no ink"), (1, "ink")]
    if levels <= 16:
        return [(level, str(level)) for level in range(levels)]
    return [(level, str(level)) for level in (*range(0, levels - levels // 8, levels // 4), levels - 1)]
