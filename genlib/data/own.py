"""Own pictures: a zip of images becomes a data set like any other.

It is kept as ``own/NAME.npz`` in the data folder, with the arrays of every data set (genlib/data/datasets.py), a
validation part of its own, ``names`` (its classes) and ``shape``. The classes are the folders of the zip: the
outermost ones that tell pictures apart; without such there is one class.
"""

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genlib.data.datasets import DATASETS, OWN_NAME, DatasetInfo, describe, own_folder, own_names
from genlib.data.picture_zip import Progress, read_zip
from genlib.errors import GenlibError

MAX_SETS = 50
MAX_CLASSES = 1000
FEWEST = 20  # pictures: a split needs some in each part
SIDES = 8, 128  # pixels: what models can be built for
ONE_CLASS, NO_FOLDER = "pictures", "other"
SHUFFLE_SEED = 2016
TENTH = 10  # of ten pictures of a class one is for the test, one for validation


@dataclass(frozen=True)
class Imported:
    """A data set that was made."""

    path: Path
    info: DatasetInfo
    sizes: dict[str, int]
    """Split -> number of pictures."""
    skipped: Counter[str]
    """Reason -> number of files that were left out."""

    def sentence(self) -> str:
        """What became of the zip, for people."""
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.skipped.items()))
        return (
            f"{sum(self.sizes.values()):,} pictures in {_classes(len(self.info.classes))}: "
            + ", ".join(f"{size:,} for {split}" for split, size in self.sizes.items())
            + (f". Left out: {left_out}." if left_out else ".")
        )


def import_zip(
    source: Path | bytes,
    name: str,
    *,
    side: int = 28,
    grey: bool = False,
    replace: bool = False,
    label: str | None = None,
    progress: Progress | None = None,
) -> Imported:
    """Make the data set ``name`` of a zip file, or of its bytes: pictures of ``side`` x ``side``, in colour or grey.

    ``label`` stands for the zip in messages. Raises `GenlibError` for a name that cannot be had, a zip that is no sound
    zip of pictures (see `read_zip`), too few pictures, and a folder that cannot be written to.
    """
    target = _target(name, replace)
    if not SIDES[0] <= side <= SIDES[1]:
        raise GenlibError(
            f"Pictures of {side} x {side} pixels cannot be used: choose a size from {SIDES[0]} to {SIDES[1]}."
        )
    label = label or (str(source) if isinstance(source, Path) else "The upload")
    pile = read_zip(source, (1 if grey else 3, side, side), label, progress)
    if len(pile.images) < FEWEST:
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(pile.skipped.items()))
        raise GenlibError(
            f"{label} holds {len(pile.images)} usable pictures{f' ({left_out})' if left_out else ''}: give at least "
            f"{FEWEST} different ones as PNG, JPEG, GIF, WebP or BMP."
        )
    classes, labels = classify(pile.folders)
    if len(classes) > MAX_CLASSES:
        raise GenlibError(f"{label} has {len(classes):,} folders with pictures: give at most {MAX_CLASSES:,} classes.")
    arrays: dict[str, Any] = {"names": np.array(classes), "shape": np.array(pile.images.shape[1:], np.int32)}
    rows = split(labels)
    for part, index in rows.items():
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = pile.images[index], labels[index]
    _write(target, arrays)
    return Imported(target, describe(name), {part: len(index) for part, index in rows.items()}, pile.skipped)


def remove(name: str) -> None:
    """Delete an own data set. Any other name is a `GenlibError`."""
    if not OWN_NAME.fullmatch(name) or not (own_folder() / f"{name}.npz").is_file():
        raise GenlibError(f"There are no own pictures named {name!r}; there are {', '.join(own_names()) or 'none'}.")
    (own_folder() / f"{name}.npz").unlink()


def classify(folders: list[tuple[str, ...]]) -> tuple[list[str], np.ndarray]:
    """Class names in order, and the class of each picture, int64 [N], from the folders they were in."""
    level = 0
    while folders and all(len(parts) > level for parts in folders) and len({parts[level] for parts in folders}) == 1:
        level += 1  # a folder around everything says nothing
    words = [parts[level] if len(parts) > level else NO_FOLDER for parts in folders]
    classes = sorted(set(words))
    if len(classes) == 1:
        return [ONE_CLASS], np.zeros(len(folders), np.int64)
    number = {word: i for i, word in enumerate(classes)}
    return classes, np.array([number[word] for word in words], np.int64)


def split(labels: np.ndarray) -> dict[str, np.ndarray]:
    """Rows of each part, the classes in equal shares: a tenth for the test, a tenth for validation."""
    order = np.random.default_rng(SHUFFLE_SEED).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # class by class, shuffled inside
    turn = np.arange(len(labels)) % TENTH
    parts = {"train": (turn != 0) & (turn != TENTH // 2), "validation": turn == TENTH // 2, "test": turn == 0}
    return {part: np.sort(order[chosen]) for part, chosen in parts.items()}


def _classes(n: int) -> str:
    return "one class" if n == 1 else f"{n:,} classes"


def _target(name: str, replace: bool) -> Path:
    """Where the data set goes, if the name may be used."""
    if not OWN_NAME.fullmatch(name):
        raise GenlibError(
            f"{name!r} cannot name a data set: use up to 40 lower-case letters, digits and underscores, a letter first."
        )
    if name in DATASETS:
        raise GenlibError(f"{name!r} is the name of a data set that comes with genlib: choose another name.")
    target = own_folder() / f"{name}.npz"
    if target.exists() and not replace:
        raise GenlibError(f"There are own pictures named {name!r} already: choose another name, or remove them first.")
    if not target.exists() and len(own_names()) >= MAX_SETS:
        raise GenlibError(
            f"There are {MAX_SETS} sets of own pictures already: remove one first (`genlib data remove NAME`)."
        )
    return target


def _write(target: Path, arrays: dict[str, Any]) -> None:
    """The whole file or none of it."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".import-", dir=target.parent) as folder:
            ready = Path(folder) / target.name
            with ready.open("wb") as file:
                np.savez_compressed(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            ready.replace(target)
    except OSError as error:
        raise GenlibError(
            f"The data set cannot be written into {target.parent} ({error.strerror or error}): free some space, or set "
            "GENLIB_DATA to a folder you may write to."
        ) from None
