"""Panels of the player for long films: the browser makes every frame itself from one picture or one table.

An image of 784 pixels drawn one after another is a film of 784 frames, yet each frame is the finished image up to a
place. So a `Reveal` sends that image once, with the step at which each of its values appears, and `Bars` a table with
one row a step. A film of thousands of steps then weighs as much as a picture.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from genlib.ui.components import wire

MAX_STEPS = 2**16 - 1  # a step is sent as 16 bits
NEVER = 2**16 - 1  # the step of a cell that is no part of the picture, such as the gap between two frames of a film
MAX_LEVELS = 256
FINE = 4  # up to so many levels, heights are sent with 16 bits instead of 8
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


class Scale(NamedTuple):
    """A colour scale beside a panel's title: colours #rrggbb from left to right, and words for its two ends."""

    colours: Sequence[str]
    low: str
    high: str


@dataclass(frozen=True)
class Reveal:
    """A picture whose values appear one after another; what has not appeared yet is hatched, the newest one is framed.

    Attributes:
        title: shown above it.
        picture: uint8 [H, W] or [H, W, 3], finished.
        order: int [H, W], the step from 0 at which each cell appears; or [H, W, 3], one for each channel of a colour
            picture, a channel that has not appeared yet being 0. A click on a cell goes to (the last of) its steps. A cell of
            `NEVER` stays hatched.
        steps: how many steps the film has, at most 65535.
        across: cells side by side that make one pixel, for a map of sub-pixels; the picture is W / across pixels wide.
        scale: what its colours mean.
    """

    title: str
    picture: np.ndarray
    order: np.ndarray
    steps: int
    across: int = 1
    scale: Scale | None = None

    def data(self, total: int) -> dict[str, Any]:
        """What the browser gets; ``ValueError`` for what does not fit."""
        what = f"panel {self.title!r}"
        picture = wire.checked_image(self.picture, what)
        order = np.asarray(self.order)
        if not np.issubdtype(order.dtype, np.integer):
            raise TypeError(f"{what}: order must hold integers, got {order.dtype}")
        if order.shape not in (picture.shape, picture.shape[:2]):
            raise ValueError(f"{what}: order {order.shape} does not fit the picture {picture.shape}")
        steps = order[order != NEVER]
        if steps.size == 0 or steps.min() < 0 or steps.max() >= total or total > MAX_STEPS:
            raise ValueError(f"{what}: order must lie in 0..{total - 1}, got {order.min()}..{order.max()}")
        height, width = picture.shape[:2]
        if self.across < 1 or width % self.across:
            raise ValueError(f"{what}: {width} cells are no multiple of across = {self.across}")
        return {
            "kind": "reveal",
            "title": self.title,
            "height": height,
            "width": width // self.across,
            "cells": width,
            "channels": order.ndim,  # 2: whole cells appear; 3: channel by channel
            "sheets": [wire.png_asset(picture)],
            "order": wire.encode_bytes(order.astype("<u2").tobytes()),
            "scale": None if self.scale is None else _scale(self.scale, what),
        }


@dataclass(frozen=True)
class Bars:
    """A row of bars at each step, such as the distribution of the value that is drawn there.

    Attributes:
        title: shown above it.
        heights: float [T, levels], from 0; up to 4 levels the axis ends at 1, with more at the step's highest bar.
        chosen: int [T], the bar that is marked.
        ticks: (level, word) under the bars.
        colours: #rrggbb; at step t the bars have colour ``inks[t]``.
        inks: int [T], or None: always the first colour.
        outline: float [T, levels], drawn as an outline over the bars; ``names``: what bars and outline are.
        height, width: the panel's size as a picture of so many pixels; it takes what others leave of the row.
    """

    title: str
    heights: np.ndarray
    chosen: np.ndarray
    ticks: Sequence[tuple[int, str]]
    colours: Sequence[str]
    inks: np.ndarray | None = None
    outline: np.ndarray | None = None
    names: tuple[str, str] = ("", "")
    height: int = 28
    width: int = 28

    @property
    def steps(self) -> int:
        return len(self.heights)

    def data(self, total: int) -> dict[str, Any]:
        """What the browser gets; ``ValueError`` for what does not fit."""
        what = f"panel {self.title!r}"
        shape = (total, self.heights.shape[-1])
        if not 2 <= shape[1] <= MAX_LEVELS:
            raise ValueError(f"{what}: expected 2 to {MAX_LEVELS} bars, got {shape[1]}")
        tables = [self.heights] if self.outline is None else [self.heights, self.outline]
        for table in tables:
            if table.shape != shape or not np.isfinite(table).all() or table.min() < 0:
                raise ValueError(f"{what}: heights must be finite, at least 0 and of shape {shape}, got {table.shape}")
        inks = np.zeros(total, int) if self.inks is None else np.asarray(self.inks)
        for name, values, limit in (("chosen", self.chosen, shape[1]), ("inks", inks, len(self.colours))):
            if values.shape != (total,) or values.min() < 0 or values.max() >= limit:
                raise ValueError(f"{what}: {name} must be [{total}] integers in 0..{limit - 1}")
        return {
            "kind": "bars",
            "title": self.title,
            "height": self.height,
            "width": self.width,
            "levels": shape[1],
            "sheets": [wire.png_asset(packed(table)) for table in tables],
            "tops": [wire.encode_bytes(table.max(1).astype("<f4").tobytes()) for table in tables],
            "chosen": wire.encode_bytes(self.chosen.astype(np.uint8).tobytes()),
            "inks": wire.encode_bytes(inks.astype(np.uint8).tobytes()),
            "colours": [_colour(colour, what) for colour in self.colours],
            "ticks": [
                [wire.checked_int(level, 0, shape[1] - 1, f"{what}, tick"), str(word)] for level, word in self.ticks
            ],
            "names": list(self.names),
        }


@dataclass(frozen=True)
class Captions:
    """Captions made in the browser: ``text`` holds {0}, {1} ..., which stand for ``columns[0][step]`` and so on.

    A column is T words, or an array of T whole numbers from 0 to 65535, or one of T floats, shown with three digits.
    """

    text: str
    columns: Sequence[Sequence[str] | np.ndarray]

    def data(self, total: int) -> dict[str, Any]:
        """What the browser gets; ``ValueError`` for what does not fit."""
        for column in self.columns:
            if len(column) != total:
                raise ValueError(f"captions: expected {total} a column, got {len(column)}")
        if max(map(int, re.findall(r"\{(\d+)\}", self.text)), default=-1) >= len(self.columns):
            raise ValueError(f"captions: {self.text!r} asks for more than {len(self.columns)} columns")
        return {"text": self.text, "columns": [_column(column) for column in self.columns]}


def _column(column: Sequence[str] | np.ndarray) -> dict[str, Any]:
    if not isinstance(column, np.ndarray):
        words = sorted(set(column))
        places = {word: place for place, word in enumerate(words)}
        return {"words": words, **_column(np.array([places[word] for word in column]))}
    if np.issubdtype(column.dtype, np.floating):
        return {"floats": wire.encode_bytes(column.astype("<f4").tobytes())}
    if column.min() < 0 or column.max() > MAX_STEPS:
        raise ValueError(f"captions: whole numbers must lie in 0..{MAX_STEPS}, got {column.min()}..{column.max()}")
    if column.max() < 256:
        return {"bytes": wire.encode_bytes(column.astype("u1").tobytes())}
    return {"shorts": wire.encode_bytes(column.astype("<u2").tobytes())}


def packed(table: np.ndarray) -> np.ndarray:
    """Float [T, levels] >= 0 -> uint8 pixels that hold each row relative to its highest value.

    The browser reads (256 red + green) / 65535: 16 bits in colour for few levels, and 8 bits in grey for many, where red
    and green are the same (257 v / 65535 = v / 255).
    """
    top = table.max(1, keepdims=True)
    share = table / np.where(top > 0, top, 1)
    if table.shape[1] > FINE:
        return (share * 255).round().astype(np.uint8)
    whole = (share * 65535).round().astype(np.uint16)
    return np.stack([whole >> 8, whole & 255, np.zeros_like(whole)], -1).astype(np.uint8)


def _scale(scale: Scale, what: str) -> dict[str, Any]:
    return {"colours": [_colour(c, what) for c in scale.colours], "low": str(scale.low), "high": str(scale.high)}


def _colour(text: str, what: str) -> str:
    if not _COLOUR.fullmatch(text):
        raise ValueError(f"{what}: colours must look like #e69f00, got {text!r:.40}")
    return text
