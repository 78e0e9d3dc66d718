"""Publishing: a run's weights become a shipped checkpoint, with a card beside them that says what they are and what
they score.

The scores come from the caller, who measures them by the very function behind ``genlib evaluate``: so the card's
numbers are those that the command gives.
"""

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genlib.errors import GenlibError
from genlib.models.contract import Model
from genlib.training import checkpoint, files
from genlib.training.checkpoint import Header
from genlib.training.run import Run, check_name, shipped_folder
from genlib.training.sheets import sheet_png

SAMPLES, COLUMNS = 30, 6  # the sheet that is on screen before a model is loaded

Measure = Callable[[Model, str], dict[str, Any]]
"""(model, data set's name) -> its scores, which must not depend on anything else."""


def publish(
    run: Run, name: str, measure: Measure, *, quality: Measure | None = None, notes: str = "", replace: bool = False
) -> Path:  # fmt: skip
    """Score the run's checkpoint and ship it as ``name``: NAME.safetensors, NAME.json and a sheet of samples, NAME.png, in the
    shipped folder. ``quality`` measures its samples, where that can be done.

    All appear together, or none; the run may go on training meanwhile. Raises `GenlibError` for a run
    without a checkpoint, a name that does not begin with MODEL-DATA, and, without ``replace``, a name that is taken.
    """
    if not run.checkpoint.is_file():
        raise GenlibError(f"The run {run.name!r} has no checkpoint yet: let it train for a while first.")
    header = checkpoint.read_header(run.checkpoint)
    weights, card = _targets(name, header, replace)
    model = checkpoint.load_file(run.checkpoint, device="cpu")
    scores = measure(model, header.origin.data)
    samples = quality(model, header.origin.data) if quality else None
    try:
        weights.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".publish-") as folder:
            new = Path(folder) / weights.name, Path(folder) / card.name
            checkpoint.save(new[0], model, model.state_dict(), header.origin)
            described = describe(name, model, header, scores, new[0], notes)
            files.write_json(new[1], described | ({"quality": samples} if samples else {}))
            sheet = Path(folder) / f"{name}.png"
            files.write_bytes(sheet, sheet_png(model.sample(SAMPLES, seed=1), COLUMNS, scale=4))
            sheet.replace(weights.with_suffix(".png"))
            new[1].replace(card)
            new[0].replace(weights)
    except OSError as error:
        raise files.unwritable(weights, error) from None
    return weights


def _targets(name: str, header: Header, replace: bool) -> tuple[Path, Path]:
    """Where the weights and the card go, if the name may be used."""
    try:
        check_name(name)
    except GenlibError as error:
        raise GenlibError(str(error).replace("a run's name", "a checkpoint's name")) from None
    wanted = f"{header.model}-{header.origin.data}"
    if name != wanted and not name.startswith(f"{wanted}-"):
        raise GenlibError(
            f"A checkpoint of {header.model} on {header.origin.data} is named {wanted} or {wanted}-VARIANT, "
            f"not {name!r}."
        )
    weights, card = shipped_folder() / f"{name}.safetensors", checkpoint.card_path(name)
    if weights.exists() and not replace:
        raise GenlibError(
            f"There is a shipped checkpoint named {name!r} already: choose another name, or replace it with --replace."
        )
    return weights, card


def digest(name: str) -> str:
    """SHA-256 of a shipped checkpoint's weights. Raises `GenlibError` for any other name: only those have a card."""
    if name not in checkpoint.shipped():
        raise GenlibError(
            f"{name!r} has no card to keep figures on: only a shipped checkpoint has one; publish it first."
        )
    return _digest(shipped_folder() / f"{name}.safetensors")


def keep(name: str, weights: str, measured: dict[str, Any]) -> Path:
    """Put measured figures (``scores``, ``quality``) onto a shipped checkpoint's card, in the place of those it has.

    ``weights`` is the `digest` of what was measured: measuring takes minutes, and figures of weights that were replaced
    meanwhile are refused with a `GenlibError`.
    """
    path = checkpoint.card_path(name)
    card = files.read_json(path)
    if not card.get("sha256") == weights == digest(name):
        raise GenlibError(f"The card {path} is not that of the weights that were measured: measure {name} again.")
    files.write_json(path, card | measured)
    return path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def describe(
    name: str, model: Model, header: Header, scores: dict[str, Any], weights: Path, notes: str = ""
) -> dict[str, Any]:
    """The card: everything that is needed to judge the checkpoint and to make it again."""
    origin = header.origin
    return {
        "name": name,
        "model": header.model,
        "title": model.title,
        "paper": model.paper,
        "preset": origin.preset,
        "config": model.config.model_dump(mode="json"),
        "data": origin.data,
        "binarisation": scores.get("binarisation"),
        "seed": origin.seed,
        "step": origin.step,
        "images_seen": origin.images_seen,
        "seconds": origin.seconds,
        "machine": origin.machine,
        "command": origin.command,
        "earlier": origin.earlier,
        "versions": origin.versions,
        "scores": scores,
        "score_command": f"genlib evaluate {name}",
        "bytes": weights.stat().st_size,
        "sha256": _digest(weights),
        "notes": notes,
    }
