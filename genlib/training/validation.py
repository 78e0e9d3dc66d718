"""How a model stands on images that it is not trained on, while it trains."""

from collections import defaultdict
from collections.abc import Callable
from typing import Any

from genlib.data import Dataset
from genlib.models.contract import Model

VALIDATION_IMAGES = 1000


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
