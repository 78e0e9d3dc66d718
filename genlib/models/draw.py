"""DRAW, the Deep Recurrent Attentive Writer: Gregor, Danihelka, Graves, Rezende & Wierstra 2015, arXiv:1502.04623.

A variational autoencoder that paints in T steps. At each step t (section 2, eqs. 3 to 8)

    error       x^_t    = x - sigmoid(c_{t-1})
    read        r_t     = read(x, x^_t, h_{t-1}^dec)
    encode      h_t^enc = LSTM([r_t, h_{t-1}^dec], h_{t-1}^enc)
    draw        z_t     ~ N(mu(h_t^enc), sigma(h_t^enc)^2),  sigma = exp(W h_t^enc)
    decode      h_t^dec = LSTM(z_t, h_{t-1}^dec)
    write       c_t     = c_{t-1} + write(h_t^dec)

and p(x | z) = Bernoulli(sigmoid(c_T)). The loss is -log p(x | z) + sum_t KL( q(z_t | x, z_<t) || N(0, 1) ), in nats. To
generate, z_t comes from N(0, 1) and nothing is read. h_0^enc, h_0^dec and the canvas c_0 are learned biases, as in the
paper; the LSTMs' cells start at zero.

With ``attention`` read and write go through grids of Gaussian filters (genlib/layers/attention.py). Without, the whole
image is read and a linear map writes to all of it (section 3.1). Colour images are filtered channel by channel.

What the paper leaves open and we chose: the weights' start (see `_start`), that the forget gates start open, and, in
the presets for few cores, batches of 64 and a learning rate that falls to zero.
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
from genlib.layers.attention import FusedGrids, GlimpseBox, glimpse_box
from genlib.layers.precision import full_precision
from genlib.layers.recurrent import LSTMCell, RepeatedLinear, working_dtype
from genlib.models import contract
from genlib.models.contract import TRAINING, Bound, Family, Model, Optimizers, Preset
from genlib.models.gaussian import standard_kl

IMAGES_AT_ONCE = 512  # that go through the steps together while sampling or evaluating: bounds the memory


class Step(NamedTuple):
    """What one step leaves behind. ``seen`` and ``posterior`` are None while generating."""

    canvas: Tensor  # logits after writing, [N, H, C W]
    before: Tensor  # h_{t-1}^dec [N, hidden], which places the reading grid
    state: Tensor  # h_t^dec [N, hidden], which places the writing grid
    seen: Tensor | None  # glimpse [N, 2 C, read, read]: the image's channels, then the error's; or all of both
    posterior: Tensor | None  # mean and log sigma side by side [N, 2 latent]


@dataclass(frozen=True)
class DrawTrace:
    """How N pictures were painted, step by step.

    While reading given images, ``images``, ``read``, ``glimpses``, ``error_glimpses`` and ``kl`` are there; while
    generating they are None. Without attention there are neither boxes nor glimpses; a patch is all that was added.
    """

    canvases: Tensor
    """sigmoid(c_t) in [0, 1], [N, T, C, H, W]; the last is the picture."""
    patches: Tensor
    """What was written (logits), before it is spread over the image, [N, T, C, write, write]."""
    write: GlimpseBox | None
    """Writing boxes, each field [N, T]; a box is ``write.width(write_grid)`` wide."""
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
    """The images that were read, as the model sees them, [N, C, H, W]."""


class DRAW(Model):
    """Encoder and decoder LSTMs, a canvas between them; see the module docstring."""

    class Config(contract.Config):
        precision: Literal["auto", "32", "bf16"] = Field(
            "auto", description="arithmetic of training: 32-bit, bfloat16, or bfloat16 where the processor has it"
        )
        gradient_clip: float = Field(5.0, ge=0, le=1e4, description="largest gradient norm; 0 switches clipping off")
        beta1: float = Field(
            0.5, ge=0, le=0.999, description="Adam's decay of the gradient's running mean", json_schema_extra=TRAINING
        )
        steps: int = Field(64, ge=1, le=256, description="steps T in which the picture is painted")
        hidden: int = Field(256, ge=1, le=2048, description="units of the encoder's and of the decoder's LSTM")
        latent: int = Field(100, ge=1, le=512, description="numbers in the code z_t of each step")
        attention: bool = Field(True, description="read and write through Gaussian filters; off: the whole image")
        read_size: int = Field(2, ge=1, le=28, description="filters per side of the reading grid")
        write_size: int = Field(5, ge=1, le=28, description="filters per side of the writing grid")
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

    name: ClassVar[str] = "draw"
    title: ClassVar[str] = "DRAW"
    family: ClassVar[Family] = "variational"
    paper: ClassVar[str] = (
        "Gregor, Danihelka, Graves, Rezende & Wierstra 2015, DRAW: A Recurrent Neural Network For Image Generation, "
        "arXiv:1502.04623"
    )
    presets: ClassVar[dict[str, Preset]] = {
        "paper": Preset(
            "The first steps lay down a blurred average of all digits; then the writing box shrinks and follows the "
            "stroke, as a pen does.",
            {"epochs": 200, "ema_decay": 0.999},
        ),
        "tutorial": Preset(
            "Half the paper's steps, otherwise its model: a blurred average first, then stroke after stroke; each "
            "step costs only a nat or so.",
            {"steps": 32, "batch_size": 64, "epochs": 60, "ema_decay": 0.999, "schedule": "cosine"},
        ),
        "quick": Preset(
            "At first every sample is the same grey blot and the KL is near zero; when the KL rises, strokes and then "
            "digits appear.",
            {"steps": 12, "batch_size": 32, "epochs": 4, "schedule": "cosine"},
        ),
        "kl-collapse": Preset(
            "The KL term weighs 50 times too much and falls to zero: the code says nothing about the image, and "
            "whatever is read, the same grey average is painted.",
            {"steps": 12, "batch_size": 32, "epochs": 2, "beta": 50.0},
            failure=True,
        ),
        "large-steps": Preset(
            "The step size is twenty times too large: sigma is an exponential, so one step can throw the loss from "
            "hundreds of nats to a million; it comes back, jumps again, and stays far above the quick preset's.",
            {"steps": 12, "batch_size": 32, "epochs": 2, "learning_rate": 0.02},
            failure=True,
        ),
    }
    terms: ClassVar[dict[str, str]] = {
        "loss": "reconstruction + beta x KL, what is minimised (nats per image)",
        "reconstruction": "-E_q[log p(x | z)], the cost of the pixels given the codes (nats per image)",
        "kl": "KL(q(z | x) || p(z)) summed over all steps, the cost of the codes (nats per image)",
        "elbo": "evidence lower bound on log p(x), with beta = 1 (nats per image)",
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        c, h, w = config.shape
        n_read, n_write, hidden = config.read_size, config.write_size, config.hidden
        seen = 2 * c * n_read**2 if config.attention else 2 * c * h * w
        written = c * n_write**2 if config.attention else c * h * w
        self.encoder = LSTMCell(seen + hidden, hidden)
        self.decoder = LSTMCell(config.latent, hidden)
        self.posterior = nn.Linear(hidden, 2 * config.latent)  # mu and log sigma (eqs. 1 and 2)
        self.patch = nn.Linear(hidden, written)
        _start(self.posterior)
        _start(self.patch)
        if config.attention:
            self.read_box = nn.Linear(hidden, 5)  # eq. 21
            self.write_box = nn.Linear(hidden, 5)
            _start_box(self.read_box, n_read, max(h, w))
            _start_box(self.write_box, n_write, max(h, w))
        else:
            with torch.no_grad():
                self.patch.weight.div_(config.steps)  # what T whole images add up to
        self.initial_encoder = nn.Parameter(torch.zeros(hidden))
        self.initial_decoder = nn.Parameter(torch.zeros(hidden))
        self.initial_canvas = nn.Parameter(torch.zeros(c, h, w))  # grey: at first a pixel costs ln 2

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        betas = self.config.beta1, 0.999
        return {"network": torch.optim.Adam(self.parameters(), lr=self.config.learning_rate, betas=betas, fused=True)}

    # The recurrence

    def steps(self, noise: Tensor, images: Tensor | None, dtype: torch.dtype | None = None) -> Iterator[Step]:
        """The T steps, reading binary ``images`` [N, C, H, W] or, without them, generating.

        ``noise`` [T, N, latent] is N(0, 1): the posterior's when reading, z itself when generating. ``dtype`` is that
        of the large products, by default the weights' own; states, filters and canvas keep all their digits. In here
        pixels lie as [N, H, C W], so that one filter product serves all channels without a copy.
        """
        n = noise.shape[1]
        hands = (_Attentive if self.config.attention else _Plain)(self, images is not None)
        encoder, decoder = self.encoder.unrolled(dtype), self.decoder.unrolled(dtype)
        to_posterior = RepeatedLinear(self.posterior.weight, self.posterior.bias, dtype)
        x = None if images is None else _to_rows(images)
        canvas = _to_rows(self.initial_canvas.expand(n, -1, -1, -1))
        h_enc = self.initial_encoder.expand(n, -1)
        h_dec = self.initial_decoder.expand(n, -1)
        c_enc = c_dec = torch.zeros_like(h_dec)
        hands.move(h_dec)
        seen = posterior = None
        for z in noise:
            if x is not None:
                seen = hands.read(x, canvas.sigmoid())
                h_enc, c_enc = encoder(seen.flatten(1), h_dec, state=h_enc, cell=c_enc)
                posterior = to_posterior(h_enc)
                mean, log_sigma = posterior.chunk(2, 1)
                z = torch.addcmul(mean, log_sigma.exp(), z)
            before = h_dec
            h_dec, c_dec = decoder(z, state=h_dec, cell=c_dec)
            hands.move(h_dec)
            canvas = hands.write(canvas)
            yield Step(canvas, before, h_dec, seen, posterior)

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """A fresh draw of N(0, 1) for each step: [T, n, latent]."""
        like = self.initial_canvas
        shape = n, self.config.steps, self.config.latent
        source = None if like.device.type == "meta" else generator
        return torch.randn(shape, generator=source, device=like.device, dtype=like.dtype).transpose(0, 1)

    def _bound(self, x: Tensor, generator: torch.Generator) -> Bound:
        """Both parts of the bound at binary x [N, C, H, W], the expectation over q by one draw of the codes."""
        dtype = working_dtype(self.initial_canvas)
        with full_precision(x.device):
            posteriors = []
            for step in self.steps(self.noise(len(x), generator), x, dtype):
                posteriors.append(step.posterior)
            return Bound(_cross_entropy(step.canvas, x), _kl(_stack(posteriors)).sum(1))

    # Training

    def _terms(self, images: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        form = self.config.binarisation
        bound = self._bound(images if form == "unit" else binarise(images, form, generator), generator)
        reconstruction, kl = bound.reconstruction.mean(), bound.kl.mean()
        loss = reconstruction + self.config.beta * kl
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl, "elbo": -(reconstruction + kl)}

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        terms = self._terms(images, optimizers.generator)
        optimizers.minimise("network", terms["loss"])
        return {name: value.detach() for name, value in terms.items()}

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        return self._terms(images, generator)

    # What a trained model can do

    def _binary(self, images: Tensor) -> Tensor:
        """The zeros and ones that a likelihood is about; binary images stay as they are."""
        form = self.config.binarisation
        return binarise(images, "dynamic" if form == "unit" else form)

    @torch.no_grad()
    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction (one draw of the codes per image) and KL, [N] nats each."""
        generator = self.generator(seed)
        with full_precision(images.device):
            parts = [self._bound(part, generator) for part in self._binary(images).split(IMAGES_AT_ONCE)]
        return Bound(*(torch.cat(values) for values in zip(*parts, strict=True)))

    def elbo(self, images: Tensor, *, seed: int = 0) -> Tensor:
        """The evidence lower bound with beta = 1, [N] nats."""
        bound = self.bound(images, seed=seed)
        return -(bound.reconstruction + bound.kl)

    @torch.no_grad()
    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """log 1/k sum_i p(x, z_i) / q(z_i | x) with k draws z_i of q, [N] nats (Burda et al. 2016, eq. 8).

        A z_i is the codes of all steps: its weight is the product over the steps.
        """
        generator = self.generator(seed)
        rows = self._binary(images).repeat_interleave(k, 0).split(IMAGES_AT_ONCE)  # each image k times in a row
        with full_precision(images.device):
            weights = torch.cat([self._log_weights(x, generator) for x in rows])
        return weights.view(-1, k).logsumexp(1) - math.log(k)

    def _log_weights(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """log p(x | z) + log p(z) - log q(z | x) with one draw z for each image, [N] nats."""
        noise = self.noise(len(x), generator)
        total = torch.zeros(len(x), device=x.device, dtype=x.dtype)
        for step, e in zip(self.steps(noise, x), noise, strict=True):
            assert step.posterior is not None
            mean, log_sigma = step.posterior.chunk(2, 1)
            z = mean + log_sigma.exp() * e
            total = total + (0.5 * (e.square() - z.square()) + log_sigma).sum(1)  # the 2 pi of p and q cancel
        return total - _cross_entropy(step.canvas, x)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n pictures sigmoid(c_T), [n, C, H, W] in [0, 1]. ``temperature`` scales the prior's standard deviation."""
        self.refuse_label(label)
        noise = self.noise(n, self.generator(seed)) * temperature
        pictures = []
        with full_precision(self.device):
            for part in noise.split(IMAGES_AT_ONCE, 1):
                *_, last = self.steps(part, None)
                pictures.append(_from_rows(last.canvas, self.config.channels).sigmoid())
        return torch.cat(pictures)

    @torch.no_grad()
    def trace(self, images: Tensor | None = None, n: int = 1, *, seed: int = 0, temperature: float = 1.0) -> DrawTrace:
        """Every step of generating n images, or of reading the given ones [N, C, H, W] (then n is not used).

        With the same seed the last canvas is `sample`'s picture, or ``kl`` sums to `bound`'s.
        """
        config = self.config
        c, h, w = config.shape
        if images is not None:
            images, n = self._binary(images), len(images)
        noise = self.noise(n, self.generator(seed))
        with full_precision(self.device):
            steps = list(self.steps(noise * temperature if images is None else noise, images))
            states = torch.stack([step.state for step in steps], 1)  # [N, T, hidden]
            write = read = kl = glimpses = errors = None
            if config.attention:
                write = glimpse_box(self.write_box(states), config.write_size, h, w)
            if images is not None:
                kl = _kl(_stack([step.posterior for step in steps]))
                if config.attention:
                    before = torch.stack([step.before for step in steps], 1)
                    read = glimpse_box(self.read_box(before), config.read_size, h, w)
                    glimpses, errors = _stack([step.seen for step in steps]).chunk(2, 2)
            return DrawTrace(
                canvases=torch.stack([_from_rows(step.canvas, c).sigmoid() for step in steps], 1),
                patches=self.patch(states).unflatten(
                    2, (c, *((config.write_size,) * 2 if config.attention else (h, w)))
                ),
                write=write,
                write_grid=config.write_size,
                read=read,
                read_grid=config.read_size,
                glimpses=glimpses,
                error_glimpses=errors,
                kl=kl,
                images=images,
            )


class _Attentive:
    """read and write of section 3.2 during one pass: all filters and the patch come from one product with h^dec."""

    def __init__(self, model: DRAW, reading: bool) -> None:
        config = model.config
        self.channels, h, w = config.shape
        self.n_read, self.n_write = config.read_size, config.write_size
        grids = [(model.write_box, self.n_write, -1), (model.read_box, self.n_read, 1)]
        self.grids = FusedGrids(grids[: 1 + reading], h, w, model.patch)

    def move(self, h_dec: Tensor) -> None:
        """Place the grids where the decoder's state wants them: to write at this step and to read at the next."""
        self.filters, self.patch = self.grids(h_dec)

    def read(self, x: Tensor, likely: Tensor) -> Tensor:
        """Pixels and sigmoid(canvas), [N, H, C W] each -> glimpses of image and error, [N, 2 C, n, n] (eq. 27)."""
        fy, fx, gamma = self.filters[1]
        n, c = self.n_read, self.channels
        image = torch.bmm(fy, x)  # [N, n, C W]
        error = image - torch.bmm(fy, likely)  # filtering is linear: the error image itself is not needed
        both = torch.cat((image, error), 1).view(-1, 2 * n * c, fx.shape[2])
        glimpses = torch.bmm(both, fx.mT) * gamma[:, :, None]  # [N, 2 n C, n]
        return glimpses.view(-1, 2, n, c, n).transpose(2, 3).reshape(-1, 2 * c, n, n)

    def write(self, canvas: Tensor) -> Tensor:
        """The canvas [N, H, C W] with the patch spread over it (eq. 29)."""
        fy, fx, inverse_gamma = self.filters[0]
        n, c = self.n_write, self.channels
        patch = (self.patch * inverse_gamma).view(-1, c, n, n).transpose(1, 2).reshape(-1, n * c, n)
        return torch.baddbmm(canvas, fy.mT, torch.bmm(patch, fx).view(-1, n, canvas.shape[2]))


class _Plain:
    """read and write of section 3.1: all of the image and of the error; a linear map of h^dec to all pixels."""

    def __init__(self, model: DRAW, reading: bool) -> None:
        self.shape = model.config.shape
        self.linear = RepeatedLinear(model.patch.weight, model.patch.bias)

    def move(self, h_dec: Tensor) -> None:
        """Decide what is written next."""
        self.image = self.linear(h_dec).unflatten(1, self.shape)

    def read(self, x: Tensor, likely: Tensor) -> Tensor:
        """As `_Attentive.read`, [N, 2 C, H, W] (eq. 17)."""
        return torch.cat((_from_rows(x, self.shape[0]), _from_rows(x - likely, self.shape[0])), 1)

    def write(self, canvas: Tensor) -> Tensor:
        """As `_Attentive.write` (eq. 18)."""
        return canvas + _to_rows(self.image)


def _start(linear: nn.Linear) -> None:
    """Outputs that vary with the state from the start: torch's smaller weights stay blind to the image for longer."""
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)


def _start_box(linear: nn.Linear, n: int, side: int) -> None:
    """A grid that starts over the middle of the image: n x n cells tile it, each filter a third of a cell wide."""
    _start(linear)
    cell = side / n
    with torch.no_grad():
        linear.bias[2] = 2 * math.log(cell / 3)
        linear.bias[3] = math.log(cell * max(n - 1, 1) / max(side - 1, 1))


def _to_rows(images: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H, C W]."""
    return images.transpose(1, 2).flatten(2)


def _from_rows(rows: Tensor, channels: int) -> Tensor:
    """[N, H, C W] -> [N, C, H, W]."""
    return rows.unflatten(2, (channels, -1)).transpose(1, 2)


def _kl(posterior: Tensor) -> Tensor:
    """KL to N(0, 1) of each step's codes, 1/2 sum (mu^2 + sigma^2 - log sigma^2 - 1) (eq. 11).

    Mean and log sigma side by side [..., 2 latent] -> [...] nats.
    """
    mean, log_sigma = posterior.chunk(2, -1)
    return standard_kl(mean, 2 * log_sigma).sum(-1)


def _cross_entropy(canvas: Tensor, images: Tensor) -> Tensor:
    """-log Bernoulli(x; sigmoid(canvas)) summed over the pixels (eq. 9). [N, H, C W] and [N, C, H, W] -> [N] nats."""
    return F.binary_cross_entropy_with_logits(canvas, _to_rows(images), reduction="none").flatten(1).sum(1)


def _stack(parts: list[Tensor | None]) -> Tensor:
    """Those of T steps that are there, [N, ...] each -> [N, T, ...]."""
    return torch.stack([part for part in parts if part is not None], 1)
