"""`gan`: the vanilla generative adversarial network, dense, for small images.

Goodfellow et al. 2014, "Generative Adversarial Nets" (arXiv:1406.2661).

A generator G turns noise z ~ N(0, I) into an image; a discriminator D gives the probability that an image is real.
Each training step is an iteration of the paper's algorithm 1: D climbs its value (eq. 1), then G moves against it:

    V(D, G) = E_x[ log D(x) ] + E_z[ log(1 - D(G(z))) ]
    G minimises -E_z[ log D(G(z)) ]       non-saturating, the paper's section 3 and our default
             or  E_z[ log(1 - D(G(z))) ]  minimax, whose gradient vanishes while D is sure that G's images are false

D ends in a logit s, D = sigmoid(s), so that -log D = softplus(-s) and -log(1 - D) = softplus(s) stay exact where D is
sure. Pixels are in [-1, 1]. The layers (LeakyReLU, batch norm in G, Adam with beta1 = 0.5) are those of the widespread
MNIST version; the paper itself used maxout and dropout in D, and rectifiers with a sigmoid in G.
"""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.data.codings import from_symmetric, to_symmetric
from genlib.models.contract import TRAINING, Family, Model, Optimizers, Preset
from genlib.models.contract import Config as BaseConfig

SLOPE = 0.2  # of LeakyReLU below zero
MOMENTUM = 0.2  # share of the newest batch in batch norm's running statistics


class Generator(nn.Module):
    """Noise [N, latent] -> images [N, C, H, W] in [-1, 1]. Hidden layers of width, 2 width and 4 width."""

    def __init__(self, shape: tuple[int, int, int], latent: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = latent
        for outputs in (width, 2 * width, 4 * width):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(SLOPE), nn.BatchNorm1d(outputs, momentum=MOMENTUM)]
            inputs = outputs
        self.body = nn.Sequential(*layers, nn.Linear(inputs, math.prod(shape)), nn.Tanh(), nn.Unflatten(1, shape))

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z).float()


class Discriminator(nn.Module):
    """Images [N, C, H, W] in [-1, 1] -> logits of "real", [N]. Hidden layers of width and width / 2."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(shape), width),
            nn.LeakyReLU(SLOPE),
            nn.Linear(width, width // 2),
            nn.LeakyReLU(SLOPE),
            nn.Linear(width // 2, 1),
            nn.Flatten(0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).float()


class GAN(Model):
    """Generator and discriminator; see the module docstring."""

    name: ClassVar[str] = "gan"
    title: ClassVar[str] = "Generative adversarial network"
    family: ClassVar[Family] = "adversarial"
    paper: ClassVar[str] = "Goodfellow et al. 2014, Generative Adversarial Nets, arXiv:1406.2661"

    class Config(BaseConfig):
        learning_rate: float = Field(2e-4, gt=0, le=1, description="step size of both Adam optimizers")
        batch_size: int = Field(64, ge=2, le=4096, description="images per training step; batch norm needs two")
        latent: int = Field(100, ge=1, le=1024, description="numbers in the noise z")
        generator_width: int = Field(256, ge=1, le=2048, description="first hidden layer of G; the next two double it")
        discriminator_width: int = Field(512, ge=2, le=8192, description="first hidden layer of D; the second is half")
        loss: Literal["non-saturating", "minimax"] = Field(
            "non-saturating",
            description="what G minimises: -log D(G(z)), or log(1 - D(G(z)))",
            json_schema_extra=TRAINING,
        )
        discriminator_steps: int = Field(
            1, ge=1, le=20, description="steps of D per training step", json_schema_extra=TRAINING
        )
        generator_steps: int = Field(
            1, ge=1, le=20, description="steps of G per training step", json_schema_extra=TRAINING
        )
        discriminator_rate: float = Field(
            1.0, gt=0, le=100, description="D's learning rate as a multiple of G's", json_schema_extra=TRAINING
        )
        beta1: float = Field(0.5, ge=0, lt=1, description="Adam's momentum, for both", json_schema_extra=TRAINING)
        label_smoothing: float = Field(
            0.0,
            ge=0,
            le=0.5,
            description="D's target for real images is 1 minus this (one-sided smoothing)",
            json_schema_extra=TRAINING,
        )
        instance_noise: float = Field(
            0.0,
            ge=0,
            le=2,
            description="standard deviation of the noise added to all that D sees, pixels in [-1, 1]",
            json_schema_extra=TRAINING,
        )

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Noise becomes blobs, then strokes, then digits; neither loss tells how good they are: look at D(x) and "
            "D(G(z)), and at the pictures.",
            {"epochs": 100, "ema_decay": 0.999},
        ),
        "paper": Preset(
            "The plain recipe: digits appear within a few epochs, but they flicker from step to step and never settle.",
            {"epochs": 30},
        ),
        "quick": Preset(
            "Digit-like strokes within two minutes; D(G(z)) dips while D is ahead and rises as G catches up.",
            {"epochs": 10, "ema_decay": 0.995},
        ),
        "mode-collapse": Preset(
            "Whatever the noise, the picture is nearly the same; when D has learned to refuse it, all pictures jump to "
            "another one together.",
            {"generator_steps": 10, "learning_rate": 1e-3, "beta1": 0.9, "epochs": 10},
            failure=True,
        ),
        "strong-discriminator": Preset(
            "D is certain within a few steps: D(x) is 1, D(G(z)) is 0 and both losses are 0, so the minimax loss gives "
            "G no gradient to learn from; its pictures freeze as the noise they are.",
            {
                "loss": "minimax",
                "learning_rate": 5e-5,
                "discriminator_rate": 40.0,
                "discriminator_steps": 5,
                "epochs": 10,
            },
            failure=True,
        ),
    }
    terms: ClassVar[dict[str, str]] = {
        "discriminator_loss": "-E[log D(x)] - E[log(1 - D(G(z)))]; 2 ln 2 = 1.386 when D cannot tell (nats)",
        "generator_loss": "what G minimises: -E[log D(G(z))], or E[log(1 - D(G(z)))] for minimax (nats)",
        "d_real": "D(x), mean probability of real that D gives real images",
        "d_fake": "D(G(z)), mean probability of real that D gives generated images",
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator_net = Generator(config.shape, config.latent, config.generator_width)
        self.discriminator_net = Discriminator(config.shape, config.discriminator_width)

    def parts(self) -> dict[str, nn.Module]:
        return {"generator": self.generator_net, "discriminator": self.discriminator_net}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config

        def adam(net: nn.Module, rate: float) -> torch.optim.Optimizer:
            return torch.optim.Adam(net.parameters(), lr=rate, betas=(c.beta1, 0.999), fused=True)

        return {
            "generator": adam(self.generator_net, c.learning_rate),
            "discriminator": adam(self.discriminator_net, c.learning_rate * c.discriminator_rate),
        }

    # Training

    def _noise(self, n: int, generator: torch.Generator) -> Tensor:
        """z ~ N(0, I), [n, latent]."""
        return torch.randn(n, self.config.latent, generator=generator, device=self.device)

    def _judge(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """D's logits [N] for x [N, C, H, W] in [-1, 1], seen through the instance noise."""
        if self.config.instance_noise:
            x = x + self.config.instance_noise * torch.randn(x.shape, generator=generator, device=x.device)
        return self.discriminator_net(x)

    def _discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Logits of real and of generated images, [N] each -> the loss of D, a scalar."""
        smooth = self.config.label_smoothing
        on_real = (1 - smooth) * F.softplus(-real) + smooth * F.softplus(real)
        return on_real.mean() + F.softplus(fake).mean()

    def _generator_loss(self, fake: Tensor) -> Tensor:
        """Logits of generated images [N] -> the loss of G, a scalar."""
        return F.softplus(-fake).mean() if self.config.loss == "non-saturating" else -F.softplus(fake).mean()

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        x, n, generator = to_symmetric(images), len(images), optimizers.generator
        for _ in range(self.config.discriminator_steps):
            with torch.no_grad():  # G stands still while D learns
                drawn = self.generator_net(self._noise(n, generator))
            real, fake = self._judge(x, generator), self._judge(drawn, generator)
            discriminator_loss = self._discriminator_loss(real, fake)
            optimizers.minimise("discriminator", discriminator_loss)
        for _ in range(self.config.generator_steps):
            judged = self._judge(self.generator_net(self._noise(n, generator)), generator)
            generator_loss = self._generator_loss(judged)
            optimizers.minimise("generator", generator_loss)
        return self._terms(discriminator_loss, generator_loss, real, fake)

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        with self.evaluating():
            real = self._judge(to_symmetric(images), generator)
            fake = self._judge(self.generator_net(self._noise(len(images), generator)), generator)
        return self._terms(self._discriminator_loss(real, fake), self._generator_loss(fake), real, fake)

    @staticmethod
    def _terms(discriminator_loss: Tensor, generator_loss: Tensor, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
        return {
            "discriminator_loss": discriminator_loss.detach(),
            "generator_loss": generator_loss.detach(),
            "d_real": real.detach().sigmoid().mean(),
            "d_fake": fake.detach().sigmoid().mean(),
        }

    # What a trained model can do

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Noise [N, latent] -> images [N, C, H, W] in [0, 1], each on its own (running statistics, not the batch's)."""
        with self.evaluating():
            return from_symmetric(self.generator_net(z))

    @torch.no_grad()
    def discriminate(self, images: Tensor) -> Tensor:
        """D(x): the probability that each image [N, C, H, W] in [0, 1] is a real one, [N]."""
        return self.discriminator_net(to_symmetric(images)).sigmoid()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n images of fresh noise, whose standard deviation ``temperature`` scales, [n, C, H, W] in [0, 1]."""
        self.refuse_label(label)
        return self.decode(temperature * self._noise(n, self.generator(seed)))
