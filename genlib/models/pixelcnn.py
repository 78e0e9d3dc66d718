"""PixelCNN: an image as a chain of pixels, each predicted from those before it.

van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759.

    p(x) = prod_i p(x_i | x_1, ..., x_{i-1})                                        (eq. 1, raster order)
    p(x_i | x_<i) = p(R | x_<i) p(G | x_<i, R) p(B | x_<i, R, G)                    (eq. 2, for colour)

One stack of masked convolutions computes every conditional at once, so training and likelihood cost one forward pass.
Drawing goes pixel by pixel; the features of what is already drawn are kept (`genlib.sampling`), so it costs little
more.

Three bodies are built from the same parts; "width" is the field `hidden`, "half" is width / 2:

* ``residual``: 1x1 to width, 3x3 mask B to half, 1x1 to width, a ReLU after each, added to the input.
* ``bottleneck``: the block of the paper's figure 5, a ReLU *before* each layer: 1x1 to half, 3x3 mask B to half, 1x1 to
  width, added to the input.
* ``plain``: one 3x3 mask B layer and a ReLU, nothing added.

The stack has a blind spot: above and to the right of a pixel lies a wedge of earlier pixels that no path of taps
reaches.

Where we differ from the paper: a sub-pixel may have any number of `levels` from 2 to 256, and with two there is one
Bernoulli logit instead of a softmax over two values, which is the same distribution.
"""

from dataclasses import replace
from itertools import pairwise
from typing import ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from genlib.data.codings import Binarisation
from genlib.layers.masked import MaskedConv2d, MaskKind, Step, run
from genlib.models.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genlib.models.contract import TRAINING, Preset
from genlib.sampling import MaskedStackState

Body = Literal["residual", "bottleneck", "plain"]


def _multiple(n: int, groups: int) -> int:
    """n rounded up to a multiple of ``groups``."""
    return -(-n // groups) * groups


class Block(nn.Module):
    """The layers of one block of the body, [N, width, H, W] -> [N, width, H, W]."""

    def __init__(self, body: Body, width: int, groups: int) -> None:
        super().__init__()
        self.body = body
        if body == "plain":
            self.masked = MaskedConv2d("B", width, width, 3, groups)
            return
        half = _multiple(width // 2, groups)
        inner = width if body == "residual" else half
        self.reduce = MaskedConv2d("B", width, inner, 1, groups)
        self.masked = MaskedConv2d("B", inner, half, 3, groups)
        self.expand = MaskedConv2d("B", half, width, 1, groups)

    def steps(self) -> list[Step]:
        if self.body == "plain":
            return [Step(self.masked, relu_after=True)]
        if self.body == "residual":
            return [
                Step(self.reduce, relu_after=True, opens=True),
                Step(self.masked, relu_after=True),
                Step(self.expand, relu_after=True, closes=True),
            ]
        return [
            Step(self.reduce, relu_before=True, relu_after=True, opens=True),
            Step(self.masked, relu_after=True),
            Step(self.expand, closes=True),
        ]


class PixelCNN(AutoregressiveModel):
    """First layer, blocks, 1x1 layers, logits; see the module docstring."""

    name: ClassVar[str] = "pixelcnn"
    title: ClassVar[str] = "PixelCNN"
    depth_field: ClassVar[str] = "blocks"
    paper: ClassVar[str] = "van den Oord et al. 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759"

    class Config(AutoregressiveConfig):
        """The defaults are the tutorial preset."""

        learning_rate: float = Field(5e-4, gt=0, le=1, description="step size of the optimizer")
        binarisation: Binarisation = Field(
            "threshold", description="how grey becomes black or white, with 2 levels", json_schema_extra=TRAINING
        )
        hidden: int = Field(128, ge=2, le=1024, description="feature maps; for colour rounded up to a multiple of 3")
        blocks: int = Field(5, ge=0, le=32, description="blocks after the first layer; each looks one pixel further")
        body: Body = Field(
            "residual", description="kind of block: residual, the paper's bottleneck, or plain 3x3 layers"
        )
        head: int = Field(128, ge=1, le=2048, description="feature maps of the last 1x1 layers, rounded up likewise")
        head_layers: int = Field(2, ge=0, le=8, description="1x1 layers between the blocks and the logits")
        first_kernel: Literal[3, 5, 7, 9, 11] = Field(7, description="kernel size of the first layer")
        first_mask: MaskKind = Field("A", description="mask of the first layer: A as it must be; B leaks the answer")

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Most of the likelihood is gained in the first few epochs. Strokes are clean soon, yet parts of a figure do not "
            "always fit: five 3x3 layers on a 7x7 one look eight rows up, so the foot of a digit knows nothing of its head.",
        ),
        "small": Preset(
            "A thirtieth of the weights: sixteen maps carry little about the figure so far. Its images are `dynamic`, so "
            "its loss cannot be compared with the tutorial's on `threshold` images.",
            {
                "hidden": 16, "blocks": 7, "body": "plain", "head": 32, "binarisation": "dynamic",
                "optimizer": "rmsprop", "learning_rate": 1e-3, "batch_size": 100, "epochs": 20,
            },
        ),
        "paper": Preset(
            "The paper's block and its head of 2 x 32 maps, RMSProp and small batches, on the data of the papers' "
            "tables. The size of its MNIST network is not given; h = 64 and seven blocks are our choice.",
            {
                "hidden": 128, "blocks": 7, "body": "bottleneck", "head": 32, "binarisation": "static",
                "optimizer": "rmsprop", "learning_rate": 3e-4, "batch_size": 16,
            },
        ),
        "quick": Preset(
            "Specks, then strokes, then parts of digits, within minutes: watch the samples join up while the loss falls.",
            {
                "hidden": 48, "blocks": 6, "body": "plain", "head": 48, "first_kernel": 11,
                "learning_rate": 2e-3, "batch_size": 64, "epochs": 5, "schedule": "cosine",
            },
        ),
        "colour-256": Preset(
            "The paper's network for CIFAR-10: fifteen bottleneck blocks with h = 128, two 1x1 layers of 1024 maps, a "
            "256-way softmax for each of red, green and blue. The softmax is not told that 127 and 128 are neighbours; "
            "watch its distributions become smooth. Use it with colour images, and with a GPU; the batch size and the "
            "rate are our choice where the paper gives none.",
            {
                "levels": 256, "hidden": 256, "blocks": 15, "body": "bottleneck", "head": 1024,
                "optimizer": "rmsprop", "learning_rate": 3e-4, "batch_size": 16,
            },
        ),
        "colour-16": Preset(
            "Sixteen values of red, green and blue, small enough for a processor. Bits/dim are at most 4 here and cannot "
            "be compared with those of 256 levels.",
            {
                "levels": 16, "hidden": 48, "blocks": 6, "body": "bottleneck", "head": 96,
                "learning_rate": 2e-3, "batch_size": 16, "epochs": 6, "schedule": "cosine",
            },
        ),
        "colour-4": Preset(
            "Four values of red, green and blue: posters of photographs. Green and blue mostly follow red, which the "
            "channel masks let them see, so most of the bits are red's. Bits/dim are at most 2 here.",
            {
                "levels": 4, "hidden": 48, "blocks": 6, "body": "bottleneck", "head": 48,
                "learning_rate": 2e-3, "batch_size": 16, "epochs": 4, "schedule": "cosine",
            },
        ),
        "leak": Preset(
            "Mask B in the first layer lets every pixel see itself. The loss falls to almost nothing, for the network "
            "only copies; but when it has to draw there is nothing to copy, and the samples are worthless. A "
            "likelihood too good to be true is a leak.",
            {
                "first_mask": "B", "hidden": 32, "blocks": 3, "body": "plain", "head": 32,
                "learning_rate": 2e-3, "batch_size": 64, "epochs": 2,
            },
            failure=True,
        ),
        "short-sighted": Preset(
            "One 3x3 layer sees four pixels. Its likelihood is honest and its strokes go on as strokes do, but nothing "
            "in four pixels tells which digit is being drawn.",
            {
                "first_kernel": 3, "hidden": 32, "blocks": 0, "head": 32,
                "learning_rate": 2e-3, "batch_size": 64, "epochs": 2,
            },
            failure=True,
        ),
    }  # fmt: skip

    def __init__(self, config: "PixelCNN.Config") -> None:
        super().__init__(config)
        groups = config.channels
        width, head = _multiple(config.hidden, groups), _multiple(config.head, groups)
        self.first = MaskedConv2d(config.first_mask, groups, width, config.first_kernel, groups)
        self.blocks = nn.ModuleList(Block(config.body, width, groups) for _ in range(config.blocks))
        sizes = [width] + [head] * config.head_layers
        self.head = nn.ModuleList(MaskedConv2d("B", a, b, 1, groups) for a, b in pairwise(sizes))
        outputs = groups if config.levels == 2 else groups * config.levels
        self.logits = MaskedConv2d("B", sizes[-1], outputs, 1, groups)
        self.to(memory_format=torch.channels_last)  # convolutions on a CPU are a third faster so

    def steps(self) -> list[Step]:
        """The network as a list: training runs it over whole images, the sampler walks through it pixel by pixel."""
        late = self.config.body == "bottleneck"  # its blocks rectify what they read, not what they give
        steps = [Step(self.first, relu_after=not late)]
        for block in self.blocks:
            steps += cast(Block, block).steps()
        end = [Step(cast(MaskedConv2d, layer), relu_after=True) for layer in self.head] + [Step(self.logits)]
        return [*steps, replace(end[0], relu_before=late), *end[1:]]

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        logits = run(self.steps(), x.contiguous(memory_format=torch.channels_last))
        return logits if self.config.levels == 2 else logits.unflatten(1, (self.config.channels, self.config.levels))

    def state(self, batch: int, labels: Tensor | None = None) -> MaskedStackState:
        return MaskedStackState(self.steps(), batch, self.config.channels, self.config.width)
