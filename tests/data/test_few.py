"""The few test images in the package are the first ones of the data set."""

from pathlib import Path

import pytest
import torch

from genlib.data import datasets, few
from genlib.errors import GenlibError


def test_they_are_there_without_the_data_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENLIB_DATA", str(tmp_path))
    images = few.some_test_images("cifar10")
    assert images.shape == (64, 3, 32, 32)
    assert images.dtype == torch.uint8
    assert few.some_test_images("mnist").shape == (10_000, 1, 28, 28)
    with pytest.raises(GenlibError, match="svhn"):
        few.some_test_images("svhn")
    with pytest.raises(GenlibError, match="only some of cifar10"):
        few.few_test_images("svhn")


def test_they_are_the_first_ones() -> None:
    try:
        dataset = datasets.load("cifar10")
    except GenlibError:
        pytest.skip("CIFAR-10 is not on this machine")
    assert torch.equal(dataset.images("test")[:64], few.few_test_images("cifar10"))
