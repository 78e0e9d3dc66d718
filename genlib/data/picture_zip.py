"""Pictures out of a zip of somebody else's making, with bounds on everything it could claim.

Nothing is ever unpacked to disk, and the names in the archive are never paths: they only tell which folder a picture was in.
The table of contents is measured before it is read, sizes and ratios before anything is decompressed, and each entry is
read up to a limit whatever it claims. Pillow decodes a few common formats only (genlib/data/pictures.py). What is no
usable picture is skipped and counted; what is wrong with the archive as a whole is one `GenlibError`.
"""

import hashlib
import io
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from genlib.data.pictures import MAX_BYTES, TooLarge, fit_picture, open_picture
from genlib.errors import GenlibError

MAX_ZIP = 1 << 30  # bytes of the archive
MAX_ENTRIES = 20_000
MAX_CONTENTS = 8 << 20  # bytes of the table of contents: it is parsed whole
MAX_UNPACKED = 4 << 30  # bytes that all entries claim together
MAX_RATIO = 100  # pictures are compressed already; only bombs shrink so far
RATIO_FROM = 100 << 20  # claimed bytes from which on the ratio counts: small archives of flat drawings may shrink well
MAX_DECODED = 5_000_000_000  # pixels of all pictures before they are made small: bounds the time
MAX_PIXELS_KEPT = 1 << 29  # bytes of the data set
SMALLEST = 8  # pixels a side

UNREADABLE, TOO_LARGE, TOO_SMALL, LOCKED, TWICE = (
    "no picture that can be read", "too large", f"smaller than {SMALLEST} pixels", "locked with a password", "there twice",
)  # fmt: skip
Progress = Callable[[int, int], None]
"""Called with (entries done, entries in all)."""

_END = struct.Struct("<4s4H2LH")  # end of central directory record: the zip format, APPNOTE 4.3.16
_END64_LOCATOR = b"PK\x06\x07", 20  # APPNOTE 4.3.15: its signature and length


@dataclass(frozen=True)
class Pile:
    """What was in a zip."""

    images: np.ndarray
    """uint8 [N, H, W], or [N, H, W, 3] for colour."""
    folders: list[tuple[str, ...]]
    """The folders each picture was in, outermost first, [N]."""
    skipped: Counter[str]
    """Reason -> number of entries."""


def read_zip(source: Path | bytes, shape: tuple[int, int, int], name: str, progress: Progress | None = None) -> Pile:
    """All usable pictures of a zip file, or of its bytes, each cut to the middle and resized for ``shape`` (C, H, W).

    ``name`` stands for the zip in messages. Raises `GenlibError` for what is no zip, is broken, or is too large in one of
    many ways.
    """
    channels, height, width = shape
    file = _open(source, name)
    with file:
        try:
            archive = _archive(file, name)
            entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _hidden(entry.filename)]
            images, folders, skipped = [], [], Counter[str]()
            seen: set[bytes] = set()
            room = MAX_PIXELS_KEPT // (channels * height * width)
            decoded = 0
            for done, (entry, data) in enumerate(_contents(archive, entries, skipped), 1):
                if progress is not None:
                    progress(done, len(entries))
                if data is None:
                    continue
                try:
                    picture = open_picture(data, entry.filename)
                    decoded += picture.width * picture.height
                    if min(picture.size) < SMALLEST:
                        skipped[TOO_SMALL] += 1
                        continue
                    pixels = (fit_picture(picture, shape, name=entry.filename) * 255).round().astype(np.uint8)
                except TooLarge:
                    skipped[TOO_LARGE] += 1
                    continue
                except GenlibError:
                    skipped[UNREADABLE] += 1
                    continue
                if decoded > MAX_DECODED:
                    raise GenlibError(
                        f"{name} holds more than {MAX_DECODED // 1_000_000_000} thousand megapixels: make the pictures "
                        "smaller first."
                    )
                digest = hashlib.blake2b(pixels.tobytes(), digest_size=16).digest()
                if digest in seen:  # one copy in the training part, another in the test, would be no test
                    skipped[TWICE] += 1
                    continue
                seen.add(digest)
                images.append(pixels[..., 0] if channels == 1 else pixels)
                folders.append(_folders(entry.filename))
                if len(images) > room:
                    raise GenlibError(
                        f"{name} holds more than {room:,} pictures, too many at {height} x {width} pixels: choose a smaller size."
                    )
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, struct.error, NotImplementedError) as error:
            raise GenlibError(
                f"{name} is broken or cut off ({' '.join(str(error).split())}): pack the zip again."
            ) from None
    empty = (0, height, width) if channels == 1 else (0, height, width, channels)
    return Pile(np.stack(images) if images else np.empty(empty, np.uint8), folders, skipped)


def _open(source: Path | bytes, name: str) -> BinaryIO:
    """The archive's bytes, if there are not too many of them."""
    if isinstance(source, bytes):
        size, file = len(source), io.BytesIO(source)
    else:
        try:
            if not source.is_file():  # a folder, a device, a pipe: reading may never end
                raise GenlibError(
                    f"{name} {'is not a file' if source.exists() else 'does not exist'}: give a zip file."
                )
            size, file = source.stat().st_size, source.open("rb")  # type: ignore[assignment]
        except (OSError, ValueError) as error:  # ValueError: a name with a null character
            raise GenlibError(
                f"{name} cannot be read ({getattr(error, 'strerror', None) or error}): give a zip file."
            ) from None
    if size > MAX_ZIP:
        file.close()
        raise GenlibError(f"{name} is too large: give a zip of at most {MAX_ZIP >> 30} GiB.")
    return file


def _archive(file: BinaryIO, name: str) -> zipfile.ZipFile:
    """The archive, after a look at how many entries there are and what they claim to unpack to."""
    count, contents = _end_record(file, name)
    many = GenlibError(f"{name} has too many entries: give a zip of at most {MAX_ENTRIES:,} pictures.")
    if count > MAX_ENTRIES or contents > MAX_CONTENTS:
        raise many
    archive = zipfile.ZipFile(file)
    if len(archive.infolist()) > MAX_ENTRIES:
        raise many
    claimed, packed = sum(entry.file_size for entry in archive.infolist()), max(1, file.seek(0, io.SEEK_END))
    if claimed > MAX_UNPACKED or (claimed > RATIO_FROM and claimed > MAX_RATIO * packed):
        raise GenlibError(
            f"{name} claims to unpack to {claimed / (1 << 30):.1f} GiB, {claimed / packed:,.0f} times its size, which no "
            "zip of pictures does: give another one."
        )
    return archive


def _end_record(file: BinaryIO, name: str) -> tuple[int, int]:
    """Entries and bytes of the table of contents, from the record at the archive's end, found where `zipfile` finds it."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END.size - 0xFFFF - _END64_LOCATOR[1]))
    tail = file.read()
    start = len(tail) - _END.size
    if not (start >= 0 and tail[start:].startswith(b"PK\x05\x06") and tail.endswith(b"\0\0")):
        start = tail.rfind(b"PK\x05\x06")
    if start < 0 or len(tail) - start < _END.size:
        raise GenlibError(f"{name} is not a whole zip file: give a zip of pictures.")
    record = _END.unpack(tail[start : start + _END.size])
    signature, length = _END64_LOCATOR
    if tail[max(0, start - length) : start].startswith(signature):
        raise GenlibError(f"{name} is a ZIP64 archive, made for far more than pictures: pack them as a plain zip.")
    return record[4], record[5]


def _contents(
    archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], skipped: Counter[str]
) -> Iterator[tuple[zipfile.ZipInfo, bytes | None]]:
    """Each entry with its bytes; None, and counted, where it cannot be had."""
    for entry in entries:
        data = None
        if entry.flag_bits & 1:
            skipped[LOCKED] += 1
        elif entry.file_size > MAX_BYTES:
            skipped[TOO_LARGE] += 1
        elif entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            skipped[UNREADABLE] += 1  # other methods may ask for gigabytes to unpack a byte
        else:
            try:
                with archive.open(entry) as stream:
                    data = stream.read(MAX_BYTES + 1)
            except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, ValueError, RuntimeError):
                skipped[UNREADABLE] += 1  # this one; the others may be sound
        yield entry, data


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]


def _folders(name: str) -> tuple[str, ...]:
    """The folders of an entry, as text that can be shown."""
    cleaned = ("".join(c for c in part if c.isprintable()).strip()[:40] for part in _parts(name)[:-1])
    return tuple(part for part in cleaned if part)


def _hidden(name: str) -> bool:
    """What systems leave in archives: nobody meant it to be a picture."""
    parts = _parts(name)
    return not parts or "__MACOSX" in parts or parts[-1].startswith(".") or parts[-1] in ("Thumbs.db", "desktop.ini")
