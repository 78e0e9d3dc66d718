"""A reader for the numeric arrays of a MATLAB 5 file, enough for SVHN: it spares us SciPy, needed for nothing else.

Format: MathWorks, "MAT-File Format", level 5. A header of 128 bytes, then elements: a tag (type, bytes), the data,
padding to 8 bytes; up to four bytes of data may lie inside the tag. A compressed element holds another element,
deflated. A matrix element holds four: flags and class, dimensions, name, and the numbers column by column.
"""

import struct
import zlib
from pathlib import Path

import numpy as np

MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
MAX_BYTES = 2 << 30  # of an inflated element


def read(path: Path) -> dict[str, np.ndarray]:
    """Every real numeric array of the file by name, in MATLAB's shape. A file of another kind is a ValueError."""
    data = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise ValueError(f"{path.name} is not a MATLAB 5 file")
    arrays = {}
    position = 128
    while position + 8 <= len(data):
        kind, content, position = _element(data, position, order)
        if kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            inflated = unpacker.decompress(content, MAX_BYTES)
            if not unpacker.eof:
                raise ValueError(f"{path.name} is cut short")
            kind, content, _ = _element(inflated, 0, order)
        if kind == MATRIX:
            name, array = _matrix(content, order)
            arrays[name] = array
    return arrays


def _element(data: bytes | memoryview, position: int, order: str) -> tuple[int, memoryview, int]:
    """The element at a position: its type, its data, and where the next one begins."""
    view = memoryview(data)
    if position + 8 > len(view):
        raise ValueError("an element is cut short")
    kind, size = struct.unpack_from(order + "II", view, position)
    start = position + 8
    if kind >> 16:  # the short form: the size in the upper half of the first word, the data in the second
        kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
        end = position + 8
    else:
        end = start + size + (0 if kind == COMPRESSED else -size % 8)
    if start + size > len(view):
        raise ValueError("an element is cut short")
    return kind, view[start : start + size], end


def _matrix(content: memoryview, order: str) -> tuple[str, np.ndarray]:
    """(name, array) of a matrix element."""
    _, _, position = _element(content, 0, order)  # flags and class: the numbers say their own type
    _, sizes, position = _element(content, position, order)
    _, name, position = _element(content, position, order)
    kind, numbers, _ = _element(content, position, order)
    if kind not in NUMBERS:
        raise ValueError(f"the array {bytes(name).decode('latin-1')!r} is not numeric")
    shape = np.frombuffer(sizes, order + "i4")
    return bytes(name).decode("latin-1"), np.frombuffer(numbers, order + NUMBERS[kind]).reshape(shape, order="F")
