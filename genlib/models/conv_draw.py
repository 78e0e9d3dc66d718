"""`conv-draw`: convolutional DRAW: Gregor, Besse, Rezende, Danihelka & Wierstra 2016, arXiv:1604.08772.

DRAW whose states and codes are maps, and whose code has a learned prior at every step. At each step t (section 2)

    error       e_t     = x - mean(c_{t-1})
    encode      h_t^enc = LSTM([read(x), read(e_t), h_{t-1}^dec], h_{t-1}^enc)
    prior       p_t     = N(mu(h_{t-1}^dec), sigma(h_{t-1}^dec)^2)
    posterior   q_t     = N(mu(h_t^enc, p_t), sigma(h_t^enc, p_t)^2)
    draw        z_t     ~ q_t while reading, ~ p_t while generating
    decode      h_t^dec = LSTM(z_t, h_{t-1}^dec)
    write       c_t     = c_{t-1} + W h_t^dec

and the cost of an image in nats is L^x + sum_t L_t^z with L^x = -log p(x | c_T) and L_t^z = KL(q_t || p_t). The prior of a
step knows, through h^dec, all that was said before: early steps settle what the picture is about, later ones are left with
its details, so that keeping z_1 ... z_t alone is a lossy code of the image (section 4).

The loss is ``pixel_weight`` x L^x + sum_t L_t^z. The paper calls that weight beta. It weighs the *pixels*, and the beta of
genlib's other variational models the *KL*, so that the two are one another's inverse: pixel_weight 0.25 is beta 4. It sets how
much a model says about details, and with it the length of its codes. Bounds are always those of weight 1.

A model of this loss alone spreads what it says evenly over its steps, a fraction of a bit in each number, and that is poor
to round. With ``cut``, a share of the training steps end the code after a random number of steps and go on with the prior's mean,
as a lossy file does (genlib/codec/lossy.py); only the steps that are kept cost KL. So early steps learn to say more, and the prior to
finish a picture. This is ours, not the paper's; the bounds of all T steps are bounds as before.

Pixels: with 2 levels the canvas holds Bernoulli logits, as in DRAW. With 256 it holds a mean and a log scale for each sub-pixel,
of a logistic distribution seen through the bins of the 256 values, so that L^x is the exact cost of the data's own values
and bits/dim are honest. (The paper has a Gaussian there, likewise integrated over the bins.)

All convolutions are 3 x 3 on the maps of the states. Read and write go through a rearrangement of each ``patch`` x ``patch``
square of pixels into channels: a read is a convolution of the pixels with kernel 3 patch and stride patch, a write its transpose,
and both are one dense product. Where the paper leaves it open we chose: q is given relative to p, as a shift in units of
p's sigma and a factor of it, so that an encoder with nothing to say costs nothing; learned maps as h_0 and c_0; ReLU after
a read. Pictures are shown as the mean of each pixel.
"""

import math
from collections.abc import Iterator
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.data.codings import binarise, from_levels, from_symmetric, to_levels, to_symmetric
from genlib.layers.conv_lstm import ConvLSTM
from genlib.layers.logistic import log_bins
from genlib.layers.precision import full_precision
from genlib.models.contract import TRAINING, Bound, Optimizers, Preset
from genlib.models.draw_core import DrawTrace
from genlib.models.gaussian import gaussian_kl, log_normal
from genlib.models.variational import BoundConfig, VariationalModel, bernoulli_nll

IMAGES_AT_ONCE = 256  # that go through the steps together while sampling or evaluating: bounds the memory
FIRST_LOG_SCALE = -1.0  # of the logistic on [-1, 1]: about the spread of the values of natural images


class State(NamedTuple):
    """What is known after some steps. Maps are [N, channels, h, w], the canvas has a channel for each pixel of a patch."""

    canvas: Tensor
    h_dec: Tensor
    c_dec: Tensor
    h_enc: Tensor
    c_enc: Tensor


class Code(NamedTuple):
    """A diagonal Gaussian over z_t: [N, latent, h, w] each."""

    mean: Tensor
    log_sigma: Tensor


class Step(NamedTuple):
    """What one step leaves behind. ``posterior`` is None while generating."""

    state: State
    prior: Code
    posterior: Code | None
    z: Tensor


class ConvDRAW(VariationalModel):
    """Paints maps in T steps; see the module docstring."""

    class Config(BoundConfig):
        gradient_clip: float = Field(50.0, ge=0, le=1e6, description="largest gradient norm; 0 switches clipping off")
        pixel_weight: float = Field(
            1.0,
            gt=0,
            le=1000,
            description="weight of the pixels' cost in the loss, the paper's beta; the KL keeps weight 1, so less than 1 means "
            "shorter codes",
            json_schema_extra=TRAINING,
        )
        cut: float = Field(
            0.0,
            ge=0,
            le=1,
            description="share of training steps in which the code ends early, the rest at the prior's mean, as in a lossy file",
            json_schema_extra=TRAINING,
        )
        levels: Literal[2, 256] = Field(2, description="values of a sub-pixel: 2 is black or white, 256 all of them")
        steps: int = Field(32, ge=1, le=128, description="steps T in which the picture is painted")
        patch: int = Field(4, ge=1, le=16, description="pixels per side that one place of the maps stands for")
        hidden: int = Field(160, ge=1, le=1024, description="channels of the encoder's and of the decoder's LSTM")
        latent: int = Field(12, ge=1, le=256, description="channels of the code z_t of each step")
        read: int = Field(64, ge=1, le=1024, description="channels read of the image, and of the error")

    name: ClassVar[str] = "conv-draw"
    title: ClassVar[str] = "Convolutional DRAW"
    paper: ClassVar[str] = (
        "Gregor, Besse, Rezende, Danihelka & Wierstra 2016, Towards Conceptual Compression, arXiv:1604.08772"
    )
    terms: ClassVar[dict[str, str]] = {
        "loss": "pixel weight x reconstruction + KL, what is minimised (nats per image)",
        "reconstruction": "-E_q[log p(x | z)], the cost of the pixels given the codes (nats per image)",
        "kl": "KL(q(z | x) || p(z)) summed over all steps, the cost of the codes (nats per image)",
        "elbo": "evidence lower bound on log p(x), both parts with weight 1 (nats per image)",
    }
    distributions: ClassVar[dict[str, str]] = {
        "kl_per_step": "KL(q(z_t | x, z_<t) || p(z_t | z_<t)) of each step, mean over the images (nats)",
        "kl_per_latent": "KL(q || p) of each latent channel, summed over the steps and places, mean over the images (nats)",
    }
    presets: ClassVar[dict[str, Preset]] = {
        "paper": Preset(
            "As large as the paper's: on a large machine. The first steps say what the picture is about and blur the rest; "
            "details come last, and cost most.",
            {"epochs": 200, "ema_decay": 0.999},
        ),
        "tutorial": Preset(
            "Eight steps for MNIST: the first two or three say which digit it is, in some fifteen nats; the others correct "
            "its strokes.",
            {
                "steps": 8,
                "hidden": 32,
                "latent": 4,
                "read": 24,
                "batch_size": 32,
                "epochs": 3,
                "learning_rate": 2e-3,
                "ema_decay": 0.999,
                "schedule": "cosine",
            },
        ),
        "quick": Preset(
            "At first all samples are one grey blot and the KL is near zero; within the first epoch strokes appear, and "
            "then digits, some of them broken.",
            {
                "steps": 4,
                "hidden": 24,
                "latent": 4,
                "read": 16,
                "batch_size": 32,
                "epochs": 1,
                "learning_rate": 2e-3,
                "schedule": "cosine",
            },
        ),
        "colour": Preset(
            "All 256 values of colour images, on two cores within an hour. The pixels weigh a little less, so that a whole "
            "code has some thousand bits: washes of colour first, then edges, never texture.",
            {
                "levels": 256,
                "pixel_weight": 0.7,
                "steps": 8,
                "hidden": 48,
                "latent": 6,
                "read": 32,
                "batch_size": 32,
                "epochs": 3,
                "learning_rate": 1.5e-3,
                "ema_decay": 0.999,
                "schedule": "cosine",
                "gradient_clip": 4000.0,
            },
        ),
        "blind-pixels": Preset(
            "The pixels weigh next to nothing: saying anything costs more than it saves, the KL stays near zero and every "
            "picture is the same grey average. The cure: pixel_weight back to 1.",
            {
                "pixel_weight": 0.02,
                "steps": 4,
                "hidden": 24,
                "latent": 4,
                "read": 16,
                "batch_size": 32,
                "epochs": 1,
            },
            failure=True,
        ),
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        hidden, read = config.hidden, config.read
        channels, height, width = config.shape
        pixels = channels * config.patch**2  # of a patch
        written = pixels * (1 if config.levels == 2 else 2)
        self.maps = math.ceil(height / config.patch), math.ceil(width / config.patch)
        self.read_image = nn.Conv2d(pixels, read, 3, padding=1)
        self.read_error = nn.Conv2d(pixels, read, 3, padding=1)
        self.encoder = ConvLSTM(2 * read + hidden, hidden)
        self.decoder = ConvLSTM(config.latent, hidden)
        self.prior_code = nn.Conv2d(hidden, 2 * config.latent, 3, padding=1)
        self.posterior_code = nn.Conv2d(hidden, 2 * config.latent, 3, padding=1)
        self.write = nn.Conv2d(hidden, written, 3, padding=1)
        self.initial_encoder = nn.Parameter(torch.zeros(hidden, *self.maps))
        self.initial_decoder = nn.Parameter(torch.zeros(hidden, *self.maps))
        self.initial_canvas = nn.Parameter(torch.zeros(written, *self.maps))
        with torch.no_grad():
            self.initial_canvas[pixels:] = FIRST_LOG_SCALE

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"network": torch.optim.Adam(self.parameters(), lr=self.config.learning_rate, fused=True)}

    def _loss(self, reconstruction: Tensor, kl: Tensor) -> Tensor:
        return self.config.pixel_weight * reconstruction + kl

    # Pixels

    def _targets(self, images: Tensor, generator: torch.Generator) -> Tensor:
        return self._values(images) if self.config.levels > 2 else super()._targets(images, generator)

    def _scored(self, images: Tensor) -> Tensor:
        return self._values(images) if self.config.levels > 2 else super()._scored(images)

    def _values(self, images: Tensor) -> Tensor:
        """Images rounded to the levels that the likelihood is about."""
        return from_levels(to_levels(images, self.config.levels), self.config.levels).to(images.dtype)

    def nll(self, canvas: Tensor, x: Tensor) -> Tensor:
        """-log p(x | canvas) summed over the pixels: maps and images as the model learns them -> [N] nats."""
        pixels = self.unfold(canvas)
        if self.config.levels == 2:
            return bernoulli_nll(pixels, x)
        mean, log_scale = pixels.chunk(2, 1)
        return -log_bins(to_symmetric(x), mean, log_scale, self.config.levels).flatten(1).sum(1)

    def fold(self, images: Tensor) -> Tensor:
        """[N, C, H, W] -> the pixels of each patch as channels, [N, C patch^2, h, w]; zeros where a patch juts out."""
        _, height, width = self.config.shape
        h, w = (self.config.patch * side for side in self.maps)
        padded = F.pad(images, (0, w - width, 0, h - height))
        return F.pixel_unshuffle(padded, self.config.patch).contiguous(memory_format=torch.channels_last)

    def unfold(self, maps: Tensor) -> Tensor:
        """The way back, for any number of channels that patch^2 divides."""
        _, height, width = self.config.shape
        return F.pixel_shuffle(maps, self.config.patch)[..., :height, :width]

    def expected(self, canvas: Tensor) -> Tensor:
        """The canvas's mean of each pixel on the scale that errors are read on, [N, C patch^2, h, w]."""
        return canvas.sigmoid() if self.config.levels == 2 else canvas.chunk(2, 1)[0]

    def picture(self, state: State) -> Tensor:
        """The mean of each pixel, images [N, C, H, W] in [0, 1]."""
        mean = self.unfold(self.expected(state.canvas))
        return mean if self.config.levels == 2 else from_symmetric(mean)

    # The recurrence

    def begin(self, n: int) -> State:
        """Nothing is said yet about n pictures."""

        def each(maps: Tensor) -> Tensor:
            return maps.expand(n, -1, -1, -1).contiguous(memory_format=torch.channels_last)

        h_enc, h_dec = each(self.initial_encoder), each(self.initial_decoder)
        return State(each(self.initial_canvas), h_dec, torch.zeros_like(h_dec), h_enc, torch.zeros_like(h_enc))

    def prior(self, state: State) -> Code:
        """p_t, from what was said before."""
        return Code(*self.prior_code(state.h_dec).to(state.canvas.dtype).chunk(2, 1))

    def see(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What all steps read alike of images [N, C, H, W] in [0, 1]: the pixels by patch, and read(x).

        Of a grey image a model of a drawn form sees the likeliest draw: zeros and ones stay what they are.
        """
        if self.config.levels > 2:
            x = to_symmetric(self._values(images))
        elif self.config.binarisation == "unit":
            x = images
        else:
            x = binarise(images, "threshold") if self.config.binarisation == "threshold" else (images > 0.5).to(images)
        x = self.fold(x)
        return x, self.read_image(x).relu()

    def posterior(self, state: State, prior: Code, seen: tuple[Tensor, Tensor]) -> tuple[State, Code]:
        """q_t, and the state with the encoder's step made. ``seen`` is from `see`."""
        x, image = seen
        error = self.read_error(x - self.expected(state.canvas)).relu()
        h_enc, c_enc = self.encoder(torch.cat((image, error, state.h_dec), 1), state.h_enc, state.c_enc)
        mean, log_sigma = self.posterior_code(h_enc).to(state.canvas.dtype).chunk(2, 1)
        state = state._replace(h_enc=h_enc, c_enc=c_enc)
        return state, Code(prior.mean + prior.log_sigma.exp() * mean, prior.log_sigma + log_sigma)

    def take(self, state: State, z: Tensor) -> State:
        """The state after z_t [N, latent, h, w] is known: decoded and written."""
        h_dec, c_dec = self.decoder(z, state.h_dec, state.c_dec)
        return state._replace(canvas=state.canvas + self.write(h_dec), h_dec=h_dec, c_dec=c_dec)

    def steps(self, noise: Tensor, images: Tensor | None, kept: int | None = None) -> Iterator[Step]:
        """The T steps, reading ``images`` [N, C, H, W] as the model learns them or, without them, generating.

        ``noise`` [T, N, latent, h, w] is N(0, 1), scaled and shifted by the posterior, or by the prior while generating. After
        ``kept`` steps nothing is read any more, and z is the prior's mean.
        """
        state = self.begin(noise.shape[1])
        seen = None if images is None else self.see(images)
        for t, e in enumerate(noise):
            prior, posterior = self.prior(state), None
            if kept is not None and t >= kept:
                state = self.take(state, prior.mean)
                yield Step(state, prior, None, prior.mean)
                continue
            if seen is not None:
                state, posterior = self.posterior(state, prior, seen)
            mean, log_sigma = posterior or prior
            z = torch.addcmul(mean, log_sigma.exp(), e)
            state = self.take(state, z)
            yield Step(state, prior, posterior, z)

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """A fresh draw of N(0, 1) for each step: [T, n, latent, h, w]."""
        like = self.initial_canvas
        shape = n, self.config.steps, self.config.latent, *self.maps
        source = None if like.device.type == "meta" else generator
        return torch.randn(shape, generator=source, device=like.device, dtype=like.dtype).transpose(0, 1)

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        kept, generator = None, optimizers.generator
        if self.config.cut:
            here = torch.rand(2, generator=generator, device=generator.device).tolist()
            kept = 1 + int(here[1] * self.config.steps) if here[0] < self.config.cut else None
        terms = self._terms(self._bound(self._targets(images, generator), generator, kept))
        optimizers.minimise("network", terms["loss"])
        return {name: value.detach() for name, value in terms.items()}

    def _bound(self, x: Tensor, generator: torch.Generator, kept: int | None = None) -> Bound:
        """Both parts of the bound at x [N, C, H, W] as the model learns it, the expectation over q by one draw of the codes.

        With ``kept``, of the steps that are; see `steps`.
        """
        kl = torch.zeros((), device=x.device)
        for step in self.steps(self.noise(len(x), generator), x, kept):
            if step.posterior is not None:
                kl = kl + kl_of_step(step).sum((1, 2, 3))
        with full_precision(x.device):
            return Bound(self.nll(step.state.canvas, x), kl)

    @torch.no_grad()
    def distribution_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The nats that each step [T] and each channel of the code [latent] takes; see `distributions`."""
        x = self._targets(images, generator)
        with full_precision(x.device):
            kl = torch.stack([kl_of_step(step) for step in self.steps(self.noise(len(x), generator), x)])
        kl = kl.mean(1).sum((2, 3))  # [T, latent]
        return {"kl_per_step": kl.sum(1), "kl_per_latent": kl.sum(0)}

    # What a trained model can do

    @torch.no_grad()
    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction (one draw of the codes per image) and KL, [N] nats each."""
        generator = self.generator(seed)
        with full_precision(images.device):
            parts = [self._bound(part, generator) for part in self._scored(images).split(IMAGES_AT_ONCE)]
        return Bound(*(torch.cat(values) for values in zip(*parts, strict=True)))

    @torch.no_grad()
    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """log 1/k sum_i p(x, z_i) / q(z_i | x) with k draws z_i of q, [N] nats (Burda et al. 2016, eq. 8).

        A z_i is the codes of all steps: its weight is the product over the steps.
        """
        generator = self.generator(seed)
        rows = self._scored(images).repeat_interleave(k, 0).split(IMAGES_AT_ONCE)  # each image k times in a row
        with full_precision(images.device):
            weights = torch.cat([self._log_weights(x, generator) for x in rows])
        return weights.view(-1, k).logsumexp(1) - math.log(k)

    def _log_weights(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """log p(x | z) + log p(z) - log q(z | x) with one draw z for each image, [N] nats."""
        total = torch.zeros((), device=x.device)
        for step in self.steps(self.noise(len(x), generator), x):
            assert step.posterior is not None
            p, q = (log_normal(step.z, mean, 2 * log_sigma) for mean, log_sigma in (step.prior, step.posterior))
            total = total + (p - q).sum((1, 2, 3))
        return total - self.nll(step.state.canvas, x)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n pictures, the mean of each pixel, [n, C, H, W] in [0, 1]. ``temperature`` scales the priors' deviations."""
        self.refuse_label(label)
        noise = self.noise(n, self.generator(seed)) * temperature
        pictures = []
        with full_precision(self.device):
            for part in noise.split(IMAGES_AT_ONCE, 1):
                *_, last = self.steps(part, None)
                pictures.append(self.picture(last.state))
        return torch.cat(pictures)

    @torch.no_grad()
    def trace(self, images: Tensor | None = None, n: int = 1, *, seed: int = 0, temperature: float = 1.0) -> DrawTrace:
        """Every step of generating n images, or of reading the given ones [N, C, H, W] (then n is not used).

        With the same seed the last canvas is `sample`'s picture, or ``kl`` sums to `bound`'s. There are no boxes: all of the
        image is read, and every step may write everywhere.
        """
        if images is not None:
            images, n = self._scored(images), len(images)
        noise = self.noise(n, self.generator(seed))
        with full_precision(self.device):
            steps = list(self.steps(noise if images is not None else noise * temperature, images))
            canvases = [self.picture(step.state) for step in steps]
            patches = [self.unfold(self.write(step.state.h_dec))[:, : self.config.channels] for step in steps]
            kl = None if images is None else torch.stack([kl_of_step(step).sum((1, 2, 3)) for step in steps], 1)
        return DrawTrace(torch.stack(canvases, 1), torch.stack(patches, 1), kl, images)


def kl_of_step(step: Step) -> Tensor:
    """KL(q_t || p_t) of each number of the code, [N, latent, h, w] nats."""
    assert step.posterior is not None
    (mean, log_sigma), (prior_mean, prior_log_sigma) = step.posterior, step.prior
    return gaussian_kl(mean, 2 * log_sigma, prior_mean, 2 * prior_log_sigma)
