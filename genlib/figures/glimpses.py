"""Frames and overlays of a step-wise drawing: what a player shows. Works on the trace that `trace` gives, for one picture of it."""

from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from genlib.figures.images import rgb, to_levels, to_pixels
from genlib.figures.palette import GREEN, ORANGE, SKY
from genlib.layers.attention import GlimpseBox, filter_offsets

READ, WRITE, EXAMPLE = SKY, ORANGE, GREEN
ENLARGED = 6  # a glimpse of a few pixels is shown as blocks of this side, so that panels are of like size


class Overlay(NamedTuple):
    """One rectangle: centre and sides in pixels, the line's width on the screen, colour."""

    cx: float
    cy: float
    width: float
    height: float
    line_width: float
    colour: str


def overlays(box: GlimpseBox, n: int, index: int, colour: str) -> list[list[Overlay]]:
    """The rectangle at each step for picture ``index``, [T][1]: side delta (n - 1), line width by the filters' sigma (as in figure 1 of
    the paper). One filter has no side; it gets a square of twice its sigma."""
    rows = []
    for x, y, delta, sigma, _ in box.tensor()[index].tolist():
        side = delta * (n - 1) if n > 1 else 2 * sigma
        rows.append([Overlay(x, y, side, side, float(np.clip(1.5 * sigma, 1.5, 9.0)), colour)])
    return rows


def centres(box: GlimpseBox, n: int, index: int) -> list[list[tuple[float, float]]]:
    """The n x n filter centres (x, y) at each step for picture ``index``, in pixels."""
    offsets = filter_offsets(n).tolist()
    steps = box.tensor()[index].tolist()
    return [[(x + i * delta, y + j * delta) for j in offsets for i in offsets] for x, y, delta, _, _ in steps]


def canvases(trace: Any, index: int) -> np.ndarray:
    """sigmoid(c_t) of picture ``index``: uint8 [T, H, W, 3]."""
    return to_pixels(trace.canvases[index])


def changes(trace: Any, index: int) -> np.ndarray:
    """What each step changed of the canvas, uint8 [T, H, W, 3]: orange where ink was added, blue where it was taken away, black where
    nothing changed. The first step is held against an even grey."""
    after = trace.canvases[index].mean(1).cpu().numpy()  # [T, H, W]
    before = np.concatenate([np.full_like(after[:1], 0.5), after[:-1]])
    change = after - before
    up, down = np.clip(change, 0, 1) ** 0.6, np.clip(-change, 0, 1) ** 0.6  # small changes are changes, too
    colours = up[..., None] * rgb(WRITE) + down[..., None] * rgb(READ)
    return colours.clip(0, 255).round().astype(np.uint8)


def glimpses(patches: Tensor, index: int) -> np.ndarray:
    """Glimpses [N, T, C, n, n] of picture ``index``, each stretched between its lowest and highest value over all steps:
    uint8 [T, n * ENLARGED, n * ENLARGED, 3]."""
    values = patches[index]
    low, high = float(values.min()), float(values.max())
    pixels = to_pixels((values - low) / max(high - low, 1e-9))
    return pixels.repeat(ENLARGED, 1).repeat(ENLARGED, 2)


def wall(trace: Any, columns: int) -> np.ndarray:
    """All pictures of the trace side by side at each step, uint8 [T, rows * H, columns * W], or [..., 3] in colour."""
    pixels = to_levels(trace.canvases.transpose(0, 1))  # [T, N, H, W, C]
    steps, n, h, w, channels = pixels.shape
    rows = n // columns
    tiles = pixels[:, : rows * columns].reshape(steps, rows, columns, h, w, channels)
    found = tiles.swapaxes(2, 3).reshape(steps, rows * h, columns * w, channels)
    return found[..., 0] if channels == 1 else found
