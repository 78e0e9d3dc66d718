"""A small data set of two classes and an untrained judge of it: features are features, however good."""

import numpy as np
import torch

from genlib.data import Dataset, DatasetInfo
from genlib.evaluation.classifier import Architecture, Classifier
from genlib.evaluation.judges import Judge

SIDE = 8


def bars(n: int = 240, seed: int = 0) -> Dataset:
    """Grey noise with a bright left half (class 0) or a bright right half (class 1), one after the other."""
    random = np.random.default_rng(seed)
    arrays = {}
    for split in ("train", "test"):
        labels = np.arange(n) % 2
        images = random.integers(0, 90, (n, SIDE, SIDE))
        images[labels == 0, :, : SIDE // 2] += 150
        images[labels == 1, :, SIDE // 2 :] += 150
        arrays[f"{split}_images"], arrays[f"{split}_labels"] = images.astype(np.uint8), labels.astype(np.int64)
    return Dataset(DatasetInfo("bars", "Bars", (1, SIDE, SIDE), ("left", "right"), "", ""), arrays)


def small_judge(classes: int = 2) -> Judge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Classifier(Architecture((1, SIDE, SIDE), (4, 6, 8), 8, classes))
    return Judge("bars", "12345678", network.eval(), {})
