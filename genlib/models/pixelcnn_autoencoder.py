"""PixelCNN auto-encoder: a few numbers say what an image shows, a gated PixelCNN draws it.

van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves & Kavukcuoglu 2016, Conditional Image Generation with PixelCNN
Decoders, arXiv:1606.05328, sections 2.4 and 3.4.

    h = encoder(x);    loss(x) = -ln p(x | h) = -sum_i ln p(x_i | x_1, ..., x_{i-1}, h)

The encoder is a small convolutional network, the decoder a `GatedPixelCNN` that is told h in place of a class, and both
are trained end to end. An ordinary decoder gives one picture, the mean of all that a code may stand for; this one gives a
distribution, so what the code leaves open comes out different each time, and sharp. As the decoder is good at strokes and
texture by itself, the code can keep to what is far apart: which figure, how slanted, how bold.

**The loss is no likelihood of x.** p(x | h(x)) is told about x before x is drawn; over all images it does not sum to one,
and a code long enough would bring it to zero. So this model has none of the abilities that need p(x), and neither
completion nor pixel prediction: its code would have seen what is hidden.

Where we add to the paper: it draws only from codes of images. To draw without an image, `sample` takes codes from a
Gaussian with the covariance that the codes of the training images had lately; nothing in the training makes them Gaussian,
so these pictures are worse than reconstructions.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.errors import GenlibError
from genlib.layers.precision import full_precision
from genlib.models.contract import Family, Model, Optimizers, Preset
from genlib.models.gated_pixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from genlib.sampling import PixelDraws, check_temperature, draw_rows, uniforms

CHUNK = 128  # images at a time where no gradient is wanted
CODE_STREAM = 1 << 41  # added to a drawing's seed: the stream of its codes, apart from that of its pixels
MEMORY = 0.99  # decay of the codes' covariance, per training step


class PixelCNNAutoencoder(Model):
    """Encoder, gated PixelCNN; see the module docstring."""

    name: ClassVar[str] = "pixelcnn-autoencoder"
    title: ClassVar[str] = "PixelCNN auto-encoder"
    family: ClassVar[Family] = "autoregressive"
    paper: ClassVar[str] = (
        "van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders, arXiv:1606.05328"
    )
    terms: ClassVar[dict[str, str]] = {
        "nll": "-ln p(x | its own code) (nats per image), which is no likelihood of x",
        "accuracy": "share of sub-pixels whose likeliest value is the true one",
    }

    class Config(GatedPixelCNNConfig):
        """The defaults are the tutorial preset."""

        hidden: int = Field(
            20, ge=1, le=1024, description="feature maps p of each stack; for colour rounded up to a multiple of 3"
        )
        layers: int = Field(6, ge=1, le=64, description="gated layers, the first included; each looks further")
        latent: int = Field(10, ge=1, le=1024, description="numbers of the code")
        encoder: int = Field(32, ge=1, le=1024, description="feature maps of the encoder's convolutions")

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Ten numbers. Draw one image several times from its code: the figure stays, its strokes do not. The loss lies "
            "below that of a model of all images, by what the code tells; it is no likelihood.",
        ),
        "paper": Preset(
            "Codes of 10 and of 100 numbers are compared in the paper, on patches of ImageNet; this is the longer one. The "
            "decoder is the paper's network for ImageNet; what the encoder looks like is not given. Far too large for a CPU.",
            {
                "latent": 100, "encoder": 128, "hidden": 384, "layers": 20, "kernel": 5, "first_kernel": 5,
                "head": 1024, "batch_size": 128, "learning_rate": 4e-4, "epochs": 100,
            },
        ),
        "quick": Preset(
            "The decoder learns strokes first and hardly listens to the code; reconstructions take the right figure later.",
            {"hidden": 12, "layers": 4, "head": 32, "learning_rate": 5e-3, "epochs": 2},
        ),
        "short-sighted": Preset(
            "The code says the same everywhere, and a decoder of one 3x3 layer cannot tell where in the image it is: it may "
            "learn from the code how bold and how slanted to draw, never which figure. Reconstructions are strokes, no digits.",
            {
                "hidden": 12, "layers": 1, "head": 32, "first_kernel": 3, "learning_rate": 3e-3, "epochs": 2,
            },
            failure=True,
        ),
    }  # fmt: skip

    def __init__(self, config: "PixelCNNAutoencoder.Config") -> None:
        super().__init__(config)
        own = {"latent", "encoder"}
        inner = {name: value for name, value in config.model_dump().items() if name not in own}
        self.encoder = Encoder(config.shape, config.encoder, config.latent)
        self.decoder = GatedPixelCNN(GatedPixelCNN.Config(**inner), config.latent)
        self.register_buffer("code_covariance", torch.eye(config.latent))
        self.code_covariance: Tensor
        self.to(memory_format=torch.channels_last)

    def parts(self) -> dict[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.decoder}

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        kind = torch.optim.Adam if self.config.optimizer == "adam" else torch.optim.RMSprop
        return {"network": kind(self.parameters(), lr=self.config.learning_rate)}

    # --- training -----------------------------------------------------------------------------------------------------

    def _terms(self, coded: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean nats per image given its code, the share of sub-pixels guessed right, and the codes [N, latent]."""
        h = self.encoder(coded)
        outputs = self.decoder.stacks(coded, h)
        loss = self.decoder.value_nll(outputs, coded).sum((1, 2, 3)).mean()
        with torch.no_grad():
            right = (self.decoder.likeliest(outputs, coded) == self.decoder.values(coded)).float().mean()
        return loss, right, h.detach()

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        loss, right, h = self._terms(self.decoder.code(images, optimizers.generator))
        optimizers.minimise("network", loss)
        self._remember(h)
        return {"nll": loss.detach(), "accuracy": right}

    @torch.no_grad()
    def _remember(self, h: Tensor) -> None:
        """Move the codes' covariance towards that of a batch [N, latent]; their mean is 0."""
        self.code_covariance.lerp_(h.t() @ h / len(h), 1 - MEMORY)

    @torch.no_grad()
    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        with self.evaluating():
            loss, right, _ = self._terms(self.decoder.code(images, generator))
        return {"nll": loss, "accuracy": right}

    # --- codes and drawing --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def codes(self, images: Tensor) -> Tensor:
        """The code of each image, [N, latent]. Grey images are coded first, with the fixed seed."""
        if images.ndim != 4 or images.shape[1:] != self.config.shape:
            wanted, got = (" x ".join(map(str, shape)) for shape in (self.config.shape, images.shape[1:]))
            raise GenlibError(f"This {self.name} works on images of {wanted}, not {got}: resize them first.")
        coded = self.decoder.code(images)
        with self.evaluating(), full_precision(coded.device):
            return torch.cat([self.encoder(part) for part in coded.split(CHUNK)])

    def reconstruct(self, images: Tensor, n: int = 1, *, seed: int = 0, temperature: float = 1.0) -> Tensor:
        """n drawings from the code of each image, [N, n, C, H, W]: what the code says, and what it leaves open."""
        check_temperature(temperature)
        h = self.codes(images).repeat_interleave(n, 0)
        return self.draw(h, seed=seed, temperature=temperature).unflatten(0, (len(images), n))

    def draw(self, h: Tensor, *, seed: int = 0, temperature: float = 1.0) -> Tensor:
        """One drawing from each code [N, latent], [N, C, H, W] in [0, 1]."""
        check_temperature(temperature)
        canvas = h.new_zeros(len(h), *self.config.shape)
        nothing = torch.zeros(self.config.shape[1:], dtype=torch.bool)
        u = uniforms(len(h), self.config.shape, self.generator(seed)).to(h.device)
        for start in range(0, len(h), CHUNK):
            part = slice(start, start + CHUNK)
            with self.evaluating(), torch.no_grad(), full_precision(h.device):
                state = self.decoder.stacks.state(len(h[part]), self.config.shape[1:], h[part])
            for _ in draw_rows(state, canvas[part], nothing, PixelDraws(u[..., part], self.config.levels, temperature)):
                pass
        return canvas

    @torch.no_grad()
    def sample(self, n: int, *, seed: int = 0, label: int | None = None, temperature: float = 1.0) -> Tensor:
        """n images from codes drawn from a Gaussian like the training images' codes; see the module docstring."""
        self.refuse_label(label)
        check_temperature(temperature)
        stream = self.generator(seed + CODE_STREAM)
        u = torch.rand(n, self.config.latent, generator=stream, device=stream.device, dtype=torch.float64)
        noise = torch.special.ndtri(u.clamp(min=1e-12)).to(self.code_covariance)  # by u: code i does not depend on n
        spread = self.code_covariance + 1e-6 * torch.eye(self.config.latent).to(self.code_covariance)
        return self.draw(noise @ torch.linalg.cholesky(spread).t(), seed=seed, temperature=temperature)


class Encoder(nn.Module):
    """Coded images [N, C, H, W] -> codes [N, latent]: two strided convolutions, a third, a linear layer, normalised.

    Each number of the code has mean 0 and variance 1 over a batch (in evaluation: over those of late). Without that the
    encoder would at first serve as a bias for all images alike, and grow until the gates are shut for good.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, latent: int) -> None:
        super().__init__()
        channels, height, wide = shape
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.ReLU(),
        )
        self.code = nn.Linear(width * -(-height // 4) * -(-wide // 4), latent, bias=False)
        self.register_buffer("mean", torch.zeros(latent))
        self.register_buffer("variance", torch.ones(latent))
        self.mean: Tensor
        self.variance: Tensor

    def forward(self, x: Tensor) -> Tensor:
        h = self.convolutions(x.contiguous(memory_format=torch.channels_last))
        h = self.code(h.permute(0, 2, 3, 1).flatten(1)).to(self.mean.dtype)
        of_batch = self.training and len(h) > 1  # one image alone has no variance
        return F.batch_norm(h, self.mean, self.variance, training=of_batch, momentum=0.05)
