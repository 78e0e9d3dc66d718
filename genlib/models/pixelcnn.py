"""PixelCNN: an image as a chain of pixels, each predicted from those before it.

van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759.

    p(x) = prod_i p(x_i | x_1, ..., x_{i-1})                                        (eq. 1, raster order)
    p(x_i | x_<i) = p(R | x_<i) p(G | x_<i, R) p(B | x_<i, R, G)                    (eq. 2, for colour)

One stack of masked convolutions computes every conditional at once, so training and likelihood cost one forward pass. Drawing
goes pixel by pixel; the features of what is already drawn are kept (`genlib.sampling`), so it costs hardly more.

Three bodies are built from the same parts (figure 5 of the paper; ``width`` is `hidden`, ``half`` is width / 2):

* ``residual``: 1x1 width, 3x3 mask B half, 1x1 width, a ReLU after each, added to the input. The tutorial preset.
* ``bottleneck``: the block of the paper, a ReLU *before* each convolution: 1x1 half, 3x3 mask B half, 1x1 width, added.
* ``plain``: one 3x3 mask B convolution and a ReLU, nothing added.

The stack of 3x3 kernels has a blind spot: above and to the right of a pixel lies a wedge that no path of taps reaches. Where we
differ from the paper: binary images have one Bernoulli logit in place of a 2-way softmax, which is the same distribution; and
`levels` may be anything from 2 to 256.
"""

from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.data.codings import Binarisation, binarise, from_levels, to_levels
from genlib.layers.masked import MaskedConv2d, MaskKind
from genlib.models.contract import Config, Model, Optimizers, Preset

Body = Literal["residual", "bottleneck", "plain"]

CHUNK = 128  # images per forward pass where no gradient is wanted; bounds the memory, not the result


class PixelCNNConfig(Config):
    """Defaults are the tutorial preset."""

    binarisation: Binarisation = Field("threshold", description="how grey values become bits (for 2 levels)")
    levels: int = Field(2, ge=2, le=256, description="values a sub-pixel can take: 2 is one Bernoulli logit, more are a softmax")
    hidden: int = Field(128, ge=2, le=1024, description="feature maps (rounded up to a multiple of the image channels)")
    blocks: int = Field(5, ge=0, le=32, description="blocks after the first layer")
    body: Body = Field("residual", description="kind of block: tutorial residual, the paper's bottleneck, or plain 3x3 layers")
    head: int = Field(128, ge=1, le=2048, description="feature maps of the last 1x1 layers (rounded up likewise)")
    head_layers: int = Field(2, ge=0, le=8, description="number of 1x1 layers before the logits")
    first_kernel: Literal[3, 5, 7, 9, 11] = Field(7, description="kernel of the first layer")
    first_mask: MaskKind = Field("A", description="mask of the first layer: A hides a pixel from its own prediction, B leaks it")
    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="the optimizer")
    learning_rate: float = Field(5e-4, gt=0, le=1, description="step size of the optimizer")
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="arithmetic of training: 32-bit, bfloat16 autocast, or bfloat16 where the processor has it in hardware"
    )


def _multiple(n: int, groups: int) -> int:
    """n rounded up to a multiple of groups, at least one each."""
    return max(1, -(-n // groups)) * groups


class Block(nn.Module):
    """One block of the body, [N, width, H, W] -> [N, width, H, W]."""

    def __init__(self, body: Body, width: int, groups: int) -> None:
        super().__init__()
        self.body = body
        half = _multiple(width // 2, groups)
        if body == "plain":
            self.masked = MaskedConv2d("B", width, width, 3, groups)
            return
        inner = width if body == "residual" else half
        self.reduce = MaskedConv2d("B", width, inner, 1, groups)
        self.masked = MaskedConv2d("B", inner, half, 3, groups)
        self.expand = MaskedConv2d("B", half, width, 1, groups)

    def forward(self, x: Tensor) -> Tensor:
        if self.body == "plain":
            return self.masked(x).relu_()
        if self.body == "residual":
            return x + self.expand(self.masked(self.reduce(x).relu_()).relu_()).relu_()
        return x + self.expand(self.masked(self.reduce(x.relu()).relu_()).relu_())


class PixelCNN(Model):
    name = "pixelcnn"
    title = "PixelCNN"
    family = "autoregressive"
    paper = "van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759"
    Config = PixelCNNConfig
    terms = {
        "nll": "negative log-likelihood (nats per image)",
        "accuracy": "sub-pixels whose likeliest value is the true one (share)",
    }
    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Five residual blocks, 532,673 weights: within an epoch the strokes join into digits, "
            "and most of the gain in likelihood is made in the first few epochs."
        ),
    }

    def __init__(self, config: PixelCNNConfig) -> None:
        super().__init__(config)
        groups = config.channels
        width, head = _multiple(config.hidden, groups), _multiple(config.head, groups)
        self.first = MaskedConv2d(config.first_mask, groups, width, config.first_kernel, groups)
        self.blocks = nn.ModuleList(Block(config.body, width, groups) for _ in range(config.blocks))
        sizes = [width] + [head] * config.head_layers
        self.head = nn.ModuleList(MaskedConv2d("B", a, b, 1, groups) for a, b in zip(sizes, sizes[1:], strict=False))
        outputs = groups if config.levels == 2 else groups * config.levels
        self.logits = MaskedConv2d("B", sizes[-1], outputs, 1, groups)
        self.to(memory_format=torch.channels_last)  # a third faster on the CPU than planes

    def forward(self, x: Tensor) -> Tensor:
        """Coded image [N, C, H, W] with values in [0, 1] -> logits: [N, C, H, W] for 2 levels, else [N, C, levels, H, W]."""
        h = self.first(x.contiguous(memory_format=torch.channels_last))
        if self.config.body != "bottleneck":  # its blocks bring their own ReLU
            h = h.relu_()
        for block in self.blocks:
            h = block(h)
        if self.config.body == "bottleneck":
            h = h.relu()
        for layer in self.head:
            h = layer(h).relu_()
        h = self.logits(h)
        return h if self.config.levels == 2 else h.unflatten(1, (self.config.channels, self.config.levels))

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        kinds: dict[str, Any] = {"adam": torch.optim.Adam, "rmsprop": torch.optim.RMSprop}
        return {"network": kinds[self.config.optimizer](self.parameters(), lr=self.config.learning_rate)}

    # -- pixels and their coding --------------------------------------------------------------------------------------------

    def code(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Images in [0, 1] -> the values the network works on, in [0, 1] too: bits, or levels / (levels - 1).

        Without a generator the draws of ``dynamic`` and ``static`` come from the fixed seed.
        """
        if self.config.levels == 2:
            return binarise(images, self.config.binarisation, generator)
        return from_levels(to_levels(images, self.config.levels), self.config.levels)

    def _nll(self, logits: Tensor, coded: Tensor) -> Tensor:
        """-ln p(value | earlier values) of each sub-pixel, [N, C, H, W] nats, in float32 or better whatever the logits are."""
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if self.config.levels == 2:
            return F.binary_cross_entropy_with_logits(logits, coded.to(logits.dtype), reduction="none")
        values = (coded * (self.config.levels - 1)).round().long()
        return F.cross_entropy(logits.transpose(1, 2), values, reduction="none")

    def _accuracy(self, logits: Tensor, coded: Tensor) -> Tensor:
        """Share of sub-pixels whose likeliest value is the true one, a scalar."""
        if self.config.levels == 2:
            return ((logits > 0) == (coded > 0.5)).float().mean()
        return (logits.argmax(2) == (coded * (self.config.levels - 1)).round()).float().mean()

    # -- training and likelihood --------------------------------------------------------------------------------------------

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        coded = self.code(images, optimizers.generator)
        logits = self(coded)
        loss = self._nll(logits, coded).sum((1, 2, 3)).mean()
        optimizers.minimise("network", loss)
        return {"nll": loss.detach(), "accuracy": self._accuracy(logits.detach(), coded)}

    def validation_step(self, images: Tensor, labels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        coded = self.code(images, generator)
        with torch.no_grad():
            logits = self(coded)
            return {"nll": self._nll(logits, coded).sum((1, 2, 3)).mean(), "accuracy": self._accuracy(logits, coded)}

    def log_prob(self, images: Tensor, label: int | None = None) -> Tensor:
        """ln p(x) of each image, [N] nats, exact. Grey images are coded first, with the fixed seed."""
        self.refuse_label(label)
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            parts = [-self._nll(self(x), x).sum((1, 2, 3)) for x in self.code(images).split(CHUNK)]
        return torch.cat(parts)
