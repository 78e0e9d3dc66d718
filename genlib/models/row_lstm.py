"""Row LSTM: a PixelRNN that computes a row at once from the row above it.

van den Oord et al. 2016, Pixel Recurrent Neural Networks, arXiv:1601.06759, section 3.1; the shared network is in
`genlib.models.pixelrnn`.

    (o, f, i, g) = sigma(K_ss * h_above + K_is * x),   c = f . c_above + i . g,   h = o . tanh(c)   (eq. 3)

K_ss is a 3x1 kernel on the states of the row above, unmasked; K_is a 3x1 kernel along the pixel's own row with mask B, so
it reads the pixel and its left neighbour. Going up a row widens the view by one pixel on each side: what a state knows of
the rows above is a triangle, and of its own row only as much as the layers' inputs reach. Its likelihood lies between those of
PixelCNN and the Diagonal BiLSTM.
"""

from typing import ClassVar

from genlib.layers.sweeps import ROW, Sweep
from genlib.models.contract import Preset
from genlib.models.pixelrnn import PixelRNN, PixelRNNConfig


class RowLSTM(PixelRNN):
    """PixelRNN with Row LSTM layers; see the module docstring."""

    name: ClassVar[str] = "row-lstm"
    title: ClassVar[str] = "Row LSTM"

    class Config(PixelRNNConfig):
        """The defaults are the tutorial preset."""

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Memory runs down the columns: verticals are straight and the upper half of a digit decides the lower. Far to the "
            "left in the pixel's own row nothing is in view; look at long horizontal strokes.",
        ),
        "paper": Preset(
            "RMSProp and small batches on the data of the paper's table (80.54 nats there). The paper does not give the size of this "
            "network on MNIST: 7 layers with h = 16 are those of its Diagonal BiLSTM.",
            {
                "binarisation": "static", "optimizer": "rmsprop", "learning_rate": 1e-3, "batch_size": 16,
                "schedule": "constant", "epochs": 50,
            },
        ),
        "quick": Preset(
            "Two layers, a few minutes: strokes soon run on from row to row as they should.",
            {"layers": 2, "batch_size": 16, "epochs": 2, "learning_rate": 4e-3},
        ),
        "narrow": Preset(
            "One layer on a 3x3 first layer: of its own row a pixel sees two neighbours. Uprights are as good as ever, for memory runs "
            "down; but a horizontal stroke cannot know when it began, so bars come out ragged or do not end.",
            {"layers": 1, "first_kernel": 3, "batch_size": 16, "epochs": 2, "learning_rate": 4e-3},
            failure=True,
        ),
    }  # fmt: skip

    def sweep(self) -> Sweep:
        return ROW
