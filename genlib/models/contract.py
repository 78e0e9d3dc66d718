"""The contract every model keeps, and the abilities it may have besides.

A model is an ``nn.Module`` with a frozen Pydantic ``Config``. That one class is the source of the CLI's options, the app's
controls, the checkpoint's metadata and the validation messages. What a model can do beyond training and sampling it says by
having the methods of an ability (a small protocol); callers ask `abilities`, never for a model's name.

Public methods take and give float images [N, C, H, W] in [0, 1] only. Randomness comes from an explicit seed or
generator: the same seed gives the same picture on the same device.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, Self, runtime_checkable

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from genlib.errors import GenlibError

Family = Literal["adversarial", "variational", "autoregressive"]

TRAINING: dict[str, Any] = {"group": "training"}
"""``Field(..., json_schema_extra=TRAINING)``: this field of a model is about its training, not its architecture; controls are grouped so."""


class Config(BaseModel):
    """What every model's config has: the image shape, and how the training loop should treat the model.

    Subclasses add the architecture's fields and give other defaults; each field has a description, bounds and a default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    channels: int = Field(1, ge=1, le=3, description="image channels")
    height: int = Field(28, ge=1, le=128, description="image height in pixels")
    width: int = Field(28, ge=1, le=128, description="image width in pixels")
    learning_rate: float = Field(1e-3, gt=0, le=1, description="step size of the optimizer")
    batch_size: int = Field(128, ge=1, le=4096, description="images per training step")
    epochs: int = Field(50, ge=1, le=10_000, description="passes over the training images")
    gradient_clip: float = Field(
        0.0, ge=0, le=1e4, description="largest gradient norm per optimizer; 0 switches clipping off"
    )
    ema_decay: float = Field(
        0.0, ge=0, lt=1, description="decay of the averaged weights that are kept; 0 keeps the last weights"
    )
    schedule: Literal["constant", "cosine"] = Field("constant", description="learning rate over the planned epochs")
    precision: Literal["auto", "32", "bf16"] = Field(
        "32",
        description="arithmetic of training: 32-bit, bfloat16 autocast, or bfloat16 where the processor has it in hardware",
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Image shape (C, H, W)."""
        return self.channels, self.height, self.width

    @property
    def dimensions(self) -> int:
        """Sub-pixels per image: C x H x W, the divisor of bits/dim."""
        return self.channels * self.height * self.width


ModelConfig = Config  # its name inside `Model`, where `Config` is the class attribute


@dataclass(frozen=True)
class Preset:
    """A named config. ``notice`` says what to look at; ``failure`` marks a preset that goes wrong on purpose."""

    notice: str
    values: Mapping[str, Any] = field(default_factory=dict)
    failure: bool = False


class Optimizers(Protocol):
    """What the training loop hands to ``training_step``."""

    generator: torch.Generator
    """The run's random stream, on the model's device. Every draw of a training step comes from it."""

    def minimise(self, name: str, loss: Tensor) -> None:
        """One step of the optimizer ``name`` down the gradient of a scalar ``loss`` (clipping and schedules included)."""


class Bound(NamedTuple):
    """A variational bound in nats, its two parts apart, both [N]: ELBO = -(reconstruction + kl)."""

    reconstruction: Tensor
    kl: Tensor


class Model(nn.Module):
    """Base of every model. Class attributes describe it; see the module docstring for the rules."""

    Config: ClassVar[type[ModelConfig]]
    name: ClassVar[str]
    title: ClassVar[str]
    family: ClassVar[Family]
    paper: ClassVar[str]
    """Authors, year, title and arXiv number."""
    presets: ClassVar[dict[str, Preset]]
    terms: ClassVar[dict[str, str]]
    """Every scalar that ``training_step`` and ``validation_step`` return -> its meaning and unit, for the axes of plots."""
    distributions: ClassVar[dict[str, str]] = {}
    """Every tensor that ``distribution_step`` returns -> its meaning and unit, as in ``terms``. Two of one unit and of one
    value for each image are shown as overlaid histograms, one that is named "... of each latent" or "... of each step" as bars."""

    together: ClassVar[int] = 1
    """How many images of one label lie side by side in the batches it trains on; 1: a label is no concern of the order."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config: Any = config

    @classmethod
    def configure(
        cls, preset: str | None = None, shape: tuple[int, int, int] | None = None, **values: Any
    ) -> ModelConfig:
        """A checked config: the preset's values, then the image shape (C, H, W), then ``values``.

        Raises `GenlibError` for an unknown preset or field, or a value out of bounds.
        """
        if preset is not None and preset not in cls.presets:
            raise GenlibError(f"{cls.name} has no preset {preset!r}; choose one of {', '.join(cls.presets)}.")
        merged = dict(cls.presets[preset].values) if preset else {}
        if shape is not None:
            merged.update(zip(("channels", "height", "width"), shape, strict=True))
        merged.update(values)
        return cls.validate_config(merged)

    @classmethod
    def validate_config(cls, values: Mapping[str, Any]) -> ModelConfig:
        """Values -> config. The first thing that is wrong becomes one sentence in a `GenlibError`."""
        try:
            return cls.Config(**values)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"])) or "config"
            if first["type"] == "extra_forbidden":
                known = ", ".join(cls.Config.model_fields)
                raise GenlibError(f"{cls.name} has no field {name!r}; its fields are {known}.") from None
            message = first["msg"].removeprefix("Value error, ")
            message = message[0].lower() + message[1:]
            raise GenlibError(f"{cls.name}: {name} = {first['input']!r} is not possible: {message}.") from None

    @classmethod
    def from_config(cls, config: ModelConfig, seed: int = 0) -> Self:
        """Fresh weights, the same ones for the same seed. The process's own random state is left as it was."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(config)

    @property
    def device(self) -> torch.device:
        """Where the parameters lie."""
        return next(self.parameters()).device

    @property
    def classes(self) -> int:
        """How many classes the model is told of, so that it takes a ``label``; 0: none."""
        return getattr(self.config, "classes", 0)

    def generator(self, seed: int) -> torch.Generator:
        """A random stream on the model's device (for the meta device, which has none, on the CPU)."""
        return torch.Generator("cpu" if self.device.type == "meta" else self.device).manual_seed(seed)

    @property
    def no_likelihood(self) -> str | None:
        """Why the nats of a model that has a likelihood, or a bound of one, compare with no other model's; None: they do."""
        return None

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Inside, the model is in evaluation mode: running statistics are used, not updated. Then as it was before."""
        training = self.training
        if training:
            self.eval()
        try:
            yield
        finally:
            if training:
                self.train()

    def parts(self) -> dict[str, nn.Module]:
        """The named parts whose parameters are counted apart, e.g. generator and discriminator."""
        return {"network": self}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers by name: one, or one for each adversary."""
        raise NotImplementedError(f"{type(self).__name__} gives no optimizers")

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        """One step on images [N, C, H, W] in [0, 1] with labels [N]; returns named scalars (detached)."""
        raise NotImplementedError(f"{type(self).__name__} has no training step")

    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The same named scalars on images that are not trained on, without a step."""
        raise NotImplementedError(f"{type(self).__name__} has no validation step")

    def distribution_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """What is to be seen of each image, or of each latent, at a validation: tensors [values], named as in
        ``distributions``; none by default. The loop asks it on the first validation batch."""
        return {}

    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n images [n, C, H, W] in [0, 1]. A model without classes refuses a ``label`` with a `GenlibError`."""
        raise NotImplementedError(f"{type(self).__name__} does not sample")

    def refuse_label(self, label: int | None) -> None:
        """Raise the one sentence for a label given to a model that knows no classes."""
        if label is not None:
            raise GenlibError(f"{self.name} was not trained with class labels: leave label {label} out.")


@runtime_checkable
class ExactLikelihood(Protocol):
    def log_prob(self, images: Tensor, label: int | None = None) -> Tensor:
        """Exact log-likelihood of each image, [N] nats. Without a label a conditional model sums over the classes."""


@runtime_checkable
class BoundedLikelihood(Protocol):
    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction and KL of each image, [N] nats each."""

    def elbo(self, images: Tensor, *, seed: int = 0) -> Tensor:
        """The evidence lower bound with beta = 1, [N] nats."""

    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """The importance-weighted bound with k samples, [N] nats (Burda et al. 2016, eq. 8)."""


@runtime_checkable
class LatentCode(Protocol):
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), each [N, latent]."""

    def decode(self, z: Tensor) -> Tensor:
        """Codes [N, latent] -> images [N, C, H, W] in [0, 1]."""


@runtime_checkable
class Completion(Protocol):
    def complete(
        self,
        images: Tensor,
        known: Tensor,
        n: int,
        *,
        seed: int = 0,
        label: int | None = None,
        temperature: float = 1.0,
    ) -> Tensor:
        """n completions of each image, [N, n, C, H, W]. ``known`` is bool [H, W]: True is kept, False drawn anew."""

    def complete_rows(
        self,
        images: Tensor,
        known: Tensor,
        n: int,
        *,
        seed: int = 0,
        label: int | None = None,
        temperature: float = 1.0,
    ) -> Iterator[tuple[int, Tensor]]:
        """The same while it happens: (row just finished, images so far [N, n, C, H, W]) for each drawn row."""


@runtime_checkable
class PixelPrediction(Protocol):
    def pixel_distribution(self, images: Tensor, label: int | None = None) -> Tensor:
        """p(value | everything before it) at each sub-pixel, [N, C, levels, H, W]; sums to one over the levels."""


@runtime_checkable
class StepwiseDrawing(Protocol):
    def trace(self, images: Tensor | None = None, n: int = 1, *, seed: int = 0, temperature: float = 1.0) -> Any:
        """What the model does at each of its steps: generating n images, or reading the given ones [N, C, H, W]."""


@runtime_checkable
class StepwiseCode(Protocol):
    """A code z_1 ... z_T whose steps (``config.steps`` of them) can be kept one by one, each with a Gaussian prior given those
    before it. What a state is, and what is seen of an image, is the model's own affair."""

    def begin(self, n: int) -> Any:
        """The state before the first step, of n pictures."""

    def prior(self, state: Any) -> tuple[Tensor, Tensor]:
        """Mean and log sigma of p(z_t | z_1 ... z_{t-1}), [N, ...] each."""

    def see(self, images: Tensor) -> Any:
        """What `posterior` needs of images [N, C, H, W] in [0, 1]."""

    def posterior(self, state: Any, prior: Any, seen: Any) -> tuple[Any, tuple[Tensor, Tensor]]:
        """The state with the image read, and mean and log sigma of q(z_t | x, z_1 ... z_{t-1}). ``prior`` is of this state."""

    def take(self, state: Any, z: Tensor) -> Any:
        """The state after the step, z_t known. What was read of the image makes no difference to it."""

    def picture(self, state: Any) -> Tensor:
        """What is drawn so far, [N, C, H, W] in [0, 1]."""


@runtime_checkable
class ConditioningByExample(Protocol):
    """p(x | x'): images that are like an example of a class that the model may never have seen."""

    def sample_like(self, example: Tensor, n: int, *, seed: int = 0, temperature: float = 1.0) -> Tensor:
        """n images like each example [N, C, H, W], [N, n, C, H, W]."""

    def bound_given(self, images: Tensor, example: Tensor, *, seed: int = 0) -> Bound:
        """The bound on log p(image | its example), [N] nats each; ``example`` is one [1, C, H, W] or one for each image."""

    def iwae_given(self, images: Tensor, example: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """The importance-weighted bound on the same with k samples, [N] nats."""


@runtime_checkable
class Adversaries(Protocol):
    """A generator and a judge of its images, which can be trained one step at a time each."""

    verdict: ClassVar[str]

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """z ~ N(0, I), [n, latent]."""

    def decode(self, z: Tensor) -> Tensor:
        """Noise [N, latent] -> images [N, C, H, W] in [0, 1]."""

    def discriminate(self, images: Tensor) -> Tensor:
        """What the judge says of each image [N, C, H, W] in [0, 1], [N]: ``verdict`` says what the number is."""

    def step_discriminator(self, images: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        """One step of the judge on real images and as many fresh ones; named scalars."""

    def step_generator(self, n: int, optimizers: Optimizers) -> dict[str, Tensor]:
        """One step of the generator on n fresh images; named scalars."""


ABILITIES: dict[str, type] = {
    "exact likelihood": ExactLikelihood,
    "bounded likelihood": BoundedLikelihood,
    "latent code": LatentCode,
    "completion": Completion,
    "pixel prediction": PixelPrediction,
    "step-wise drawing": StepwiseDrawing,
    "stepwise code": StepwiseCode,
    "conditioning by example": ConditioningByExample,
    "adversaries": Adversaries,
}


_METHODS = {
    ability: [name for name, value in vars(protocol).items() if callable(value) and not name.startswith("_")]
    for ability, protocol in ABILITIES.items()
}


def abilities(model: Model | type[Model]) -> list[str]:
    """The names in `ABILITIES` whose methods the model, or model class, has."""
    return [ability for ability, methods in _METHODS.items() if all(hasattr(model, method) for method in methods)]


def count_parameters(module: nn.Module) -> int:
    """Trainable parameters of a module; masked weights count as stored."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
