"""A home of its own for every test: tiny data, no runs, four untrained checkpoints."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from cli_home import CHECKPOINTS, TEST_IMAGES, Home

from genlib.models import create
from genlib.training import checkpoint
from genlib.training.checkpoint import Origin


def write_data(folder: Path) -> None:
    """A small ``mnist.npz``: dark pictures with a bright, noisy middle."""
    random = np.random.default_rng(0)
    folder.mkdir()
    arrays = {}
    for split, n in (("train", 64), ("test", TEST_IMAGES)):
        images = np.zeros((n, 28, 28), dtype=np.uint8)
        images[:, 6:22, 8:20] = random.integers(0, 256, (n, 16, 12))
        arrays |= {f"{split}_images": images, f"{split}_labels": random.integers(0, 10, n)}
    np.savez(folder / "mnist.npz", **arrays)


@pytest.fixture(scope="session")
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data and checkpoints, made once; tests get links to them."""
    folder = tmp_path_factory.mktemp("prepared")
    write_data(folder / "data")
    (folder / "checkpoints").mkdir()
    for name, values in CHECKPOINTS.items():
        model = create(name.partition("-")[0], data="mnist", **values)
        checkpoint.save(folder / "checkpoints" / f"{name}.safetensors", model, model.state_dict(), Origin("mnist"))
    return folder


@pytest.fixture
def home(_prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("GENLIB_DATA", str(_prepared / "data"))
    monkeypatch.setenv("GENLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path / "checkpoints"))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoints").mkdir()
    for path in (_prepared / "checkpoints").iterdir():
        os.link(path, tmp_path / "checkpoints" / path.name)
    return Home(tmp_path)


@pytest.fixture
def trained(home: Home) -> Callable[..., str]:
    """``trained("vae", ...)`` trains a few steps; returns the run's name."""

    def train(model: str = "vae", *options: object, run: str = "my-run") -> str:
        home.done("train", model, "--run", run, "--steps", 3, "--set", "batch_size=16", "--threads", 1, *options)
        return run

    return train
