"""What DRAW with attention and without share: Gregor, Danihelka, Graves, Rezende & Wierstra 2015, arXiv:1502.04623.

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

A model of pictures that are like an example x' (genlib/models/one_shot.py) also looks at x' at every step, while reading
and while generating: what it sees there goes to both LSTMs.

How a model reads and writes it says by its `Hands`: genlib/models/draw.py has those of the attentive model,
genlib/models/draw_noattn.py those of the other.

What the paper leaves open and we chose: the weights' start (see `start`), that the forget gates start open, and, in
the presets for few cores, small batches and a learning rate that falls to zero.

Colour: the paper's SVHN and CIFAR-10 models take intensities as Bernoulli probabilities (``binarisation="unit"``). Their
loss is no compression cost of the colours, as its section 4.5 says, and they are given no score in nats.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.layers.attention import GlimpseBox
from genlib.layers.precision import full_precision
from genlib.layers.recurrent import LSTMCell, RepeatedLinear, working_dtype
from genlib.models.contract import TRAINING, Bound
from genlib.models.gaussian import standard_kl
from genlib.models.variational import VariationalConfig, VariationalModel

IMAGES_AT_ONCE = 512  # that go through the steps together while sampling or evaluating: bounds the memory


class Step(NamedTuple):
    """What one step leaves behind. ``seen`` and ``posterior`` are None while generating."""

    canvas: Tensor  # logits after writing, [N, H, C W]
    before: Tensor  # h_{t-1}^dec [N, hidden], which places the reading grid
    state: Tensor  # h_t^dec [N, hidden], which places the writing grid
    seen: Tensor | None  # what was read at this step [N, channels, height, width]; see the model's `Hands`
    posterior: Tensor | None  # mean and log sigma side by side [N, 2 latent]
    recalled: Tensor | None  # what was read of the example; None in a model that is given none


@dataclass(frozen=True)
class DrawTrace:
    """How N pictures were painted, step by step.

    While reading given images, ``images``, ``read``, ``glimpses``, ``error_glimpses`` and ``kl`` are there; while
    generating they are None. Without attention there are neither boxes nor glimpses, and a patch is all that was added.
    """

    canvases: Tensor
    """sigmoid(c_t) in [0, 1], [N, T, C, H, W]; the last is the picture."""
    patches: Tensor
    """What was written (logits), before it is spread over the image, [N, T, C, write, write]; without attention
    [N, T, C, H, W]."""
    kl: Tensor | None
    """Nats that each step takes from the image, [N, T]."""
    images: Tensor | None
    """The images that were read, as the model sees them, [N, C, H, W]."""
    write: GlimpseBox | None = None
    """Writing boxes, each field [N, T]; a box is ``write.width(write_grid)`` wide."""
    write_grid: int = 0
    read: GlimpseBox | None = None
    """Reading boxes, each field [N, T]."""
    read_grid: int = 0
    glimpses: Tensor | None = None
    """What was read of the image, [N, T, C, read, read]."""
    error_glimpses: Tensor | None = None
    """What was read of the error image x - sigmoid(c_{t-1}), [N, T, C, read, read]."""
    examples: Tensor | None = None
    """The examples that the pictures are to be like, as the model sees them, [N, C, H, W]; None in a model without."""
    example: GlimpseBox | None = None
    """Boxes that read the example, each field [N, T]."""
    example_grid: int = 0
    example_glimpses: Tensor | None = None
    """What was read of the example, [N, T, C, example, example]."""
    paste: GlimpseBox | None = None
    """Boxes through which that was pasted onto the canvas, each field [N, T]; ``example_grid`` filters a side. None in a model
    that does not paste."""


class Hands(Protocol):
    """How a model reads and writes during one pass through the steps. Pixels lie as [N, H, C W]."""

    @property
    def constant(self) -> Tensor | None:
        """What every step reads alike, [N, inputs]: it comes first in the encoder's input, and is multiplied once for all."""

    def move(self, h_dec: Tensor) -> None:
        """Take the decoder's state [N, hidden]: it decides what to write at this step and where to read at the next."""

    def read(self, canvas: Tensor) -> Tensor:
        """What is read of the image given the canvas (logits), [N, channels, height, width]. Not while generating."""

    def recall(self) -> Tensor | None:
        """What is read of the example, [N, channels, height, width]; None in a model that is given none."""

    def write(self, canvas: Tensor) -> Tensor:
        """The canvas after writing."""


class DrawConfig(VariationalConfig):
    """The fields of both models."""

    gradient_clip: float = Field(5.0, ge=0, le=1e4, description="largest gradient norm; 0 switches clipping off")
    beta1: float = Field(
        0.5, ge=0, le=0.999, description="Adam's decay of the gradient's running mean", json_schema_extra=TRAINING
    )
    steps: int = Field(64, ge=1, le=256, description="steps T in which the picture is painted")
    hidden: int = Field(256, ge=1, le=2048, description="units of the encoder's and of the decoder's LSTM")
    latent: int = Field(100, ge=1, le=512, description="numbers in the code z_t of each step")


class DrawModel(VariationalModel):
    """The recurrence, its bounds, samples and traces. Subclasses call ``super().__init__`` with the size of what is read
    at each step, of what is written, and of what is read of an example, and give their `Hands`; see the module docstring.
    """

    paper: ClassVar[str] = (
        "Gregor, Danihelka, Graves, Rezende & Wierstra 2015, DRAW: A Recurrent Neural Network For Image Generation, "
        "arXiv:1502.04623"
    )
    terms: ClassVar[dict[str, str]] = VariationalModel.terms | {
        "reconstruction": "-E_q[log p(x | z)], the cost of the pixels given the codes (nats per image)",
        "kl": "KL(q(z | x) || p(z)) summed over all steps, the cost of the codes (nats per image)",
    }
    distributions: ClassVar[dict[str, str]] = {
        "kl_per_latent": "KL(q(z_i | x) || p(z_i)) of each latent, summed over the steps, mean over the images (nats)",
    }

    def __init__(self, config: Any, read: int, written: int, recalled: int = 0) -> None:
        super().__init__(config)
        hidden = config.hidden
        self.encoder = LSTMCell(read + recalled + hidden, hidden)
        self.decoder = LSTMCell(config.latent + recalled, hidden)
        self.posterior = nn.Linear(hidden, 2 * config.latent)  # mu and log sigma (eqs. 1 and 2)
        self.patch = nn.Linear(hidden, written)
        start(self.posterior)
        start(self.patch)
        self.initial_encoder = nn.Parameter(torch.zeros(hidden))
        self.initial_decoder = nn.Parameter(torch.zeros(hidden))
        self.initial_canvas = nn.Parameter(torch.zeros(config.shape))  # grey: at first a pixel costs ln 2

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        betas = self.config.beta1, 0.999
        return {"network": torch.optim.Adam(self.parameters(), lr=self.config.learning_rate, betas=betas, fused=True)}

    def hands(self, x: Tensor | None, example: Tensor | None = None) -> Hands:
        """The hands for one pass that reads x [N, H, C W], or that generates; ``example`` is [N, H, C W] too."""
        raise NotImplementedError(f"{type(self).__name__} neither reads nor writes")

    # The recurrence

    def steps(
        self,
        noise: Tensor,
        images: Tensor | None,
        dtype: torch.dtype | None = None,
        examples: Tensor | None = None,
    ) -> Iterator[Step]:
        """The T steps, reading ``images`` [N, C, H, W] (as the model learns them) or, without them, generating;
        ``examples`` [N, C, H, W] are for a model that is given some.

        ``noise`` [T, N, latent] is N(0, 1): the posterior's when reading, z itself when generating. ``dtype`` is that
        of the large products, by default the weights' own; states, filters and canvas keep all their digits. In here
        pixels lie as [N, H, C W], so that one filter product serves all channels without a copy.
        """
        n = noise.shape[1]
        x = None if images is None else to_rows(images)
        hands = self.hands(x, None if examples is None else to_rows(examples))
        encoder, decoder = self.encoder.unrolled(dtype, hands.constant), self.decoder.unrolled(dtype)
        to_posterior = RepeatedLinear(self.posterior.weight, self.posterior.bias, dtype)
        canvas = to_rows(self.initial_canvas.expand(n, -1, -1, -1))
        h_enc = self.initial_encoder.expand(n, -1)
        h_dec = self.initial_decoder.expand(n, -1)
        c_enc = c_dec = torch.zeros_like(h_dec)
        hands.move(h_dec)
        seen = posterior = None
        for z in noise:
            recalled = hands.recall()
            beside = () if recalled is None else (recalled.flatten(1),)
            if x is not None:
                seen = hands.read(canvas)
                h_enc, c_enc = encoder(seen.flatten(1), *beside, h_dec, state=h_enc, cell=c_enc)
                posterior = to_posterior(h_enc)
                mean, log_sigma = posterior.chunk(2, 1)
                z = torch.addcmul(mean, log_sigma.exp(), z)
            before = h_dec
            h_dec, c_dec = decoder(z, *beside, state=h_dec, cell=c_dec)
            hands.move(h_dec)
            canvas = hands.write(canvas)
            yield Step(canvas, before, h_dec, seen, posterior, recalled)

    def noise(self, n: int, generator: torch.Generator) -> Tensor:
        """A fresh draw of N(0, 1) for each step: [T, n, latent]."""
        like = self.initial_canvas
        shape = n, self.config.steps, self.config.latent
        source = None if like.device.type == "meta" else generator
        return torch.randn(shape, generator=source, device=like.device, dtype=like.dtype).transpose(0, 1)

    def _bound(self, x: Tensor, generator: torch.Generator, examples: Tensor | None = None) -> Bound:
        """Both parts of the bound at x [N, C, H, W] as the model learns it, the expectation over q by one draw of the codes."""
        dtype = working_dtype(self.initial_canvas)
        with full_precision(x.device):
            posteriors = []
            for step in self.steps(self.noise(len(x), generator), x, dtype, examples):
                posteriors.append(step.posterior)
            return Bound(cross_entropy(step.canvas, x), kl_of_steps(stack(posteriors)).sum(1))

    @torch.no_grad()
    def distribution_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        """The nats that each number of the code takes, [latent]; see `distributions`."""
        return self._kl_per_latent(self._targets(images, generator), None, generator)

    def _kl_per_latent(self, x: Tensor, examples: Tensor | None, generator: torch.Generator) -> dict[str, Tensor]:
        with full_precision(x.device):
            noise = self.noise(len(x), generator)
            posteriors = [step.posterior for step in self.steps(noise, x, examples=examples)]
        mean, log_sigma = stack(posteriors).chunk(2, 2)  # [N, T, latent] each
        return {"kl_per_latent": standard_kl(mean, 2 * log_sigma).sum(1).mean(0)}

    # What a trained model can do

    @torch.no_grad()
    def bound(self, images: Tensor, *, seed: int = 0) -> Bound:
        """Reconstruction (one draw of the codes per image) and KL, [N] nats each."""
        return self._bounds(self._scored(images), None, self.generator(seed))

    def _bounds(self, x: Tensor, examples: Tensor | None, generator: torch.Generator) -> Bound:
        with full_precision(x.device):
            parts = [self._bound(part, generator, given) for part, given in in_parts(x, examples)]
        return Bound(*(torch.cat(values) for values in zip(*parts, strict=True)))

    @torch.no_grad()
    def iwae(self, images: Tensor, k: int, *, seed: int = 0) -> Tensor:
        """log 1/k sum_i p(x, z_i) / q(z_i | x) with k draws z_i of q, [N] nats (Burda et al. 2016, eq. 8).

        A z_i is the codes of all steps: its weight is the product over the steps.
        """
        return self._iwae(self._scored(images).repeat_interleave(k, 0), None, k, self.generator(seed))

    def _iwae(self, rows: Tensor, examples: Tensor | None, k: int, generator: torch.Generator) -> Tensor:
        """``rows`` has each image k times in a row; ``examples`` one for each row."""
        with full_precision(rows.device):
            weights = [self._log_weights(x, generator, given) for x, given in in_parts(rows, examples)]
        return torch.cat(weights).view(-1, k).logsumexp(1) - math.log(k)

    def _log_weights(self, x: Tensor, generator: torch.Generator, examples: Tensor | None = None) -> Tensor:
        """log p(x | z) + log p(z) - log q(z | x) with one draw z for each image, [N] nats."""
        noise = self.noise(len(x), generator)
        total = torch.zeros(len(x), device=x.device, dtype=x.dtype)
        for step, e in zip(self.steps(noise, x, examples=examples), noise, strict=True):
            assert step.posterior is not None
            mean, log_sigma = step.posterior.chunk(2, 1)
            z = mean + log_sigma.exp() * e
            total = total + (0.5 * (e.square() - z.square()) + log_sigma).sum(1)  # the 2 pi of p and q cancel
        return total - cross_entropy(step.canvas, x)

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n pictures sigmoid(c_T), [n, C, H, W] in [0, 1]. ``temperature`` scales the prior's standard deviation."""
        self.refuse_label(label)
        return self._pictures(self.noise(n, self.generator(seed)) * temperature, None)

    def _pictures(self, noise: Tensor, examples: Tensor | None) -> Tensor:
        """What the codes [T, n, latent] become, [n, C, H, W] in [0, 1]."""
        pictures = []
        with full_precision(self.device):
            for part, given in in_parts(noise.transpose(0, 1), examples):
                *_, last = self.steps(part.transpose(0, 1), None, examples=given)
                pictures.append(from_rows(last.canvas, self.config.channels).sigmoid())
        return torch.cat(pictures)

    @torch.no_grad()
    def trace(self, images: Tensor | None = None, n: int = 1, *, seed: int = 0, temperature: float = 1.0) -> DrawTrace:
        """Every step of generating n images, or of reading the given ones [N, C, H, W] (then n is not used).

        With the same seed the last canvas is `sample`'s picture, or ``kl`` sums to `bound`'s.
        """
        if images is not None:
            images, n = self._scored(images), len(images)
        noise = self.noise(n, self.generator(seed))
        return self._trace(noise * temperature if images is None else noise, images, None)

    def _trace(self, noise: Tensor, images: Tensor | None, examples: Tensor | None) -> DrawTrace:
        with full_precision(self.device):
            steps = list(self.steps(noise, images, examples=examples))
            states = torch.stack([step.state for step in steps], 1)  # [N, T, hidden]
            return DrawTrace(
                canvases=torch.stack([from_rows(step.canvas, self.config.channels).sigmoid() for step in steps], 1),
                patches=self.patch(states).unflatten(2, self.patch_shape),
                kl=None if images is None else kl_of_steps(stack([step.posterior for step in steps])),
                images=images,
                examples=examples,
                **self.attended(steps, states),
            )

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Shape (C, height, width) of what is written at a step."""
        raise NotImplementedError(f"{type(self).__name__} writes nothing")

    def attended(self, steps: list[Step], states: Tensor) -> dict[str, Any]:
        """The fields of a trace that are about attention; ``states`` are all h_t^dec [N, T, hidden]."""
        return {}


def start(linear: nn.Linear) -> None:
    """Outputs that vary with the state from the start: torch's smaller weights stay blind to the image for longer."""
    nn.init.xavier_uniform_(linear.weight)
    nn.init.zeros_(linear.bias)


def in_parts(x: Tensor, examples: Tensor | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    """x [N, ...] with its examples [N, ...], where there are any, `IMAGES_AT_ONCE` at a time."""
    for start in range(0, len(x), IMAGES_AT_ONCE):
        rows = slice(start, start + IMAGES_AT_ONCE)
        yield x[rows], None if examples is None else examples[rows]


def to_rows(images: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, H, C W]."""
    return images.transpose(1, 2).flatten(2)


def from_rows(rows: Tensor, channels: int) -> Tensor:
    """[N, H, C W] -> [N, C, H, W]."""
    return rows.unflatten(2, (channels, -1)).transpose(1, 2)


def kl_of_steps(posterior: Tensor) -> Tensor:
    """KL to N(0, 1) of each step's codes, 1/2 sum (mu^2 + sigma^2 - log sigma^2 - 1) (eq. 11).

    Mean and log sigma side by side [..., 2 latent] -> [...] nats.
    """
    mean, log_sigma = posterior.chunk(2, -1)
    return standard_kl(mean, 2 * log_sigma).sum(-1)


def cross_entropy(canvas: Tensor, images: Tensor) -> Tensor:
    """-log Bernoulli(x; sigmoid(canvas)) summed over the pixels (eq. 9). [N, H, C W] and [N, C, H, W] -> [N] nats."""
    return F.binary_cross_entropy_with_logits(canvas, to_rows(images), reduction="none").flatten(1).sum(1)


def stack(parts: list[Tensor | None]) -> Tensor:
    """Those of T steps that are there, [N, ...] each -> [N, T, ...]."""
    return torch.stack([part for part in parts if part is not None], 1)
