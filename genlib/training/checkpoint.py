"""Checkpoints: safetensors with the model's config inside, a card beside each shipped one. Nothing is unpickled."""

import json
import os
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from genlib.errors import GenlibError
from genlib.models import catalogue
from genlib.models.contract import Model
from genlib.training import files
from genlib.training.run import Run, all_runs, check_name, runs_folder, shipped_folder

FORMAT = 1
MAX_BYTES = 2 << 30  # larger than any model here; guards a server against a file that only looks like a checkpoint


@dataclass(frozen=True)
class Origin:
    """Where weights come from; travels in the file's metadata. ``seconds`` of training on ``machine``.

    Weights that were trained on from another checkpoint count its images and seconds too, and name the commands that
    made it, oldest first, in ``earlier``.
    """

    data: str
    seed: int = 0
    preset: str | None = None
    step: int = 0
    images_seen: int = 0
    seconds: float = 0.0
    machine: str = ""
    command: str = ""
    earlier: list[str] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """A checkpoint's metadata: which model, its config, its origin."""

    model: str
    config: dict[str, Any]
    origin: Origin


def shipped() -> list[str]:
    """Names of the shipped checkpoints."""
    folder = shipped_folder()
    try:
        return list(_names_in(folder, folder.stat().st_mtime_ns))
    except FileNotFoundError:
        return []


@lru_cache(maxsize=8)  # a page asks for every name that it shows
def _names_in(folder: Path, changed: int) -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in folder.glob("*.safetensors")))


def find(name: str) -> Path:
    """A shipped name, a run's name or a path -> the checkpoint's file. Raises `GenlibError`."""
    if name in shipped():
        return shipped_folder() / f"{name}.safetensors"
    if name.endswith(".safetensors") or "/" in name or os.sep in name:
        return _at(Path(name))
    return find_named(name)


def _at(path: Path) -> Path:
    """The checkpoint at a path, which may also be a run's folder."""
    try:
        found = path / "checkpoint.safetensors" if path.is_dir() else path
        if found.is_file():
            return found
    except OSError:
        pass  # a name that no file can have
    raise GenlibError(
        f"There is no checkpoint at {str(path)!r}: give a .safetensors file, the folder or name of a run, "
        f"or a shipped checkpoint ({', '.join(shipped()) or 'none here'})."
    )


def find_named(name: str) -> Path:
    """Like `find`, but never a path: for names that come from a visitor."""
    if name in shipped():
        return shipped_folder() / f"{name}.safetensors"
    try:
        run = Run(runs_folder() / check_name(name))
    except GenlibError:
        run = None
    if run is not None and run.checkpoint.is_file():
        return run.checkpoint
    runs = ", ".join(run.name for run in all_runs()[:8] if run.checkpoint.is_file()) or "none yet"
    raise GenlibError(
        f"There is no checkpoint named {name!r}; shipped: {', '.join(shipped()) or 'none'}; runs: {runs}."
    )


def read_header(path: Path) -> Header:
    """A checkpoint's metadata, without its weights. Every way a file can be wrong is one `GenlibError`."""
    try:
        stat = path.stat()
    except OSError as error:
        raise _broken(path, error) from None
    header = _read_header(path, stat.st_mtime_ns, stat.st_size)
    return replace(header, config=dict(header.config))


@lru_cache(maxsize=512)  # a page reads those of all checkpoints at every click
def _read_header(path: Path, changed: int, size: int) -> Header:
    if size > MAX_BYTES:
        raise GenlibError(
            f"{path} is {size >> 20} MiB, larger than any genlib checkpoint: give a checkpoint that genlib wrote."
        )
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except _UNREADABLE as error:
        raise _broken(path, error) from None
    if "genlib" not in metadata:
        raise GenlibError(f"{path} is a safetensors file, but not a genlib checkpoint: it carries no model config.")
    try:
        value = json.loads(metadata["genlib"])
        if value["format"] != FORMAT:
            raise GenlibError(
                f"{path} has checkpoint format {value['format']!r}, but this genlib reads format {FORMAT}: "
                "use the genlib that wrote it."
            )
        return Header(_text(value["model"]), dict(value["config"]), _origin(value["origin"]))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise GenlibError(f"{path} has a damaged genlib header ({error}): copy or train it again.") from None


def read_weights(path: Path, model: Model) -> None:
    """Put a checkpoint's weights into ``model``, which must have exactly these names, shapes and types."""
    own = model.state_dict()
    try:
        with safe_open(path, framework="pt") as file:
            _check_fit(path, model, file)
            weights = {name: file.get_tensor(name) for name in own}
    except _UNREADABLE as error:
        raise _broken(path, error) from None
    wrong = [name for name, value in weights.items() if value.dtype != own[name].dtype]
    if wrong:
        raise _misfit(path, model, wrong[0])
    model.load_state_dict(weights)


def load(name: str | Path, device: str = "auto") -> Model:
    """A trained model, in evaluation mode: ``name`` is a shipped checkpoint, a run or a path.

    ``device``: "auto" takes CUDA, then MPS, then the CPU. Raises `GenlibError` for a name that is not there and for a
    file that is truncated, foreign or of another format.
    """
    return load_file(_at(name) if isinstance(name, Path) else find(name), device)


def load_file(path: Path, device: str = "auto") -> Model:
    """The model in a checkpoint file."""
    header = read_header(path)
    kind = catalogue.get(header.model)
    config = kind.validate_config(header.config)
    with torch.device("meta"):  # only shapes: a small file whose config asks for a giant model is refused for nothing
        outline = kind.from_config(config)
    try:
        with safe_open(path, framework="pt") as file:
            _check_fit(path, outline, file)
    except _UNREADABLE as error:
        raise _broken(path, error) from None
    model = kind.from_config(config)
    read_weights(path, model)
    return model.to(pick_device(device)).eval()


# what safetensors and the file system raise for a file that is cut short, is something else or cannot be read
_UNREADABLE = (SafetensorError, OSError, ValueError, RuntimeError)


def _broken(path: Path, error: Exception) -> GenlibError:
    return GenlibError(f"{path} is not a whole safetensors file ({error}): copy or train it again.")


def _misfit(path: Path, model: Model, name: str) -> GenlibError:
    return GenlibError(
        f"The weights in {path} do not fit {model.name} with the config in its header: "
        f"{name!r} is missing, foreign, or of another shape or type; give the file that genlib wrote."
    )


def _check_fit(path: Path, model: Model, file: Any) -> None:
    """Compare names and shapes without reading a weight."""
    own = model.state_dict()
    wrong = sorted(set(file.keys()) ^ set(own)) or [
        name for name in own if tuple(file.get_slice(name).get_shape()) != tuple(own[name].shape)
    ]
    if wrong:
        raise _misfit(path, model, wrong[0])


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} should be a text")
    return value


def _origin(value: dict[str, Any]) -> Origin:
    """Checked: what a stranger's file says of itself ends up in pages and tables."""
    origin = Origin(**value)
    for name, kind in (("data", str), ("seed", int), ("step", int), ("images_seen", int), ("seconds", (int, float))):
        if not isinstance(getattr(origin, name), kind):
            raise TypeError(f"{name} = {getattr(origin, name)!r}")
    texts = {"machine": origin.machine, "command": origin.command, **dict(origin.versions)}
    if origin.preset is not None:
        texts["preset"] = origin.preset
    for text in [*texts.values(), *origin.earlier]:
        _text(text)
    return origin


def pick_device(device: str = "auto") -> torch.device:
    """ "auto": CUDA, then MPS, then the CPU. A device that is not there is a `GenlibError`."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError):
        raise GenlibError(f"The device {device!r} is not on this machine: use 'auto' or 'cpu'.") from None


def save(path: Path, model: Model, weights: dict[str, torch.Tensor], origin: Origin) -> None:
    """Write a checkpoint atomically. ``weights`` is a state dict of ``model`` (its own, or averaged)."""
    header = {
        "format": FORMAT,
        "model": model.name,
        "config": model.config.model_dump(mode="json"),
        "origin": vars(origin),
    }
    files.write_tensors(path, weights, {"genlib": json.dumps(header)})


def card_path(name: str) -> Path:
    """Where a shipped checkpoint's card lies."""
    return shipped_folder() / f"{name}.json"


def distortion_path(name: str) -> Path:
    """Where the kept result of `genlib distortion` on a shipped checkpoint lies, beside its card."""
    return shipped_folder() / f"{name}.distortion.json"


def read_card(name: str) -> dict[str, Any]:
    """A shipped checkpoint's card: header plus the scores it should give."""
    return files.read_json(card_path(name))
