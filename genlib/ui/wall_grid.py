"""Walls of samples side by side as one element of the page: a click waits for the browser to go through each element."""

import html
from collections.abc import Sequence
from typing import Any, NamedTuple

from genlib.ui.components import wire

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


def show(place: Any, walls: Sequence[Shown], across: int, key: str) -> Any:
    """Put the walls into a place, ``across`` in a row, and return the place where they stand, for the next ones. ``key``: unique in the app.

    The first place is Streamlit itself or a container: an empty place first would make the page jump.
    """
    cells = "".join(_cell(wall, key) for wall in walls)
    columns = f"grid-template-columns: repeat({across}, minmax(0, 1fr))"
    return place.html(f'{_STYLE}<div class="genlib-walls" style="{columns}">{cells}</div>')


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
