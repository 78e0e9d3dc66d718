"""A pixel editor: draw a small picture, hide parts of it, or pick a pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import streamlit as st

from genlib.ui.components import wire

Mode = Literal["draw", "mask", "both", "pick"]
Tool = Literal["draw", "erase", "hide", "reveal", "box"]
PRESET_MASKS = ("nothing hidden", "lower half", "upper half", "left half", "right half", "centre square")
MAX_BRUSH = 9

_component = st.components.v2.component(
    "genlib_canvas",
    css=wire.asset("shared.css", "canvas.css"),
    js=wire.asset("shared.js", "canvas_view.js", "canvas.js"),
)


@dataclass(frozen=True, eq=False)
class CanvasValue:
    """What the user made. The arrays are read-only.

    Attributes:
        image: uint8, the shape of the input, [H, W] or [H, W, 3].
        known: bool [H, W]; False where the picture is hidden.
        picked: (row, column) of the pixel picked last, or None.
        revision: how many edits led here since the input was set; 0 means untouched.
    """

    image: np.ndarray
    known: np.ndarray
    picked: tuple[int, int] | None
    revision: int

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CanvasValue):
            return NotImplemented
        same_arrays = np.array_equal(self.image, other.image) and np.array_equal(self.known, other.known)
        return same_arrays and (self.picked, self.revision) == (other.picked, other.revision)

    __hash__ = None  # type: ignore[assignment]


def preset_mask(name: str, height: int, width: int) -> np.ndarray:
    """The bool [height, width] ``known`` array of a name in ``PRESET_MASKS``; the browser makes exactly the same.

    "lower half" *hides* the lower half. With an odd side the middle row or column belongs to the lower or right half.
    The centre square leaves a quarter (rounded down) known on each side. ``ValueError`` for an unknown name.
    """
    rows, columns = np.mgrid[:height, :width]
    hidden = {
        "nothing hidden": rows < 0,
        "lower half": rows >= height // 2,
        "upper half": rows < height // 2,
        "left half": columns < width // 2,
        "right half": columns >= width // 2,
        "centre square": (rows >= height // 4)
        & (rows < height - height // 4)
        & (columns >= width // 4)
        & (columns < width - width // 4),
    }
    if name not in hidden:
        raise ValueError(f"unknown preset mask {name!r}; known: {', '.join(PRESET_MASKS)}")
    return ~hidden[name]


def decode_canvas(payload: object, shape: tuple[int, ...]) -> CanvasValue:
    """The browser's answer for a picture of ``shape``, every field checked; ``ValueError`` says which one is wrong."""
    height, width = shape[:2]
    size = int(np.prod(shape))
    raw = wire.decode_bytes(wire.field(payload, "image", "canvas"), size, "canvas image")
    known = wire.decode_mask(wire.field(payload, "known", "canvas"), height, width, "canvas mask")
    known.flags.writeable = False
    picked = wire.field(payload, "picked", "canvas")
    if picked is not None:
        if not isinstance(picked, list | tuple) or len(picked) != 2:
            raise ValueError(f"canvas pick: expected [row, column] or null, got {picked!r:.60}")
        picked = (
            wire.checked_int(picked[0], 0, height - 1, "canvas pick: row"),
            wire.checked_int(picked[1], 0, width - 1, "canvas pick: column"),
        )
    revision = wire.checked_int(wire.field(payload, "revision", "canvas"), 0, 2**53, "canvas revision")
    return CanvasValue(np.frombuffer(raw, np.uint8).reshape(shape), known, picked, revision)


def canvas(
    image: np.ndarray,
    *,
    known: np.ndarray | None = None,
    mode: Mode = "both",
    key: str,
    picked: tuple[int, int] | None = None,
    brush: int = 2,
    ink: int = 255,
    tool: Tool | None = None,
    presets: Sequence[str] = PRESET_MASKS,
    readonly: bool = False,
    grid: bool = True,
    size: int = 560,
    label: str = "Canvas",
    revision: object = 0,
    on_change: Callable[[], None] | None = None,
) -> CanvasValue:
    """Show ``image`` in the editor and return what the user has made of it so far.

    The user's work survives reruns and page changes as long as ``image``, ``known``, ``picked`` and ``revision`` stay
    the same; when one of them changes, the editor starts again from the new input. A rerun happens when a stroke ends,
    not while it is drawn.

    Args:
        image: uint8 [H, W] or [H, W, 3]; 0 is black. Sides up to 512, meant for 28 or 32.
        known: bool [H, W], False where hidden; None: everything is known.
        mode: "draw" (ink only), "mask" (the picture stays), "both", or "pick" (a click chooses a pixel).
        key: unique in the app.
        picked: the pixel chosen at first, (row, column).
        brush: side of the brush in pixels, 1 to 9, when first shown.
        ink: 0 to 255, the value that drawing writes (to every channel), when first shown. Erasing writes 0.
        tool: the tool in hand at first; None: what suits the mode.
        presets: names out of ``PRESET_MASKS`` to offer as buttons.
        readonly: show only; no tools, no keyboard.
        grid: draw faint lines between the pixels.
        size: the longest side of the picture on the screen, CSS pixels; it shrinks to fit the column and the window.
        label: what a screen reader calls it.
        revision: any value with a stable ``repr``; change it to start afresh with the same picture.
        on_change: called before the rerun that an edit causes.

    Raises:
        TypeError: ``image`` is not uint8.
        ValueError: a bad shape, mode or option, or a forged answer from the browser.
    """
    pixels = wire.checked_image(image, "canvas image")
    height, width = pixels.shape[:2]
    mask = np.ones((height, width), bool) if known is None else np.asarray(known)
    if mask.dtype != bool or mask.shape != (height, width):
        raise ValueError(f"known: expected bool [{height}, {width}], got {mask.dtype} {list(mask.shape)}")
    if mode not in get_args(Mode):
        raise ValueError(f"unknown mode {mode!r}; one of {', '.join(get_args(Mode))}")
    if tool is not None and tool not in get_args(Tool):
        raise ValueError(f"unknown tool {tool!r}; one of {', '.join(get_args(Tool))}")
    for name in presets:
        preset_mask(name, 1, 1)
    if picked is not None:
        picked = (
            wire.checked_int(picked[0], 0, height - 1, "picked row"),
            wire.checked_int(picked[1], 0, width - 1, "picked column"),
        )
    source = wire.digest(pixels, mask, picked, revision)
    data: dict[str, Any] = {
        "key": key,
        "source": source,
        "height": height,
        "width": width,
        "channels": 1 if pixels.ndim == 2 else 3,
        "image": wire.encode_bytes(pixels.tobytes()),
        "known": wire.encode_mask(mask),
        "picked": list(picked) if picked is not None else None,
        "mode": mode,
        "tool": tool or ("hide" if mode == "mask" else "draw"),
        "brush": wire.checked_int(brush, 1, MAX_BRUSH, "brush"),
        "ink": wire.checked_int(ink, 0, 255, "ink"),
        "presets": list(presets),
        "readonly": bool(readonly),
        "grid": bool(grid),
        "size": int(size),
        "label": label,
    }
    result = _component(key=key, data=data, on_value_change=on_change or (lambda: None))
    payload = wire.settle(st.session_state, key, source, result.get("value"))
    if payload is None:
        pixels, mask = pixels.copy(), mask.copy()
        pixels.flags.writeable = mask.flags.writeable = False
        return CanvasValue(pixels, mask, picked, 0)
    return decode_canvas(payload, pixels.shape)
