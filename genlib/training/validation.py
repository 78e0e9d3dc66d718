"""How a model stands on images that it is not trained on, while it trains."""

import math
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from genlib.data import Dataset
from genlib.models.contract import Model

VALIDATION_IMAGES = 1000
SEEN_IMAGES = 256  # whose distributions are kept
SEEN_VALUES = 512  # of a distribution at most, so that a run's folder stays small


def validate(
    model: Model,
    dataset: Dataset,
    batch_size: int,
    *,
    limit: int = VALIDATION_IMAGES,
    autocast: Callable[[], Any] | None = None,
) -> dict[str, float]:
    """Mean of the model's validation terms over the first images of the validation split, with fixed randomness."""
    generator = model.generator(0)
    sums: dict[str, float] = defaultdict(float)
    n = min(limit, dataset.size("validation"))
    for start in range(0, n, batch_size):
        rows = slice(start, min(start + batch_size, n))
        images = dataset.batch("validation", rows).to(model.device)
        labels = dataset.labels("validation")[rows].to(model.device)
        if autocast is None:
            terms = model.validation_step(images, labels, generator)
        else:
            with autocast():
                terms = model.validation_step(images, labels, generator)
        for name, value in terms.items():
            sums[name] += float(value) * len(images)
    return {name: value / n for name, value in sums.items()}


def distributions(
    model: Model, dataset: Dataset, *, autocast: Callable[[], Any] | None = None
) -> dict[str, list[float]]:
    """The model's ``distributions`` at the first images of the validation split, with fixed randomness: the first values
    of each, to five digits, without any that is no finite number. Empty for a model that has none."""
    if not model.distributions:
        return {}
    rows = slice(0, min(SEEN_IMAGES, dataset.size("validation")))
    images = dataset.batch("validation", rows).to(model.device)
    labels = dataset.labels("validation")[rows].to(model.device)
    with nullcontext() if autocast is None else autocast():
        seen = model.distribution_step(images, labels, model.generator(0))
    return {
        name: [float(f"{value:.5g}") for value in values[:SEEN_VALUES].tolist() if math.isfinite(value)]
        for name, values in seen.items()
    }
