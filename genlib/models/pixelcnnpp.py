"""PixelCNN++: two streams at three resolutions, and a mixture of logistics for each pixel.

Salimans, Karpathy, Chen & Kingma 2017, PixelCNN++, arXiv:1701.05517.

* Two streams (figure 2): the *down* stream knows the rows above a pixel, the *down-right* stream also what is left of it,
  and reads the first at every block. So there is no blind spot.
* Three resolutions by strided convolutions and back by transposed ones (section 2.3); what the contracting pass found is
  handed to the expanding pass at each of its blocks (section 2.4): those are the short-cuts.
* A block is x + a * sigmoid(b), with (a, b) two convolutions deep, concatenated ELUs before them, dropout between them
  (section 2.5); a class adds a learnt vector to (a, b).
* The last layer gives a discretised mixture of logistics over whole pixels (`genlib.layers.logistic`).

The paper has one width and one depth for all resolutions. Here each resolution has its own, for a block of the same width
costs sixteen times as much at the full resolution as at a quarter of it, and a CPU had better spend there. Weight normalisation, started from the first batch, is the paper's and is a field; without it the weights
start at the scale that the normalisation would give them on noise.
"""

import math
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from genlib.errors import GenlibError
from genlib.layers.logistic import LogisticMixture, log_scales, mixture_size
from genlib.layers.shifted import calibrate
from genlib.layers.streams import TwoStreams
from genlib.models.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genlib.models.contract import TRAINING, Optimizers, Preset
from genlib.sampling.pixelcnnpp import TwoStreamsState

COUNTED = 1 << 22  # bins looked at for the accuracy of a training step; with many levels it is that of a few images


class DecayingAdam(torch.optim.Adam):
    """Adam whose learning rate is ``decay`` ** t times the group's at step t, whoever sets the group's."""

    def __init__(self, parameters: Any, lr: float, decay: float) -> None:
        super().__init__(parameters, lr=lr)
        self.decay = decay

    def step(self, closure: Any = None) -> Any:
        taken = max((float(of["step"]) for of in self.state.values()), default=0.0)
        given = [group["lr"] for group in self.param_groups]
        for group in self.param_groups:
            group["lr"] *= self.decay**taken
        try:
            return super().step(closure)
        finally:
            for group, lr in zip(self.param_groups, given, strict=True):
                group["lr"] = lr


class PixelCNNPP(AutoregressiveModel):
    """First layers, contracting pass, expanding pass, mixture; see the module docstring."""

    name: ClassVar[str] = "pixelcnn++"
    title: ClassVar[str] = "PixelCNN++"
    depth_field: ClassVar[str] = "blocks"
    paper: ClassVar[str] = "Salimans et al. 2017, PixelCNN++, arXiv:1701.05517"

    class Config(AutoregressiveConfig):
        """The defaults are the tutorial preset."""

        learning_rate: float = Field(2e-3, gt=0, le=1, description="step size of the optimizer")
        learning_rate_decay: float = Field(
            1.0, gt=0, le=1, description="factor on the step size, for each step anew", json_schema_extra=TRAINING
        )
        batch_size: int = Field(64, ge=1, le=4096, description="images per training step")
        epochs: int = Field(8, ge=1, le=10_000, description="passes over the training images")
        ema_decay: float = Field(
            0.999, ge=0, lt=1, description="decay of the averaged weights that are kept; 0 keeps the last weights"
        )
        schedule: Literal["constant", "cosine"] = Field("cosine", description="learning rate over the planned epochs")
        filters: int = Field(16, ge=1, le=512, description="feature maps of a stream at the full resolution")
        filters_half: int = Field(24, ge=1, le=512, description="the same at half the resolution")
        filters_quarter: int = Field(32, ge=1, le=512, description="the same at a quarter of it")
        blocks: int = Field(0, ge=0, le=16, description="blocks of the contracting pass at the full resolution")
        blocks_half: int = Field(0, ge=0, le=16, description="the same at half the resolution")
        blocks_quarter: int = Field(2, ge=0, le=16, description="the same at a quarter of it")
        shortcuts: bool = Field(True, description="hand what the contracting pass found to the expanding pass")
        mixtures: int = Field(10, ge=1, le=64, description="logistic distributions that are mixed for a pixel")
        dropout: float = Field(
            0.0, ge=0, lt=1, description="share of a block's features left out", json_schema_extra=TRAINING
        )
        weight_norm: bool = Field(False, description="normalised weights, started from the first batch")
        classes: int = Field(0, ge=0, le=1000, description="classes that the model is told of; 0: none")

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Two streams leave no blind spot, and the lowest resolution, where layers cost a sixteenth, looks over the whole "
            "digit: see whether the foot of a figure fits its head, which the PixelCNN's short sight cannot tell.",
        ),
        "paper": Preset(
            "The network of the paper's CIFAR-10 table: 160 maps, five blocks at each resolution, half of the features "
            "dropped, averaged weights. Made for GPUs; on a CPU nobody would wait for an epoch.",
            {
                "filters": 160, "filters_half": 160, "filters_quarter": 160,
                "blocks": 5, "blocks_half": 5, "blocks_quarter": 5, "dropout": 0.5, "weight_norm": True,
                "learning_rate": 1e-3, "learning_rate_decay": 0.999995, "schedule": "constant",
                "ema_decay": 0.9995, "batch_size": 16, "epochs": 5000, "levels": 256,
            },
        ),
        "quick": Preset(
            "Half the maps, and fewer blocks at the lowest resolution. Specks become strokes, then parts of digits: "
            "look which is right first, the coarse shape or the edge of a stroke.",
            {
                "filters": 8, "filters_half": 16, "filters_quarter": 24, "blocks_quarter": 1, "mixtures": 3,
                "learning_rate": 4e-3, "batch_size": 32, "epochs": 3, "ema_decay": 0.99,
            },
        ),
        "no-shortcuts": Preset(
            "Without short-cuts everything must pass through the lowest resolution, where one pixel stands for sixteen and "
            "knows only what is before the first of them. So within a square of 4 x 4 no pixel knows its neighbours: the "
            "likelihood is honest and poor, and the samples fall apart into squares.",
            {
                "shortcuts": False, "filters": 8, "filters_half": 16, "filters_quarter": 24, "blocks_quarter": 1,
                "mixtures": 3, "learning_rate": 4e-3, "batch_size": 32, "epochs": 3, "ema_decay": 0.99,
            },
            failure=True,
        ),
    }  # fmt: skip

    def __init__(self, config: "PixelCNNPP.Config") -> None:
        super().__init__(config)
        self.network = TwoStreams(
            config.channels,
            mixture_size(config.channels, config.mixtures),
            (config.filters, config.filters_half, config.filters_quarter),
            (config.blocks, config.blocks_half, config.blocks_quarter),
            shortcuts=config.shortcuts,
            classes=config.classes,
            dropout=config.dropout,
            norm=config.weight_norm,
        )
        with torch.no_grad():  # every component is about as wide as the range of values at the start
            self.network.last.weight[log_scales(config.channels, config.mixtures)] *= 0.1
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))
        self.started: Tensor
        self._noise: torch.Generator | None = None  # drives the dropout of the training step under way
        self.to(memory_format=torch.channels_last)  # convolutions on a CPU are a third faster so

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Coded images [N, C, H, W], classes [N] -> the numbers of each pixel's mixture, [N, P, H, W]."""
        return self.network(2 * x - 1, self._checked(labels), self._noise)

    def _checked(self, labels: Tensor | None) -> Tensor | None:
        """The labels, if they are what the network was built for."""
        if not self.classes:
            return None
        if labels is None:
            raise GenlibError(f"This {self.name} is told classes: give a label for each image.")
        if labels.device.type != "meta" and int(labels.max()) >= self.classes:
            raise GenlibError(
                f"This {self.name} was built for {self.classes} classes, but there is a label {int(labels.max())}: "
                "raise classes."
            )
        return labels

    def state(self, batch: int, labels: Tensor | None = None) -> TwoStreamsState:
        config = self.config
        return TwoStreamsState(self.network, batch, config.shape, config.levels, self._checked(labels))

    # --- the mixture --------------------------------------------------------------------------------------------------

    def mixture(self, outputs: Tensor) -> LogisticMixture:
        outputs = outputs if outputs.dtype == torch.float64 else outputs.float()
        return LogisticMixture(outputs, self.config.channels, self.config.levels)

    def value_nll(self, outputs: Tensor, coded: Tensor) -> Tensor:
        mixture = self.mixture(outputs)
        return mixture.value_log_probs(coded.to(mixture.means.dtype)).neg()

    def level_log_probs(self, outputs: Tensor, coded: Tensor) -> Tensor:
        return self.mixture(outputs).level_log_probs(coded)

    def likeliest(self, outputs: Tensor, coded: Tensor) -> Tensor:
        if self.config.levels == 2:
            values = self.values(coded)
            return torch.where(self.value_nll(outputs, coded) <= math.log(2), values, 1 - values)
        return self.level_log_probs(outputs, coded).argmax(2)

    # --- training -----------------------------------------------------------------------------------------------------

    def optimizers(self) -> dict[str, torch.optim.Optimizer]:
        if self.config.optimizer == "adam" and self.config.learning_rate_decay < 1:
            decay = self.config.learning_rate_decay
            return {"network": DecayingAdam(self.parameters(), self.config.learning_rate, decay)}
        return super().optimizers()

    def training_step(self, images: Tensor, labels: Tensor, optimizers: Optimizers) -> dict[str, Tensor]:
        self._noise = optimizers.generator
        try:
            if self.config.weight_norm and not self.started:
                self._start(self.code(images, optimizers.generator), labels)
            return super().training_step(images, labels, optimizers)
        finally:
            self._noise = None

    @torch.no_grad()
    def _start(self, coded: Tensor, labels: Tensor) -> None:
        """Set gains and biases from the first batch; several processes take the mean of what each found."""
        calibrate(self, on=True)
        try:
            self(coded, labels if self.classes else None)
        finally:
            calibrate(self, on=False)
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            for p in self.parameters():
                torch.distributed.all_reduce(p.div_(torch.distributed.get_world_size()))
        self.started.fill_(True)

    def _terms(self, coded: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """As in the base; but in training with many levels the accuracy is that of the batch's first images.

        The likeliest of 256 values takes 256 times a mixture for each sub-pixel, more than a small network itself.
        """
        outputs = self(coded, labels if self.classes else None)
        loss = self.value_nll(outputs, coded).sum((1, 2, 3)).mean()
        counted = len(coded)
        if self.training and self.config.levels > 2:
            counted = max(1, COUNTED // (self.config.dimensions * self.config.levels * self.config.mixtures))
        with torch.no_grad():
            part = coded[:counted]
            right = (self.likeliest(outputs[:counted], part) == self.values(part)).float().mean()
        return loss, right
