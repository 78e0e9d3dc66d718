"""Small models and their options, for the tests of this folder."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from genlib.models import configure
from genlib.models.contract import Config as BaseConfig
from genlib.models.contract import Model, Preset
from genlib.training.run import RunConfig

# Whatever a model's config has of these fields is set to this, so that a step takes milliseconds.
SMALL: dict[str, Any] = {
    "batch_size": 8,
    "epochs": 50,
    "hidden": 8,
    "head": 8,
    "blocks": 1,
    "steps": 2,
    "latent": 3,
    "read_size": 2,
    "write_size": 2,
    "generator_width": 8,
    "discriminator_width": 8,
    "precision": "32",
    "ema_decay": 0.9,
    "schedule": "cosine",
}


def small_options(model: str, values: dict[str, Any] | None = None, **options: Any) -> RunConfig:
    """A run's config for a small model of the catalogue."""
    known = configure(model, None, "mnist").model_dump()
    fields = {key: value for key, value in SMALL.items() if key in known} | (values or {})
    config = configure(model, None, "mnist", **fields)
    return RunConfig(model=model, config=config.model_dump(mode="json"), data="mnist", **options)


class Toy(Model):
    """Two weights that are pulled to (3, -1) by gradient descent; the tests override what they need."""

    name = "toy"
    title = "Toy"
    family = "variational"
    paper = "none"
    presets: ClassVar[dict[str, Preset]] = {}
    terms: ClassVar[dict[str, str]] = {"loss": "squared distance"}

    class Config(BaseConfig):
        batch_size: int = 8
        learning_rate: float = 0.1
        epochs: int = 4

    def __init__(self, config: BaseConfig) -> None:
        super().__init__(config)
        self.weights = nn.Parameter(torch.zeros(2))
        self.register_buffer("goal", torch.tensor([3.0, -1.0]))

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"network": torch.optim.SGD(self.parameters(), lr=self.config.learning_rate)}

    def loss(self) -> Tensor:
        return (self.weights - self.goal).square().sum()

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Any) -> dict[str, Tensor]:
        loss = self.loss()
        optimizers.minimise("network", loss)
        return {"loss": loss.detach()}

    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return {"loss": self.loss()}

    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        return torch.zeros(n, *self.config.shape)
