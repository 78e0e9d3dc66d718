"""Data sets: what exists, where it lies, how it is split.

MNIST and Omniglot ship inside the package, and films of bouncing digits are made of MNIST. Every other set is a ready ``NAME.npz`` in the data folder (``$GENLIB_DATA``, else the
user data folder), put there by ``genlib data fetch NAME``. An ``.npz`` holds uint8 arrays ``train_images``
[N, H, W] or [N, H, W, 3], ``train_labels`` [N] and the same for ``test``; the one of Omniglot ``images`` [N, 28, 28]
(ink = 255), ``labels`` [N] and ``names`` ("alphabet/character" of each label), and we split it by alphabets. Own pictures
lie in ``own/NAME.npz`` (genlib/data/own.py).
"""

import os
import re
import struct
import zipfile
import zlib
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import platformdirs
import torch
from torch import Tensor

from genlib.data import bouncing
from genlib.data.codings import binarise
from genlib.errors import GenlibError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[str, ...] = get_args(Split)
VALIDATION = 5_000  # the last images of the training file; what is selected is selected on these, never on the test set
MAX_BYTES = 4 << 30  # of a data file once unpacked: a small file that claims to hold more is not unpacked
EMBEDDED = {name: Path(__file__).with_name(f"{name}.npz") for name in ("mnist", "omniglot")}
OWN_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class DatasetInfo:
    """A data set's fixed facts. ``shape`` is (C, H, W). ``unseen``: no class of one split appears in another.
    ``own``: made of somebody's own pictures. ``made_of``: the data set that it is computed from; it has no file. ``frames``: its
    images are films of so many frames, one under the other."""

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    source: str
    licence: str
    unseen: bool = False
    own: bool = False
    made_of: str = ""
    frames: int = 1

    @property
    def remedy(self) -> str:
        """What to do about a broken file, for messages."""
        return "delete it and import the pictures again" if self.own else "delete it and fetch it again"


_DIGITS = tuple("0123456789")
_CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot")
_OBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

DATASETS: dict[str, DatasetInfo] = {
    info.name: info
    for info in (
        DatasetInfo("mnist", "MNIST digits", (1, 28, 28), _DIGITS, "LeCun and Cortes", "CC BY-SA 3.0"),
        DatasetInfo("fashion_mnist", "Fashion-MNIST", (1, 28, 28), _CLOTHES, "Zalando Research", "MIT"),
        DatasetInfo("cifar10", "CIFAR-10", (3, 32, 32), _OBJECTS, "Krizhevsky", "as the source states"),
        DatasetInfo("svhn", "SVHN house numbers", (3, 32, 32), _DIGITS, "Netzer et al.", "non-commercial use"),
        DatasetInfo("omniglot", "Omniglot characters", (1, 28, 28), (), "Lake et al.", "MIT", unseen=True),
        DatasetInfo(
            "bouncing_mnist",
            "Bouncing digits",
            (1, bouncing.FRAMES * bouncing.SIDE, bouncing.SIDE),
            _DIGITS,
            "made here of MNIST",
            "CC BY-SA 3.0",
            made_of="mnist",
            frames=bouncing.FRAMES,
        ),
    )
}


def data_folder() -> Path:
    """The folder of fetched data sets: ``$GENLIB_DATA``, else the platform's user data folder."""
    given = os.environ.get("GENLIB_DATA")
    return Path(given) if given else Path(platformdirs.user_data_dir("genlib", appauthor=False)) / "data"


def own_folder() -> Path:
    """Where data sets of own pictures lie."""
    return data_folder() / "own"


def own_names() -> list[str]:
    """The data sets of own pictures, in order. A broken one is left out: asking for it by name says what is wrong."""
    found = []
    for path in sorted(own_folder().glob("*.npz")):
        if OWN_NAME.fullmatch(path.stem) and path.stem not in DATASETS:
            try:
                describe(path.stem)
            except GenlibError:
                continue
            found.append(path.stem)
    return found


def names() -> list[str]:
    """Every data set that can be asked for: those that genlib knows, then own pictures."""
    return [*DATASETS, *own_names()]


def describe(name: str) -> DatasetInfo:
    """The facts of a data set. An unknown name is a `GenlibError`."""
    if name in DATASETS:
        return DATASETS[name]
    path = own_folder() / f"{name}.npz"
    if OWN_NAME.fullmatch(name) and path.is_file():
        return _describe_own(path, path.stat().st_mtime_ns)
    raise GenlibError(f"There is no data set named {name!r}; choose one of {', '.join(names())}.")


@lru_cache(maxsize=256)
def _describe_own(path: Path, version: int) -> DatasetInfo:
    """The facts of own pictures, from the file's small arrays; ``version`` is the file's time."""
    blank = DatasetInfo(path.stem, f"Own pictures: {path.stem}", (1, 1, 1), (), "your own", "yours", own=True)
    small = _read(path, blank, ["names", "shape"])
    size, classes = small["shape"], small["names"]
    if size.dtype.kind not in "iu" or size.shape not in ((2,), (3,)) or classes.ndim != 1 or not len(classes):
        raise GenlibError(f"The data file {path} does not hold own pictures; {blank.remedy}.")
    channels = int(size[2]) if len(size) == 3 else 1
    return replace(blank, shape=(channels, int(size[0]), int(size[1])), classes=tuple(map(str, classes)))


def find(name: str) -> Path | None:
    """Where the data set's ``.npz`` lies, or None if it has not been fetched yet. For one that is made of another, that one's."""
    info = describe(name)
    if info.made_of:
        return find(info.made_of)
    folder = own_folder() if info.own else data_folder()
    path = folder / f"{name}.npz"
    if path.is_file():
        return path
    return EMBEDDED.get(name)


class Dataset:
    """One data set in memory, as uint8, split into train, validation and test.

    ``images(split)`` are uint8 [N, C, H, W]; ``labels(split)`` int64 [N], ``classes`` their names. Floats in [0, 1] are
    made batch by batch: CIFAR-10 as float32 would take 740 MB.

    ``arrays`` are those of an ``.npz``. Without a validation part, the last images of the training part are it.
    """

    def __init__(self, info: DatasetInfo, arrays: dict[str, np.ndarray]) -> None:
        self.info = info
        self.classes: tuple[str, ...] = info.classes or tuple(map(str, arrays.get("names", ())))
        n = len(arrays["train_images"])
        own = "validation_images" in arrays
        held = 0 if own else min(VALIDATION, n // 6)
        self._images: dict[str, Tensor] = {}
        self._labels: dict[str, Tensor] = {}
        for split, part, rows in (
            ("train", "train", slice(0, n - held)),
            ("validation", "validation" if own else "train", slice(None) if own else slice(n - held, n)),
            ("test", "test", slice(None)),
        ):
            pixels = torch.from_numpy(np.ascontiguousarray(arrays[f"{part}_images"][rows]))
            self._images[split] = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()
            self._labels[split] = torch.from_numpy(arrays[f"{part}_labels"][rows].astype(np.int64))

    def __repr__(self) -> str:
        return f"Dataset({self.info.name!r}, {', '.join(f'{s}={self.size(s)}' for s in SPLITS)})"

    def size(self, split: str) -> int:
        """Number of images in a split."""
        return len(self._images[split])

    def images(self, split: str) -> Tensor:
        """uint8 [N, C, H, W]."""
        return self._images[split]

    def labels(self, split: str) -> Tensor:
        """int64 [N]."""
        return self._labels[split]

    def batch(self, split: str, index: Tensor | slice) -> Tensor:
        """Float images [n, C, H, W] in [0, 1]."""
        return self._images[split][index].float() / 255

    def binary(self, split: str, form: str, limit: int | None = None) -> Tensor:
        """A split's images as zeros and ones, float [N, C, H, W], drawn once with the fixed seed.

        The draw is over the whole split before ``limit`` cuts it, so the first k images are the same whatever k is.
        """
        if form == "threshold":
            return binarise(self.batch(split, slice(limit)), form)
        return binarise(self.batch(split, slice(None)), form)[:limit]


def read_arrays(path: Path, info: DatasetInfo) -> dict[str, np.ndarray]:
    """The checked arrays of a data file, split into train and test.

    A file that is broken, holds something else or would have to be unpickled is a `GenlibError`.
    """
    wanted = ["images", "labels", "names"] if info.unseen else [*_ARRAYS, *(_VALIDATION if info.own else ())]
    arrays = _read(path, info, wanted)
    if info.unseen:
        arrays = by_alphabet(path, arrays)
    c, h, w = info.shape
    shape = (h, w) if c == 1 else (h, w, c)
    classes = len(info.classes) or len(arrays["names"])
    for split in ("train", "test", *(("validation",) if info.own else ())):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if images.dtype != np.uint8 or images.shape[1:] != shape or labels.shape != images.shape[:1] or len(images) < 2:
            raise GenlibError(
                f"The data file {path} does not hold uint8 {split}_images of shape N x {' x '.join(map(str, shape))} "
                f"with as many {split}_labels; {info.remedy}."
            )
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
            raise GenlibError(f"The data file {path} has {split}_labels outside 0 to {classes - 1}; {info.remedy}.")
    return arrays


def _read(path: Path, info: DatasetInfo, wanted: list[str]) -> dict[str, np.ndarray]:
    """Arrays of a file by name."""
    try:
        with zipfile.ZipFile(path) as archive:  # look before unpacking
            if sum(entry.file_size for entry in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"it claims to hold more than {MAX_BYTES >> 30} GiB")
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: np.asarray(file[key]) for key in wanted if key in file.files}
    except _BROKEN as error:
        raise GenlibError(f"The data file {path} cannot be read ({error}); {info.remedy}.") from None
    missing = [key for key in wanted if key not in arrays]
    if missing:
        raise GenlibError(f"The data file {path} has no array {missing[0]!r}; {info.remedy}.")
    return arrays


_ARRAYS = ["train_images", "train_labels", "test_images", "test_labels"]
_VALIDATION = ["validation_images", "validation_labels"]
# every way in which unpacking a file of somebody else's making can fail
_BROKEN = (
    OSError, ValueError, TypeError, KeyError, EOFError, MemoryError, NotImplementedError, RuntimeError, SyntaxError,
    zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip


def by_alphabet(path: Path, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Omniglot's arrays, split so that every alphabet is in one split only.

    Of the alphabets in order, the last quarter is for the test, and an eighth before it for validation.
    """
    images, labels, names = arrays["images"], arrays["labels"], arrays["names"]
    if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu" or names.ndim != 1 or not len(labels):
        raise GenlibError(f"The data file {path} has not one label for each image; delete it and fetch it again.")
    if labels.min() < 0 or labels.max() >= len(names):
        raise GenlibError(f"The data file {path} has labels without a name; delete it and fetch it again.")
    of_name = np.array([str(name).partition("/")[0] for name in names])
    alphabets = np.unique(of_name)
    test = max(1, len(alphabets) // 4)
    validation = max(1, len(alphabets) // 8)
    if len(alphabets) < test + validation + 1:
        raise GenlibError(f"The data file {path} holds too few alphabets to split; delete it and fetch it again.")
    first = {"train": 0, "validation": len(alphabets) - test - validation, "test": len(alphabets) - test}
    split = {"names": names}
    for part, until in (("train", first["validation"]), ("validation", first["test"]), ("test", len(alphabets))):
        rows = np.isin(of_name[labels], alphabets[first[part] : until])
        split[f"{part}_images"], split[f"{part}_labels"] = images[rows], labels[rows]
    return split


def load(name: str) -> Dataset:
    """Load a data set by name; it stays in memory. One that is not here is a `GenlibError` that gives the command."""
    info = describe(name)
    path = find(name)
    if path is None:
        name = info.made_of or name
        raise GenlibError(
            f"The data set {name!r} is not on this machine: run `genlib data fetch {name}`, "
            f"or put a ready {name}.npz into {data_folder()}."
        )
    return _load(info, path, path.stat().st_mtime_ns)


@lru_cache(maxsize=3)
def _load(info: DatasetInfo, path: Path, version: int) -> Dataset:
    """``version`` is the file's time: a file that was replaced is read again."""
    if info.made_of:
        return Dataset(info, bouncing.of_mnist(read_arrays(path, describe(info.made_of))))
    return Dataset(info, read_arrays(path, info))
