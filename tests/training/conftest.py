"""Small runs for the tests of this folder: their own runs and data folders, a few hundred digits, tiny models."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_runs import Toy, small_options

from genlib.data import Dataset, datasets, describe
from genlib.training.run import Run, RunConfig


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder whose ``mnist`` is 240 + 40 real digits."""
    folder = tmp_path_factory.mktemp("digits")
    with np.load(datasets.EMBEDDED["mnist"]) as file:
        arrays = {key: file[key][: 240 if key.startswith("train") else 40] for key in file.files}
    np.savez(folder / "mnist.npz", **arrays)
    return folder


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, digits: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's own runs folder; the small data folder; the number of threads as it was."""
    monkeypatch.setenv("GENLIB_DATA", str(digits))
    monkeypatch.setenv("GENLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.delenv("GENLIB_JOBS", raising=False)
    threads = torch.get_num_threads()
    yield tmp_path / "runs"
    torch.set_num_threads(threads)


@pytest.fixture
def make_run() -> Callable[..., Run]:
    """``make_run(model, name=..., values={...}, steps=...) -> Run`` with a small model."""

    def make(model: str, name: str = "", values: dict[str, Any] | None = None, **options: Any) -> Run:
        return Run.create(name or f"{model}-test", small_options(model, values, **options))

    return make


@pytest.fixture
def toy() -> Callable[..., Toy]:
    """``toy(**config fields) -> Toy``."""
    return lambda **values: Toy(Toy.Config(**values))


@pytest.fixture(scope="session")
def dataset() -> Dataset:
    """96 + 12 random images: 80 to train on, so 10 steps of 8 an epoch."""
    random = np.random.default_rng(0)
    arrays = {}
    for split, n in (("train", 96), ("test", 12)):
        arrays[f"{split}_images"] = random.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        arrays[f"{split}_labels"] = np.arange(n) % 10
    return Dataset(describe("mnist"), arrays)


@pytest.fixture
def toy_options() -> Callable[..., RunConfig]:
    """``toy_options(**options) -> RunConfig`` for a `Toy`."""
    return lambda **options: RunConfig(model="toy", config={}, data="mnist", **options)
