"""Fetching: torchvision's data sets are converted as documented, and nothing is left behind or half done when it fails.

No test here uses the network: torchvision's classes are replaced by ones that put the same kind of files or arrays there.
"""

import errno
import os
import socket
import struct
import urllib.error
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

from genlib.data import fetch as fetching
from genlib.data import load, matlab
from genlib.data.fetch import fetch, shrink
from genlib.errors import GenlibError

RANDOM = np.random.default_rng(1)


class FakeFashion:
    """Like torchvision's MNIST family: ``data`` and ``targets`` are tensors."""

    def __init__(self, root: str, train: bool, download: bool) -> None:
        assert download
        (Path(root) / "raw").mkdir(exist_ok=True)
        (Path(root) / "raw" / f"{train}.gz").write_bytes(b"downloaded")
        print("Downloading http://mirror/train-images-idx3-ubyte.gz")
        n = 12 if train else 4
        self.data = torch.arange(n, dtype=torch.uint8).view(n, 1, 1).expand(n, 28, 28)
        self.targets = torch.arange(n) % 10


class FakeCifar:
    """Like torchvision's CIFAR10: ``data`` is an array N x H x W x 3, ``targets`` a list."""

    def __init__(self, root: str, train: bool, download: bool) -> None:
        n = 12 if train else 4
        self.data = np.random.default_rng(n).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)
        self.targets = [i % 10 for i in range(n)]


class FakeOmniglot:
    """Like torchvision's Omniglot: pairs (105 x 105 image, place in ``_characters``)."""

    def __init__(self, root: str, background: bool, download: bool) -> None:
        alphabets = ("Zulu", "Arabic", "Greek") if background else ("Beta",)
        self._characters = [os.path.join(a, f"character0{i}") for a in alphabets for i in (1, 2)]
        paper = [Image.new("L", (105, 105), 255) for _ in self._characters]
        for label, image in enumerate(paper):
            image.paste(0, (0, 0, 15 * (label + 1), 105))  # ink over the first columns, more for each character
        self.items = [(image, label) for label, image in enumerate(paper) for _ in range(2)]

    def __iter__(self) -> Any:
        return iter(self.items)


def test_fashion_mnist_is_converted(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", FakeFashion)
    lines: list[str] = []
    path = fetch("fashion_mnist", lines.append)
    assert path == folder / "fashion_mnist.npz"
    assert [entry.name for entry in folder.iterdir()] == [path.name]  # the download is gone
    data = load("fashion_mnist")
    assert data.images("test").shape == (4, 1, 28, 28)
    assert data.images("train")[:, 0, 0, 0].tolist() == list(range(10))
    assert data.labels("validation").tolist() == [0, 1]
    assert len(lines) == 2
    assert capsys.readouterr().out == ""  # stdout belongs to the command


def test_cifar10_is_converted(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torchvision.datasets, "CIFAR10", FakeCifar)
    fetch("cifar10")
    wanted = torch.from_numpy(FakeCifar("", False, True).data).permute(0, 3, 1, 2)
    assert torch.equal(load("cifar10").images("test"), wanted)
    assert load("cifar10").labels("test").tolist() == [0, 1, 2, 3]


def test_omniglot_is_converted(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torchvision.datasets, "Omniglot", FakeOmniglot)
    with np.load(fetch("omniglot")) as file:
        assert set(file.files) == {"images", "labels", "names"}
        names = list(file["names"])
        assert names == sorted(f"{a}/character0{i}" for a in ("Arabic", "Beta", "Greek", "Zulu") for i in (1, 2))
        assert file["labels"].tolist() == [label for label in range(8) for _ in range(2)]
        assert file["images"].shape == (16, 28, 28)
        image = file["images"][2 * names.index("Arabic/character01")]  # ink over the first 45 of 105 columns = 12 of 28
    assert (image[:, :12] == 255).all()
    assert (image[:, 12:] == 0).all()
    assert {load("omniglot").classes[label].split("/")[0] for label in load("omniglot").labels("test").tolist()} == {
        "Zulu"
    }


def test_shrinking_keeps_the_share_of_ink():
    page = np.full((112, 112), 255, np.uint8)
    page[40:80, 30:90] = 0
    drawing = shrink(Image.fromarray(page))
    assert drawing.dtype == np.uint8
    assert drawing.mean() == pytest.approx((255 - page).mean(), rel=1e-3)


# --- SVHN and its MATLAB files ------------------------------------------------------------------------------------------


def element(kind: int, content: bytes, order: str = "<") -> bytes:
    if len(content) <= 4 and kind not in (matlab.MATRIX, matlab.COMPRESSED):  # the short form
        return struct.pack(order + "I", len(content) << 16 | kind) + content.ljust(4, b"\0")
    pad = 0 if kind == matlab.COMPRESSED else -len(content) % 8
    return struct.pack(order + "II", kind, len(content)) + content + b"\0" * pad


def matrix(name: str, array: np.ndarray, order: str = "<") -> bytes:
    kind = {"u1": 2, "f8": 9, "i4": 5}[array.dtype.str[1:]]
    numbers = array.astype(array.dtype.newbyteorder(order)).tobytes(order="F")
    body = element(6, struct.pack(order + "II", 9, 0), order)
    body += element(5, struct.pack(f"{order}{array.ndim}i", *array.shape), order)
    body += element(1, name.encode(), order) + element(kind, numbers, order)
    return element(matlab.MATRIX, body, order)


def mat(arrays: dict[str, np.ndarray], compressed: bool = True, order: str = "<") -> bytes:
    mark = b"IM" if order == "<" else b"MI"
    content = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01" + mark
    for name, array in arrays.items():
        inner = matrix(name, array, order)
        content += element(matlab.COMPRESSED, zlib.compress(inner), order) if compressed else inner
    return content


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_matlab_arrays_are_read(compressed: bool, order: str, tmp_path: Path):
    arrays = {
        "X": RANDOM.integers(0, 256, (3, 4, 2, 5), dtype=np.uint8),
        "y": RANDOM.normal(size=(5, 1)),
        "a_long_name": np.array([[7]], np.int32),
    }
    path = tmp_path / "file.mat"
    path.write_bytes(mat(arrays, compressed, order))
    found = matlab.read(path)
    assert set(found) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_broken_matlab_file_is_a_value_error(tmp_path: Path):
    whole = mat({"X": RANDOM.integers(0, 256, (32, 32, 3, 4), dtype=np.uint8)})
    path = tmp_path / "file.mat"
    for content in (b"", b"nonsense" * 40, whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"not a MATLAB 5 file|cut short"):
            matlab.read(path)


def test_svhn_is_converted(folder: Path, monkeypatch: pytest.MonkeyPatch):
    images = {n: RANDOM.integers(0, 256, (32, 32, 3, n), dtype=np.uint8) for n in (12, 10)}
    asked = []

    def download(url: str, root: str, filename: str, md5: str) -> None:
        asked.append((url, md5))
        n = 12 if filename.startswith("train") else 10
        labels = (np.arange(n, dtype=np.uint8) % 10 + 1)[:, None]
        (Path(root) / filename).write_bytes(mat({"X": images[n], "y": labels}))

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download)
    fetch("svhn")
    data = load("svhn")
    assert torch.equal(data.images("test"), torch.from_numpy(images[10]).permute(3, 2, 0, 1))
    assert data.labels("test").tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]  # the digit zero is 10 in the file
    known = torchvision.datasets.SVHN.split_list
    assert asked == [(known[split][0], known[split][2]) for split in ("train", "test")]  # torchvision's address and sum


# --- what need not be fetched, and what goes wrong ----------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any use of the network fails the test."""

    def refuse(*args: Any) -> None:
        pytest.fail(f"the network was asked for {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("offline")
def test_a_ready_file_is_used_without_the_network(folder: Path, prepared: Callable[[str], Path]):
    ready = folder / "fashion_mnist.npz"
    ready.symlink_to(prepared("fashion_mnist"))
    before = ready.stat()
    assert fetch("fashion_mnist") == ready
    after = ready.stat()  # when it was last read may be told late
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (before.st_ino, before.st_size, before.st_mtime_ns)
    assert load("fashion_mnist").size("test") == 10_000


@pytest.mark.usefixtures("offline")
def test_mnist_is_here_already(folder: Path):
    assert fetch("mnist").is_file()
    assert not list(folder.iterdir())


def test_a_damaged_file_is_replaced(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", FakeFashion)
    (folder / "fashion_mnist.npz").write_bytes(b"PK\x03\x04 half a file")
    lines: list[str] = []
    fetch("fashion_mnist", lines.append)
    assert "damaged" in lines[0]
    assert load("fashion_mnist").size("test") == 4


def test_unknown_sets_are_refused(folder: Path):
    with pytest.raises(GenlibError, match="no data set named 'imagenet'"):
        fetch("imagenet")


FAILURES = {
    "no network": (
        urllib.error.URLError(socket.gaierror(-3, "Temporary failure in name resolution")),
        "check the network",
    ),
    "time-out": (TimeoutError("timed out"), "check the network"),
    "wrong checksum": (
        RuntimeError("File not found or corrupted."),
        r"\(File not found or corrupted\): check the network",
    ),
    "broken archive": (EOFError(), r"\(EOFError\): check the network"),
    "disk full": (OSError(errno.ENOSPC, "No space left on device"), "disk is full.*free some space"),
    "read-only": (PermissionError(errno.EACCES, "Permission denied", "x"), "GENLIB_DATA to a folder you may write to"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_failure_is_one_sentence_and_leaves_nothing(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch):
    error, wanted = FAILURES[kind]

    def fail(root: str, **options: Any) -> None:
        (Path(root) / "half.gz").write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", fail)
    before = socket.getdefaulttimeout()
    with pytest.raises(GenlibError, match=wanted) as caught:
        fetch("cifar10")
    message = str(caught.value)
    assert "'cifar10'" in message
    assert str(folder) in message
    assert "\n" not in message
    assert not list(folder.iterdir())
    assert socket.getdefaulttimeout() == before


def test_a_disk_that_fills_while_writing_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torchvision.datasets, "FashionMNIST", FakeFashion)
    old = folder / "fashion_mnist.npz"
    old.write_bytes(b"damaged, but the owner's")

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GenlibError, match="disk is full"):
        fetch("fashion_mnist")
    assert old.read_bytes() == b"damaged, but the owner's"
    assert [entry.name for entry in folder.iterdir()] == [old.name]


def test_a_mirror_that_delivers_something_else_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    class Other(FakeCifar):
        def __init__(self, root: str, train: bool, download: bool) -> None:
            super().__init__(root, train, download)
            self.data = self.data[:, :28]

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", Other)
    with pytest.raises(GenlibError, match="does not hold uint8 train_images"):
        fetch("cifar10")
    assert not list(folder.iterdir())


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("not a folder")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        monkeypatch.setenv("GENLIB_DATA", str(place))
        with pytest.raises(GenlibError, match="set GENLIB_DATA to a folder you may write to"):
            fetch("cifar10")


def test_an_interrupted_download_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(root: str, **options: Any) -> None:
        (Path(root) / "half.gz").write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(torchvision.datasets, "CIFAR10", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch("cifar10")
    assert not list(folder.iterdir())


def test_every_set_that_is_not_embedded_can_be_fetched():
    from genlib.data import DATASETS

    assert set(fetching._CONVERSIONS) | {"mnist"} == {name for name, info in DATASETS.items() if not info.made_of}
