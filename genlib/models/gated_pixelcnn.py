"""Gated PixelCNN: a PixelCNN without the blind spot, with gates in place of ReLUs, and told what to draw.

van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves & Kavukcuoglu 2016, Conditional Image Generation with PixelCNN
Decoders, arXiv:1606.05328.

    p(x | h) = prod_i p(x_i | x_1, ..., x_{i-1}, h)                                                          (eq. 3)
    y = tanh(W_f * x + V_f^T h) . sigmoid(W_g * x + V_g^T h)                                                 (eq. 4)
    y = tanh(W_f * x + V_f * s) . sigmoid(W_g * x + V_g * s),   s = m(h)                                     (eq. 5)

Each layer has a vertical stack, which sees the rows above, and a horizontal one, which sees the row of the pixel
(`genlib.layers.gated`); after the last, two 1x1 layers give the logits. With ``classes``, h is the class as a one-hot
vector and reaches both gates of both stacks in every layer: everywhere alike (eq. 4), or with ``location`` through a map s
that a small deconvolutional network makes of it, so that the class can say *where* something is (eq. 5).

Where we differ from the paper: a sub-pixel may have any number of ``levels`` from 2 to 256, with one Bernoulli logit for
two; and the first layer, which reads one to three channels only, may have a larger kernel than the others.
"""

from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from genlib.errors import GenlibError
from genlib.layers.gated import GatedLayer
from genlib.layers.masked import MaskedConv2d
from genlib.layers.precision import full_precision
from genlib.models.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genlib.models.contract import Preset
from genlib.sampling.gated import GatedStackState

MAP = 8  # feature maps of s = m(h)


class GatedPixelCNNConfig(AutoregressiveConfig):
    """The architecture's fields; the defaults are the tutorial preset without its classes."""

    learning_rate: float = Field(3e-3, gt=0, le=1, description="step size of the optimizer")
    batch_size: int = Field(32, ge=1, le=4096, description="images per training step")
    epochs: int = Field(8, ge=1, le=10_000, description="passes over the training images")
    ema_decay: float = Field(
        0.999, ge=0, lt=1, description="decay of the averaged weights that are kept; 0 keeps the last weights"
    )
    schedule: Literal["constant", "cosine"] = Field("cosine", description="learning rate over the planned epochs")
    hidden: int = Field(
        24, ge=1, le=1024, description="feature maps p of each stack; for colour rounded up to a multiple of 3"
    )
    layers: int = Field(7, ge=1, le=64, description="gated layers, the first included; each looks further")
    kernel: Literal[3, 5, 7] = Field(3, description="kernel size n of the layers after the first")
    first_kernel: Literal[3, 5, 7, 9, 11] = Field(9, description="kernel size of the first layer")
    head: int = Field(
        64, ge=1, le=2048, description="feature maps of the 1x1 layer before the logits, rounded up likewise"
    )
    shift: Literal["first", "every"] = Field(
        "first",
        description="vertical layers shifted down a row: the first as it must be; every one brings a blind spot",
    )


class GatedPixelCNN(AutoregressiveModel):
    """Gated layers of two stacks, 1x1 layers, logits; see the module docstring."""

    name: ClassVar[str] = "gated-pixelcnn"
    title: ClassVar[str] = "Gated PixelCNN"
    depth_field: ClassVar[str] = "layers"
    paper: ClassVar[str] = (
        "van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders, arXiv:1606.05328"
    )

    class Config(GatedPixelCNNConfig):
        """See `GatedPixelCNNConfig`."""

        classes: int = Field(0, ge=0, le=10_000, description="classes to be told apart and asked for; 0: none")
        location: bool = Field(False, description="the class says where, too: a map made of it, not one vector")

        @field_validator("location")
        @classmethod
        def _needs_classes(cls, value: bool, info: ValidationInfo) -> bool:
            if value and not info.data.get("classes"):
                raise ValueError("the map is made of the class: set classes above 0")
            return value

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "It is told which digit it sees, so the samples are digits of their class long before they are clean. Ask for "
            "one class and nothing else comes; no pixel above is out of sight, so heads and feet fit.",
            {"classes": 10},
        ),
        "unconditional": Preset(
            "The tutorial's network that is told nothing. Its likelihood is only a nat or so worse than the tutorial's over "
            "all classes: after a few rows of ink the digit is no secret. But nobody can ask it for a seven.",
        ),
        "location": Preset(
            "The class arrives as a map: it can say that a seven's bar lies on top before a single pixel is drawn. Digits "
            "are centred anyway, so the gain over the tutorial is small.",
            {"classes": 10, "location": True},
        ),
        "paper": Preset(
            "The paper's ImageNet network: 20 layers of 384 maps with 5x5 kernels, batches of 128. It has none for MNIST "
            "and does not give the optimizer, its step size or the head; those are ours. Far too large for a CPU.",
            {
                "classes": 10, "hidden": 384, "layers": 20, "kernel": 5, "first_kernel": 5, "head": 1024,
                "binarisation": "static", "batch_size": 128, "learning_rate": 4e-4, "epochs": 100,
            },
        ),
        "quick": Preset(
            "Strokes within a minute, digits of the class you ask for within some: watch a sheet's rows become alike.",
            {
                "classes": 10, "hidden": 12, "layers": 5, "head": 32, "learning_rate": 5e-3, "epochs": 2,
            },
        ),
        "shift-every-layer": Preset(
            "One row too many: every vertical layer is shifted down, not only the first. No pixel sees the future and the "
            "loss falls as usual, but the blind spot is back: above and to the right lies a wedge that no layer reaches. "
            "Compare its loss with the quick preset's, and ask at the completion page what a pixel sees.",
            {
                "classes": 10, "hidden": 12, "layers": 5, "head": 32, "learning_rate": 5e-3, "epochs": 2,
                "shift": "every",
            },
            failure=True,
        ),
    }  # fmt: skip

    def __init__(self, config: "GatedPixelCNN.Config", latent: int = 0) -> None:
        """``latent``: in place of a class the layers are told this many numbers; for a model that has this one inside."""
        super().__init__(config)
        self.map = LocationMap(config.classes, config.height, config.width) if config.location else None
        self.stacks = GatedStacks(config, latent or (MAP if config.location else config.classes))
        self.to(memory_format=torch.channels_last)  # convolutions on a CPU are a third faster so

    def condition(self, labels: Tensor | None) -> Tensor | None:
        """Classes [N] -> what the layers are told: one-hot [N, classes], or a map [N, maps, H, W]."""
        if not self.classes:
            return None
        if labels is None:
            raise GenlibError(f"This {self.name} was trained with classes: give a label for each image.")
        if labels.device.type != "meta" and int(labels.max()) >= self.classes:
            raise GenlibError(
                f"This {self.name} was built for {self.classes} classes, but there is a label {int(labels.max())}: raise classes."
            )
        h = F.embedding(labels, torch.eye(self.classes, device=labels.device, dtype=self._dtype))
        return h if self.map is None else self.map(h)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.stacks(x, self.condition(labels))

    @torch.no_grad()
    def state(self, batch: int, labels: Tensor | None = None) -> GatedStackState:
        with full_precision(self.device):
            h = self.condition(labels)
            return self.stacks.state(batch, self.config.shape[1:], h)


class GatedStacks(nn.Module):
    """The network under a condition h of ``condition`` numbers, or as many maps; 0: none."""

    def __init__(self, config: GatedPixelCNNConfig, condition: int) -> None:
        super().__init__()
        groups = config.channels
        width, head = (-(-n // groups) * groups for n in (config.hidden, config.head))
        self.channels, self.levels = groups, config.levels
        self.layers = nn.ModuleList(
            GatedLayer(
                groups if i == 0 else width,
                width,
                config.first_kernel if i == 0 else config.kernel,
                groups,
                condition=condition,
                first=i == 0,
                last=i == config.layers - 1,
                shift=i == 0 or config.shift == "every",
            )
            for i in range(config.layers)
        )
        self.head = MaskedConv2d("B", width, head, 1, groups)
        self.logits = MaskedConv2d("B", head, groups if config.levels == 2 else groups * config.levels, 1, groups)
        with torch.no_grad():  # begin near even chances
            self.logits.weight.mul_(0.5)
            self.logits.bias.zero_()

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        """Coded images [N, C, H, W], condition -> logits: [N, C, H, W] with 2 levels, else [N, C, levels, H, W]."""
        v = x = x.contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            v, x = layer(v, x, h)
        logits = self.logits(self.head(x.relu()).relu_())
        return logits if self.levels == 2 else logits.unflatten(1, (self.channels, self.levels))

    def state(self, batch: int, size: tuple[int, int], h: Tensor | None = None) -> GatedStackState:
        """The memory while ``batch`` images of a ``size`` (H, W) are drawn."""
        layers = [cast(GatedLayer, layer) for layer in self.layers]
        return GatedStackState(layers, [self.head, self.logits], batch, (self.channels, *size), h)


class LocationMap(nn.Module):
    """s = m(h): a vector [N, inputs] -> maps [N, MAP, H, W], by a linear layer and two transposed convolutions."""

    def __init__(self, inputs: int, height: int, width: int) -> None:
        super().__init__()
        self.size = height, width
        self.small = -(-height // 4), -(-width // 4)
        self.vector = nn.Linear(inputs, 2 * MAP * self.small[0] * self.small[1])
        self.up = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(2 * MAP, MAP, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(MAP, MAP, 4, stride=2, padding=1),
        )

    def forward(self, h: Tensor) -> Tensor:
        height, width = self.size
        return self.up(self.vector(h).unflatten(1, (2 * MAP, *self.small)))[:, :, :height, :width]
