"""`vae-mlp`: a fully connected variational autoencoder with a code of any size.

Kingma & Welling 2014, "Auto-Encoding Variational Bayes" (arXiv:1312.6114), whose own networks were fully connected. Three
linear layers each way, ReLU between them, a sigmoid at the end:

    encoder   pixels -> hidden -> hidden -> mean and log-variance of q(z | x)
    decoder   z -> hidden -> hidden -> pixels

Two ways to score the pixels given the code:

* ``gaussian``: -log N(x; x^, 1/2) = sum (x - x^)^2 + D/2 ln pi for D sub-pixels. Its gradient is that of the summed squared
  error, which the loss curves show without the constant. It is the density of real-valued intensities under a spread of
  0.7 of their whole range: its nats measure nothing that a Bernoulli's do, and `evaluate` gives no score for it.
* ``bernoulli``: binary cross-entropy, a likelihood of binary images, comparable with every model of the same form.
"""

import math
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from genlib.models.contract import TRAINING, Bound, Preset
from genlib.models.vae import initialise
from genlib.models.variational import CodeModel, VariationalConfig

BERNOULLI = {"likelihood": "bernoulli", "binarisation": "dynamic"}
FASTER = {"learning_rate": 1e-3, "schedule": "cosine"}  # ten times the row's step, falling to zero: for few epochs


class Encoder(nn.Module):
    """Images [N, C, H, W] -> mean and log-variance of q(z | x), [N, latent] each."""

    def __init__(self, pixels: int, hidden: int, latent: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(pixels, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.mean = nn.Linear(hidden, latent)
        self.log_var = nn.Linear(hidden, latent)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.layers(x)  # [N, hidden]
        return self.mean(h).float(), self.log_var(h).float()


class Decoder(nn.Module):
    """Codes [N, latent] -> logits [N, C, H, W]."""

    def __init__(self, shape: tuple[int, int, int], hidden: int, latent: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, hidden), nn.ReLU(inplace=True)
        )
        self.pixels = nn.Linear(hidden, math.prod(shape))
        self.shape = shape

    def forward(self, z: Tensor) -> Tensor:
        return self.pixels(self.layers(z)).float().unflatten(1, self.shape)


class VAEMLP(CodeModel):
    """Fully connected encoder and decoder; see the module docstring."""

    name: ClassVar[str] = "vae-mlp"
    title: ClassVar[str] = "Fully connected VAE"
    paper: ClassVar[str] = "Kingma & Welling 2014, Auto-Encoding Variational Bayes, arXiv:1312.6114"

    class Config(VariationalConfig):
        learning_rate: float = Field(1e-4, gt=0, le=1, description="step size of the optimizer")
        epochs: int = Field(100, ge=1, le=10_000, description="passes over the training images")
        latent: int = Field(64, ge=1, le=512, description="numbers in the code z")
        hidden: int = Field(512, ge=1, le=4096, description="units of each hidden layer")
        likelihood: Literal["gaussian", "bernoulli"] = Field(
            "gaussian",
            description="how pixels are scored: squared error (a Gaussian of unit scale), or cross-entropy (Bernoulli)",
            json_schema_extra=TRAINING,
        )
        binarisation: Literal["unit", "threshold", "dynamic", "static"] = Field(
            "unit",
            description="what the model learns: grey values as they are (unit), or one form of zeros and ones",
            json_schema_extra=TRAINING,
        )

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "64 numbers in the code, of which the squared error pays for a dozen or so: reconstructions are recognisable, "
            "samples soft. KL and error settle near epoch 60.",
        ),
        "paper": Preset(
            "The Bernoulli decoder of the paper on binary digits, whose bound may be compared with DRAW's and PixelCNN's nats.",
            {**BERNOULLI, **FASTER, "hidden": 500},
        ),
        "latent-2": Preset(
            "A code of two numbers: the digits cover the plane, and whatever two numbers cannot tell is blurred.",
            {"latent": 2, "epochs": 20},
        ),
        "latent-512": Preset(
            "For CIFAR-10: 512 numbers and 100 epochs give clearly better reconstructions than 64 and 20; most of the code "
            "stays unused.",
            {"latent": 512, "hidden": 1024},
        ),
        "bernoulli": Preset(
            "The same networks with cross-entropy on binary digits: the KL grows to some 25 nats, strokes are sharper, and "
            "the bound is comparable with the other models'.",
            {**BERNOULLI, **FASTER, "epochs": 30},
        ),
        "quick": Preset(
            "The samples turn from one grey blot into soft digits within the first epoch; the KL rises while they do.",
            {**FASTER, "epochs": 5},
        ),
        "kl-collapse": Preset(
            "The KL term weighs 50 times too much and falls to zero: the code says nothing about the image, and every "
            "decode is the mean of all images.",
            {**FASTER, "beta": 50.0, "epochs": 2},
            failure=True,
        ),
        "beta": Preset(
            "The KL term weighs a thousandth: reconstructions become sharp, but codes run far from the prior, and what is "
            "decoded from the prior is no digit.",
            {**FASTER, "beta": 1e-3, "epochs": 5},
            failure=True,
        ),
    }
    terms: ClassVar[dict[str, str]] = {
        "loss": "reconstruction + beta x KL, what is minimised (nats per image; Gaussian: without its constant)",
        "reconstruction": "the cost of the pixels given the code: squared error summed over them (Gaussian), or "
        "cross-entropy (nats per image)",
        "kl": "KL(q(z | x) || p(z)), the cost of the code (nats per image)",
        "elbo": "evidence lower bound on log p(x), with beta = 1 and, of a Gaussian, its constant (nats per image)",
    }

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.encoder = Encoder(config.dimensions, config.hidden, config.latent)
        self.decoder = Decoder(config.shape, config.hidden, config.latent)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                initialise(layer, 0.01 if layer in (self.encoder.log_var, self.decoder.pixels) else 2.0)

    @property
    def _gaussian(self) -> bool:
        return self.config.likelihood == "gaussian"

    @property
    def no_likelihood(self) -> str | None:
        if self._gaussian:
            return "a Gaussian density of unit scale: its nats are not those of a binary or of a 256-level image"
        return super().no_likelihood

    def nll(self, logits: Tensor, x: Tensor) -> Tensor:
        if not self._gaussian:
            return super().nll(logits, x)
        return (logits.sigmoid() - x).square().flatten(1).sum(1) + self._constant

    @property
    def _constant(self) -> float:
        """What a Gaussian of variance 1/2 costs beside the squared error, nats per image."""
        return 0.5 * math.log(math.pi) * self.config.dimensions if self._gaussian else 0.0

    def _terms(self, bound: Bound) -> dict[str, Tensor]:
        terms = super()._terms(bound)
        return {name: value - self._constant * (name in ("loss", "reconstruction")) for name, value in terms.items()}
