"""The file around a bit stream: which model wrote it, what is in it, and whether it is whole.

    bytes  3 magic · 1 version and kind · 4 digest of the model · name · channels, height, width, images (varints)
           kind's own fields · names of the images, if they are kept · payload · 4 CRC-32 of everything before

What has no fixed size has its length before it, as a varint (seven bits a byte, the low ones first, LEB128). A file
for one 32 x 32 picture by ``conv-draw-cifar10`` has 36 bytes beside its payload and its kind's own fields; `overhead` says
how many a given one has.

The model's digest stands for its config and weights: with any others a decoder would decode noise, so it refuses to begin.
A CRC finds every damage of up to 32 bits in a row, one byte among them, and all but one in 2^32 of the others. It is checked
before anything in the header but the version is believed.
"""

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

import torch

from genlib.errors import GenlibError
from genlib.models.contract import Model

Kind = Literal["lossless", "lossy"]
KINDS: tuple[Kind, ...] = get_args(Kind)

MAGIC = b"GLC"
VERSION = 1
DIGEST = 4  # bytes
CHECKSUM = 4
MAX_SIDE = 1 << 16
MAX_IMAGES = 100_000  # a file that claims more is refused: a few bytes could ask for a week of decoding
MAX_NAME = 255
NAMED = 8  # the bit beside the kind that says: names of the images follow
MAX_NAMES = 1 << 24  # bytes, when inflated


def digest(model: Model) -> bytes:
    """What tells a model from every other one: a hash over its name, its config and its weights, `DIGEST` bytes.

    A config's fields that have their default value do not count, so a field that a later version adds changes nothing.
    """
    found = hashlib.blake2b(digest_size=DIGEST)
    config = model.config.model_dump(mode="json", exclude_defaults=True)
    found.update(json.dumps([model.name, config], sort_keys=True).encode())
    for name, value in sorted(model.state_dict().items()):
        value = value.detach().cpu().contiguous()
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.flatten().view(torch.uint8).numpy())
    return found.digest()


@dataclass(frozen=True)
class Container:
    """What a file says. ``name``: where the model is to be found, a checkpoint's name (or the model's, of one that is only
    in memory). ``shape`` (C, H, W) of the ``count`` images; ``fields`` are the kind's own header, ``payload`` its stream."""

    kind: Kind
    name: str
    digest: bytes
    shape: tuple[int, int, int]
    count: int
    fields: bytes
    payload: bytes
    names: tuple[str, ...] = ()
    """One for each image, or none."""

    @classmethod
    def of(cls, kind: Kind, model: Model, count: int, fields: bytes, payload: bytes) -> Self:
        """A file of ``count`` images by this very model, which it calls by the model's name: see `renamed`."""
        if count > MAX_IMAGES:
            raise GenlibError(
                f"A file holds at most {MAX_IMAGES:,} images, not {count:,}: divide them among several files."
            )
        return cls(kind, model.name, digest(model), model.config.shape, count, fields, payload)

    def to_bytes(self) -> bytes:
        """The whole file."""
        name = self.name.encode()
        if len(name) > MAX_NAME:
            raise GenlibError(f"The name {self.name[:24]!r}... is too long for a file: name the checkpoint shorter.")
        kind = KINDS.index(self.kind) | (NAMED if self.names else 0)
        head = MAGIC + bytes([VERSION << 4 | kind]) + self.digest + _block(name)
        head += b"".join(map(_varint, (*self.shape, self.count))) + _block(self.fields)
        if self.names:
            head += _block(zlib.compress("\0".join(self.names).encode(), 9))
        body = head + _block(self.payload)
        return body + zlib.crc32(body).to_bytes(CHECKSUM, "little")

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What a file says. Not our file, a newer version, truncated, corrupted: one sentence in a `GenlibError` each."""
        if len(data) < len(MAGIC) + 1 or not data.startswith(MAGIC):
            raise GenlibError("This is no file that genlib compressed: give one that `genlib compress` wrote.")
        version, kind = divmod(data[len(MAGIC)], 16)
        if version > VERSION:
            raise GenlibError(
                f"The file has format {version}, but this genlib reads up to {VERSION}: use the genlib that wrote it."
            )
        reader = _Reader(data, len(MAGIC) + 1)
        mark = reader.take(DIGEST)
        name = reader.block()
        channels, height, width, count = (reader.varint() for _ in range(4))
        fields = reader.block()
        names = reader.block() if kind & NAMED else None
        payload = reader.block()
        body = data[: reader.at]
        if reader.take(CHECKSUM) != zlib.crc32(body).to_bytes(CHECKSUM, "little") or reader.at != len(data):
            raise GenlibError("The file is corrupted, its checksum is wrong: copy or compress it again.")
        sides, kind = (channels, height, width), kind & ~NAMED
        if version == 0 or kind >= len(KINDS) or not all(0 < side <= MAX_SIDE for side in sides) or count > MAX_IMAGES:
            raise GenlibError("The file's header is not possible: give a file that `genlib compress` wrote.")
        try:
            return cls(KINDS[kind], name.decode(), mark, sides, count, fields, payload, _read_names(names, count))
        except (UnicodeDecodeError, zlib.error):
            raise GenlibError("The file's header holds no names: give a file that `genlib compress` wrote.") from None

    @property
    def overhead(self) -> int:
        """Bytes of the file that are not its payload."""
        return len(self.to_bytes()) - len(self.payload)

    def renamed(self, name: str, names: Sequence[str] = ()) -> Self:
        """The same file with another ``name`` for where its model is to be found, and these ``names`` of its images."""
        if names and len(names) != self.count:
            raise GenlibError(f"There are {len(names)} names for {self.count} images: give one for each.")
        if any("\0" in one or not one for one in names):
            raise GenlibError("A name of an image is empty or holds a zero character: rename its file.")
        return replace(self, name=name, names=tuple(names))

    def check(self, kind: Kind, model: Model) -> None:
        """Refuse what this model did not write, and what is of the other kind."""
        if self.kind != kind:
            raise GenlibError(f"This is a {self.kind} file, and not a {kind} one: decompress it as what it is.")
        if self.shape != model.config.shape or self.digest != digest(model):
            raise GenlibError(
                f"The file was written by other weights than these of {model.name} (it names {self.name!r}, "
                f"{self.digest.hex()}; these are {digest(model).hex()}): decompress it with the checkpoint that wrote it."
            )


def _read_names(packed: bytes | None, count: int) -> tuple[str, ...]:
    if packed is None:
        return ()
    names = zlib.decompressobj().decompress(packed, MAX_NAMES).decode().split("\0")
    if len(names) != count:
        raise GenlibError(f"The file names {len(names)} images, but holds {count}: compress them again.")
    return tuple(names)


def _varint(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _block(data: bytes) -> bytes:
    return _varint(len(data)) + data


class _Reader:
    """Reads a file's parts one after another; where they end too soon, the file was cut short."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def take(self, size: int) -> bytes:
        if len(self.data) - self.at < size:
            raise GenlibError("The file is cut short or corrupted, its end is missing: copy or compress it again.")
        self.at += size
        return self.data[self.at - size : self.at]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 63, 7):
            (byte,) = self.take(1)
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise GenlibError("The file is corrupted, a number in it has no end: copy or compress it again.")

    def block(self) -> bytes:
        return self.take(self.varint())
