"""`dcgan`: a deep convolutional GAN that diverges, and what stops it.

Radford, Metz & Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks" (arXiv:1511.06434). Strided convolutions in place of pooling, batch norm in G, Adam with beta1 = 0.5.

G sees its noise as a small picture of one channel, 5 x 5 for images of 28 x 28, which transposed convolutions enlarge to
32 x 32 and two convolutions without padding cut down to 28 x 28; every layer but the last is followed by batch norm and
LeakyReLU. D is a chain of four convolutions and two dense layers. Pixels are in [0, 1].

These are the layers of a widespread MNIST version, not the paper's: it has a noise of 25 numbers, no batch norm in D, and
is known to learn good digits half way and to diverge then. It is kept as it is, since that is its lesson; the cures are
fields of the config. Images of other sizes get a larger or smaller noise picture, and their edges are cut off where the
layers overshoot.
"""

import math
from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from genlib.models import adversarial
from genlib.models.adversarial import AdversarialModel
from genlib.models.contract import Preset

SLOPE = 0.2  # of LeakyReLU below zero
MOMENTUM = 0.5  # share of the newest batch in batch norm's running statistics
CUT = 4  # rows and columns that the two convolutions without padding take away


def noise_side(size: int) -> int:
    """Side of the noise picture for images of ``size`` rows or columns: two doublings of side + 3 reach size + 4."""
    return max(1, math.ceil((size + CUT) / 4) - 3)


class Generator(nn.Module):
    """Noise [N, c h w] -> images [N, C, H, W] in [0, 1]; c x h x w is the noise picture."""

    def __init__(self, shape: tuple[int, int, int], noise: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, self.height, self.width = shape
        self.unflatten = nn.Unflatten(1, noise)

        def normed(outputs: int) -> list[nn.Module]:
            return [nn.BatchNorm2d(outputs, momentum=MOMENTUM), nn.LeakyReLU(SLOPE, inplace=True)]

        self.body = nn.Sequential(
            nn.ConvTranspose2d(noise[0], 4 * width, 4),  # 5 -> 8
            *normed(4 * width),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, stride=2, padding=1),  # 8 -> 16
            *normed(2 * width),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),  # 16 -> 32
            *normed(width),
            nn.Conv2d(width, width // 2, 3),  # 32 -> 30
            *normed(width // 2),
            nn.Conv2d(width // 2, width // 4, 3),  # 30 -> 28
            *normed(width // 4),
            nn.Conv2d(width // 4, channels, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, z: Tensor) -> Tensor:
        x = self.body(self.unflatten(z).contiguous(memory_format=torch.channels_last))
        top, left = (x.shape[2] - self.height) // 2, (x.shape[3] - self.width) // 2
        return x[:, :, top : top + self.height, left : left + self.width].float()


class Discriminator(nn.Module):
    """Images [N, C, H, W] in [0, 1] -> logits of "real", [N]."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        inputs, *sides = shape
        layers: list[nn.Module] = []
        for outputs, stride in ((width, 2), (width // 2, 2), (width // 4, 1), (width // 8, 1)):
            # "same" where the stride is 2, without padding after; a map too small for that keeps its size
            padding = [1 if stride == 2 or side < 3 else 0 for side in sides]
            sides = [(side + 2 * pad - 3) // stride + 1 for side, pad in zip(sides, padding, strict=True)]
            layers += [nn.Conv2d(inputs, outputs, 3, stride, (padding[0], padding[1])), nn.ReLU()]
            inputs = outputs
        flat = inputs * math.prod(sides)
        self.body = nn.Sequential(
            *layers, nn.Flatten(), nn.Linear(flat, width // 4), nn.ReLU(), nn.Linear(width // 4, 1), nn.Flatten(0)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).float()


class DCGAN(AdversarialModel):
    """The unsteady convolutional pair; see the module docstring."""

    name: ClassVar[str] = "dcgan"
    title: ClassVar[str] = "DCGAN"
    paper: ClassVar[str] = (
        "Radford, Metz & Chintala 2016, Unsupervised Representation Learning with Deep Convolutional Generative "
        "Adversarial Networks, arXiv:1511.06434"
    )

    class Config(adversarial.Config):
        learning_rate: float = Field(1.5e-4, gt=0, le=1, description="step size of both Adam optimizers")
        noise_channels: int = Field(
            1, ge=1, le=64, description="channels of the noise picture, which is 5 x 5 for images of 28 x 28"
        )
        generator_width: int = Field(
            64, ge=4, le=512, multiple_of=4, description="channels of G at full size; four times as many at the start"
        )
        discriminator_width: int = Field(
            128, ge=8, le=1024, multiple_of=8, description="channels of D's first layer; each further layer halves them"
        )

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Half way the digits are good; later D(G(z)) falls towards 0, the losses part, and the pictures decay. Set spectral_norm, "
            "or label_smoothing = 0.1 with instance_noise = 0.1, and it holds.",
            {"epochs": 50},
        ),
        "paper": Preset(
            "The paper's batch of 128 and step size of 2e-4: the same rise and decay, in half as many steps.",
            {"batch_size": 128, "learning_rate": 2e-4, "epochs": 25},
        ),
        "quick": Preset(
            "Half the channels and a D under spectral norm: digits within minutes, D(x) and D(G(z)) stay close together.",
            {
                "generator_width": 32,
                "discriminator_width": 64,
                "spectral_norm": True,
                "learning_rate": 5e-4,
                "epochs": 5,
                "ema_decay": 0.99,
            },
        ),
        "diverges": Preset(
            "D learns ten times as fast as G and is soon certain: D(G(z)) goes to 0, G's loss climbs without end and its pictures "
            "turn into noise. Cures, one at a time: spectral_norm, gradient_penalty = 10, or discriminator_rate = 1.",
            {
                "generator_width": 32,
                "discriminator_width": 64,
                "discriminator_rate": 10.0,
                "learning_rate": 5e-4,
                "epochs": 5,
            },
            failure=True,
        ),
        "mode-collapse": Preset(
            "G takes ten steps for each of D's: whatever the noise, the same picture, and all pictures change together. "
            "Cure: generator_steps = 1.",
            {
                "generator_width": 32,
                "discriminator_width": 64,
                "generator_steps": 10,
                "learning_rate": 1e-3,
                "beta1": 0.9,
                "epochs": 5,
            },
            failure=True,
        ),
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator_net = Generator(config.shape, self.noise_shape, config.generator_width)
        self.discriminator_net = Discriminator(config.shape, config.discriminator_width)
        self.prepare()

    @property
    def noise_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the noise picture."""
        return self.config.noise_channels, noise_side(self.config.height), noise_side(self.config.width)

    @property
    def latent(self) -> int:
        return math.prod(self.noise_shape)

    @staticmethod
    def _to_pixels(images: Tensor) -> Tensor:
        return images

    @staticmethod
    def _from_pixels(pixels: Tensor) -> Tensor:
        return pixels
