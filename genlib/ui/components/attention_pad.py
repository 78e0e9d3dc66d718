"""Attention by hand: a grid of Gaussian filters that the visitor drags and scales over a picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import streamlit as st

from genlib.ui.components import wire

# What the sliders allow, by field: lowest, highest, step. Lengths in pixels of the picture; the centre's limits are the picture's.
LIMITS: dict[str, tuple[float, float, float]] = {
    "n": (1, 12, 1),
    "delta": (0.3, 12.0, 0.1),
    "sigma": (0.2, 6.0, 0.1),
    "gamma": (0.1, 3.0, 0.1),
}

_component = st.components.v2.component(
    "genlib_attention_pad",
    css=wire.asset("shared.css", "attention_pad.css"),
    js=wire.asset("shared.js", "attention_pad.js"),
)


@dataclass(frozen=True)
class Attention:
    """An n x n grid of filters: centre (x, y), stride ``delta`` and standard deviation ``sigma`` in pixels, intensity ``gamma``.

    The fields are those of `genlib.layers.attention.GlimpseBox`; pixel 0 has its centre at 0.
    """

    n: int
    x: float
    y: float
    delta: float
    sigma: float
    gamma: float


def checked_attention(values: object, height: int, width: int, what: str) -> Attention:
    """The grid in a mapping of numbers, each within its limits; ``ValueError`` says which is not."""
    limits = {**LIMITS, "x": (0, width - 1, 0), "y": (0, height - 1, 0)}
    read: dict[str, Any] = {}
    for name, (low, high, _) in limits.items():
        value = wire.field(values, name, what)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{what}: {name} must be a finite number, got {value!r:.60}")
        if not low - 1e-6 <= value <= high + 1e-6:
            raise ValueError(f"{what}: {name} = {value:g} lies outside {low:g} to {high:g}")
        read[name] = float(value)
    return Attention(**{**read, "n": wire.checked_int(int(read["n"]), 1, int(LIMITS["n"][1]), f"{what}: n")})


def attention_pad(
    image: np.ndarray,
    *,
    start: Attention,
    key: str,
    size: int = 430,
    label: str = "Attention",
    revision: object = 0,
    on_change: Callable[[], None] | None = None,
) -> Attention:
    """Show the picture under the grid, the glimpse that the grid reads and what it writes back; return the grid as it was left last.

    Drag the grid to move it, its corner to change the stride; sliders and the arrow keys do the same. Everything is computed in the
    browser while the hand moves; a rerun happens when it lets go. A change of ``image``, ``start`` or ``revision`` resets the grid.

    Args:
        image: uint8 [H, W].
        start: the grid at first.
        key: unique in the app.
        size: the longest side of the picture on the screen, CSS pixels; it shrinks to fit the column and the window.
        label: what a screen reader calls it.
        revision: any value with a stable ``repr``.
        on_change: called before the rerun that a change causes.

    Raises:
        TypeError: pixels are not uint8.
        ValueError: another shape, a start outside the limits, or a forged answer from the browser.
    """
    pixels = wire.checked_image(image, "attention pad")
    if pixels.ndim != 2:
        raise ValueError(f"attention pad: expected [H, W], got shape {pixels.shape}")
    height, width = pixels.shape
    begin = checked_attention(asdict(start), height, width, "attention pad: start")
    source = wire.digest(pixels, begin, revision)
    data = {
        "key": key,
        "source": source,
        "image": wire.encode_bytes(pixels.tobytes()),
        "height": height,
        "width": width,
        "start": asdict(begin),
        "limits": LIMITS,
        "size": int(size),
        "label": label,
    }
    result = _component(key=key, data=data, on_value_change=on_change or (lambda: None))
    payload = wire.settle(st.session_state, key, source, result.get("value"))
    return begin if payload is None else checked_attention(payload, height, width, "attention pad")
