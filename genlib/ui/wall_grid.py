"""Walls of samples side by side as one element of the page: a click waits for the browser to go through each element."""

import html
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import streamlit as st

from genlib.ui.components import wire

BLINK = 0.1  # seconds between two looks at walls that are being drawn

_STYLE = """<style>
.genlib-walls {display: grid; gap: 1.1rem 1.3rem;}
.genlib-walls figure {margin: 0; min-width: 0;}
.genlib-walls img {display: block; width: 100%; image-rendering: pixelated;}
.genlib-walls figcaption {padding-top: .35rem; font-size: .85rem; line-height: 1.35; overflow-wrap: anywhere;}
.genlib-walls figcaption span {display: block; opacity: .75;}
.genlib-walls [role=alert] {padding: .8rem; border-left: 4px solid #d55e00; font-size: .9rem; overflow-wrap: anywhere;}
</style>"""


class Shown(NamedTuple):
    """A PNG, what a screen reader calls it, and a line under its name; or what is wrong, in a sentence."""

    name: str
    picture: bytes | None = None
    alt: str = ""
    note: str = ""
    error: str = ""


class Grid:
    """Where the walls stand on the page, ``across`` in a row. ``key``: unique in the app."""

    def __init__(self, across: int, key: str) -> None:
        self._across, self._key = across, key
        self._place: Any = st  # an empty place first would make the page jump
        self._next = 0.0

    def show(self, walls: Sequence[Shown], *, more: bool = False) -> None:
        """Put these in the place of those before. ``more`` follow soon: then it may wait for them, since a browser that is
        given new walls faster than it can draw them shows none."""
        now = time.monotonic()
        if more:
            if now < self._next:
                return
            self._next = now + BLINK
        cells = "".join(_cell(wall, self._key) for wall in walls)
        columns = f"grid-template-columns: repeat({self._across}, minmax(0, 1fr))"
        self._place = self._place.html(f'{_STYLE}<div class="genlib-walls" style="{columns}">{cells}</div>')


def _cell(wall: Shown, key: str) -> str:
    if wall.error:
        return f'<figure><div role="alert">⚠️ {html.escape(wall.error)}</div></figure>'
    picture = ""
    if wall.picture:
        asset = wire.lasting_png_asset(wall.picture, f"{key}-{wall.name}")
        source = asset.get("url") or f"data:image/png;base64,{asset['png']}"
        # Decoded at once: else a picture that stays would vanish for a moment when another one is put in its place.
        picture = f'<img src="{source}" alt="{html.escape(wall.alt)}" decoding="sync">'
    words = f"<b>{html.escape(wall.name)}</b><span>{html.escape(wall.note)}</span>"
    return f"<figure>{picture}<figcaption>{words}</figcaption></figure>"
