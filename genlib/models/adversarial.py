"""What adversarial models share: two players, their losses, their alternating steps, and what calms them down.

Goodfellow et al. 2014, "Generative Adversarial Nets" (arXiv:1406.2661). A generator G turns noise z ~ N(0, I) into an image;
a discriminator D gives the probability that an image is real. Each training step is an iteration of the paper's algorithm 1:
D climbs its value (eq. 1), then G moves against it:

    V(D, G) = E_x[ log D(x) ] + E_z[ log(1 - D(G(z))) ]
    G minimises -E_z[ log D(G(z)) ]       non-saturating, the paper's section 3 and our default
             or  E_z[ log(1 - D(G(z))) ]  minimax, whose gradient vanishes while D is sure that G's images are false

D ends in a logit s, D = sigmoid(s), so that -log D = softplus(-s) and -log(1 - D) = softplus(s) stay exact where D is sure.
Against the best D, V = 2 JSD(p_data, p_G) - log 4 (theorem 1): so (V + log 4) / 2 estimates the Jensen-Shannon divergence,
from below, as D is never the best.

`WassersteinModel` has a critic C in place of D, whose score is no probability (Arjovsky et al. 2017, "Wasserstein GAN",
arXiv:1701.07875, eq. 2): C climbs E_x[ C(x) ] - E_z[ C(G(z)) ] under the condition that its slope is at most one, and then
this difference estimates the earth mover's distance between real and generated images. G minimises -E_z[ C(G(z)) ].

Stabilisers, all off by default: one-sided label smoothing (Salimans et al. 2016, arXiv:1606.03498), instance noise
(Sonderby et al. 2017, arXiv:1610.04490), two time scales (Heusel et al. 2017, arXiv:1706.08500: ``discriminator_rate``),
spectral norm and gradient penalty (genlib/layers/penalty.py; on a GAN's logit it is that of Fedus et al. 2018,
arXiv:1710.08446).
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.data.codings import from_symmetric, to_symmetric
from genlib.layers.penalty import gradient_penalty, interpolates, normalise_spectrally, slopes
from genlib.models import contract
from genlib.models.contract import TRAINING, Family, Model, Optimizers

IMAGES_AT_ONCE = 256  # that go through a network together while sampling or judging: they stay in the cache


class PlayersConfig(contract.Config):
    """The fields of every pair of players."""

    learning_rate: float = Field(2e-4, gt=0, le=1, description="step size of both Adam optimizers")
    batch_size: int = Field(64, ge=2, le=4096, description="images per training step; batch norm needs two")
    discriminator_steps: int = Field(
        1, ge=1, le=20, description="steps of D per training step", json_schema_extra=TRAINING
    )
    generator_steps: int = Field(1, ge=1, le=20, description="steps of G per training step", json_schema_extra=TRAINING)
    divide_batch: bool = Field(
        False,
        description="each step of D takes its own share of the batch; off: each sees the whole batch",
        json_schema_extra=TRAINING,
    )
    discriminator_rate: float = Field(
        1.0, gt=0, le=100, description="D's learning rate as a multiple of G's", json_schema_extra=TRAINING
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's momentum, for both", json_schema_extra=TRAINING)
    beta2: float = Field(
        0.999, ge=0, lt=1, description="Adam's decay of the squared gradients, for both", json_schema_extra=TRAINING
    )
    instance_noise: float = Field(
        0.0,
        ge=0,
        le=2,
        description="standard deviation of the noise added to all that D sees, in the pixels that D sees",
        json_schema_extra=TRAINING,
    )
    gradient_penalty: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="weight of D's gradient penalty at points between real and generated images; 0 switches it off",
        json_schema_extra=TRAINING,
    )
    spectral_norm: bool = Field(
        False,
        description="divide each weight of D by its largest singular value, so that D is never steep",
        json_schema_extra=TRAINING,
    )


class Config(PlayersConfig):
    """With a discriminator that gives probabilities."""

    loss: Literal["non-saturating", "minimax"] = Field(
        "non-saturating",
        description="what G minimises: -log D(G(z)), or log(1 - D(G(z)))",
        json_schema_extra=TRAINING,
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="D's target for real images is 1 minus this (one-sided smoothing)",
        json_schema_extra=TRAINING,
    )


class AdversarialModel(Model):
    """Generator and discriminator; see the module docstring.

    A model builds ``generator_net`` (noise [N, latent] -> pixels [N, C, H, W]) and ``discriminator_net`` (pixels -> logits
    [N]) and calls `prepare`. Pixels are in [-1, 1], or as `_to_pixels` and `_from_pixels` say.
    """

    family: ClassVar[Family] = "adversarial"
    verdict: ClassVar[str] = "probability of real"
    """What `discriminate` gives."""
    watches_slope: ClassVar[bool] = False
    """Whether D's slope is measured without a penalty as well."""

    terms: ClassVar[dict[str, str]] = {
        "discriminator_loss": "-E[log D(x)] - E[log(1 - D(G(z)))]; 2 ln 2 = 1.386 when D cannot tell (nats)",
        "generator_loss": "what G minimises: -E[log D(G(z))], or E[log(1 - D(G(z)))] for minimax (nats)",
        "jsd": "(V(D, G) + log 4) / 2, estimate from below of the Jensen-Shannon divergence; at most ln 2 (nats)",
        "d_real": "D(x), mean probability of real that D gives real images",
        "d_fake": "D(G(z)), mean probability of real that D gives generated images",
    }
    distributions: ClassVar[dict[str, str]] = {
        "d_real": "D(x), probability of real of each real image",
        "d_fake": "D(G(z)), probability of real of each generated image",
    }

    generator_net: nn.Module
    discriminator_net: nn.Module

    def prepare(self) -> None:
        """After both networks are built: spectral norm where it is asked for, and weights laid out for the processor."""
        if self.config.spectral_norm:
            normalise_spectrally(self.discriminator_net)
        self.to(memory_format=torch.channels_last)

    def parts(self) -> dict[str, nn.Module]:
        return {"generator": self.generator_net, "discriminator": self.discriminator_net}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        c = self.config

        def adam(net: nn.Module, rate: float) -> torch.optim.Optimizer:
            return torch.optim.Adam(net.parameters(), lr=rate, betas=(c.beta1, c.beta2), fused=True)

        return {
            "generator": adam(self.generator_net, c.learning_rate),
            "discriminator": adam(self.discriminator_net, c.learning_rate * c.discriminator_rate),
        }

    @property
    def latent(self) -> int:
        """Numbers in the noise z of one image."""
        return self.config.latent

    @staticmethod
    def _to_pixels(images: Tensor) -> Tensor:
        """[0, 1] -> what the networks see."""
        return to_symmetric(images)

    @staticmethod
    def _from_pixels(pixels: Tensor) -> Tensor:
        """What the networks see -> [0, 1]."""
        return from_symmetric(pixels)

    # The game

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """z ~ N(0, I), [n, latent]."""
        return torch.randn(n, self.latent, generator=generator, device=self.device)

    def _judge(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """D's logits [N] for pixels x [N, C, H, W], seen through the instance noise."""
        return self.discriminator_net(self._blurred(x, generator))

    def _blurred(self, x: Tensor, generator: torch.Generator) -> Tensor:
        if not self.config.instance_noise:
            return x
        return x + self.config.instance_noise * torch.randn(x.shape, generator=generator, device=x.device)

    def _judge_both(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N] each: in one pass, unless batch norm in D would mix the two."""
        if any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in self.discriminator_net.modules()):
            return self.discriminator_net(real), self.discriminator_net(fake)
        judged = self.discriminator_net(torch.cat((real, fake)))
        return judged[: len(real)], judged[len(real) :]

    def _discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """Logits of real and of generated images, [N] each -> the loss of D, a scalar."""
        smooth = self.config.label_smoothing
        on_real = (1 - smooth) * F.softplus(-real) + smooth * F.softplus(real)
        return on_real.mean() + F.softplus(fake).mean()

    def _generator_loss(self, fake: Tensor) -> Tensor:
        """Logits of generated images [N] -> the loss of G, a scalar."""
        return F.softplus(-fake).mean() if self.config.loss == "non-saturating" else -F.softplus(fake).mean()

    def _reading(self, logits: Tensor) -> Tensor:
        """A logit -> the `verdict`."""
        return logits.sigmoid()

    def _discriminator_terms(self, loss: Tensor, real: Tensor, fake: Tensor, slope: Tensor | None) -> dict[str, Tensor]:
        """What a step of D reports: its loss, and the logits [N] of both kinds; ``slope`` [N] where it was looked at."""
        value = -(F.softplus(-real).mean() + F.softplus(fake).mean())
        return {
            "discriminator_loss": loss,
            "jsd": (value + math.log(4)) / 2,
            "d_real": real.sigmoid().mean(),
            "d_fake": fake.sigmoid().mean(),
        }

    def step_discriminator(self, images: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        """One step of D on images [N, C, H, W] in [0, 1] and as many fresh ones of G; detached scalars."""
        generator, weight = optimizers.generator, self.config.gradient_penalty
        with torch.no_grad():  # G stands still while D learns
            fake = self._blurred(self.generator_net(self.noise(len(images), generator)), generator)
        real = self._blurred(self._to_pixels(images).contiguous(memory_format=torch.channels_last), generator)
        on_real, on_fake = self._judge_both(real, fake)
        loss = self._discriminator_loss(on_real, on_fake)
        reported, slope = loss.detach(), None
        if weight:
            slope, penalty = gradient_penalty(self.discriminator_net, interpolates(real, fake, generator))
            loss = loss + weight * penalty
            reported = reported + weight * _excess(slope)
        elif self.watches_slope:
            slope = slopes(self.discriminator_net, interpolates(real, fake, generator))
        optimizers.minimise("discriminator", loss)
        return self._discriminator_terms(reported, on_real.detach(), on_fake.detach(), slope)

    def step_generator(self, n: int, optimizers: Optimizers) -> dict[str, Tensor]:
        """One step of G, by what D says of n fresh images; detached scalars."""
        generator = optimizers.generator
        with _standing_still(self.discriminator_net):
            loss = self._generator_loss(self._judge(self.generator_net(self.noise(n, generator)), generator))
            optimizers.minimise("generator", loss)
        return {"generator_loss": loss.detach()}

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        steps, n = self.config.discriminator_steps, len(images)
        share = max(2, n // steps) if self.config.divide_batch else n  # two at least, for batch norm
        for step in range(steps):
            start = step * share % max(n - share + 1, 1)
            terms = self.step_discriminator(images[start : start + share], optimizers)
        for _ in range(self.config.generator_steps):
            terms |= self.step_generator(share, optimizers)
        return {name: terms[name] for name in self.terms}

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        weight, slope = self.config.gradient_penalty, None
        with self.evaluating():
            real, fake, on_real, on_fake = self._exhibit(images, generator)
            loss = self._discriminator_loss(on_real, on_fake)
            if weight or self.watches_slope:
                slope = slopes(self.discriminator_net, interpolates(real, fake, generator))
                loss = loss + weight * _excess(slope)
        terms = self._discriminator_terms(loss, on_real, on_fake, slope)
        terms["generator_loss"] = self._generator_loss(on_fake)
        return {name: terms[name] for name in self.terms}

    @torch.no_grad()
    def distribution_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        with self.evaluating():
            _, _, on_real, on_fake = self._exhibit(images, generator)
        return dict(zip(self.distributions, (self._reading(on_real), self._reading(on_fake)), strict=True))

    def _exhibit(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pixels of the images and of as many fresh ones, and D's logits of both."""
        real = self._blurred(self._to_pixels(images).contiguous(memory_format=torch.channels_last), generator)
        fake = self._blurred(self.generator_net(self.noise(len(images), generator)), generator)
        return real, fake, *self._judge_both(real, fake)

    # What a trained model can do

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Noise [N, latent] -> images [N, C, H, W] in [0, 1], each on its own (running statistics, not the batch's)."""
        with self.evaluating():
            parts = [self._from_pixels(self.generator_net(part)) for part in z.split(IMAGES_AT_ONCE)]
        return torch.cat(parts).contiguous()

    @torch.no_grad()
    def discriminate(self, images: Tensor) -> Tensor:
        """What D says of each image [N, C, H, W] in [0, 1], see `verdict`: [N]."""
        with self.evaluating():
            pixels = self._to_pixels(images).contiguous(memory_format=torch.channels_last)
            return torch.cat([self._reading(self.discriminator_net(part)) for part in pixels.split(IMAGES_AT_ONCE)])

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n images of fresh noise, whose standard deviation ``temperature`` scales, [n, C, H, W] in [0, 1]."""
        self.refuse_label(label)
        return self.decode(temperature * self.noise(n, self.generator(seed)))


class WassersteinModel(AdversarialModel):
    """With a critic in place of the discriminator: scores without a scale of their own, and no sigmoid."""

    verdict: ClassVar[str] = "critic score"
    watches_slope: ClassVar[bool] = True

    terms: ClassVar[dict[str, str]] = {
        "critic_loss": "E[C(G(z))] - E[C(x)] + the weighted gradient penalty, what the critic minimises (critic score)",
        "generator_loss": "-E[C(G(z))], what G minimises; the zero of the scores is anywhere, so it may drift (critic score)",
        "earth_movers_distance": "E[C(x)] - E[C(G(z))], estimate of the earth mover's distance (length in pixel space)",
        "slope": "mean slope of the critic between real and generated images; the penalty holds it near 1 (score per length)",
    }
    distributions: ClassVar[dict[str, str]] = {
        "score_real": "C(x), critic score of each real image",
        "score_fake": "C(G(z)), critic score of each generated image",
    }

    def _reading(self, logits: Tensor) -> Tensor:
        return logits

    def _discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return fake.mean() - real.mean()

    def _generator_loss(self, fake: Tensor) -> Tensor:
        return -fake.mean()

    def _discriminator_terms(self, loss: Tensor, real: Tensor, fake: Tensor, slope: Tensor | None) -> dict[str, Tensor]:
        assert slope is not None
        return {"critic_loss": loss, "earth_movers_distance": real.mean() - fake.mean(), "slope": slope.mean()}


def _excess(slope: Tensor) -> Tensor:
    """The penalty's value at slopes [N]."""
    return (slope - 1).square().mean()


@contextmanager
def _standing_still(network: nn.Module) -> Iterator[None]:
    """Inside, gradients pass through ``network``, but none is computed for its weights."""
    network.requires_grad_(False)
    try:
        yield
    finally:
        network.requires_grad_(True)
