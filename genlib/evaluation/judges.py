"""Where the judges lie, and how one is read: NAME.safetensors with its architecture inside, and a card, NAME.json.

They are no generator checkpoints and lie apart from them. Nothing is unpickled.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from genlib.data import Dataset
from genlib.errors import GenlibError
from genlib.evaluation.classifier import Architecture, Classifier, architecture_for

FORMAT = 1
METADATA = "genlib-judge"
MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Judge:
    """A trained classifier of ``data``. ``version`` names these very weights: measures by two judges are on two scales."""

    data: str
    version: str
    network: Classifier
    card: dict[str, Any]


def judges_folder() -> Path:
    """The folder of the judges: ``$GENLIB_JUDGES``, else the one that ships with the project."""
    given = os.environ.get("GENLIB_JUDGES")
    return Path(given) if given else Path(__file__).resolve().parents[2] / "checkpoints" / "judges"


def available() -> list[str]:
    """The data sets that have a judge."""
    return sorted(path.stem for path in judges_folder().glob("*.safetensors"))


def find_judge(dataset: Dataset) -> Judge:
    """The judge of a data set. One that is not there is a `GenlibError` that says how to get it."""
    name = dataset.info.name
    path = judges_folder() / f"{name}.safetensors"
    if not path.is_file():
        architecture_for(dataset)  # refuses a data set that cannot have one
        raise GenlibError(
            f"There is no judge of {name} yet, by which its pictures could be measured: run `genlib judge train {name}`, "
            "or leave the sample measures out with --no-samples."
        )
    judge = _read(path, path.stat().st_mtime_ns)
    own = judge.network.architecture
    if (own.shape, own.classes) != (dataset.info.shape, len(dataset.info.classes)):
        raise GenlibError(
            f"The judge of {name} is of images of shape {own.shape} in {own.classes} classes, but {name} has "
            f"{dataset.info.shape} in {len(dataset.info.classes)}: run `genlib judge train {name} --replace`."
        )
    return judge


def header(network: Classifier, data: str) -> dict[str, str]:
    """The metadata of a judge's file."""
    return {METADATA: json.dumps({"format": FORMAT, "data": data, "architecture": asdict(network.architecture)})}


def version_of(path: Path) -> str:
    """Eight digits that stand for a file's contents."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:8]


@lru_cache(maxsize=4)
def _read(path: Path, time: int) -> Judge:
    """``time`` is the file's: one that was replaced is read again."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 20} MiB")
        with safe_open(path, framework="pt") as file:
            value = json.loads((file.metadata() or {})[METADATA])
            if value["format"] != FORMAT:
                raise ValueError(f"its format is {value['format']!r}, not {FORMAT}")
            own = value["architecture"]
            architecture = Architecture(tuple(own["shape"]), tuple(own["widths"]), own["features"], own["classes"])
            with torch.device("meta"):  # shapes only, until they are known to be those of the file
                outline = Classifier(architecture).state_dict()
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
            if shapes != {key: tuple(tensor.shape) for key, tensor in outline.items()}:
                raise ValueError("its weights are not those of its architecture")
            network = Classifier(architecture)
            network.load_state_dict({key: file.get_tensor(key) for key in outline})
        card = path.with_suffix(".json")
        facts = json.loads(card.read_text()) if card.is_file() else {}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        raise GenlibError(
            f"The judge {path} cannot be read ({error}): train it again with `genlib judge train {path.stem} --replace`."
        ) from None
    return Judge(path.stem, version_of(path), network.eval().requires_grad_(False), facts)
