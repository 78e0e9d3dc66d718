"""The few test images in the package are the first ones of the data set."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from genlib.data import datasets, few
from genlib.errors import GenlibError


@pytest.mark.parametrize("name", few.FEW)
def test_they_are_there_without_the_data_set(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENLIB_DATA", str(tmp_path))
    assert few.is_short(name)
    dataset, info = few.load_to_look_at(name), datasets.describe(name)
    assert dataset.images("test").shape[1:] == info.shape
    assert set(dataset.labels("test").tolist()) == set(range(len(info.classes)))  # so that each class can be asked for
    assert dataset.size("train") == dataset.size("validation") == 0


def test_a_whole_data_set_comes_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENLIB_DATA", str(tmp_path))
    assert few.load_to_look_at("mnist") is datasets.load("mnist")
    with pytest.raises(GenlibError, match="genlib data fetch svhn"):
        few.load_to_look_at("svhn")


@pytest.mark.parametrize("name", few.FEW)
def test_they_are_the_first_ones(name: str, real: Callable[[str], datasets.Dataset]) -> None:
    dataset, shipped = real(name), few.load_few(name)
    n = shipped.size("test")
    assert torch.equal(dataset.images("test")[:n], shipped.images("test"))
    assert torch.equal(dataset.labels("test")[:n], shipped.labels("test"))
