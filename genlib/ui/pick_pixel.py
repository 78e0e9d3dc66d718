"""Choosing a pixel on a picture by click or by arrow keys and Space; the choice lives in the URL as ``pixel=ROW.COLUMN``."""

import re

import numpy as np
import streamlit as st

from genlib.errors import GenlibError
from genlib.ui import links
from genlib.ui.components import canvas
from genlib.ui.components.wire import digest

KEY = "pixel"


def pick_pixel(
    shown: np.ndarray, default: tuple[int, int], *, key: str, label: str, size: int = 560
) -> tuple[int, int]:
    """The pixel (row, column) chosen on the picture, uint8 [H, W, 3]; from the link at first, else ``default``.

    The canvas starts anew when its picture changes or a link says another pixel, not when it is clicked: otherwise a second click
    that comes before the answer to the first would be lost.
    """
    state = st.session_state
    height, width = shown.shape[:2]
    chosen, linked, anchored = f"{key}-chosen", f"{key}-link", f"{key}-anchor"
    asked = st.query_params.get(KEY)
    if asked is not None and asked != state.get(linked):
        state[linked] = asked
        with links.forgiving():
            state[chosen] = read_pixel(asked, height, width)
            state.pop(anchored, None)
    picture = digest(shown)
    if state.get(anchored, ("",))[0] != picture:
        row, column = state.get(chosen, default)
        state[anchored] = (picture, (row, column) if row < height and column < width else default)
    anchor = state[anchored][1]
    value = canvas(shown, mode="pick", picked=anchor, key=key, label=label, size=size)
    if value.picked is not None and value.revision:
        state[chosen] = value.picked
    picked = value.picked or anchor
    if chosen in state:
        text = f"{picked[0]}.{picked[1]}"
        state[linked] = text
        links.put(KEY, text)
    return picked


def read_pixel(text: str, height: int, width: int) -> tuple[int, int]:
    """ROW.COLUMN of a link -> (row, column) within the picture; anything else is a `GenlibError`."""
    found = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", text)
    if not found or int(found[1]) >= height or int(found[2]) >= width:
        raise GenlibError(
            f"The pixel {text[:20]!r} in the link is not possible: "
            f"give ROW.COLUMN within {height} x {width}, e.g. 14.10."
        )
    return int(found[1]), int(found[2])
