"""Two pictures of one size on top of each other, with a divider to drag: left of it the one, right of it the other."""

from __future__ import annotations

import struct
from typing import Any

import streamlit as st

from genlib.ui.components import wire

PNG_HEAD = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"

_component = st.components.v2.component(
    "genlib_wipe",
    css=wire.asset("shared.css", "wipe.css"),
    js=wire.asset("shared.js", "wipe.js"),
)


def png_size(picture: bytes) -> tuple[int, int]:
    """(width, height) of a PNG, from its header alone; ``ValueError`` for anything else."""
    if len(picture) < len(PNG_HEAD) + 8 or not picture.startswith(PNG_HEAD):
        raise ValueError("wipe: expected the bytes of a PNG picture")
    width, height = struct.unpack_from(">II", picture, len(PNG_HEAD))
    return width, height


def wipe(
    first: bytes,
    second: bytes,
    *,
    names: tuple[str, str],
    key: str,
    size: int = 520,
    label: str = "Two pictures",
) -> None:
    """Show ``first`` left and ``second`` right of a divider that starts in the middle.

    The divider lives in the browser: mouse, touch and arrow keys move it without asking the server, and it stays where it is when
    the pictures change.

    Args:
        first: a PNG.
        second: a PNG of the same width and height.
        names: what the two are called, in the corners and by screen readers.
        key: unique in the app.
        size: the width on the screen, CSS pixels; it shrinks to fit the column and the window.
        label: what a screen reader calls it.

    Raises:
        ValueError: bytes that are no PNG, or two sizes.
    """
    sizes = png_size(first), png_size(second)
    if sizes[0] != sizes[1]:
        raise ValueError(f"wipe: the pictures must have one size, got {sizes[0]} and {sizes[1]}")
    data: dict[str, Any] = {
        "key": key,
        "pictures": [wire.png_asset(first), wire.png_asset(second)],
        "names": list(names),
        "width": sizes[0][0],
        "height": sizes[0][1],
        "size": int(size),
        "label": label,
    }
    _component(key=key, data=data)
