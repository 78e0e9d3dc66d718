"""A player for what happens step by step: one scrubber for every panel, overlays, charts, export to GIF and PNG."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import streamlit as st

from genlib.ui.components import wire
from genlib.ui.components.player_panels import Bars, Captions, Reveal

SHEET_FRAMES = (
    64  # frames a sprite sheet; only the last sheet changes while frames are appended, the others keep their hash
)
MAX_SHEET_SIDE = 8192
# Bytes of pixels; a film as short travels as it is, and the browser shows it at once: it need not wait for a decoder.
BARE = 1 << 17
LONG = 512  # steps from which a series travels as base64 of floats, half as long as a list of numbers
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")

_component = st.components.v2.component(
    "genlib_player",
    css=wire.asset("shared.css", "player.css"),
    js=wire.asset("shared.js", "gif.js", "player_panels.js", "player_view.js", "player.js"),
)


class Box(NamedTuple):
    """A rectangle over a frame.

    Centre and sides are in pixels of the frame, 0 being the middle of the first pixel; ``line_width`` is on the screen,
    in CSS pixels; ``colour`` is #rrggbb.
    """

    cx: float
    cy: float
    width: float
    height: float
    line_width: float = 3.0
    colour: str = "#e69f00"


@dataclass(frozen=True)
class Panel:
    """One picture that changes with the step.

    Attributes:
        title: shown above it.
        frames: T pictures, uint8 [H, W] or [H, W, 3] each, all of one shape (an array [T, H, W(, 3)] will do).
        boxes: for each step, the rectangles over the frame; empty for none.
        dots: for each step, [n, 2] positions (x, y) in pixels of the frame, such as filter centres; empty for none.
        dot_colour: #rrggbb.
        notes: for each step, a text under the frame, as wide as the frame; lines end with a newline. Empty for none.
    """

    title: str
    frames: Sequence[np.ndarray] | np.ndarray
    boxes: Sequence[Sequence[Box]] = ()
    dots: Sequence[Any] = ()
    dot_colour: str = "#56b4e9"
    notes: Sequence[str] = ()

    @property
    def steps(self) -> int:
        return len(self.frames)

    def data(self, total: int) -> dict[str, Any]:
        """What the browser gets; ``TypeError`` or ``ValueError`` for what does not fit."""
        return _panel_data(self, total)


@dataclass(frozen=True)
class Series:
    """A number at each step, drawn as a small chart with a cursor. ``values``: T floats; NaN leaves a gap."""

    name: str
    values: Sequence[float] | np.ndarray
    kind: Literal["bar", "line"] = "bar"
    unit: str = ""


@dataclass(frozen=True)
class PlayerValue:
    """``step``: index from 0 of the frame where the user stopped; ``following``: they stay at the newest frame."""

    step: int
    following: bool


def decode_player(payload: object, total: int) -> PlayerValue:
    """The browser's answer, checked; ``ValueError`` says which field is wrong.

    A step beyond the end is not an error when frames were taken away since: it becomes the last one.
    """
    following = wire.field(payload, "following", "player")
    if not isinstance(following, bool):
        raise ValueError(f"player: following must be true or false, got {following!r:.60}")
    step = wire.checked_int(wire.field(payload, "step", "player"), 0, 2**31, "player step")
    return PlayerValue(total - 1 if following else min(step, total - 1), following)


def _overlay(per_step: Sequence[Any], total: int, what: str, width: int) -> list[list[list[Any]]] | None:
    """Rows of ``width`` fields for each step: finite numbers, and a checked colour if a sixth field is there."""
    if len(per_step) == 0:
        return None
    if len(per_step) != total:
        raise ValueError(f"{what}: expected one list a step ({total}), got {len(per_step)}")
    rows = [[list(row) for row in step] for step in per_step]
    for row in (row for step in rows for row in step):
        if len(row) != width:
            raise ValueError(f"{what}: expected {width} fields, got {row!r:.80}")
        if width == 6 and not (isinstance(row[5], str) and _COLOUR.fullmatch(row[5])):
            raise ValueError(f"{what}: colour must look like #e69f00, got {row[5]!r:.40}")
        row[:5] = [float(value) for value in row[:5]]
        if not all(math.isfinite(value) for value in row[:5]):
            raise ValueError(f"{what}: not finite: {row!r:.80}")
    # A hundredth of a pixel is enough, and halves what is sent.
    return [[[*(round(value, 2) for value in row[:5]), *row[5:]] for row in step] for step in rows]


def sprite_sheets(frames: np.ndarray) -> tuple[list[np.ndarray], int, int]:
    """Cut uint8 [T, H, W(, 3)] into sheets. Returns (sheets, frames a sheet, columns a sheet).

    Frame t is in sheet t // n at row (t % n) // columns, column (t % n) % columns. The last sheet is cut to the rows it
    needs. Sheets hold up to 64 frames, fewer if a side would pass 8192 pixels.
    """
    height, width = frames.shape[1:3]
    columns = max(1, min(8, MAX_SHEET_SIDE // width))
    per_sheet = columns * max(1, min(SHEET_FRAMES // columns, MAX_SHEET_SIDE // height))
    sheets = []
    for start in range(0, len(frames), per_sheet):
        part = frames[start : start + per_sheet]
        rows = -(-len(part) // columns)
        padded = np.zeros((rows * columns, *frames.shape[1:]), np.uint8)
        padded[: len(part)] = part
        tiles = padded.reshape(rows, columns, *frames.shape[1:]).swapaxes(1, 2)
        sheets.append(np.ascontiguousarray(tiles.reshape(rows * height, columns * width, *frames.shape[3:])))
    return sheets, per_sheet, columns


def _panel_data(panel: Panel, total: int) -> dict[str, Any]:
    what = f"panel {panel.title!r}"
    if len(panel.frames) != total:
        raise ValueError(f"{what}: all panels need the same number of frames; got {len(panel.frames)} and {total}")
    if isinstance(panel.frames, np.ndarray):  # all of one kind: the first speaks for them
        wire.checked_image(panel.frames[0], what)
        stacked = panel.frames
    else:
        frames = [wire.checked_image(frame, what) for frame in panel.frames]
        if len({frame.shape for frame in frames}) != 1:
            raise ValueError(f"{what}: frames differ in shape: {sorted({frame.shape for frame in frames})}")
        stacked = np.stack(frames)
    if not _COLOUR.fullmatch(panel.dot_colour):
        raise ValueError(f"{what}: dot_colour must look like #e69f00, got {panel.dot_colour!r:.40}")
    if len(panel.notes) not in (0, total):
        raise ValueError(f"{what}, notes: expected one text a step ({total}), got {len(panel.notes)}")
    if stacked.ndim == 4 and (stacked == stacked[..., :1]).all():
        stacked = stacked[..., 0]  # grey: a third of the bytes to compress, send and decode
    return {
        "kind": "frames",
        "title": panel.title,
        "height": stacked.shape[1],
        "width": stacked.shape[2],
        **_pixels(np.ascontiguousarray(stacked)),
        "boxes": _overlay(panel.boxes, total, f"{what}, boxes", 6),
        "dots": _overlay(panel.dots, total, f"{what}, dots", 2),
        "dot_colour": panel.dot_colour,
        "notes": [str(text) for text in panel.notes] or None,
    }


def _pixels(stacked: np.ndarray) -> dict[str, Any]:
    """Frames uint8 [T, H, W(, 3)] as the browser gets them: bare, a still as one frame, or as sprite sheets."""
    if (stacked == stacked[:1]).all():
        stacked = stacked[:1]
    if stacked.nbytes <= BARE:
        channels = 1 if stacked.ndim == 3 else 3
        return {"bare": wire.encode_bytes(stacked.tobytes()), "count": len(stacked), "channels": channels, "sheets": []}
    sheets, per_sheet, columns = sprite_sheets(stacked)
    return {"sheets": [wire.png_asset(sheet) for sheet in sheets], "per_sheet": per_sheet, "columns": columns}


def _series_data(series: Series, total: int) -> dict[str, Any]:
    values = np.asarray(series.values, dtype=float)
    if values.shape != (total,):
        raise ValueError(f"series {series.name!r}: expected [{total}] values, got shape {values.shape}")
    if series.kind not in ("bar", "line"):
        raise ValueError(f"series {series.name!r}: kind must be bar or line, got {series.kind!r}")
    head = {"name": series.name, "kind": series.kind, "unit": series.unit}
    if total > LONG:
        return {**head, "floats": wire.encode_bytes(values.astype("<f4").tobytes())}
    return {**head, "values": [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]}


@dataclass(frozen=True, eq=False)
class Film:
    """Panels, captions and charts of ``total`` steps as they travel, made by `film`; it may be kept and shown again."""

    total: int
    data: dict[str, Any]


def film(
    panels: Sequence[Panel | Reveal | Bars],
    captions: Sequence[str] | Captions | None = None,
    series: Sequence[Series] = (),
) -> Film:
    """What `player` shows, checked and encoded; arguments and errors are `player`'s."""
    total = panels[0].steps if panels else 0
    if total < 1:
        raise ValueError("player: need at least one panel with at least one frame")
    texts = (
        captions.data(total)
        if isinstance(captions, Captions)
        else None
        if captions is None
        else list(map(str, captions))
    )
    if isinstance(texts, list) and len(texts) != total:
        raise ValueError(f"captions: expected {total}, got {len(texts)}")
    parts = {
        "panels": [panel.data(total) for panel in panels],
        "captions": texts,
        "series": [_series_data(one, total) for one in series],
    }
    return Film(total, parts)


def player(
    panels: Sequence[Panel | Reveal | Bars] | Film,
    *,
    key: str,
    captions: Sequence[str] | Captions | None = None,
    series: Sequence[Series] = (),
    fps: float = 8,
    stride: int = 0,
    autoplay: bool = False,
    loop: bool = False,
    follow: bool = False,
    start: int = 0,
    height: int = 420,
    export_name: str = "genlib",
    revision: object = 0,
    on_change: Callable[[], None] | None = None,
) -> PlayerValue:
    """Show the panels side by side and return the step where the user stopped last.

    Frames may be appended between reruns: the user stays at the step they chose, or, with ``follow`` and at the last
    frame, goes along to the newest. A rerun happens when the user stops (pause, release of the scrubber, a moment after
    the last key), not at each frame.

    Args:
        panels: at least one; all with the same number T >= 1 of frames. For long films, see `player_panels`. Or a `film`, which
            has captions and series in it.
        key: unique in the app.
        captions: T texts, shown under the panels.
        series: charts under the panels; a click on one moves every panel.
        fps: frames a second at speed 1.
        stride: how many steps the up and down arrow keys go, such as a row of pixels; 0: they do nothing of their own.
        autoplay: start at once (not for visitors who asked their system for less motion).
        loop: start again at the end, at first; the visitor can change it.
        follow: for frames that still arrive: start at the newest and offer the Follow button. Otherwise start at the
            first.
        start: the frame at first, from 0; with ``follow`` the newest comes first instead.
        height: the greatest height of a picture on the screen, CSS pixels; pictures shrink to fit the column and the
            window.
        export_name: name of the saved files, without extension; "" hides the GIF and PNG buttons.
        revision: any value with a stable ``repr``; change it when the frames are those of another run.
        on_change: called before the rerun that a stop causes.

    Raises:
        TypeError: a frame is not uint8.
        ValueError: numbers of frames, shapes or overlays that do not fit, or a forged answer from the browser.
    """
    shown = panels if isinstance(panels, Film) else film(panels, captions, series)
    total = shown.total
    if not (math.isfinite(fps) and 0 < fps <= 60):
        raise ValueError(f"fps must lie in (0, 60], got {fps}")
    if not re.fullmatch(r"[\w .-]{0,80}", export_name):
        raise ValueError(f"export_name: letters, digits, space, '.', '_' and '-' only, got {export_name!r:.100}")
    start = wire.checked_int(start, 0, total - 1, "start")
    source = wire.digest(key, revision, bool(follow), *([start] if start else []))
    data: dict[str, Any] = {
        "key": key,
        "source": source,
        "total": total,
        **shown.data,
        "fps": float(fps),
        "stride": wire.checked_int(stride, 0, total, "stride"),
        "autoplay": bool(autoplay),
        "loop": bool(loop),
        "follow": bool(follow),
        "start": start,
        "height": int(height),
        "export_name": export_name,
    }
    result = _component(key=key, data=data, on_value_change=on_change or (lambda: None))
    payload = wire.settle(st.session_state, key, source, result.get("value"))
    return (
        PlayerValue(total - 1 if follow else start, bool(follow)) if payload is None else decode_player(payload, total)
    )
