"""`vae`: a convolutional variational autoencoder with a latent plane.

Kingma & Welling 2014, "Auto-Encoding Variational Bayes" (arXiv:1312.6114).

A code z ~ N(0, I) is decoded to the probability of every pixel; the encoder gives q(z | x) = N(mean, exp(log_var)).
Training raises the evidence lower bound, its KL weighed by beta; the loss, the bounds and what they are about stand in
genlib/models/variational.py. Here are the two networks and the presets.

With ``latent=2`` the code is a point of a plane that can be shown whole. The `paper` preset is the well-known textbook
network: grey values as Bernoulli targets, and a mean over pixels plus 5e-4 KL, which is beta = 784 x 5e-4 = 0.392 per
image. The paper's own networks were smaller and fully connected.
"""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.models.contract import Preset
from genlib.models.variational import CodeModel, VariationalConfig

WIDTH = 64  # channels of the inner convolutions


class Encoder(nn.Module):
    """Images [N, C, H, W] -> mean and log-variance of q(z | x), [N, latent] each.

    Here and in the decoder feature maps lie in memory as [N, H, W, channels]: convolutions on a CPU are faster so, and
    flattening is a view.
    """

    def __init__(self, shape: tuple[int, int, int], latent: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, WIDTH, 3, stride=2, padding=1),  # [N, 64, H/2, W/2]
            nn.ReLU(inplace=True),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.dense = nn.Linear(WIDTH * math.ceil(height / 2) * math.ceil(width / 2), 32)
        self.mean = nn.Linear(32, latent)
        self.log_var = nn.Linear(32, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.convolutions(x.to(memory_format=torch.channels_last))
        h = F.relu(self.dense(h.permute(0, 2, 3, 1).flatten(1)))  # [N, 32]
        return self.mean(h).float(), self.log_var(h).float()


class Decoder(nn.Module):
    """Codes [N, latent] -> Bernoulli logits [N, C, H, W]."""

    def __init__(self, shape: tuple[int, int, int], latent: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.size = math.ceil(height / 2), math.ceil(width / 2)
        self.dense = nn.Linear(latent, WIDTH * math.prod(self.size))
        self.convolutions = nn.Sequential(
            # an even and an odd size share their half; output_padding says which of the two to give back
            nn.ConvTranspose2d(WIDTH, 32, 3, stride=2, padding=1, output_padding=(1 - height % 2, 1 - width % 2)),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(32, channels, 3, padding=1),
        )

    def forward(self, z: Tensor) -> Tensor:
        h = F.relu(self.dense(z)).unflatten(1, (*self.size, WIDTH)).permute(0, 3, 1, 2)  # [N, 64, H/2, W/2]
        return self.convolutions(h).float()


@torch.no_grad()
def initialise(layer: nn.Linear | nn.Conv2d | nn.ConvTranspose2d, gain: float) -> None:
    """Uniform weights of variance gain / fan-in, biases 0; a gain of 2 keeps the size of signals through ReLUs (He 2015).

    The layers that give log-variances and pixel logits get a small gain: training starts at a q of unit variance and at
    even pixels (784 ln 2 nats). From a Glorot start, one of two latents stayed unused for an epoch or more.
    """
    fan_in = layer.weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):  # its weight is [in, out, k, k]; a stride spreads the k x k taps
        fan_in = layer.in_channels * math.prod(layer.kernel_size) // math.prod(layer.stride)
    bound = math.sqrt(3 * gain / fan_in)
    layer.weight.uniform_(-bound, bound)
    if layer.bias is not None:
        layer.bias.zero_()


class VAE(CodeModel):
    """Encoder and decoder; see the module docstring."""

    name: ClassVar[str] = "vae"
    title: ClassVar[str] = "Variational autoencoder"
    paper: ClassVar[str] = "Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114"

    class Config(VariationalConfig):
        latent: int = Field(2, ge=1, le=512, description="numbers in the code z; 2 makes a plane that can be shown")

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "The test digits lie on the plane in clusters, one class beside the other, and the decodes change smoothly "
            "from one digit into the next; between clusters they are blurred.",
            {"epochs": 30, "schedule": "cosine"},
        ),
        "paper": Preset(
            "The textbook's settings: grey values as targets and beta = 0.392, so the clusters lie further out than "
            "the prior expects and the loss is not a bound on the likelihood.",
            {"beta": 0.392, "binarisation": "unit", "epochs": 30},
        ),
        "quick": Preset(
            "Within two minutes the plane parts into regions, first 0 and 1, later look-alikes such as 4 and 9.",
            {"epochs": 5, "schedule": "cosine"},
        ),
        "colour": Preset(
            "For CIFAR-10 or SVHN, with 64 numbers in the code and intensities as targets: samples are coloured clouds, a "
            "sky or a lawn but no thing. The loss is no likelihood of the colours.",
            {"latent": 64, "binarisation": "unit", "epochs": 30, "schedule": "cosine"},
        ),
        "kl-collapse": Preset(
            "The KL term falls to zero at once: the code says nothing about the image, all digits lie on one point of "
            "the plane, and every decode is the same grey average.",
            {"beta": 50.0, "epochs": 5},
            failure=True,
        ),
        "no-kl": Preset(
            "Nothing holds the codes: they run far from the prior, and the KL rises to hundreds of nats. Reconstructions are "
            "good, but samples from the prior all fall on one small spot between the clusters and look alike.",
            {"beta": 0.0, "epochs": 20},
            failure=True,
        ),
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.encoder = Encoder(config.shape, config.latent)
        self.decoder = Decoder(config.shape, config.latent)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                initialise(layer, 0.01 if layer in (self.encoder.log_var, self.decoder.convolutions[-1]) else 2.0)
