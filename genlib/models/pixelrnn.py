"""What the PixelRNN family shares: van den Oord et al. 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759.

    7x7 mask A -> layers of a two-dimensional LSTM -> ReLU, 1x1 -> ReLU, 1x1 -> ReLU, logits      (table 1; 1x1: mask B)

Between the layers lie maps of 2 h features. A layer's gates read them, its state has h features, and a 1x1 layer brings
these back to 2 h, which are added to what the layer read (figure 5). What differs between the models is where gates and
cell look (`genlib.layers.sweeps`).

For colour, features are split into groups in the order R, G, B as in `genlib.layers.masked`; the masks restrict what is
read at the pixel itself, while the states of earlier pixels are read whole.

Where we differ from the paper: a state outside the image is zero; a sub-pixel may have any number of levels from 2 to 256,
and with two there is one Bernoulli logit.
"""

from typing import ClassVar, Literal, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genlib.layers.lstm2d import LSTM2d
from genlib.layers.maps import run, to_images, to_maps
from genlib.layers.masked import MaskedConv2d, Step
from genlib.layers.sweeps import Sweep
from genlib.models.autoregressive import AutoregressiveConfig, AutoregressiveModel
from genlib.sampling.lstm import LSTMState


class PixelRNNConfig(AutoregressiveConfig):
    """Fields that the three have."""

    learning_rate: float = Field(3e-3, gt=0, le=1, description="step size of the optimizer")
    batch_size: int = Field(32, ge=1, le=4096, description="images per training step")
    epochs: int = Field(20, ge=1, le=10_000, description="passes over the training images")
    gradient_clip: float = Field(
        100.0, ge=0, le=1e4, description="largest gradient norm per optimizer; 0 switches clipping off"
    )
    schedule: Literal["constant", "cosine"] = Field("cosine", description="learning rate over the planned epochs")
    hidden: int = Field(
        16, ge=1, le=512, description="features of a state, twice as many between layers; for colour rounded up"
    )
    layers: int = Field(7, ge=1, le=32, description="LSTM layers after the first convolution")
    head: int = Field(32, ge=1, le=2048, description="feature maps of the last two 1x1 layers, rounded up likewise")
    first_kernel: Literal[3, 5, 7, 9, 11] = Field(7, description="kernel size of the first layer")
    forget_bias: float = Field(1.0, ge=-10, le=10, description="start of the forget gates' bias: above 0 they are open")


class PixelRNN(AutoregressiveModel):
    """Base of the three; a subclass says which `Sweep` its layers make."""

    paper: ClassVar[str] = "van den Oord et al. 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759"
    depth_field: ClassVar[str] = "layers"
    margin: ClassVar[int] = 0
    """Columns of zeros to the right of the image, through which the network runs as well."""

    def __init__(self, config: PixelRNNConfig) -> None:
        super().__init__(config)
        groups = config.channels
        hidden, head = (-(-n // groups) * groups for n in (config.hidden, config.head))
        outputs = groups if config.levels == 2 else groups * config.levels
        self.first = MaskedConv2d("A", groups, 2 * hidden, config.first_kernel, groups)
        self.layers = nn.ModuleList(
            LSTM2d(self.sweep(), hidden, groups, config.forget_bias) for _ in range(config.layers)
        )
        self.head = nn.ModuleList(MaskedConv2d("B", n, head, 1, groups) for n in (2 * hidden, head))
        self.logits = MaskedConv2d("B", head, outputs, 1, groups)

    def sweep(self) -> Sweep:
        """What the layers read."""
        raise NotImplementedError(f"{type(self).__name__} does not say where its layers look")

    def steps(self) -> list[Step | LSTM2d]:
        """The network as a list: training runs it over whole maps, drawing pixel by pixel."""
        layers = [cast(LSTM2d, layer) for layer in self.layers]
        first, second = (cast(MaskedConv2d, layer) for layer in self.head)
        head = [Step(first, relu_before=True, relu_after=True), Step(second, relu_after=True), Step(self.logits)]
        return [Step(self.first), *layers, *head]

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        maps = to_maps(F.pad(x, (0, self.margin)))
        logits = to_images(run(self.steps(), maps)[:, : self.config.width])
        return logits if self.config.levels == 2 else logits.unflatten(1, (self.config.channels, self.config.levels))

    def state(self, batch: int, labels: Tensor | None = None) -> LSTMState:
        return LSTMState(self.steps(), batch, self.config.shape, self.margin)
