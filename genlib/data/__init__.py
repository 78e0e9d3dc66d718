"""Images in: find, fetch, cache, split; the pixel codings; occlusions."""

from genlib.data.codings import BINARISATIONS, Binarisation, binarise
from genlib.data.datasets import DATASETS, Dataset, DatasetInfo, data_folder, describe, find, load, names

__all__ = [
    "BINARISATIONS",
    "DATASETS",
    "Binarisation",
    "Dataset",
    "DatasetInfo",
    "binarise",
    "data_folder",
    "describe",
    "find",
    "load",
    "names",
]
