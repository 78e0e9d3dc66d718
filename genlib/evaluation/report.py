"""One report for all families: what the model is, what it was judged on, and its scores."""

import time
from collections.abc import Sequence
from typing import Any

from genlib.data import Dataset
from genlib.evaluation.likelihood import IWAE_IMAGES, K, Progress, Scores, evaluate
from genlib.models import abilities
from genlib.models.contract import Config, Model, count_parameters


def report(
    model: Model, dataset: Dataset, *, split: str = "test", images: int | None = None, k: int | Sequence[int] = K,
    iwae_images: int = IWAE_IMAGES, seed: int = 0, progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Facts, scores (see `Scores`), parameters and the seconds it took, ready for JSON."""
    started = time.perf_counter()
    scores = evaluate(
        model, dataset, split=split, images=images, k=k, iwae_images=iwae_images, seed=seed, progress=progress
    )
    return assemble(model, dataset, scores, time.perf_counter() - started)


def assemble(model: Model, dataset: Dataset, scores: Scores, seconds: float) -> dict[str, Any]:
    """The report of scores that are there already."""
    return {
        "model": model.name,
        "family": model.family,
        "abilities": abilities(model),
        "data": dataset.info.name,
        **scores.as_json(),
        "parameters": parameters(model),
        "seconds": round(seconds, 2),
    }


def parameters(model: Model) -> dict[str, int]:
    """Trainable parameters of each part, and in all."""
    return {name: count_parameters(part) for name, part in model.parts().items()} | {"total": count_parameters(model)}


def planned_parameters(kind: type[Model], config: Config) -> dict[str, int]:
    """The same for a model that does not exist yet.

    It is really made and thrown away: that takes less than a tenth of a second, where arithmetic on torch's meta device
    first imports the compiler, for seconds.
    """
    return parameters(kind.from_config(config))
