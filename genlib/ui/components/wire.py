"""What crosses between Python and the browser: encoding, strict decoding, and who remembers what.

Pictures travel as base64 of raw bytes or of PNG, masks as packed bits: a list of 784 JSON numbers is five times as long
and slower to read at both ends. Whatever comes *back* is checked before use, since anybody can write to a web socket; a
wrong type, length or range raises ``ValueError`` and nothing is ever evaluated.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import math
import threading
from collections import OrderedDict
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from streamlit import runtime

HERE = Path(__file__).parent
MAX_SIDE = 512  # pixels; the components are for small pictures, and a limit here keeps a slip from freezing the browser


def asset(*names: str) -> str:
    """The joined text of asset files beside this module, in order (shared helpers come first)."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def digest(*parts: object) -> str:
    """A short content hash of bytes, arrays and printable values; equal inputs give equal text in every process."""
    hasher = hashlib.blake2b(digest_size=12)
    for part in parts:
        if isinstance(part, np.ndarray):
            head, body = f"{part.dtype}{part.shape}", np.ascontiguousarray(part).tobytes()
        elif isinstance(part, bytes):
            head, body = "bytes", part
        else:
            head, body = "text", repr(part).encode()
        hasher.update(f"{head}:{len(body)}:".encode())
        hasher.update(body)
    return hasher.hexdigest()


def encode_bytes(data: bytes) -> str:
    """Base64 text of ``data``."""
    return base64.b64encode(data).decode("ascii")


def decode_bytes(text: object, size: int, what: str) -> bytes:
    """The ``size`` bytes that ``text`` holds in base64; ``ValueError`` for another type, alphabet or length."""
    if not isinstance(text, str):
        raise ValueError(f"{what}: expected base64 text, got {type(text).__name__}")
    if len(text) != 4 * math.ceil(size / 3):  # checked before decoding, so that a huge forgery costs nothing
        raise ValueError(f"{what}: expected base64 of {size} bytes, got {len(text)} characters")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{what}: not base64 ({error})") from None
    if len(data) != size:
        raise ValueError(f"{what}: expected {size} bytes, got {len(data)}")
    return data


def encode_mask(mask: np.ndarray) -> str:
    """Base64 of a bool array's bits, row by row, first pixel in the highest bit."""
    return encode_bytes(np.packbits(np.asarray(mask, dtype=bool)).tobytes())


def decode_mask(text: object, height: int, width: int, what: str = "known") -> np.ndarray:
    """The bool [height, width] array that ``encode_mask`` wrote; ``ValueError`` for anything else."""
    size = height * width
    packed = np.frombuffer(decode_bytes(text, math.ceil(size / 8), what), dtype=np.uint8)
    return np.unpackbits(packed, count=size).astype(bool).reshape(height, width)


def field(payload: object, name: str, what: str) -> Any:
    """``payload[name]`` of a mapping from the browser; ``ValueError`` if it is no mapping or lacks the field."""
    if not isinstance(payload, Mapping):
        raise ValueError(f"{what}: expected an object from the browser, got {type(payload).__name__}")
    if name not in payload:
        raise ValueError(f"{what}: the browser's answer lacks {name!r}")
    return payload[name]


def checked_int(value: object, low: int, high: int, what: str) -> int:
    """``value`` if it is an int (not a bool) within [low, high]; ``ValueError`` otherwise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{what}: expected an integer, got {value!r:.60}")
    if not low <= value <= high:
        raise ValueError(f"{what}: {value} lies outside [{low}, {high}]")
    return value


def checked_point(value: object, limit: float, what: str) -> tuple[float, float]:
    """``value`` as a finite (x, y) with both within [-limit, limit] (to rounding); ``ValueError`` otherwise."""
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{what}: expected two numbers, got {value!r:.60}")
    if any(isinstance(v, bool) or not isinstance(v, int | float) or not math.isfinite(v) for v in value):
        raise ValueError(f"{what}: expected two finite numbers, got {value!r:.60}")
    x, y = float(value[0]), float(value[1])
    if max(abs(x), abs(y)) > limit * (1 + 1e-6) + 1e-6:
        raise ValueError(f"{what}: ({x:g}, {y:g}) lies outside [-{limit:g}, {limit:g}]")
    return x, y


def checked_image(image: object, what: str) -> np.ndarray:
    """``image`` as contiguous uint8 [H, W] or [H, W, 3]; ``TypeError`` for a dtype, ``ValueError`` for a shape."""
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise TypeError(f"{what}: expected uint8 pixels, got {array.dtype}")
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3):
        raise ValueError(f"{what}: expected [H, W] or [H, W, 3], got shape {array.shape}")
    if not (0 < array.shape[0] <= MAX_SIDE and 0 < array.shape[1] <= MAX_SIDE):
        raise ValueError(f"{what}: sides must lie in 1..{MAX_SIDE}, got shape {array.shape}")
    return np.ascontiguousarray(array)


_GREYS = bytes(level for level in range(256) for _ in "rgb")


def png_bytes(array: np.ndarray) -> bytes:
    """Lossless PNG of a uint8 [H, W] or [H, W, 3] array."""
    picture = Image.fromarray(array)
    # Grey as indices into a palette of all greys: without PNG's search for row filters it takes half the time.
    if array.ndim == 2:
        picture = Image.frombytes("P", picture.size, array.tobytes())
        picture.putpalette(_GREYS)
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


class _Recent:
    """A small least-recently-used store, shared by all sessions: reruns ask for the same sheets again and again."""

    def __init__(self, limit_bytes: int) -> None:
        self._items: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()
        self._limit, self._held = limit_bytes, 0

    def get(self, key: str) -> str | None:
        with self._lock:
            if key in self._items:
                self._items.move_to_end(key)
            return self._items.get(key)

    def put(self, key: str, value: str) -> None:
        with self._lock:
            self._held += len(value) - len(self._items.pop(key, ""))
            self._items[key] = value
            while self._held > self._limit and len(self._items) > 1:
                self._held -= len(self._items.popitem(last=False)[1])


_SHEETS = _Recent(limit_bytes=64 * 2**20)


def png_asset(pixels: np.ndarray | bytes) -> dict[str, str]:
    """``{"id": content hash, "png": base64}`` of a picture; the browser decodes an id once while it is in use."""
    identity = digest(pixels)
    if isinstance(pixels, bytes):
        return {"id": identity, "png": encode_bytes(pixels)}
    encoded = _SHEETS.get(identity)
    if encoded is None:
        encoded = encode_bytes(png_bytes(pixels))
        _SHEETS.put(identity, encoded)
    return {"id": identity, "png": encoded}


def lasting_png_asset(pixels: np.ndarray | bytes, coordinates: str) -> dict[str, str]:
    """The same for a large picture that stays: with ``url`` instead of ``png``, an address where the browser finds it.

    A component's data travel whole at every run of the page; a picture behind an address travels once. ``coordinates``
    names its place on the page: the server keeps the picture for as long as a visitor's page has one there.
    """
    if not runtime.exists():  # without a server there is no address
        return png_asset(pixels)
    png = pixels if isinstance(pixels, bytes) else base64.b64decode(png_asset(pixels)["png"])  # packed once, kept
    return {"id": digest(pixels), "url": runtime.get_instance().media_file_mgr.add(png, "image/png", coordinates)}


def settle(store: MutableMapping[Any, Any], key: str, source: str, payload: object) -> object:
    """The browser's answer that belongs to ``source``, or None if the user has not touched *this* input yet.

    Streamlit forgets a component's state when a run does not draw it (a page change), and keeps it when the input is
    replaced. We want the opposite, so we keep our own record in ``store`` (the session state): the answer outlives a
    page change, and dies with its input. ``nonce`` tells two visits to the same input apart: after A, B, A the browser
    starts afresh, and the first A's answer, which Streamlit may still hold, must not come back.
    """
    if payload is not None:
        for name in ("source", "nonce"):
            text = field(payload, name, key)
            if not isinstance(text, str) or len(text) > 64:
                raise ValueError(f"{key}: {name} must be a short text")
    name = f"_genlib_component_{key}"
    record = store.get(name)
    if record is None or record["source"] != source:
        # Without a record this is a first visit, and no answer can be a leftover.
        old = payload["nonce"] if record is not None and isinstance(payload, Mapping) else None
        record = {"source": source, "ignored": old, "payload": None}
    if isinstance(payload, Mapping) and payload["source"] == source and payload["nonce"] != record["ignored"]:
        record = {**record, "payload": dict(payload)}
    store[name] = record
    return record["payload"]
