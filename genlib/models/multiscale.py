"""Multi-scale PixelRNN: first a small image, then the large one around it.

van den Oord, Kalchbrenner & Kavukcuoglu 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759, section 3.6, figure 6.

The small image x_s is x sub-sampled: every `factor`-th pixel of every `factor`-th row, from the first on.

    p(x) = p(x_s) p(x | x_s) = prod_{i in s} p(x_i | x_j, j in s, j < i)
                               prod_{i not in s} p(x_i | x_s, x_1, ..., x_{i-1})

The first product is an unconditional model in raster order over the small image. The second is a conditional model in
raster order over the large one: each of its layers is biased with features of the whole small image, so a pixel knows
roughly what will be below it and to its right, which raster order alone never does.

* Up-sampling: 3x3 convolutions over the small image (unmasked: it is known as a whole), then a deconvolution to the
  size of the large one, [N, up_features, H, W].
* Biasing: an unmasked 1x1 convolution of that map is added to what every layer with a kernel gives, before its ReLU.

**What is counted.** The paper has the conditional model draw all pixels of the large image, and does not say how it
counts those that the small one has fixed. As x_s is a part of x, they are known: a factor for them would count them
twice, and the sum of p(x) over all images would fall below one. So here they are copied, and have their factor in the
first product only; the conditional model reads them in its masked layers like any pixel that is already drawn. With this
the likelihood is exact, one product over the sub-pixels, each given those before it in the model's own `order`.

Completion goes in this order too: the hidden pixels of the small image are drawn given the known pixels *of the small
image*, then the other hidden ones given all of the small image and the known pixels before them. As with every
autoregressive model, what is known but comes later has no say.

Where we differ from the paper: both models are stacks of masked convolutions (`genlib.models.pixelcnn`) in place of LSTM
layers, and there is one step of enlargement, where the paper allows several.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.errors import GenlibError
from genlib.layers.masked import Step, run
from genlib.layers.precision import full_precision
from genlib.models.autoregressive import AutoregressiveConfig, AutoregressiveModel, Labels
from genlib.models.contract import Preset
from genlib.models.pixelcnn import Body, PixelCNN
from genlib.sampling import Draws, MaskedStackState, draw_rows

Conditioning = Literal["biased", "none"]


class Stages(NamedTuple):
    """What is drawn first and what comes of it: images in [0, 1], [n, C, h, w] and [n, C, H, W]."""

    small: Tensor
    full: Tensor


class UpSampling(nn.Module):
    """The small image, as a bias for layers at full size: [N, C, h, w] -> one map [N, out, H, W] for each layer."""

    def __init__(self, channels: int, features: int, layers: int, factor: int, outputs: list[int]) -> None:
        super().__init__()
        sizes = [channels] + [features] * layers
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        # a kernel of two strides: every pixel is reached from the two small pixels around it, in both directions
        self.deconvolution = nn.ConvTranspose2d(features, features, 2 * factor, stride=factor, padding=factor // 2)
        self.outputs = outputs
        self.biases = nn.Conv2d(features, sum(outputs), 1)  # the 1x1 convolutions of all layers side by side

    def forward(self, small: Tensor, height: int, width: int) -> tuple[Tensor, ...]:
        x = small.contiguous(memory_format=torch.channels_last)
        for convolution in self.convolutions:
            x = F.relu(convolution(x), inplace=True)
        x = F.relu(self.deconvolution(x)[..., :height, :width])
        return self.biases(x).split(self.outputs, 1)


class MultiScale(AutoregressiveModel):
    """A small PixelCNN, a large one and what connects them; see the module docstring."""

    name: ClassVar[str] = "multiscale"
    title: ClassVar[str] = "Multi-scale PixelRNN"
    depth_field: ClassVar[str] = "blocks"
    paper: ClassVar[str] = "van den Oord et al. 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759"

    class Config(AutoregressiveConfig):
        """The defaults are the tutorial preset."""

        learning_rate: float = Field(2e-3, gt=0, le=1, description="step size of the optimizer")
        batch_size: int = Field(64, ge=1, le=4096, description="images per training step")
        epochs: int = Field(5, ge=1, le=10_000, description="passes over the training images")
        schedule: Literal["constant", "cosine"] = Field("cosine", description="learning rate over the planned epochs")
        factor: int = Field(2, ge=2, le=4, description="the small image has every so many-th pixel of every such row")
        small_hidden: int = Field(64, ge=2, le=1024, description="feature maps of the small image's model")
        small_blocks: int = Field(5, ge=0, le=32, description="blocks of the small image's model")
        hidden: int = Field(64, ge=2, le=1024, description="feature maps; for colour rounded up to a multiple of 3")
        blocks: int = Field(3, ge=0, le=32, description="blocks after the first layer; each looks one pixel further")
        body: Body = Field("bottleneck", description="kind of block: residual, the paper's bottleneck, or plain layers")
        head: int = Field(64, ge=1, le=2048, description="feature maps of the last 1x1 layers, rounded up likewise")
        head_layers: int = Field(2, ge=0, le=8, description="1x1 layers between the blocks and the logits")
        first_kernel: Literal[3, 5, 7, 9, 11] = Field(7, description="kernel size of both first layers")
        conditioning: Conditioning = Field(
            "biased", description="how the large image's layers learn of the small one: biased with it, or not at all"
        )
        up_features: int = Field(32, ge=1, le=1024, description="feature maps of the up-sampled small image")
        up_layers: int = Field(3, ge=1, le=16, description="3x3 layers over the small image before it is enlarged")

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "The loss is the sum of both stages: a quarter of the pixels, drawn first and without neighbours, hold about "
            "two fifths of it. Figures are planned as a whole in 14 x 14 pixels, "
            "so head and foot of a digit fit; where a thin stroke slipped between the small image's pixels, the large "
            "model has to guess.",
        ),
        "paper": Preset(
            "The widths and the head of the paper's networks, RMSProp and small batches, on the data of the papers' "
            "tables. The paper shows this model on 32 x 32 and 64 x 64 photographs and gives no sizes of it; those of "
            "the small model and of the up-sampling are our choice.",
            {
                "small_hidden": 128, "small_blocks": 7, "hidden": 128, "blocks": 7, "head": 32, "up_features": 64,
                "up_layers": 4, "binarisation": "static", "optimizer": "rmsprop", "learning_rate": 3e-4,
                "batch_size": 16, "epochs": 50, "schedule": "constant",
            },
        ),
        "quick": Preset(
            "Within minutes the small images hold strokes, and the large model learns to join their pixels: compare each "
            "full image with the small one it was drawn around.",
            {
                "small_hidden": 32, "small_blocks": 4, "hidden": 32, "blocks": 2, "head": 32, "first_kernel": 5,
                "up_features": 16, "up_layers": 2, "epochs": 3,
            },
        ),
        "not-told": Preset(
            "The large model is not told of the small image. It still finds the copied pixels above it and to its left, "
            "as in any drawing; those below and to the right fall into its way. Strokes run past them, the full image "
            "does not fit its plan, and the loss stays some ten nats above that of `quick`, the same but for the bias.",
            {
                "small_hidden": 32, "small_blocks": 4, "hidden": 32, "blocks": 2, "head": 32, "first_kernel": 5,
                "conditioning": "none", "epochs": 3,
            },
            failure=True,
        ),
    }  # fmt: skip

    def __init__(self, config: "MultiScale.Config") -> None:
        super().__init__(config)
        channels, height, width = config.shape
        shared = {"levels": config.levels, "body": config.body, "head": config.head, "head_layers": config.head_layers}
        shared["first_kernel"] = config.first_kernel
        sizes = {"hidden": config.small_hidden, "blocks": config.small_blocks}
        small = PixelCNN.configure(None, (channels, *self._small_size()), **shared, **sizes)
        self.small = PixelCNN(cast(PixelCNN.Config, small))
        large = PixelCNN.configure(
            None, (channels, height, width), **shared, hidden=config.hidden, blocks=config.blocks
        )
        self.large = PixelCNN(cast(PixelCNN.Config, large))
        self.upsampling: UpSampling | None = None
        if config.conditioning == "biased":
            outputs = [len(step.layer.bias) for step in self.large.steps() if step.layer.kernel > 1]
            self.upsampling = UpSampling(channels, config.up_features, config.up_layers, config.factor, outputs)
            self.upsampling.to(memory_format=torch.channels_last)

    def parts(self) -> dict[str, nn.Module]:
        parts: dict[str, nn.Module] = {"small": self.small, "large": self.large}
        return parts if self.upsampling is None else parts | {"up-sampling": self.upsampling}

    # --- the small image ----------------------------------------------------------------------------------------------

    def _small_size(self) -> tuple[int, int]:
        factor = self.config.factor
        return -(-self.config.height // factor), -(-self.config.width // factor)

    def sub_sample(self, images: Tensor) -> Tensor:
        """The pixels that make up the small image, [..., H, W] -> [..., h, w], a view."""
        factor = self.config.factor
        return images[..., ::factor, ::factor]

    def small_pixels(self) -> Tensor:
        """Where they are, bool [H, W]."""
        mask = torch.zeros(self.config.shape[1:], dtype=torch.bool)
        self.sub_sample(mask).fill_(True)
        return mask

    def order(self) -> Tensor:
        """The small image in raster order, then the other pixels in raster order: ranks [C, H, W]."""
        raster = super().order()
        later = torch.where(self.small_pixels(), raster, raster + raster.numel())
        return later.flatten().argsort().argsort().view_as(raster)

    # --- the network --------------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Logits of every sub-pixel: those of the small image from its own model, the others from the large one."""
        small = self.sub_sample(x)
        logits = run(self._biased_steps(small), x.contiguous(memory_format=torch.channels_last))
        if self.config.levels > 2:
            logits = logits.unflatten(1, (self.config.channels, self.config.levels))
        self.sub_sample(logits).copy_(self.small(small))
        return logits

    def _biased_steps(self, small: Tensor) -> list[Step]:
        """The large model's layers, for these small images [N, C, h, w]."""
        steps = self.large.steps()
        if self.upsampling is None:
            return steps
        maps = iter(self.upsampling(small, *self.config.shape[1:]))
        return [replace(step, shift=next(maps)) if step.layer.kernel > 1 else step for step in steps]

    # --- drawing ------------------------------------------------------------------------------------------------------

    def walk(self, canvas: Tensor, known: Tensor, labels: Tensor | None, draws: Draws) -> Iterator[int]:
        """Both stages. Yields rows as the second one finishes them: by then, the small image is drawn everywhere."""
        channels, _, width = self.config.shape
        todo = [row for row, pixels in enumerate((~known).tolist()) if any(pixels)]
        small, factor = self.sub_sample(canvas), self.config.factor

        def draws_small(logits: Tensor, row: int, column: int, channel: int) -> Tensor:
            return draws(logits, factor * row, factor * column, channel)

        with self.evaluating():
            for _ in draw_rows(self.small.state(len(canvas)), small, self.sub_sample(known), draws_small):
                pass
            with torch.inference_mode(), full_precision(canvas.device):
                state = MaskedStackState(self._biased_steps(small), len(canvas), channels, width)
        given = known | self.small_pixels()
        rows = draw_rows(state, canvas, given, draws)
        for row in todo:
            if not given[row].all():
                next(rows)
            yield row

    def stages(self, n: int, *, seed: int = 0, label: Labels = None, temperature: float = 1.0) -> Stages:
        """The images of `sample` with the small ones that they were drawn around."""
        full = self.sample(n, seed=seed, label=label, temperature=temperature)
        return Stages(self.sub_sample(full).contiguous(), full)

    def enlarge(self, small: Tensor, n: int, *, seed: int = 0, temperature: float = 1.0) -> Tensor:
        """n full images around each of these small ones [N, C, h, w], [N, n, C, H, W]: what a small image leaves open."""
        wanted = (self.config.channels, *self._small_size())
        if small.ndim != 4 or small.shape[1:] != wanted:
            sizes, got = (" x ".join(map(str, shape)) for shape in (wanted, small.shape[1:]))
            raise GenlibError(
                f"This {self.name} enlarges images of {sizes} (channels, height, width), not {got}: resize them first."
            )
        canvas = small.new_zeros(len(small), *self.config.shape)
        self.sub_sample(canvas).copy_(small)
        return self.complete(canvas, self.small_pixels(), n, seed=seed, temperature=temperature)

    def log_prob_of_stages(self, images: Tensor) -> Tensor:
        """ln p(x_s) and ln p(x | x_s) of each image, [N, 2] nats; `log_prob` is their sum."""
        self._check_shape(images)
        with torch.no_grad():
            found = self._pixel_nll(self.code(images), None).neg()
        first = self.sub_sample(found).sum((1, 2, 3))
        return torch.stack([first, found.sum((1, 2, 3)) - first], 1)
