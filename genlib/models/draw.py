"""DRAW, the Deep Recurrent Attentive Writer: Gregor, Danihelka, Graves, Rezende & Wierstra 2015, arXiv 1502.04623.

A variational autoencoder that paints in T steps. At each step t (section 2.1, eqs. 3 to 8)

    error       x^_t  = x - sigmoid(c_{t-1})
    read        r_t   = read(x, x^_t, h_{t-1}^dec)
    encode      h_t^enc = LSTM([r_t, h_{t-1}^dec], h_{t-1}^enc)
    draw        z_t   ~ N(mu(h_t^enc), sigma(h_t^enc)^2), sigma = exp(W h_t^enc)
    decode      h_t^dec = LSTM(z_t, h_{t-1}^dec)
    write       c_t   = c_{t-1} + write(h_t^dec)

and p(x | z) = Bernoulli(sigmoid(c_T)). The loss is -log p(x | z) + sum_t KL( q(z_t | x, z_<t) || N(0, 1) ), in nats. To
generate, z_t comes from N(0, 1) and nothing is read. h_0^enc, h_0^dec and the canvas c_0 are learned biases, as in the
paper; the LSTMs' cells start at zero.

With ``attention`` read and write go through grids of Gaussian filters (genlib/layers/attention.py); without, the whole image
is read and a linear map writes to all of it (section 3.1). Colour images are filtered channel by channel.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.data import binarise
from genlib.layers.attention import GlimpseBox, glimpse_box, read, write
from genlib.layers.lstm import LSTMCell
from genlib.models import contract
from genlib.models.contract import Bound, Family, Model, Optimizers, Preset

SAMPLES_AT_ONCE = 512  # images that `sample` and `iwae` carry through the steps together: bounds the memory


class DRAWConfig(contract.Config):
    """DRAW's architecture and training."""

    steps: int = Field(64, ge=1, le=256, description="steps T in which the picture is painted")
    hidden: int = Field(256, ge=1, le=4096, description="units of the encoder's and of the decoder's LSTM")
    latent: int = Field(100, ge=1, le=1024, description="latent variables per step")
    attention: bool = Field(True, description="read and write through Gaussian filters; off: the whole image")
    read_size: int = Field(2, ge=1, le=32, description="filters per side of the reading grid")
    write_size: int = Field(5, ge=1, le=32, description="filters per side of the writing grid")
    beta: float = Field(1.0, ge=0, le=1000, description="weight of the KL term in the loss; the reported bound has 1")
    binarisation: Literal["threshold", "dynamic", "static", "none"] = Field(
        "dynamic", description="form of the binary images; none takes grey values as probabilities (not a likelihood)"
    )
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's decay of the gradient's mean")
    gradient_clip: float = Field(5.0, ge=0, le=1e4, description="largest gradient norm; 0 switches clipping off")


class Step(NamedTuple):
    """What happens at one step. Reading parts are None while generating, boxes without attention."""

    canvas: Tensor  # logits [N, C, H, W] after writing
    patch: Tensor  # [N, C, write, write], or the whole written image [N, C, H, W]
    write: GlimpseBox | None
    read: GlimpseBox | None
    glimpse: Tensor | None  # [N, 2 C, read, read]: the image's channels, then the error's
    mean: Tensor | None  # [N, latent]
    log_sigma: Tensor | None  # [N, latent]


@dataclass(frozen=True)
class DrawTrace:
    """How N pictures were painted, step by step.

    Reading given images: ``images`` (as the model sees them), ``read``, ``glimpses``, ``error_glimpses`` and ``kl`` are there;
    generating: they are None. Without attention there are no boxes or glimpses, and a patch is the whole image that was added.
    """

    canvases: Tensor
    """sigmoid(c_t) in [0, 1], [N, T, C, H, W]; the last is the picture."""
    patches: Tensor
    """What was written, before it is spread over the image (logits), [N, T, C, write, write]."""
    write: GlimpseBox | None
    """Writing boxes, each field [N, T]; the box's side is ``write.width(write_grid)``."""
    write_grid: int
    read: GlimpseBox | None
    """Reading boxes, each field [N, T]."""
    read_grid: int
    glimpses: Tensor | None
    """What was read of the image, [N, T, C, read, read]."""
    error_glimpses: Tensor | None
    """What was read of the error image x - sigmoid(c_{t-1}), [N, T, C, read, read]."""
    kl: Tensor | None
    """Nats that each step takes from the image, [N, T]."""
    images: Tensor | None
    """The images that were read, [N, C, H, W]."""


class DRAW(Model):
    """See the module's docstring."""

    Config = DRAWConfig
    config: DRAWConfig
    name: ClassVar[str] = "draw"
    title: ClassVar[str] = "DRAW"
    family: ClassVar[Family] = "variational"
    paper: ClassVar[str] = (
        "Gregor, Danihelka, Graves, Rezende & Wierstra 2015, DRAW: A Recurrent Neural Network For Image Generation, arXiv 1502.04623"
    )
    presets: ClassVar[dict[str, Preset]] = {
        "paper": Preset(
            "The paper's MNIST model: 64 glimpses of 2 x 2, writing 5 x 5.", {"ema_decay": 0.999, "epochs": 100}
        ),
        "tutorial": Preset(
            "Half the paper's steps, otherwise the same.", {"steps": 32, "ema_decay": 0.999, "epochs": 100}
        ),
        "quick": Preset("Digits within minutes on two cores: 12 steps.", {"steps": 12, "batch_size": 64, "epochs": 5}),
        "kl-collapse": Preset(
            "The KL weighs 50 times too much: it falls to zero, the code says nothing of the image, and every picture is the same blur.",
            {"steps": 12, "batch_size": 64, "epochs": 5, "beta": 50.0},
            failure=True,
        ),
        "no-clipping": Preset(
            "No gradient clipping and a large step size: watch the loss jump up, and perhaps never come back.",
            {"steps": 32, "batch_size": 64, "epochs": 5, "gradient_clip": 0.0, "learning_rate": 0.02},
            failure=True,
        ),
    }
    terms: ClassVar[dict[str, str]] = {
        "loss": "What is minimised: reconstruction + beta x KL, nats per image",
        "reconstruction": "-log p(x | z), nats per image",
        "kl": "KL of the latents, summed over all steps, nats per image",
    }

    def __init__(self, config: DRAWConfig) -> None:
        super().__init__(config)
        c, h, w = config.shape
        n_read, n_write = config.read_size, config.write_size
        seen = 2 * c * n_read**2 if config.attention else 2 * c * h * w
        written = c * n_write**2 if config.attention else c * h * w
        self.encoder = LSTMCell(seen + config.hidden, config.hidden)
        self.decoder = LSTMCell(config.latent, config.hidden)
        self.posterior = nn.Linear(config.hidden, 2 * config.latent)  # mu, log sigma (eqs. 1 and 2)
        self.patch = nn.Linear(config.hidden, written)
        if config.attention:
            self.read_box = nn.Linear(config.hidden, 5)  # eq. 21
            self.write_box = nn.Linear(config.hidden, 5)
            _start_box(self.read_box, n_read)
            _start_box(self.write_box, n_write)
        self.initial_encoder = nn.Parameter(torch.zeros(config.hidden))
        self.initial_decoder = nn.Parameter(torch.zeros(config.hidden))
        self.initial_canvas = nn.Parameter(torch.zeros(c, h, w))  # grey: an untrained model pays ln 2 per pixel

    # ---- the recurrence -----------------------------------------------------------------------------------------

    def steps(self, noise: Tensor, images: Tensor | None) -> Iterator[Step]:
        """The T steps, reading ``images`` [N, C, H, W] or, without them, generating.

        ``noise`` [T, N, latent] is N(0, 1): the posterior's when reading, z itself when generating.
        """
        config = self.config
        c, h, w = config.shape
        n = noise.shape[1]
        h_enc = self.initial_encoder.expand(n, -1)
        h_dec = self.initial_decoder.expand(n, -1)
        c_enc = c_dec = torch.zeros_like(h_dec)
        canvas = self.initial_canvas.expand(n, -1, -1, -1)
        read_box = write_box = glimpse = mean = log_sigma = None
        for z in noise:
            if images is not None:
                pair = torch.cat((images, images - canvas.sigmoid()), 1)  # [N, 2 C, H, W]
                if config.attention:
                    read_box = glimpse_box(self.read_box(h_dec), config.read_size, h, w)
                    pair = glimpse = read(pair, read_box, config.read_size)
                h_enc, c_enc = self.encoder(torch.cat((pair.flatten(1), h_dec), 1), h_enc, c_enc)
                mean, log_sigma = self.posterior(h_enc).chunk(2, 1)
                z = mean + log_sigma.exp() * z
            h_dec, c_dec = self.decoder(z, h_dec, c_dec)
            if config.attention:
                write_box = glimpse_box(self.write_box(h_dec), config.write_size, h, w)
                patch = self.patch(h_dec).view(n, c, config.write_size, config.write_size)
                canvas = canvas + write(patch, write_box, (h, w))
            else:
                patch = self.patch(h_dec).view(n, c, h, w)
                canvas = canvas + patch
            yield Step(canvas, patch, write_box, read_box, glimpse, mean, log_sigma)

    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """A fresh draw for each step: [T, n, latent]."""
        draw = torch.randn(
            n,
            self.config.steps,
            self.config.latent,
            generator=generator,
            device=self.device,
            dtype=self.initial_canvas.dtype,
        )
        return draw.transpose(0, 1)

    def forward(self, images: Tensor, generator: torch.Generator | None = None) -> Bound:
        """Coded images [N, C, H, W] -> reconstruction and KL, [N] nats each, with one draw of the latents."""
        noise = self.noise(len(images), generator)
        means, log_sigmas = [], []
        for step in self.steps(noise, images):
            means.append(step.mean)
            log_sigmas.append(step.log_sigma)
        kl = _kl(torch.stack(means, 1), torch.stack(log_sigmas, 1))  # [N, T]
        return Bound(_cross_entropy(step.canvas, images), kl.sum(1))

    # ---- training ---------------------------------------------------------------------------------------------

    def code(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images in [0, 1] -> the binary images the model learns."""
        return images if self.config.binarisation == "none" else binarise(images, self.config.binarisation, generator)

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        """Adam."""
        return {
            "network": torch.optim.Adam(
                self.parameters(), lr=self.config.learning_rate, betas=(self.config.beta1, 0.999)
            )
        }

    def _losses(self, images: Tensor, generator: torch.Generator | None) -> dict[str, Tensor]:
        reconstruction, kl = self(self.code(images, generator), generator)
        reconstruction, kl = reconstruction.mean(), kl.mean()
        return {"loss": reconstruction + self.config.beta * kl, "reconstruction": reconstruction, "kl": kl}

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        """One step down the negative bound."""
        losses = self._losses(images, optimizers.generator)
        optimizers.minimise("network", losses["loss"])
        return {name: value.detach() for name, value in losses.items()}

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The same terms without a step."""
        return self._losses(images, generator)

    # ---- abilities --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction and KL with one draw of the latents, [N] nats each."""
        return self(self.code(images), self.generator(seed))

    def elbo(self, images: Tensor, *, seed: int = 0) -> Tensor:
        """The evidence lower bound with beta = 1, [N] nats."""
        reconstruction, kl = self.bound(images, seed=seed)
        return -(reconstruction + kl)

    @torch.no_grad()
    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """log 1/k sum_k p(x, z_k) / q(z_k | x), [N] nats: the ELBO for k = 1 in expectation, the truth for k -> infinity."""
        images, generator = self.code(images), self.generator(seed)
        rows = images.repeat_interleave(k, 0)  # every image k times in a row
        weights = torch.cat([self._log_weights(part, generator) for part in rows.split(SAMPLES_AT_ONCE)])
        return weights.view(-1, k).logsumexp(1) - math.log(k)

    def _log_weights(self, images: Tensor, generator: torch.Generator | None) -> Tensor:
        """log p(x | z) + log p(z) - log q(z | x) of one draw for each image, [N] nats. z is the code of all steps."""
        noise = self.noise(len(images), generator)
        total = torch.zeros(len(images), device=images.device, dtype=images.dtype)
        for step, e in zip(self.steps(noise, images), noise, strict=True):
            assert step.mean is not None
            assert step.log_sigma is not None
            z = step.mean + step.log_sigma.exp() * e
            total = total + (0.5 * (e.square() - z.square()) + step.log_sigma).sum(1)  # the 2 pi of p and q cancel
        return total - _cross_entropy(step.canvas, images)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n pictures sigmoid(c_T), [n, C, H, W] in [0, 1]. ``temperature`` scales the prior's standard deviation."""
        self.refuse_label(label)
        generator = self.generator(seed)
        pictures = []
        for start in range(0, n, SAMPLES_AT_ONCE):
            noise = self.noise(min(SAMPLES_AT_ONCE, n - start), generator) * temperature
            for step in self.steps(noise, None):
                pass
            pictures.append(step.canvas.sigmoid())
        return torch.cat(pictures)

    @torch.no_grad()
    def trace(self, images: Tensor | None = None, n: int = 1, *, seed: int = 0, temperature: float = 1.0) -> DrawTrace:
        """Every step of generating n images, or of reading and redrawing the given ones [N, C, H, W] (then n is not used).

        With the same seed the last canvas is `sample`'s picture, and the sum of ``kl`` is `bound`'s.
        """
        if images is not None:
            images, n, temperature = self.code(images), len(images), 1.0
        config = self.config
        steps = list(self.steps(self.noise(n, self.generator(seed)) * temperature, images))
        kl = glimpses = errors = None
        if images is not None:
            kl = _kl(_stack([s.mean for s in steps]), _stack([s.log_sigma for s in steps]))
            if config.attention:
                glimpses, errors = _stack([s.glimpse for s in steps]).chunk(2, 2)
        return DrawTrace(
            canvases=_stack([s.canvas for s in steps]).sigmoid(),
            patches=_stack([s.patch for s in steps]),
            write=_boxes([s.write for s in steps]),
            write_grid=config.write_size,
            read=_boxes([s.read for s in steps]),
            read_grid=config.read_size,
            glimpses=glimpses,
            error_glimpses=errors,
            kl=kl,
            images=images,
        )


def _start_box(linear: nn.Linear, n: int) -> None:
    """A grid that starts over the middle of the image, its n cells tiling it, each filter half a cell wide."""
    with torch.no_grad():
        linear.weight.mul_(0.1)
        linear.bias.copy_(torch.tensor([0.0, 0.0, 0.0, math.log(max(n - 1, 1) / n), 0.0]))


def _kl(mean: Tensor, log_sigma: Tensor) -> Tensor:
    """KL to N(0, 1) summed over a step's latents: 1/2 sum (mu^2 + sigma^2 - log sigma^2 - 1) (eq. 11). [..., Z] -> [...]."""
    return 0.5 * (mean.square() + (2 * log_sigma).exp() - 2 * log_sigma - 1).sum(-1)


def _cross_entropy(logits: Tensor, images: Tensor) -> Tensor:
    """-log Bernoulli(x; sigmoid(logits)) summed over the pixels, [N] nats (eq. 9)."""
    return F.binary_cross_entropy_with_logits(logits, images, reduction="none").flatten(1).sum(1)


def _stack(parts: list[Tensor | None]) -> Tensor:
    """Steps [N, ...] -> [N, T, ...]."""
    return torch.stack([part for part in parts if part is not None], 1)


def _boxes(parts: list[GlimpseBox | None]) -> GlimpseBox | None:
    """Boxes of steps [N] -> one box of [N, T]; None if there are none."""
    boxes = [part for part in parts if part is not None]
    return GlimpseBox.from_tensor(torch.stack([box.tensor() for box in boxes], 1)) if boxes else None
