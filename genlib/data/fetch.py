"""Fetch a data set: torchvision's mirrors, its checksums, our ``.npz``.

torchvision knows where the originals lie and what their MD5 sums are; what it downloads is checked against them before
it is opened. Everything goes through one temporary folder beside the data, which is gone afterwards whatever happens,
and the finished file is moved into place in one step, so that nobody ever sees half a data set.
"""

import contextlib
import errno
import os
import socket
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from genlib.data import datasets, matlab
from genlib.data.datasets import data_folder, describe, find
from genlib.errors import GenlibError

Progress = Callable[[str], None]
"""Called with a line for people when the next stage begins."""

Arrays = dict[str, np.ndarray]
PATIENCE = 30.0  # seconds without a byte until a mirror counts as dead


def fetch(name: str, progress: Progress | None = None) -> Path:
    """Make sure that a data set is here; returns its ``.npz``.

    A sound file that lies in the data folder already is used as it is, without the network; MNIST ships with genlib. Of Omniglot
    a part ships, which its whole then takes the place of.
    An unknown name, no network, a full disk and a folder that cannot be written to are each a `GenlibError`.
    """
    info = describe(name)
    present = find(name)
    if present is not None and not (name == "omniglot" and present == datasets.EMBEDDED[name]):
        try:
            datasets.read_arrays(present, info)
            return present
        except GenlibError:
            if progress is not None:
                progress(f"{present} is damaged and will be replaced")
    folder = data_folder()
    target = folder / f"{name}.npz"
    tell = progress or (lambda line: None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".fetch-{name}-", dir=folder) as temporary:
            tell(f"downloading {info.title} ({info.source})")
            with _patient(), contextlib.redirect_stdout(sys.stderr):  # stdout belongs to the command's own output
                arrays = _CONVERSIONS[name](Path(temporary))
            tell(f"writing {target}")
            ready = Path(temporary) / target.name
            with ready.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            datasets.read_arrays(ready, info)
            ready.replace(target)
    except _FAILURES as error:
        raise _sentence(name, folder, error) from None
    return target


# what a mirror, a connection, an archive or a disk can do to a download
_FAILURES = (
    OSError, RuntimeError, ValueError, EOFError, KeyError, tarfile.TarError, zipfile.BadZipFile, zlib.error,
    GenlibError,
)  # fmt: skip
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST)


def _sentence(name: str, folder: Path, error: Exception) -> GenlibError:
    if isinstance(error, OSError) and error.errno in _FULL:
        return GenlibError(
            f"The disk is full, so the data set {name!r} could not be written into {folder}: "
            "free some space, or set GENLIB_DATA to another folder."
        )
    if isinstance(error, OSError) and error.errno in _CLOSED and error.filename is not None:
        return GenlibError(
            f"The data set {name!r} cannot be written into {folder} ({error.strerror}): "
            "set GENLIB_DATA to a folder you may write to."
        )
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    return GenlibError(
        f"The data set {name!r} could not be fetched ({reason}): "
        f"check the network and try again, or put a ready {name}.npz into {folder}."
    )


@contextlib.contextmanager
def _patient() -> Iterator[None]:
    """A mirror that accepts the connection and then says nothing must not hold us for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _fashion_mnist(temporary: Path) -> Arrays:
    from torchvision.datasets import FashionMNIST

    return _both(lambda train: FashionMNIST(str(temporary), train=train, download=True))


def _cifar10(temporary: Path) -> Arrays:
    from torchvision.datasets import CIFAR10

    return _both(lambda train: CIFAR10(str(temporary), train=train, download=True))


def _both(open_split: Callable[[bool], object]) -> Arrays:
    """Training and test part of a torchvision data set with ``data`` and ``targets``."""
    arrays: Arrays = {}
    for split in ("train", "test"):
        part = open_split(split == "train")
        arrays[f"{split}_images"] = np.asarray(part.data, np.uint8)  # type: ignore[attr-defined]
        arrays[f"{split}_labels"] = np.asarray(part.targets, np.uint8)  # type: ignore[attr-defined]
    return arrays


def _svhn(temporary: Path) -> Arrays:
    """torchvision's own class reads the files with SciPy; `matlab.read` will do."""
    from torchvision.datasets import SVHN
    from torchvision.datasets.utils import download_url

    arrays: Arrays = {}
    for split in ("train", "test"):
        url, filename, checksum = SVHN.split_list[split]
        download_url(url, str(temporary), filename, checksum)
        content = matlab.read(temporary / filename)
        images = content["X"].transpose(3, 0, 1, 2)  # [H, W, 3, N] -> [N, H, W, 3]
        arrays[f"{split}_images"] = np.ascontiguousarray(images)
        arrays[f"{split}_labels"] = (content["y"].reshape(-1) % 10).astype(np.uint8)  # the file calls the digit zero 10
        (temporary / filename).unlink()
    return arrays


def _omniglot(temporary: Path) -> Arrays:
    """Both halves together, 50 alphabets; the arrays are described in `genlib.data.datasets`."""
    from torchvision.datasets import Omniglot

    drawings: dict[str, list[np.ndarray]] = {}
    for background in (True, False):
        part = Omniglot(str(temporary), background=background, download=True)
        for image, label in part:
            drawings.setdefault(part._characters[label], []).append(shrink(image))
    names = sorted(drawings)
    return {
        "images": np.stack([image for name in names for image in drawings[name]]),
        "labels": np.repeat(np.arange(len(names), dtype=np.int32), [len(drawings[name]) for name in names]),
        "names": np.array([name.replace(os.sep, "/") for name in names]),
    }


def shrink(image: Image.Image, side: int = 28) -> np.ndarray:
    """Black ink on white, any size -> uint8 [side, side] with ink = 255, each pixel the mean of the area it covers."""
    return 255 - np.asarray(image.convert("L").resize((side, side), Image.Resampling.BOX))


_CONVERSIONS: dict[str, Callable[[Path], Arrays]] = {
    "fashion_mnist": _fashion_mnist,
    "cifar10": _cifar10,
    "svhn": _svhn,
    "omniglot": _omniglot,
}
