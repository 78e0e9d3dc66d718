"""`dcgan-bn`: a GAN with the three-block convolutional pair, batch norm in both players.

Radford, Metz & Chintala 2016, "Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks" (arXiv:1511.06434), in the size of the widespread MNIST lesson: the generator is

    z -> [transposed convolution, batch norm, ReLU] x 3 -> transposed convolution -> tanh

and the discriminator convolution, LeakyReLU -> convolution, batch norm, LeakyReLU -> convolution to one value. Pixels are in
[-1, 1], weights start as N(0, 0.02^2), as in the paper (section 4). The generator starts at an eighth of the image's size,
rounded up, and each further layer doubles it, or doubles it less one, so that images of any size come out exactly.

The discriminator's value is a sum over features of 10 x 10 pixels each, so it sees wrong strokes and not how the parts of a picture fit:
digits that are right everywhere and wrong as a whole pass. The option ``discriminator_hidden`` gives it a hidden layer over all features.

`genlib.models.wgan_gp` and `genlib.models.gran` have the same players.
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


class Generator(nn.Module):
    """Noise [N, latent] -> images [N, C, H, W] in [-1, 1]. Blocks of 4 width, 2 width and width channels."""

    def __init__(self, shape: tuple[int, int, int], latent: int, width: int) -> None:
        super().__init__()
        channels, height, rows = shape
        layers: list[nn.Module] = [nn.Unflatten(1, (latent, 1, 1))]
        inputs, before = latent, (0, 0)
        for part, outputs in ((8, 4 * width), (4, 2 * width), (2, width)):
            size = math.ceil(height / part), math.ceil(rows / part)
            layers += [grow(inputs, outputs, before, size, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
            inputs, before = outputs, size
        self.body = nn.Sequential(*layers, grow(inputs, channels, before, (height, rows)), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        return self.body(z.contiguous()).float()


class Discriminator(nn.Module):
    """Images [N, C, H, W] in [-1, 1] -> logits of "real", or a critic's scores, [N]. Width, then 2 width channels.

    ``hidden``: units of a hidden layer over all features; 0: the value is a sum over them. ``bias``: whether the last value has one; to
    a critic, of whom only differences count, it would mean nothing.
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int, hidden: int = 0, *, batch_norm: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        channels, height, rows = shape
        half = math.ceil(height / 2), math.ceil(rows / 2)
        last = math.ceil(height / 4), math.ceil(rows / 4)
        self.body = nn.Sequential(
            shrink(channels, width, (height, rows)),
            nn.LeakyReLU(SLOPE),
            shrink(width, 2 * width, half, bias=not batch_norm),
            *([nn.BatchNorm2d(2 * width)] if batch_norm else []),
            nn.LeakyReLU(SLOPE),
            *([nn.Conv2d(2 * width, hidden, last), nn.LeakyReLU(SLOPE)] if hidden else []),
            nn.Conv2d(hidden, 1, 1, bias=bias) if hidden else nn.Conv2d(2 * width, 1, last, bias=bias),
            nn.Flatten(0),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x).float()


def grow(
    inputs: int, outputs: int, before: tuple[int, int], size: tuple[int, int], *, bias: bool = True
) -> nn.ConvTranspose2d:
    """From maps of ``before`` to maps of ``size``: from (0, 0), a single point, to anything; else to twice as much, or
    one less."""
    if before == (0, 0):
        return nn.ConvTranspose2d(inputs, outputs, size, bias=bias)
    kernel = 4 - (size[0] % 2), 4 - (size[1] % 2)
    return nn.ConvTranspose2d(inputs, outputs, kernel, stride=2, padding=1, bias=bias)


def shrink(inputs: int, outputs: int, size: tuple[int, int], *, bias: bool = True) -> nn.Conv2d:
    """From maps of ``size`` to half as much, rounded up."""
    kernel = 4 - (size[0] % 2), 4 - (size[1] % 2)
    return nn.Conv2d(inputs, outputs, kernel, stride=2, padding=1, bias=bias)


@torch.no_grad()
def initialise(network: nn.Module) -> None:
    """Convolutions from N(0, 0.02^2), batch norm's factors from N(1, 0.02^2), as in the DCGAN paper's section 4."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.weight.normal_(0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.weight.normal_(1, 0.02)


class PairConfig(adversarial.PlayersConfig):
    """The sizes of the two players."""

    latent: int = Field(64, ge=1, le=1024, description="numbers in the noise z; 2 makes a plane that can be shown")
    generator_width: int = Field(
        64, ge=1, le=512, description="channels of G's last block; the two before have two and four times as many"
    )
    discriminator_width: int = Field(
        64, ge=1, le=512, description="channels of D's first layer; the second has twice as many"
    )
    discriminator_hidden: int = Field(
        0,
        ge=0,
        le=2048,
        description="units of a layer of D that sees the picture as a whole; 0: D is a sum over parts of 10 x 10 pixels",
    )


class DCGANBatchNorm(AdversarialModel):
    """Batch norm in both players; see the module docstring."""

    name: ClassVar[str] = "dcgan-bn"
    title: ClassVar[str] = "DCGAN with batch norm"
    paper: ClassVar[str] = (
        "Radford, Metz & Chintala 2016, Unsupervised Representation Learning with Deep Convolutional Generative "
        "Adversarial Networks, arXiv:1511.06434"
    )

    class Config(adversarial.Config, PairConfig):
        learning_rate: float = Field(1e-4, gt=0, le=1, description="step size of both Adam optimizers")

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "64 numbers of noise are enough for sharp digits; the estimate of the JSD stays well above 0, since D keeps ahead.",
            {"epochs": 100, "ema_decay": 0.999},
        ),
        "plane": Preset(
            "Two numbers of noise are too few: many pictures are between two digits, as neighbours on the plane must be alike.",
            {"latent": 2, "epochs": 20, "ema_decay": 0.999},
        ),
        "paper": Preset(
            "The paper's batch of 128 and step size of 2e-4, 100 numbers of noise: digits after an epoch, steady from then on.",
            {"learning_rate": 2e-4, "batch_size": 128, "latent": 100, "epochs": 25},
        ),
        "quick": Preset(
            "Half the channels: strokes after a hundred steps, digits within two minutes.",
            {
                "generator_width": 32,
                "discriminator_width": 32,
                "learning_rate": 5e-4,
                "epochs": 5,
                "ema_decay": 0.99,
            },
        ),
        "colour": Preset(
            "512 numbers of noise for photographs: colours and grounds come first, shapes late.",
            {"latent": 512, "epochs": 100, "ema_decay": 0.999},
        ),
        "strong-discriminator": Preset(
            "D takes five fast steps for each of G's, and the minimax loss is flat where D is sure: D(G(z)) and G's gradient go to "
            "0. Cure: loss = non-saturating, with instance_noise = 0.3 to keep D in doubt.",
            {
                "generator_width": 32,
                "discriminator_width": 32,
                "loss": "minimax",
                "discriminator_rate": 20.0,
                "discriminator_steps": 5,
                "epochs": 3,
            },
            failure=True,
        ),
        "mode-collapse": Preset(
            "G takes ten steps for each of D's: it finds one picture that D still believes in and draws nothing else. Cure: "
            "generator_steps = 1.",
            {
                "generator_width": 32,
                "discriminator_width": 32,
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
        self.generator_net = Generator(config.shape, config.latent, config.generator_width)
        self.discriminator_net = Discriminator(config.shape, config.discriminator_width, config.discriminator_hidden)
        initialise(self)
        self.prepare()
