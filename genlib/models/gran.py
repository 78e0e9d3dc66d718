"""`gran`: a generative recurrent adversarial network, DRAW and GAN joined.

Im, Kim, Jiang & Memisevic 2016, "Generating images with recurrent adversarial networks" (arXiv:1602.05110). The generator adds
T increments to a canvas; an encoder g turns the last increment into a hidden state that the decoder f sees at the next step,
beside the noise; a discriminator judges the final canvas alone (section 3.1):

    h_z,t = tanh(W z + b)            z ~ N(0, I)
    h_c,t = g( dC_{t-1} )            h_c,1 = 0
    dC_t  = f( [h_z,t, h_c,t] )
    C     = squash( dC_1 + ... + dC_T )

f is a fully connected layer and transposed convolutions, g mirrors it. With T = 1 there is no feedback and the model is a
DCGAN. The squashing is tanh here, as pixels are in [-1, 1]; the game is that of genlib/models/adversarial.py.

g ends in batch norm and tanh, so that its hidden state has the scale of the noise's. Without the norm all of g's units run to
+1 or -1 within a few hundred steps, the same for every picture, and f, whose norms divide by the variance over the whole map,
no longer hears the noise: every picture is the same one.

The paper writes z_t, and its authors' code (github.com/jiwoongim/GRAN, recGenI32.py) feeds the first z at every step, as is the
default here; ``noise_each_step`` draws one for each. So at first all steps draw the same picture, and the feedback, whose
weights begin small, makes them differ. With fresh noise they would begin as three pictures on top of each other, and the
generator's way out is not to hear the noise at all: within 400 training steps its pictures were nearly alike. With one z but a
feedback that begins as strong as the noise, it fell onto a few pictures (recall 0.01 after 2000 steps of the quick preset).

An option that is not the paper's: ``feedback`` = canvas, where g sees the picture so far in place of the last increment. Every
step has batch norm of its own: the first sees an empty hidden state, so its statistics are not those of the others.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.errors import GenlibError
from genlib.models import adversarial
from genlib.models.adversarial import IMAGES_AT_ONCE, AdversarialModel
from genlib.models.contract import Preset
from genlib.models.dcgan_bn import SLOPE, Discriminator, PairConfig, grow, initialise, shrink

FEEDBACK = 0.1
"""How large f's weights of the hidden state h_c begin, as a share of those of the noise's."""


@dataclass(frozen=True)
class GranTrace:
    """How N pictures were painted, step by step. It has no boxes: every step may change the whole canvas. The fields that
    tell what was read are None, for nothing is."""

    canvases: Tensor
    """The canvas after each step, squashed to [0, 1], [N, T, C, H, W]; the last is the picture."""
    increments: Tensor
    """What each step added, before the squashing, [N, T, C, H, W]."""
    write: None = None
    write_grid: int = 0
    read: None = None
    read_grid: int = 0
    kl: None = None
    images: None = None


class Decoder(nn.Module):
    """f: hidden states [N, 2 hidden] -> an increment [N, C, H, W]. Batch norm's statistics are apart for each step."""

    def __init__(self, shape: tuple[int, int, int], hidden: int, width: int, steps: int) -> None:
        super().__init__()
        channels, *full = shape
        sizes = [(math.ceil(full[0] / part), math.ceil(full[1] / part)) for part in (8, 4, 2, 1)]
        widths = 4 * width, 2 * width, width
        self.start = 4 * width, *sizes[0]
        self.dense = nn.Linear(2 * hidden, math.prod(self.start), bias=False)
        self.grow = nn.ModuleList(grow(widths[i], widths[i + 1], sizes[i], sizes[i + 1], bias=False) for i in range(2))
        self.last = grow(width, channels, sizes[2], sizes[3])
        self.norms = nn.ModuleList(nn.ModuleList(nn.BatchNorm2d(each) for each in widths) for _ in range(steps))

    def forward(self, hidden: Tensor, step: int) -> Tensor:
        norms: Any = self.norms[step]
        h = self.dense(hidden).unflatten(1, self.start).contiguous(memory_format=torch.channels_last)
        h = norms[0](h).relu_()
        for layer, norm in zip(self.grow, norms[1:], strict=True):
            h = norm(layer(h)).relu_()
        return self.last(h)


class Encoder(nn.Module):
    """g: an increment [N, C, H, W] -> a hidden state [N, hidden] in [-1, 1]. Batch norm's statistics are apart for each step."""

    def __init__(self, shape: tuple[int, int, int], hidden: int, width: int, steps: int) -> None:
        super().__init__()
        channels, height, rows = shape
        self.shrink = nn.ModuleList(
            (
                shrink(channels, width, (height, rows)),
                shrink(width, 2 * width, (math.ceil(height / 2), math.ceil(rows / 2)), bias=False),
            )
        )
        self.dense = nn.Linear(2 * width * math.ceil(height / 4) * math.ceil(rows / 4), hidden, bias=False)
        self.norms = nn.ModuleList(
            nn.ModuleList((nn.BatchNorm2d(2 * width), nn.BatchNorm1d(hidden))) for _ in range(steps)
        )

    def forward(self, increment: Tensor, step: int) -> Tensor:
        norms: Any = self.norms[step]
        h = F.leaky_relu(self.shrink[0](increment), SLOPE)
        h = F.leaky_relu(norms[0](self.shrink[1](h)), SLOPE)
        return norms[1](self.dense(h.flatten(1))).tanh()


class Generator(nn.Module):
    """Noise [N, draws x latent] -> images [N, C, H, W] in [-1, 1], in T steps."""

    def __init__(self, config: "GRAN.Config") -> None:
        super().__init__()
        self.steps, self.latent, self.feedback = config.steps, config.latent, config.feedback
        width, hidden = config.generator_width, config.hidden
        self.noise = nn.Sequential(nn.Linear(config.latent, hidden), nn.Tanh())
        self.decoder = Decoder(config.shape, hidden, width, config.steps)
        # nothing is fed back to the first step
        self.encoder = Encoder(config.shape, hidden, width, config.steps - 1) if config.steps > 1 else None
        initialise(self)
        with torch.no_grad():
            self.decoder.dense.weight[:, hidden:] *= FEEDBACK

    def increments(self, z: Tensor) -> Iterator[Tensor]:
        """dC_1 ... dC_T, [N, C, H, W] each."""
        draws = z.unflatten(1, (-1, self.latent))  # [N, T or 1, latent]
        canvas = fed = None
        for step in range(self.steps):
            h_z = self.noise(draws[:, step if draws.shape[1] > 1 else 0])
            h_c = torch.zeros_like(h_z) if fed is None or self.encoder is None else self.encoder(fed, step - 1)
            increment = self.decoder(torch.cat((h_z, h_c), 1), step)
            canvas = increment if canvas is None else canvas + increment
            fed = canvas.tanh() if self.feedback == "canvas" else increment
            yield increment

    def forward(self, z: Tensor) -> Tensor:
        return torch.stack(list(self.increments(z))).sum(0).tanh().float()


class GRAN(AdversarialModel):
    """A generator that paints in steps, against a discriminator; see the module docstring."""

    name: ClassVar[str] = "gran"
    title: ClassVar[str] = "Generative recurrent adversarial network"
    paper: ClassVar[str] = (
        "Im, Kim, Jiang & Memisevic 2016, Generating images with recurrent adversarial networks, arXiv:1602.05110"
    )

    class Config(adversarial.Config, PairConfig):
        steps: int = Field(
            3, ge=1, le=16, description="steps T in which the picture is painted; the paper has 1, 3 and 5"
        )
        latent: int = Field(60, ge=1, le=1024, description="numbers in the noise z of a step")
        noise_each_step: bool = Field(
            False,
            description="fresh noise for each step, as the paper writes it; off: one z for all, as its authors' code",
        )
        feedback: Literal["increment", "canvas"] = Field(
            "increment", description="what the encoder sees: what the last step added, or the picture so far"
        )
        hidden: int = Field(128, ge=1, le=2048, description="numbers in the hidden states of noise and feedback")

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Three steps: watch on the Glimpses page how they share the work; often the first lays down the digit and the others mend it.",
            {"epochs": 50, "ema_decay": 0.999},
        ),
        "paper": Preset(
            "Five steps, as in the paper's largest: later steps change less than early ones, and the game is no harder for it.",
            {"steps": 5, "batch_size": 100, "latent": 60, "epochs": 50},
        ),
        "one-step": Preset(
            "T = 1: nothing is fed back, this is a DCGAN; to be held against three and five steps by the adversarial metric.",
            {"steps": 1, "epochs": 50, "ema_decay": 0.999},
        ),
        "quick": Preset(
            "Half the channels, three steps: strokes after a hundred training steps, digits within minutes.",
            {
                "generator_width": 32,
                "discriminator_width": 32,
                "latent": 32,
                "hidden": 64,
                "learning_rate": 5e-4,
                "epochs": 5,
                "ema_decay": 0.99,
            },
        ),
        "mode-collapse": Preset(
            "G takes ten steps for each of D's: after a while all canvases end as the same picture. Cure: generator_steps = 1.",
            {
                "generator_width": 32,
                "discriminator_width": 32,
                "latent": 32,
                "hidden": 64,
                "generator_steps": 10,
                "learning_rate": 1e-3,
                "beta1": 0.9,
                "epochs": 5,
            },
            failure=True,
        ),
    }

    generator_net: Generator

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.generator_net = Generator(config)
        self.discriminator_net = Discriminator(config.shape, config.discriminator_width, config.discriminator_hidden)
        initialise(self.discriminator_net)
        self.prepare()

    @property
    def latent(self) -> int:
        return self.config.latent * (self.config.steps if self.config.noise_each_step else 1)

    @torch.no_grad()
    def trace(self, images: Tensor | None = None, n: int = 1, *, seed: int = 0, temperature: float = 1.0) -> GranTrace:
        """Every step of generating n images; the last canvas is `sample`'s picture. It cannot read ``images``."""
        if images is not None:
            raise GenlibError(f"{self.name} has no encoder for images, it only generates: leave the images out.")
        z = temperature * self.noise(n, self.generator(seed))
        with self.evaluating():
            parts = [torch.stack(list(self.generator_net.increments(part)), 1) for part in z.split(IMAGES_AT_ONCE)]
        increments = torch.cat(parts).float()
        return GranTrace(self._from_pixels(increments.cumsum(1).tanh()), increments)
