"""What a link can carry: masks and small pictures as short text, and strict reading of whatever a link brings.

A link is written by anybody. Every value is checked in length, alphabet and range before it is used, and what is
wrong becomes one sentence in a `GenlibError`.
"""

import base64
import binascii
import math
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import numpy as np
import streamlit as st
from streamlit.errors import StreamlitAPIException

from genlib.errors import GenlibError

MAX_PICTURE_TEXT = 8_000  # characters; browsers and servers take longer links, people do not


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")


def _decode(text: str, what: str, limit: int) -> bytes:
    if len(text) > limit or not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise GenlibError(
            f"The link's {what} {text[:24]!r} is damaged: copy the whole link again, or open the page without it."
        )
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        raise GenlibError(
            f"The link's {what} {text[:24]!r} is damaged: copy the whole link again, or open the page without it."
        ) from None


def pack_mask(known: np.ndarray) -> str:
    """bool [H, W] -> base64url of its bits, row by row, first pixel in the highest bit: 131 characters for 28 x 28."""
    return _encode(np.packbits(known).tobytes())


def unpack_mask(text: str, height: int, width: int) -> np.ndarray:
    """The bool [H, W] that `pack_mask` wrote for this size; anything else is a `GenlibError`."""
    size = math.ceil(height * width / 8)
    data = _decode(text, "mask", math.ceil(size * 4 / 3))
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if len(data) != size or bits[height * width :].any():
        raise GenlibError(
            f"The link's mask does not fit pictures of {height} x {width} pixels: "
            "take a link made with this model, or leave the mask out."
        )
    return bits[: height * width].astype(bool).reshape(height, width)


def pack_picture(pixels: np.ndarray) -> str | None:
    """A small uint8 picture as compressed base64url, exactly; None if it would make the link too long."""
    text = _encode(zlib.compress(pixels.tobytes(), 9))
    return text if len(text) <= MAX_PICTURE_TEXT else None


def unpack_picture(text: str, shape: tuple[int, ...]) -> np.ndarray:
    """The uint8 picture of this shape that `pack_picture` wrote; anything else is a `GenlibError`.

    Never inflates beyond that shape.
    """
    size = math.prod(shape)
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(_decode(text, "picture", MAX_PICTURE_TEXT), size + 1)
    except zlib.error:
        data = b""
    if len(data) != size or not inflate.eof or inflate.unused_data:
        raise GenlibError(
            f"The link's picture is damaged or not of {' x '.join(map(str, shape))} pixels: "
            "copy the whole link again, or leave the picture out."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


@contextmanager
def forgiving() -> Iterator[None]:
    """Inside, a wrong value of the link is named in one sentence, and the page goes on without it."""
    try:
        yield
    except GenlibError as error:
        st.error(str(error), icon="⚠️")


def check_number(key: str, low: float, high: float, what: str, *, whole: bool = True) -> None:
    """Take a value of the link that is no number from ``low`` to ``high`` out of it, and say so.

    For a widget that is bound to the link, before it is made: by itself it would drop the value in silence.
    """
    text = asked(key)
    if text is None:
        return
    pattern = r"-?\d{1,12}" if whole else r"-?\d{1,12}(\.\d{1,12})?"
    if not re.fullmatch(pattern, text) or not low <= float(text) <= high:
        kind = "whole number" if whole else "number"
        refuse(key, f"{what} {text[:40]!r} in the link is not possible: give a {kind} from {low} to {high}.")


def check_choice(key: str, options: Sequence[str], what: str) -> None:
    """The same for a value that is not among the options."""
    text = asked(key)
    if text is not None and text not in options:
        refuse(key, f"{what} {text[:40]!r} in the link is not possible: choose one of {', '.join(options)}.")


def asked(key: str) -> str | None:
    """What the link says under ``key``, as long as the widget with that key does not stand yet."""
    return None if key in st.session_state else st.query_params.get(key)


def refuse(key: str, sentence: str) -> None:
    """Take what the link says under ``key`` out of it, and show the sentence that says why."""
    with suppress(StreamlitAPIException):  # a widget that stands already keeps its own value, and puts it there
        del st.query_params[key]
    with forgiving():
        raise GenlibError(sentence)


def put(key: str, value: str | None) -> None:
    """Write a value into the page's address, or take it out with None; nothing is sent when it stands there already."""
    if value is None:
        if key in st.query_params:
            del st.query_params[key]
    elif st.query_params.get(key) != value:
        st.query_params[key] = value


def linked_step(kept: str, steps: int) -> int:
    """The step, from 0, that the address asked for when this session began; later the player keeps it itself.

    ``kept``: the session's key under which it is remembered.
    """
    if kept not in st.session_state:
        text = st.query_params.get("step", "1")
        st.session_state[kept] = min(int(text), steps) - 1 if re.fullmatch(r"[1-9]\d{0,3}", text) else 0
    return min(st.session_state[kept], steps - 1)


def segments(label: str, options: Sequence[str], key: str) -> str:
    """One of the options, the first by default, in the URL as ``key``; it stays when a view without this control comes between."""
    return _one_of(st.segmented_control, label, options, key)


def pills(label: str, options: Sequence[str], key: str) -> str:
    """The same where the options would not fit in a row of the sidebar."""
    return _one_of(st.pills, label, options, key)


def _one_of(control: Callable[..., str], label: str, options: Sequence[str], key: str) -> str:
    return control(
        label,
        options,
        default=options[0],
        required=True,
        key=key,
        bind="query-params",
        persist_state="page",
        width="stretch",
    )
