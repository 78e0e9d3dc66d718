"""What variational models share: a bound in two parts, trained with its KL weighed by beta, and the forms of the pixels.

    loss(x) = -E_q[ log p(x | z) ] + beta KL( q(z | x) || p(z) )     nats per image; log p is a sum over the pixels

(Kingma & Welling 2014, eq. 7; beta from Higgins et al. 2017, "beta-VAE"). Whatever beta a model was trained with, `bound`,
`elbo` and `iwae` have beta = 1.

A Bernoulli decoder gives a likelihood to zeros and ones only. So the bounds are about binary images: a grey image is drawn
first, in the model's own form (a `unit` model: in the `dynamic` form). Colour intensities as Bernoulli targets train
well, but no set of bits stands behind them that anyone would compare: Gregor et al. 2015 (section 4.5) say the same of
their CIFAR-10 loss. Such a model says so in `no_likelihood`, and is given no score in nats.

`VariationalModel` holds this; `CodeModel` is the case of one code per image, with an encoder and a decoder network.
"""

import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.data.codings import binarise
from genlib.models import contract
from genlib.models.contract import TRAINING, Bound, Family, Model, Optimizers
from genlib.models.gaussian import log_normal, log_standard_normal, reparameterise, standard_kl

DECODED_AT_ONCE = 512  # images that `iwae` decodes in one go, so that memory does not grow with k
ACTIVE = 0.01  # variance of a latent's mean over the images from which on it counts as active (Burda et al. 2016)


class BoundConfig(contract.Config):
    """The fields of every model that is trained on a bound, however its two parts are weighed."""

    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="arithmetic of training: 32-bit, bfloat16, or bfloat16 where the processor has it"
    )
    binarisation: Literal["unit", "threshold", "dynamic", "static"] = Field(
        "dynamic",
        description="what the model learns: grey values as they are (unit), or one form of zeros and ones",
        json_schema_extra=TRAINING,
    )


class VariationalConfig(BoundConfig):
    """The fields of models whose loss weighs the KL."""

    beta: float = Field(
        1.0,
        ge=0,
        le=1000,
        description="weight of the KL term, per image in nats; 1 trains the ELBO itself",
        json_schema_extra=TRAINING,
    )


class VariationalModel(Model):
    """Training and forms of the pixels for a model that defines `_bound`; see the module docstring."""

    Config: ClassVar[type[contract.Config]] = VariationalConfig
    family: ClassVar[Family] = "variational"
    terms: ClassVar[dict[str, str]] = {
        "loss": "reconstruction + beta x KL, what is minimised (nats per image)",
        "reconstruction": "-E_q[log p(x | z)], the cost of the pixels given the code (nats per image)",
        "kl": "KL(q(z | x) || p(z)), the cost of the code (nats per image)",
        "elbo": "evidence lower bound on log p(x), with beta = 1 (nats per image)",
    }

    def _bound(self, x: Tensor, generator: torch.Generator) -> Bound:
        """Both parts of the bound, with gradients, at images x [N, C, H, W] as the model learns them."""
        raise NotImplementedError(f"{type(self).__name__} has no bound")

    @property
    def no_likelihood(self) -> str | None:
        """Why the bound is no figure to compare other models' nats with; None where it is one."""
        if self.config.binarisation == "unit" and self.config.channels > 1:
            return "colour intensities as Bernoulli probabilities are no likelihood of the colours"
        return None

    # Training

    def _targets(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Images in [0, 1] -> what is learned. For `static` the data set is binary already and stays as it is."""
        form = self.config.binarisation
        return images if form == "unit" else binarise(images, form, generator)

    def _loss(self, reconstruction: Tensor, kl: Tensor) -> Tensor:
        """What is minimised, from the means of the two parts of the bound."""
        return reconstruction + self.config.beta * kl

    def _terms(self, bound: Bound) -> dict[str, Tensor]:
        reconstruction, kl = bound.reconstruction.mean(), bound.kl.mean()
        return {
            "loss": self._loss(reconstruction, kl),
            "reconstruction": reconstruction,
            "kl": kl,
            "elbo": -(reconstruction + kl),
        }

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        terms = self._terms(self._bound(self._targets(images, optimizers.generator), optimizers.generator))
        optimizers.minimise("network", terms["loss"])
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return self._terms(self._bound(self._targets(images, generator), generator))

    # Bounds

    def _scored(self, images: Tensor) -> Tensor:
        """Images as the bounds take them: zeros and ones, unless there is `no_likelihood` of them anyway."""
        form = self.config.binarisation
        if form == "unit" and self.no_likelihood:
            return images
        return binarise(images, "dynamic" if form == "unit" else form)

    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction (one draw of the code per image) and KL, [N] nats each."""
        raise NotImplementedError(f"{type(self).__name__} has no bound")

    def elbo(self, images: Tensor, *, seed: int = 0) -> Tensor:
        """The evidence lower bound with beta = 1, [N] nats."""
        bound = self.bound(images, seed=seed)
        return -(bound.reconstruction + bound.kl)


class CodeModel(VariationalModel):
    """One code z [N, latent] for each image. Subclasses make two networks and choose how pixels are scored.

    ``encoder``: images [N, C, H, W] -> mean and log-variance of q(z | x), [N, latent] each.
    ``decoder``: codes [N, latent] -> logits [N, C, H, W]; their sigmoid is the decoded image.
    """

    encoder: nn.Module
    decoder: nn.Module
    distributions: ClassVar[dict[str, str]] = {
        "kl_per_latent": "KL(q(z_i | x) || p(z_i)) of each latent, mean over the images (nats)",
        "code_variance": f"variance over the images of the mean of each latent; it is active above {ACTIVE}",
    }

    def parts(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.decoder}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"network": torch.optim.Adam(self.parameters(), lr=self.config.learning_rate, fused=True)}

    def nll(self, logits: Tensor, x: Tensor) -> Tensor:
        """-log p(x | z) summed over the pixels: the decoder's logits and x [N, C, H, W] -> [N] nats."""
        return bernoulli_nll(logits, x)

    def _bound(self, x: Tensor, generator: torch.Generator) -> Bound:
        """The expectation over q is by one reparameterised draw (section 2.4)."""
        mean, log_var = self.encoder(x)
        z = reparameterise(mean, log_var, generator)
        return Bound(self.nll(self.decoder(z), x), standard_kl(mean, log_var).sum(1))

    @torch.no_grad()
    def distribution_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """Arrays that show which numbers of the code are used, [latent] each; see `distributions`."""
        mean, log_var = self.encoder(self._targets(images, generator))
        return {"kl_per_latent": standard_kl(mean, log_var).mean(0), "code_variance": mean.var(0, correction=0)}

    # What a trained model can do

    @torch.no_grad()
    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction (one draw of z per image) and KL (closed form), [N] nats each."""
        return self._bound(self._scored(images), self.generator(seed))

    @torch.no_grad()
    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """log 1/k sum_i p(x, z_i) / q(z_i | x) with k draws z_i of q, [N] nats (Burda et al. 2016, eq. 8)."""
        x, generator = self._scored(images), self.generator(seed)
        mean, log_var = self.encoder(x)
        n, at_once = len(x), max(1, DECODED_AT_ONCE // len(x))
        weights = []
        for start in range(0, k, at_once):
            draws = min(at_once, k - start)
            q = mean.expand(draws, -1, -1), log_var.expand(draws, -1, -1)
            z = reparameterise(*q, generator)  # [draws, N, latent]
            nll = self.nll(self.decoder(z.flatten(0, 1)), x.repeat(draws, 1, 1, 1)).view(draws, n)
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
        """Codes [N, latent] -> the mean of each pixel, images [N, C, H, W] in [0, 1]."""
        return self.decoder(z).sigmoid()

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """Decodes of n codes from the prior, its standard deviation times ``temperature``, [n, C, H, W] in [0, 1]."""
        self.refuse_label(label)
        z = torch.randn(n, self.config.latent, generator=self.generator(seed), device=self.device)
        return self.decode(temperature * z)


def bernoulli_nll(logits: Tensor, x: Tensor) -> Tensor:
    """-log p(x | z) summed over the pixels: logits and x [N, C, H, W] -> [N] nats."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)


def active(means: Tensor) -> Tensor:
    """Which numbers of the code say something of the image: means of q over many images [N, latent] -> bool [latent].

    Burda et al. 2016, section 3.1: the variance of the mean over the images is above 0.01.
    """
    return means.var(0, correction=0) > ACTIVE
