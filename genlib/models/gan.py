"""`gan`: the vanilla generative adversarial network, dense, for small images.

Goodfellow et al. 2014, "Generative Adversarial Nets" (arXiv:1406.2661). The game itself, its losses and its steps, is in
genlib/models/adversarial.py; here are the two networks.

Pixels are in [-1, 1]. The layers (LeakyReLU, batch norm in G, Adam with beta1 = 0.5) are those of the widespread MNIST
version; the paper itself used maxout and dropout in D, and rectifiers with a sigmoid in G.
"""

import math
from typing import ClassVar

from pydantic import Field
from torch import Tensor, nn

from genlib.models import adversarial
from genlib.models.adversarial import AdversarialModel
from genlib.models.contract import Preset

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


class GAN(AdversarialModel):
    """Generator and discriminator; see the module docstring."""

    name: ClassVar[str] = "gan"
    title: ClassVar[str] = "Generative adversarial network"
    paper: ClassVar[str] = "Goodfellow et al. 2014, Generative Adversarial Nets, arXiv:1406.2661"

    class Config(adversarial.Config):
        latent: int = Field(100, ge=1, le=1024, description="numbers in the noise z")
        generator_width: int = Field(256, ge=1, le=2048, description="first hidden layer of G; the next two double it")
        discriminator_width: int = Field(512, ge=2, le=8192, description="first hidden layer of D; the second is half")

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

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator_net = Generator(config.shape, config.latent, config.generator_width)
        self.discriminator_net = Discriminator(config.shape, config.discriminator_width)
        self.prepare()
