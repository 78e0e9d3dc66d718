"""Data sets: what exists, where it lies, how it is split.

MNIST ships inside the package. Every other set is a ready ``NAME.npz`` in the data folder (``$GENLIB_DATA``, else the
user data folder), put there by ``genlib data fetch NAME``. An ``.npz`` holds uint8 arrays ``train_images``
[N, H, W] or [N, H, W, 3], ``train_labels`` [N] and the same for ``test``.
"""

import os
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import platformdirs
import torch
from torch import Tensor

from genlib.data.codings import binarise
from genlib.errors import GenlibError

Split = Literal["train", "validation", "test"]
SPLITS: tuple[str, ...] = get_args(Split)
VALIDATION = 5_000  # the last images of the training file; what is selected is selected on these, never on the test set
EMBEDDED = Path(__file__).with_name("mnist.npz")


@dataclass(frozen=True)
class DatasetInfo:
    """A data set's fixed facts. ``shape`` is (C, H, W); ``held_out_classes``: test classes never appear in training."""

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    source: str
    licence: str


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
        DatasetInfo("omniglot", "Omniglot characters", (1, 28, 28), (), "Lake et al.", "MIT"),
    )
}


def data_folder() -> Path:
    """The folder of fetched data sets: ``$GENLIB_DATA``, else the platform's user data folder."""
    given = os.environ.get("GENLIB_DATA")
    return Path(given) if given else Path(platformdirs.user_data_dir("genlib", appauthor=False)) / "data"


def describe(name: str) -> DatasetInfo:
    """The facts of a data set. An unknown name is a `GenlibError`."""
    if name not in DATASETS:
        raise GenlibError(f"There is no data set named {name!r}; choose one of {', '.join(DATASETS)}.")
    return DATASETS[name]


def find(name: str) -> Path | None:
    """Where the data set's ``.npz`` lies, or None if it has not been fetched yet."""
    describe(name)
    path = data_folder() / f"{name}.npz"
    if path.is_file():
        return path
    return EMBEDDED if name == "mnist" else None


class Dataset:
    """One data set in memory, as uint8, split into train, validation and test.

    ``images(split)`` are uint8 [N, C, H, W]; ``labels(split)`` int64 [N]. Floats in [0, 1] are made batch by batch:
    CIFAR-10 as float32 would take 740 MB.
    """

    def __init__(self, info: DatasetInfo, arrays: dict[str, np.ndarray]) -> None:
        self.info = info
        n = len(arrays["train_images"])
        held = min(VALIDATION, n // 6)
        self._images: dict[str, Tensor] = {}
        self._labels: dict[str, Tensor] = {}
        for split, part, rows in (
            ("train", "train", slice(0, n - held)),
            ("validation", "train", slice(n - held, n)),
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


def _arrays(path: Path, info: DatasetInfo) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files if file[key].dtype != object}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise GenlibError(f"The data file {path} cannot be read ({error}); delete it and fetch it again.") from None
    if info.name == "omniglot" and "images" in arrays:  # whole alphabets are held out: the last quarter of the characters
        names = arrays["names"][arrays["labels"]]
        alphabets = np.array([str(name).split("/")[0] for name in names])
        test = np.isin(alphabets, np.unique(alphabets)[-2:])
        for split, rows in (("train", ~test), ("test", test)):
            arrays[f"{split}_images"], arrays[f"{split}_labels"] = arrays["images"][rows], arrays["labels"][rows]
    for split in ("train", "test"):
        images, labels = arrays.get(f"{split}_images"), arrays.get(f"{split}_labels")
        c, h, w = info.shape
        wanted = (h, w) if c == 1 else (h, w, c)
        if images is None or labels is None or images.dtype != np.uint8 or images.shape[1:] != wanted or len(images) != len(labels):
            raise GenlibError(
                f"The data file {path} does not hold uint8 {split}_images of shape N x {' x '.join(map(str, wanted))} "
                f"with as many {split}_labels; delete it and fetch it again."
            )
    return arrays


@lru_cache(maxsize=3)
def load(name: str) -> Dataset:
    """Load a data set by name. One that has not been fetched is a `GenlibError` that gives the command."""
    info = describe(name)
    path = find(name)
    if path is None:
        raise GenlibError(
            f"The data set {name!r} is not on this machine: run `genlib data fetch {name}`, "
            f"or put a ready {name}.npz into {data_folder()}."
        )
    return Dataset(info, _arrays(path, info))
