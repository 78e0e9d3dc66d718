"""A plane of latent codes: drag a point and see what the decoder makes of it, at display rate and without a server."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
from PIL import Image

from genlib.ui.components import wire

MAX_POINTS = 50_000
MAX_SHEET = 8192  # pixels a side; larger canvases fail silently on phones
MAX_CLASSES = 10

_component = st.components.v2.component(
    "genlib_latent_pad",
    css=wire.asset("shared.css", "latent_pad.css"),
    js=wire.asset("shared.js", "latent_pad_view.js", "latent_pad.js"),
)

Point = tuple[float, float]


@dataclass(frozen=True)
class LatentPadValue:
    """What the user chose: the code ``z`` and the ends ``a`` and ``b`` of the path, each (x, y) within the extent."""

    z: Point
    a: Point
    b: Point


def atlas_codes(grid: int, extent: float) -> np.ndarray:
    """The codes of an atlas' tiles, float32 [grid * grid, 2], row by row from the top left: x rises, y falls.

    Tile (row i, column j) shows the code (-r + 2 r j / (grid - 1), r - 2 r i / (grid - 1)) with r = ``extent``, so
    corners lie on the corners.
    """
    if grid < 2 or not extent > 0:
        raise ValueError(f"need grid >= 2 and extent > 0, got {grid} and {extent}")
    x, y = np.meshgrid(np.linspace(-extent, extent, grid), np.linspace(extent, -extent, grid))
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def atlas_sheet(tiles: np.ndarray, grid: int) -> np.ndarray:
    """Tiles uint8 [grid * grid, H, W(, 3)] in the order of ``atlas_codes`` as one sheet [grid * H, grid * W(, 3)]."""
    if tiles.dtype != np.uint8:
        raise TypeError(f"tiles: expected uint8 pixels, got {tiles.dtype}")
    if tiles.ndim not in (3, 4) or len(tiles) != grid * grid:
        raise ValueError(f"tiles: expected [{grid * grid}, H, W] or [{grid * grid}, H, W, 3], got shape {tiles.shape}")
    height, width, *rest = tiles.shape[1:]
    rows = tiles.reshape(grid, grid, height, width, *rest).swapaxes(1, 2)
    return np.ascontiguousarray(rows.reshape(grid * height, grid * width, *rest))


def decode_latent_pad(payload: object, extent: float) -> LatentPadValue:
    """The browser's answer, each point checked to be finite and within the extent; ``ValueError`` says which is not."""
    points = [
        wire.checked_point(wire.field(payload, name, "latent pad"), extent, f"latent pad: {name}") for name in "zab"
    ]
    return LatentPadValue(*points)


def _sheet_asset(atlas: np.ndarray | bytes, grid: int, key: str) -> dict[str, str]:
    if isinstance(atlas, bytes):
        try:
            with Image.open(io.BytesIO(atlas), formats=["PNG"]) as picture:
                width, height = picture.size
        except OSError as error:
            raise ValueError(f"atlas: not a PNG ({error})") from None
    else:
        if atlas.dtype != np.uint8:
            raise TypeError(f"atlas: expected uint8 pixels or PNG bytes, got {atlas.dtype}")
        if atlas.ndim not in (2, 3) or (atlas.ndim == 3 and atlas.shape[2] != 3):
            raise ValueError(f"atlas: expected [H, W] or [H, W, 3], got shape {atlas.shape}")
        height, width = atlas.shape[:2]
    if height % grid or width % grid or not (0 < height <= MAX_SHEET and 0 < width <= MAX_SHEET):
        raise ValueError(
            f"atlas: {height} x {width} pixels do not hold {grid} x {grid} tiles within {MAX_SHEET} pixels a side"
        )
    return wire.lasting_png_asset(atlas, f"latent-pad-{key}")


def _marker(x: float, y: float, label: str, rx: float = 0.0, ry: float = 0.0) -> dict[str, Any]:
    return {"x": float(x), "y": float(y), "label": str(label), "rx": float(rx), "ry": float(ry)}


def latent_pad(
    atlas: np.ndarray | bytes,
    *,
    grid: int,
    extent: float,
    key: str,
    points: np.ndarray | None = None,
    point_classes: np.ndarray | None = None,
    class_names: Sequence[str] = tuple("0123456789"),
    prior_rings: Sequence[float] = (1, 2, 3),
    z: Point = (0.0, 0.0),
    anchors: tuple[Point, Point] | None = None,
    path: bool = True,
    norm: bool = True,
    path_frames: int = 9,
    marker: Iterable[tuple[float, float, str] | tuple[float, float, str, float, float]] = (),
    size: int = 640,
    picture_size: int = 336,
    label: str = "Latent pad",
    revision: object = 0,
    on_change: Callable[[], None] | None = None,
) -> LatentPadValue:
    """Show the plane [-extent, extent]^2 and return the code and the path that the user chose last.

    Dragging decodes in the browser: the bilinear blend of the four atlas tiles around the pointer. A rerun happens when
    the point is let go. A new atlas, new points or markers leave the user's point where it is; a change of ``z``,
    ``anchors`` or ``revision`` resets it.

    Args:
        atlas: the decoded pictures of ``atlas_codes(grid, extent)`` as one sheet: uint8 [grid * H, grid * W(, 3)] (see
            ``atlas_sheet``) or its PNG bytes. Sent once; the browser decodes equal content only once.
        grid: tiles a side, at least 2.
        extent: half the side of the plane, in units of the latent space.
        key: unique in the app.
        points: float [N, 2], codes of data, N up to 50,000; None: no scatter.
        point_classes: int [N], an index into ``class_names`` for each point.
        class_names: at most 10 names, for the legend.
        prior_rings: radii, in standard deviations of the N(0, I) prior, to draw and label.
        z: the point at first.
        anchors: the ends of the path at first; None: (-r/2, 0) and (r/2, 0).
        path: offer the path between two anchors.
        norm: show ‖z‖, which says something where the plane is the whole latent space.
        path_frames: pictures in the strip along the path, 2 to 24.
        marker: (x, y, label) of stars, such as the code of the user's own digit; with (x, y, label, rx, ry) an ellipse of
            these half axes lies around it.
        size: the longest side of the plane on the screen, CSS pixels; it shrinks to fit the column and the window.
        picture_size: the longest side of the decoded picture, CSS pixels; at most 0.6 of the plane.
        label: what a screen reader calls it.
        revision: any value with a stable ``repr``; change it to put point and anchors back.
        on_change: called before the rerun that a choice causes.

    Raises:
        TypeError: pixels are not uint8.
        ValueError: shapes that do not fit, points outside the plane, or a forged answer from the browser.
    """
    extent = float(extent)
    if not (isinstance(grid, int) and grid >= 2 and math.isfinite(extent) and extent > 0):
        raise ValueError(f"need grid >= 2 and a finite extent > 0, got {grid!r} and {extent!r}")
    if len(class_names) > MAX_CLASSES:
        raise ValueError(f"class_names: at most {MAX_CLASSES} colours can be told apart, got {len(class_names)} names")
    z = wire.checked_point(list(z), extent, "z")
    ends = anchors or ((-extent / 2, 0.0), (extent / 2, 0.0))
    a, b = (wire.checked_point(list(end), extent, f"anchor {name}") for name, end in zip("ab", ends, strict=True))
    source = wire.digest(z, a, b, extent, revision)
    data: dict[str, Any] = {
        "key": key,
        "source": source,
        "atlas": _sheet_asset(atlas, grid, key),
        "grid": grid,
        "extent": extent,
        "points": None,
        "classes": None,
        "class_names": list(class_names),
        "rings": [float(radius) for radius in prior_rings],
        "z": z,
        "a": a,
        "b": b,
        "path": bool(path),
        "norm": bool(norm),
        "frames": wire.checked_int(path_frames, 2, 24, "path_frames"),
        "marker": [_marker(*entry) for entry in marker],
        "size": int(size),
        "picture_size": int(picture_size),
        "label": label,
    }
    if points is not None:
        codes = np.ascontiguousarray(points, dtype="<f4")
        if codes.ndim != 2 or codes.shape[1] != 2 or len(codes) > MAX_POINTS or not np.isfinite(codes).all():
            raise ValueError(f"points: expected finite [N, 2] with N <= {MAX_POINTS}, got shape {codes.shape}")
        data["points"] = wire.encode_bytes(codes.tobytes())
        if point_classes is not None:
            classes = np.asarray(point_classes)
            if classes.shape != (len(codes),) or (
                len(classes) and not (classes.min() >= 0 and classes.max() < len(class_names))
            ):
                raise ValueError(
                    f"point_classes: expected [{len(codes)}] indices below {len(class_names)}, got {classes.shape}"
                )
            data["classes"] = wire.encode_bytes(classes.astype(np.uint8).tobytes())
    data["points_id"] = wire.digest(data["points"], data["classes"])
    result = _component(key=key, data=data, on_value_change=on_change or (lambda: None))
    payload = wire.settle(st.session_state, key, source, result.get("value"))
    return LatentPadValue(z, a, b) if payload is None else decode_latent_pad(payload, extent)
