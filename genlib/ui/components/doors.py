"""Doors: a card for each page of the app, all of them one element.

Streamlit's own page links would be three elements a card, and the browser goes through each of them at every click on the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from genlib.ui.components import wire

_component = st.components.v2.component(
    "genlib_doors",
    css=wire.asset("shared.css", "doors.css"),
    js=wire.asset("shared.js", "doors.js"),
)


class Door(NamedTuple):
    """A page, as ``pages/<path>.py`` and as the last part of its address, and what it shows."""

    path: str
    title: str
    text: str


def doors(all_doors: Sequence[Door], *, key: str) -> Door | None:
    """Show the cards; returns the door that was just pressed. ``key``: unique in the app.

    Whatever else the browser sends is no door, and nothing happens.
    """
    result = _component(key=key, data={"doors": [door._asdict() for door in all_doors]}, on_path_change=lambda: None)
    return next((door for door in all_doors if door.path == result.get("path")), None)
