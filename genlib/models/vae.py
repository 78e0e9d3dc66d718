"""`vae`: a convolutional variational autoencoder with a latent plane.

Kingma & Welling 2014, "Auto-Encoding Variational Bayes" (arXiv:1312.6114); beta from Higgins et al. 2017, "beta-VAE".

A code z ~ N(0, I) is decoded to the probability of every pixel; the encoder gives q(z | x) = N(mean, exp(log_var)).
Training raises the evidence lower bound (ELBO, eq. 7; the reparameterised draw is section 2.4), its KL weighed by beta:

    loss(x) = -E_q[ log p(x | z) ] + beta KL( q(z | x) || N(0, I) )     nats per image; log p is a sum over the pixels

With ``latent=2`` the code is a point of a plane that can be shown whole. The `paper` preset is the well-known textbook
network: grey values as Bernoulli targets, and a mean over pixels plus 5e-4 KL, which is beta = 784 x 5e-4 = 0.392 per
image. The paper's own networks were smaller and fully connected.

Whatever beta a model was trained with, `bound`, `elbo` and `iwae` have beta = 1. They are about zeros and ones: only
then is the Bernoulli term a log-likelihood. So a grey image is drawn first, in the model's own form (a `unit` model: in
the `dynamic` form); binary images are taken as they are.
"""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.data.codings import binarise
from genlib.models.contract import TRAINING, Bound, Family, Model, Optimizers, Preset
from genlib.models.contract import Config as BaseConfig
from genlib.models.gaussian import log_normal, log_standard_normal, reparameterise, standard_kl

WIDTH = 64  # channels of the inner convolutions
DECODED_AT_ONCE = 512  # images that `iwae` decodes in one go, so that memory does not grow with k


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


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x | z) summed over the pixels: logits and x [N, C, H, W] -> [N] nats."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


class VAE(Model):
    """Encoder and decoder; see the module docstring."""

    name: ClassVar[str] = "vae"
    title: ClassVar[str] = "Variational autoencoder"
    family: ClassVar[Family] = "variational"
    paper: ClassVar[str] = "Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114"

    class Config(BaseConfig):
        precision: Literal["auto", "32", "bf16"] = Field(
            "auto", description="arithmetic of training: 32-bit, bfloat16, or bfloat16 where the processor has it"
        )
        latent: int = Field(2, ge=1, le=512, description="numbers in the code z; 2 makes a plane that can be shown")
        beta: float = Field(
            1.0,
            ge=0,
            le=1000,
            description="weight of the KL term, per image in nats; 1 trains the ELBO itself",
            json_schema_extra=TRAINING,
        )
        binarisation: Literal["unit", "threshold", "dynamic", "static"] = Field(
            "dynamic",
            description="what the model learns: grey values as they are (unit), or one form of zeros and ones",
            json_schema_extra=TRAINING,
        )

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
    terms: ClassVar[dict[str, str]] = {
        "loss": "reconstruction + beta x KL, what is minimised (nats per image)",
        "reconstruction": "-E_q[log p(x | z)], the cost of the pixels given the code (nats per image)",
        "kl": "KL(q(z | x) || p(z)), the cost of the code (nats per image)",
        "elbo": "evidence lower bound on log p(x), with beta = 1 (nats per image)",
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.encoder = Encoder(config.shape, config.latent)
        self.decoder = Decoder(config.shape, config.latent)
        for layer in self.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
                initialise(layer, 0.01 if layer in (self.encoder.log_var, self.decoder.convolutions[-1]) else 2.0)

    def parts(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.decoder}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"network": torch.optim.Adam(self.parameters(), lr=self.config.learning_rate, fused=True)}

    # Training

    def _targets(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images in [0, 1] -> what is learned. For `static` the data set is binary already and stays as it is."""
        form = self.config.binarisation
        return images if form == "unit" else binarise(images, form, generator)

    def _bound(self, x: Tensor, generator: torch.Generator) -> Bound:
        """Both parts of the bound at x [N, C, H, W], the expectation over q by one reparameterised draw."""
        mean, log_var = self.encoder(x)
        z = reparameterise(mean, log_var, generator)
        return Bound(bernoulli_nll(self.decoder(z), x), standard_kl(mean, log_var).sum(1))

    def _terms(self, bound: Bound) -> dict[str, Tensor]:
        reconstruction, kl = bound.reconstruction.mean(), bound.kl.mean()
        loss = reconstruction + self.config.beta * kl
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "elbo": -(reconstruction + kl)}

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        terms = self._terms(self._bound(self._targets(images, optimizers.generator), optimizers.generator))
        optimizers.minimise("network", terms["loss"])
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return self._terms(self._bound(self._targets(images, generator), generator))

    # What a trained model can do

    def _binary(self, images: Tensor) -> Tensor:
        """The zeros and ones that a likelihood is about; binary images stay as they are."""
        form = self.config.binarisation
        return binarise(images, "dynamic" if form == "unit" else form)

    @torch.no_grad()
    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction (one draw of z per image) and KL (closed form), [N] nats each."""
        return self._bound(self._binary(images), self.generator(seed))

    @torch.no_grad()
    def elbo(self, images: Tensor, *, seed: int = 0) -> Tensor:
        """The evidence lower bound with beta = 1, [N] nats."""
        bound = self.bound(images, seed=seed)
        return -(bound.reconstruction + bound.kl)

    @torch.no_grad()
    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """log 1/k sum_i p(x, z_i) / q(z_i | x) with k draws z_i of q, [N] nats (Burda et al. 2016, eq. 8)."""
        x, generator = self._binary(images), self.generator(seed)
        mean, log_var = self.encoder(x)
        n, at_once = len(x), max(1, DECODED_AT_ONCE // len(x))
        weights = []
        for start in range(0, k, at_once):
            draws = min(at_once, k - start)
            q = mean.expand(draws, -1, -1), log_var.expand(draws, -1, -1)
            z = reparameterise(*q, generator)  # [draws, N, latent]
            nll = bernoulli_nll(self.decoder(z.flatten(0, 1)), x.repeat(draws, 1, 1, 1)).view(draws, n)
            weights.append((log_standard_normal(z) - log_normal(z, *q)).sum(2) - nll)
        return torch.cat(weights).logsumexp(0) - math.log(k)

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), [N, latent] each.

        A model of a drawn form sees the likeliest draw of a grey image, cut at 1/2: an image has one code, not one for each
        draw. Grey values themselves it has never seen, and they would land elsewhere on the plane.
        """
        form = self.config.binarisation
        if form == "unit":
            return self.encoder(images)
        return self.encoder(binarise(images, form) if form == "threshold" else (images > 0.5).to(images.dtype))

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Codes [N, latent] -> the probability of each pixel, images [N, C, H, W] in [0, 1]."""
        return self.decoder(z).sigmoid()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """Decodes of n codes from the prior, its standard deviation times ``temperature``, [n, C, H, W] in [0, 1]."""
        self.refuse_label(label)
        z = torch.randn(n, self.config.latent, generator=self.generator(seed), device=self.device)
        return self.decode(temperature * z)
