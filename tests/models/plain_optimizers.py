"""What `training_step` needs of a training loop, and nothing more."""

from collections.abc import Callable

import torch
from torch import Tensor

from genlib.models import Model


class PlainOptimizers:
    """Minimises at once; ``steps`` lists the names in the order they were asked for.

    ``watch`` is called after each backward pass and step, with the optimizer's name.
    """

    def __init__(self, model: Model, seed: int = 0, watch: Callable[[str], None] | None = None) -> None:
        self.named = model.optimizers()
        self.generator = model.generator(seed)
        self.steps: list[str] = []
        self.watch = watch

    def minimise(self, name: str, loss: Tensor) -> None:
        optimizer = self.named[name]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        self.steps.append(name)
        if self.watch is not None:
            self.watch(name)


def train(model: Model, images: Tensor, steps: int, labels: Tensor | None = None) -> dict[str, float]:
    """Train on one fixed batch; the last step's terms."""
    labels = torch.zeros(len(images), dtype=torch.long) if labels is None else labels
    optimizers = PlainOptimizers(model)
    model.train()
    for _ in range(steps):
        terms = model.training_step(images, labels, optimizers)
    return {name: float(value) for name, value in terms.items()}
