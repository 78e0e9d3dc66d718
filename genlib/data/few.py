"""A few test images that ship with the package, for what must work where a data set is not on the machine.

``NAME_few.npz`` holds the first images of the test split: ``images`` uint8 [N, H, W, 3] and ``labels`` [N]. So image i is the same
one wherever it is asked for. Here the first 64 of CIFAR-10 (Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images).
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genlib.data import datasets
from genlib.errors import GenlibError

FEW = {name: Path(__file__).with_name(f"{name}_few.npz") for name in ("cifar10",)}


@lru_cache
def few_test_images(name: str) -> Tensor:
    """The shipped test images of a data set, uint8 [N, C, H, W]; `GenlibError` for a set without."""
    if name not in FEW:
        raise GenlibError(f"No test images of {name!r} come with genlib, only some of {', '.join(FEW)}.")
    with np.load(FEW[name]) as arrays:
        return torch.from_numpy(arrays["images"]).permute(0, 3, 1, 2).contiguous()


def some_test_images(name: str) -> Tensor:
    """The test images of a data set that is on this machine, uint8 [N, C, H, W]; else the shipped few."""
    try:
        return datasets.load(name).images("test")
    except GenlibError:
        if name not in FEW:
            raise
        return few_test_images(name)
