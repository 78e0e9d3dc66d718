"""Checkpoints come back as they were; whatever else a file may be, it is one sentence, and nothing in it is executed."""

import json
import pickle
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_runs import small_options

import genlib
from genlib.errors import GenlibError
from genlib.models import catalogue, names
from genlib.models.contract import Model
from genlib.training import checkpoint, job, state
from genlib.training.checkpoint import Origin
from genlib.training.run import Run
from genlib.training.steps import StepOptimizers

ORIGIN = Origin(data="mnist", seed=3, preset="quick", step=12, images_seen=96, seconds=1.5, command="genlib train")


def small(name: str) -> Model:
    kind = catalogue.get(name)
    return kind.from_config(kind.validate_config(small_options(name).config), 1)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A good checkpoint of a small GAN."""
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    model = small("gan")
    checkpoint.save(path, model, model.state_dict(), ORIGIN)
    return path


@pytest.mark.parametrize("name", names())
def test_a_model_comes_back(name: str, tmp_path: Path):
    model = small(name).eval()
    path = tmp_path / f"{name}.safetensors"
    checkpoint.save(path, model, model.state_dict(), ORIGIN)
    again = genlib.load(path, device="cpu")
    assert again.config == model.config
    assert not again.training
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in again.state_dict().items())
    assert torch.equal(again.sample(2, seed=4), model.sample(2, seed=4))
    header = checkpoint.read_header(path)
    assert (header.model, header.origin) == (name, ORIGIN)


def test_averaged_weights_can_be_saved_in_place_of_the_models_own(tmp_path: Path):
    model = small("gan")
    kept = {name: value + 1 if value.is_floating_point() else value for name, value in model.state_dict().items()}
    checkpoint.save(tmp_path / "kept.safetensors", model, kept, ORIGIN)
    again = checkpoint.load_file(tmp_path / "kept.safetensors", "cpu").state_dict()
    assert all(torch.equal(again[name], kept[name]) for name in kept)


# --- finding ----------------------------------------------------------------------------------------------------


def test_names_runs_and_paths(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_run: Callable[..., Run]
):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "gan-mnist.safetensors").write_bytes(weights.read_bytes())
    monkeypatch.setenv("GENLIB_CHECKPOINTS", str(shipped))
    run = make_run("gan", "mine", steps=2)
    with pytest.raises(GenlibError, match=r"no checkpoint named 'mine'; shipped: gan-mnist; runs: none yet"):
        genlib.load("mine")
    job.work(run, wait=False)
    assert checkpoint.shipped() == ["gan-mnist"]
    assert checkpoint.find("gan-mnist") == checkpoint.find_named("gan-mnist") == shipped / "gan-mnist.safetensors"
    assert checkpoint.find("mine") == checkpoint.find_named("mine") == run.checkpoint
    for form in (str(weights), weights, str(run.path), run.path, "gan-mnist", "mine"):
        assert genlib.load(form, device="cpu").name == "gan"


@pytest.mark.parametrize(
    "name", ["nothing", "../../etc/passwd", "/etc/passwd", "", "a\0b", "x" * 5000, "x" * 5000 + "/y"]
)
def test_visitors_cannot_name_paths(name: str, weights: Path):
    with pytest.raises(GenlibError, match="no checkpoint named"):
        checkpoint.find_named(name)
    with pytest.raises(GenlibError, match="no checkpoint named"):
        checkpoint.find_named(str(weights))
    with pytest.raises(GenlibError):
        genlib.load(name)
    with pytest.raises(GenlibError):
        genlib.load(Path(name))


def test_unknown_devices_are_one_sentence(weights: Path):
    for device in ("gpu", "cuda:99", "cpu and more", "cuda" if not torch.cuda.is_available() else "xla"):
        with pytest.raises(GenlibError, match=f"The device {device!r} is not on this machine"):
            genlib.load(weights, device=device)


# --- bad files --------------------------------------------------------------------------------------------------


class Trap:
    sprung = False

    def __reduce__(self) -> Any:
        return setattr, (Trap, "sprung", True)


def header_of(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])


def rebuilt(path: Path, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The file with its header changed and its weights as they were."""
    content = path.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def genlib_header(path: Path, change: Callable[[dict[str, Any]], Any]) -> bytes:
    """The file with our part of its header changed."""

    def inner(header: dict[str, Any]) -> None:
        own = json.loads(header["__metadata__"]["genlib"])
        own = change(own) or own
        header["__metadata__"]["genlib"] = own if isinstance(own, str) else json.dumps(own)

    return rebuilt(path, inner)


def setting(*path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(header: dict[str, Any]) -> None:
        for key in path[:-1]:
            header = header[key]
        header[path[-1]] = value

    return change


FIRST = "discriminator_net.body.1.bias"  # a tensor of the small GAN: [8]
BAD: dict[str, Callable[[Path], bytes]] = {
    "empty": lambda good: b"",
    "eight bytes": lambda good: b"\0" * 8,
    "text": lambda good: b"dear reader, " * 100,
    "pickle": lambda good: pickle.dumps(Trap()),
    "pickle in a zip": lambda good: torch_file(),
    "truncated header": lambda good: good.read_bytes()[:60],
    "truncated weights": lambda good: good.read_bytes()[:-7],
    "too long": lambda good: good.read_bytes() + b"more",
    "huge header": lambda good: struct.pack("<Q", 1 << 60) + good.read_bytes()[8:],
    "huge tensor": lambda good: rebuilt(good, setting(FIRST, "shape", value=[1 << 40, 1 << 20])),
    "negative place": lambda good: rebuilt(good, setting(FIRST, "data_offsets", value=[-8, 24])),
    "place outside": lambda good: rebuilt(good, setting(FIRST, "data_offsets", value=[0, 1 << 50])),
    "unknown type": lambda good: rebuilt(good, setting(FIRST, "dtype", value="OBJECT")),
    "no model": lambda good: rebuilt(good, setting("__metadata__", value={})),
    "foreign": lambda good: rebuilt(good, setting("__metadata__", value={"format": "pt"})),
    "other format": lambda good: genlib_header(good, setting("format", value=99)),
    "header is no object": lambda good: genlib_header(good, lambda own: "[1, 2]"),
    "header is no json": lambda good: genlib_header(good, lambda own: "{"),
    "header is very deep": lambda good: genlib_header(good, lambda own: "[" * 100_000 + "]" * 100_000),
    "no config": lambda good: genlib_header(good, lambda own: own.pop("config") and None),
    "config is a list": lambda good: genlib_header(good, setting("config", value=[1])),
    "unknown model": lambda good: genlib_header(good, setting("model", value="os:system")),
    "model is a list": lambda good: genlib_header(good, setting("model", value=["gan"])),
    "out of bounds": lambda good: genlib_header(good, setting("config", "latent", value=-1)),
    "out of all bounds": lambda good: genlib_header(good, setting("config", "height", value=10**9)),
    "unknown field": lambda good: genlib_header(good, setting("config", "command", value="rm")),
    "other width": lambda good: genlib_header(good, setting("config", "latent", value=5)),
    "giant": lambda good: genlib_header(
        good,
        lambda own: own["config"].update(
            height=128, width=128, channels=3, generator_width=2048, discriminator_width=8192
        ),
    ),
    "another model": lambda good: genlib_header(
        good, lambda own: own.update(model="vae", config=small_options("vae").config)
    ),
    "origin unknown": lambda good: genlib_header(good, setting("origin", "author", value="me")),
    "origin of wrong type": lambda good: genlib_header(good, setting("origin", "data", value=["mnist"])),
    "time of wrong type": lambda good: genlib_header(good, setting("origin", "seconds", value="long")),
    "versions of wrong type": lambda good: genlib_header(good, setting("origin", "versions", value={"torch": {}})),
    "missing tensor": lambda good: tensors(good, lambda values: values.pop(FIRST)),
    "extra tensor": lambda good: tensors(good, lambda values: values.update(extra=torch.zeros(3))),
    "other shape": lambda good: tensors(good, lambda values: values.update({FIRST: torch.zeros(9)})),
    "same size, other shape": lambda good: tensors(good, lambda values: values.update({FIRST: torch.zeros(2, 4)})),
    "other type": lambda good: tensors(
        good, lambda values: values.update({FIRST: torch.zeros(8, dtype=torch.float64)})
    ),
    "complex": lambda good: tensors(good, lambda values: values.update({FIRST: torch.zeros(8, dtype=torch.complex64)})),
}


def tensors(good: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> bytes:
    values = load_file(good)
    change(values)
    path = good.with_name("changed.safetensors")
    save_file(values, path, header_of(good)["__metadata__"])
    return path.read_bytes()


def torch_file() -> bytes:
    import io

    buffer = io.BytesIO()
    torch.save({"weights": torch.zeros(3), "trap": Trap()}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_sentence(kind: str, weights: Path, tmp_path: Path):
    Trap.sprung = False
    path = tmp_path / "bad.safetensors"
    path.write_bytes(BAD[kind](weights))
    with pytest.raises(GenlibError) as caught:
        genlib.load(path, device="cpu")
    message = str(caught.value)
    assert len(message) > 30
    assert len(message) < 2000
    assert "\n" not in message
    assert re.search(r"[.:!?]", message)
    assert not Trap.sprung


def test_the_bad_files_differ_from_the_good_one_in_one_thing(weights: Path):
    assert genlib.load(weights, device="cpu").name == "gan"
    assert FIRST in load_file(weights)
    assert rebuilt(weights, lambda header: None)[8:20] == weights.read_bytes()[8:20]


def test_a_small_file_does_not_make_a_giant_model(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "giant.safetensors"
    path.write_bytes(BAD["giant"](weights))
    kind = catalogue.get("gan")
    build = kind.from_config.__func__  # type: ignore[attr-defined]
    devices = []

    def watched(cls: type[Model], *args: Any) -> Model:
        model = build(cls, *args)
        devices.append(model.device.type)
        return model

    monkeypatch.setattr(kind, "from_config", classmethod(watched))
    with pytest.raises(GenlibError, match="do not fit gan"):
        genlib.load(path, device="cpu")
    assert devices == ["meta"]


def test_a_huge_file_is_not_opened(weights: Path, tmp_path: Path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes(weights.read_bytes())
    with path.open("r+b") as file:
        file.truncate(checkpoint.MAX_BYTES + 1)  # a hole: it takes no space
    with pytest.raises(GenlibError, match="larger than any genlib checkpoint"):
        genlib.load(path)


def test_a_missing_file_is_one_sentence(tmp_path: Path):
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(GenlibError, match="There is no checkpoint at"):
            genlib.load(path)
    with pytest.raises(GenlibError, match="not a whole safetensors file"):
        checkpoint.read_header(tmp_path / "none.safetensors")


# --- the state of a run -----------------------------------------------------------------------------------------


def states(model: Model) -> tuple[Model, StepOptimizers]:
    return model, StepOptimizers(model.optimizers(), None, 0.0, torch.Generator())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: pickle.dumps(Trap()),
        lambda content: content.replace(b'counters', b'kounters'),
        lambda content: content.replace(b'\\"step\\": 3', b'\\"step\\": {'),
        lambda content: content.replace(b'optimizer/generator/0', b'optimizer/generator/x'),
        lambda content: content.replace(b'optimizer/generator/1/', b'optimizer/generator/99'),
        lambda content: content.replace(b'model/generator_net', b'model/generator_not'),
    ],
)  # fmt: skip
def test_a_spoiled_state_is_one_sentence(spoil: Callable[[bytes], bytes], tmp_path: Path):
    Trap.sprung = False
    model, optimizers = states(small("gan"))
    for optimizer in optimizers.named.values():
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.grad = torch.ones_like(p)
        optimizer.step()
    path = tmp_path / "state.safetensors"
    state.save(path, model, None, optimizers, {}, {"step": 3, "seconds": 1.0})
    counters, _ = state.load(path, *states(small("gan"))[:1], None, states(small("gan"))[1], torch.device("cpu"))
    assert counters == {"step": 3, "seconds": 1.0}
    content = path.read_bytes()
    spoiled = spoil(content)
    assert spoiled != content
    path.write_bytes(spoiled)
    model, optimizers = states(small("gan"))
    with pytest.raises(GenlibError, match=r"cannot be resumed \(.+\): start a new run\.$") as caught:
        state.load(path, model, None, optimizers, torch.device("cpu"))
    assert "\n" not in str(caught.value)
    assert not Trap.sprung


def test_a_run_with_a_spoiled_state_fails_with_the_sentence(make_run: Callable[..., Run]):
    run = make_run("gan", steps=4)
    job.work(run, wait=False)
    run.state_file.write_bytes(run.state_file.read_bytes()[:1000])
    status = job.work(run, wait=False)
    assert status.state == "failed"
    assert "cannot be resumed" in status.error
    assert genlib.load(run.name, device="cpu").name == "gan"  # the weights are still there
