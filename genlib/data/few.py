"""A few test images that ship with the package, for what must work where a data set is not on the machine.

``NAME_few.npz`` holds the first images of the test split: ``test_images`` uint8 [N, H, W] or [N, H, W, 3] and ``test_labels`` [N]. So
image i is the same one wherever it is asked for. Here the first 64 of CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features
from Tiny Images) and the first 500 of Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747).
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from genlib.data import datasets
from genlib.data.datasets import Dataset

FEW = {name: Path(__file__).with_name(f"{name}_few.npz") for name in ("cifar10", "fashion_mnist")}


@lru_cache
def load_few(name: str) -> Dataset:
    """What ships of a data set in `FEW`: its first test images, and nothing in the other splits."""
    with np.load(FEW[name], allow_pickle=False) as file:
        arrays = dict(file)
    arrays |= {key.replace("test", "train"): values[:0] for key, values in arrays.items()}
    return Dataset(datasets.describe(name), arrays)


def load_to_look_at(name: str) -> Dataset:
    """The data set if it is on this machine, else what ships of it: for showing a model test images, never for training.

    Raises `GenlibError`, as `genlib.data.load` does, for a data set of which nothing is here.
    """
    return load_few(name) if is_short(name) else datasets.load(name)


def is_short(name: str) -> bool:
    """Whether only the few shipped images of the data set are on this machine."""
    return name in FEW and datasets.find(name) is None
