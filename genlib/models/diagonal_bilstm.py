"""Diagonal BiLSTM: a PixelRNN that sees every earlier pixel.

van den Oord et al. 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759, section 3.2; the shared network is in
`genlib.models.pixelrnn`.

Two LSTMs sweep over the map from its upper corners. The left-to-right one has at (r, c) seen everything up to row r and
column c, for its state follows from the states to the left and above; the right-to-left one everything up to row r from
column c on. In the pixel's own row this includes what comes later, so the right-to-left map is moved down by one row
before the two are added: then the sum knows exactly the pixels before (r, c), all of them.

One of them needs care. The features at a pixel have seen what lies before it, not the pixel itself, so the last pixel of a row is in none
of its row's features, and the right-to-left sweep of that row would miss it. Here the maps are a column wider than the
image: the features beyond the last pixel have seen it, and the right-to-left sweep starts with them.

    (o, f, i, g) = sigma(K_ss * h + K_is * x),   c = f . c_left + i . g,   h = o . tanh(c)          (eq. 3)

K_is is 1x1 with mask B; K_ss is 2x1 on the skewed map, which on the image is the pixel to the left and the one above.
"""

from typing import ClassVar

from pydantic import Field

from genlib.layers.sweeps import DIAGONAL, UNSHIFTED, Sweep
from genlib.models.contract import Preset
from genlib.models.pixelrnn import PixelRNN, PixelRNNConfig


class DiagonalBiLSTM(PixelRNN):
    """PixelRNN with Diagonal BiLSTM layers; see the module docstring."""

    name: ClassVar[str] = "diagonal-bilstm"
    title: ClassVar[str] = "Diagonal BiLSTM"
    margin: ClassVar[int] = 1

    class Config(PixelRNNConfig):
        """The defaults are the tutorial preset."""

        shifted: bool = Field(
            True, description="move the right-to-left map down a row, as it must be; without it the future leaks"
        )

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "The whole past is in view from the first layer on: strokes meet across the figure, and loops close. Compare "
            "what a PixelCNN of eight times the weights makes of the same pixels.",
        ),
        "paper": Preset(
            "The paper's best MNIST network, 79.20 nats: 7 layers, h = 16, RMSProp, small batches, on its data. Slow and "
            "steady: watch the test loss still falling after ten epochs.",
            {
                "binarisation": "static", "optimizer": "rmsprop", "learning_rate": 1e-3, "batch_size": 16,
                "schedule": "constant", "epochs": 50,
            },
        ),
        "quick": Preset(
            "One small layer already sees all earlier pixels. Within minutes its digits hang together, though their outline "
            "is rough.",
            {"hidden": 16, "layers": 2, "batch_size": 16, "epochs": 2, "learning_rate": 4e-3},
        ),
        "unshifted": Preset(
            "The right-to-left map is not moved down, so each pixel reads its own right side, and through it itself. The loss "
            "falls below anything possible; but there is nothing on the right while an image is being drawn, and the "
            "samples are worthless. A likelihood too good to be true is a leak.",
            {"shifted": False, "hidden": 16, "layers": 1, "batch_size": 16, "epochs": 1, "learning_rate": 4e-3},
            failure=True,
        ),
    }  # fmt: skip

    def sweep(self) -> Sweep:
        return DIAGONAL if self.config.shifted else UNSHIFTED
