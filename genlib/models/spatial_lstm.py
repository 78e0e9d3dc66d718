"""Spatial LSTM: the two-dimensional LSTM that came before the PixelRNNs.

Theis & Bethge 2015, Generative Image Modeling Using Spatial LSTMs, arXiv:1506.03478, sections 2.2 and 2.3.

    (g, o, i, f_c, f_r) = (tanh, sigma, sigma, sigma, sigma)(T (x, h_left, h_above))                 (eq. 8)
    c = g . i + c_left . f_c + c_above . f_r,      h = o . tanh(c)

Not only the state but also the memory cell comes both from the left and from above, each through a forget gate of its own. There is
one direction, so a state has seen what lies above and to the left. What lies above and to the *right* is in view only as far
as the causal neighbourhood that the first layer reads; this is what the Diagonal BiLSTM's second direction mends.

Where we differ from the paper:

* Its pixels are real numbers, drawn from a mixture of conditional Gaussian scale mixtures. Here a sub-pixel has a Bernoulli
  probability or a softmax, from two 1x1 layers with ReLUs, as in the other models of the family.
* Its first layer is given the causal neighbourhood as it is; here a masked 7x7 convolution maps it to 2 h features first.
* Its layers are stacked plainly; here each adds to its input, as in PixelRNN.
* It has h = tanh(c . o); here it is o . tanh(c), as in every other LSTM of this library.
* The two forget gates start half open (bias 0): then they add up to one, and a cell neither fades nor grows.
"""

from typing import ClassVar

from pydantic import Field

from genlib.layers.sweeps import SPATIAL, Sweep
from genlib.models.contract import Preset
from genlib.models.pixelrnn import PixelRNN, PixelRNNConfig


class SpatialLSTM(PixelRNN):
    """Stacked spatial LSTMs with a discrete output; see the module docstring."""

    name: ClassVar[str] = "spatial-lstm"
    title: ClassVar[str] = "Spatial LSTM"
    paper: ClassVar[str] = "Theis & Bethge 2015, Generative Image Modeling Using Spatial LSTMs, arXiv:1506.03478"

    class Config(PixelRNNConfig):
        """The defaults are the tutorial preset."""

        layers: int = Field(3, ge=1, le=32, description="LSTM layers after the first convolution")
        hidden: int = Field(
            32, ge=1, le=512, description="features of a state, twice as many between layers; for colour rounded up"
        )
        forget_bias: float = Field(
            0.0, ge=-10, le=10, description="start of the forget gates' bias: above 0 the two add up to more than one"
        )

    presets: ClassVar[dict[str, Preset]] = {
        "tutorial": Preset(
            "Everything above and to the left is in view, whatever the depth. Of what is above and to the right only the first "
            "layer's window is: compare strokes that lean to the left with those that lean to the right.",
        ),
        "paper": Preset(
            "The paper's depth, up to three layers, and its size for the deeper nets, h = 64 units, by stochastic gradients in small batches. The "
            "paper models grey patches of photographs; MNIST and our output are not in it, so neither is a score to meet.",
            {
                "hidden": 64, "layers": 3, "binarisation": "static", "optimizer": "rmsprop", "learning_rate": 1e-3,
                "batch_size": 16, "schedule": "constant", "epochs": 30,
            },
        ),
        "quick": Preset(
            "One small layer: a few minutes, and digits hold together from the upper left down.",
            {"hidden": 16, "layers": 1, "batch_size": 16, "epochs": 2, "learning_rate": 4e-3},
        ),
        "runaway-cell": Preset(
            "Both forget gates start wide open, so a cell adds up two others at every pixel and grows along each diagonal without "
            "end. Away from the corner tanh is saturated: the state hardly moves, its gradients are now nothing, now huge, and what "
            "is learnt is little more than the first layer's window. Compare the loss with the quick preset's.",
            {
                "forget_bias": 6.0, "hidden": 16, "layers": 1, "batch_size": 16, "epochs": 2, "learning_rate": 4e-3,
            },
            failure=True,
        ),
    }  # fmt: skip

    def sweep(self) -> Sweep:
        return SPATIAL
