"""Pieces of HTML that several pages share. A picture with its words is one element of a page, where Streamlit's own would be two or three:
the browser goes through each element several times at every click."""

import base64
import html
import re


def picture(png: bytes, alt: str) -> str:
    """A PNG as wide as its place, within the text: it is on the screen with the answer, without a second request.

    The browser enlarges its pixels to sharp squares: a small picture is drawn, sent and read ten times as fast as an enlarged one.
    """
    data = base64.b64encode(png).decode("ascii")
    return f'<img class="genlib-picture" alt="{html.escape(alt)}" decoding="sync" src="data:image/png;base64,{data}">'


def figure(png: bytes, alt: str, caption: str) -> str:
    """The same with a caption below it."""
    return f'<figure class="genlib-shown">{picture(png, alt)}<figcaption class="genlib-quiet">{html.escape(caption)}</figcaption></figure>'


def strong(text: str) -> str:
    """Text with **bold** words as HTML."""
    return re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(text, quote=False))
