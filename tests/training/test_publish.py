"""A run's weights become a shipped checkpoint with a card; both files appear, or neither."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from genlib.errors import GenlibError
from genlib.models import create
from genlib.models.contract import Model
from genlib.training import checkpoint, files
from genlib.training.checkpoint import Origin
from genlib.training.publish import publish
from genlib.training.run import Run, RunConfig

SCORES = {"split": "test", "binarisation": "dynamic", "images": 7, "elbo_nats": 123.4}
ORIGIN = Origin(
    "mnist", seed=3, preset="quick", step=40, images_seen=640, seconds=1.5, machine="a machine",
    command="genlib train vae", versions={"torch": "2"},
)  # fmt: skip


def measure(model: Model, data: str) -> dict[str, Any]:
    assert data == "mnist"
    assert not model.training
    return SCORES


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENLIB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(tmp_path / "shipped"))
    return tmp_path / "shipped"


@pytest.fixture
def run(shipped: Path) -> Run:
    model = create("vae", height=4, width=4)
    run = Run.create("mine", RunConfig("vae", model.config.model_dump(mode="json"), "mnist"))
    checkpoint.save(run.checkpoint, model, model.state_dict(), ORIGIN)
    return run


def test_card_and_weights(run: Run, shipped: Path) -> None:
    path = publish(run, "vae-mnist", measure, notes="A note.")
    assert sorted(file.name for file in shipped.iterdir()) == [
        f"vae-mnist.{kind}" for kind in ("json", "png", "safetensors")
    ]
    card = checkpoint.read_card("vae-mnist")
    assert card["scores"] == SCORES
    assert card["binarisation"] == "dynamic"
    assert card["score_command"] == "genlib evaluate vae-mnist"
    assert card["notes"] == "A note."
    for name, value in vars(ORIGIN).items():
        assert card[name] == value, name
    assert card["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert card["bytes"] == path.stat().st_size
    model, original = checkpoint.load("vae-mnist"), checkpoint.load("mine")
    assert card["config"] == model.config.model_dump(mode="json")
    assert all(torch.equal(model.state_dict()[key], value) for key, value in original.state_dict().items())
    assert checkpoint.read_header(path) == checkpoint.read_header(run.checkpoint)


def test_what_is_scored_is_what_is_shipped(run: Run) -> None:
    """The run trains on while it is scored: the weights that were measured are shipped, not the newest."""
    scored: dict[str, torch.Tensor] = {}

    def slowly(model: Model, data: str) -> dict[str, Any]:
        scored.update(model.state_dict())
        newer = create("vae", height=4, width=4, seed=9)
        checkpoint.save(run.checkpoint, newer, newer.state_dict(), ORIGIN)
        return SCORES

    publish(run, "vae-mnist", slowly)
    weights = checkpoint.load("vae-mnist").state_dict()
    assert all(torch.equal(weights[key], scored[key]) for key in weights)


@pytest.mark.parametrize("name", ["vae", "vae-cifar10", "gan-mnist", "vae-mnistx", "vae-mnist-../x", "Vae-mnist", ""])
def test_names_say_what_the_checkpoint_is(run: Run, shipped: Path, name: str) -> None:
    with pytest.raises(GenlibError, match=repr(name)):
        publish(run, name, measure)
    assert not shipped.exists()


def test_a_taken_name_is_replaced_only_on_request(run: Run) -> None:
    old = publish(run, "vae-mnist-b", measure).read_bytes()
    newer = create("vae", height=4, width=4, seed=9)
    checkpoint.save(run.checkpoint, newer, newer.state_dict(), ORIGIN)
    with pytest.raises(GenlibError, match="'vae-mnist-b'"):
        publish(run, "vae-mnist-b", measure)
    new = publish(run, "vae-mnist-b", lambda model, data: {**SCORES, "elbo_nats": 1.0}, replace=True)
    assert new.read_bytes() != old
    assert checkpoint.read_card("vae-mnist-b")["scores"]["elbo_nats"] == 1.0


def test_a_run_without_a_checkpoint(shipped: Path) -> None:
    run = Run.create("new", RunConfig("vae", {}, "mnist"))
    with pytest.raises(GenlibError, match="'new' has no checkpoint"):
        publish(run, "vae-mnist", measure)


@pytest.mark.parametrize("written", [0, 1])
def test_a_full_disk_leaves_nothing_new(run: Run, shipped: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    """The disk is full at the weights, or after them at the card."""
    shipped.mkdir()
    sync, calls = os.fsync, iter(range(10))

    def full(descriptor: int) -> None:
        if next(calls) >= written:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(GenlibError, match="disk is full"):
        publish(run, "vae-mnist", measure)
    assert not list(shipped.iterdir())


def test_a_file_in_place_of_the_folder(run: Run, shipped: Path) -> None:
    shipped.write_text("")
    with pytest.raises(GenlibError, match="cannot be written"):
        publish(run, "vae-mnist", measure)


def test_nothing_is_shipped_when_scoring_fails(run: Run, shipped: Path) -> None:
    def fail(model: Model, data: str) -> dict[str, Any]:
        raise GenlibError("The data set is not on this machine.")

    with pytest.raises(GenlibError, match="data set"):
        publish(run, "vae-mnist", fail)
    assert not shipped.exists()
