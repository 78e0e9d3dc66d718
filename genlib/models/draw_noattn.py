"""`draw-noattn`: DRAW without attention: Gregor et al. 2015, arXiv:1502.04623, section 3.1.

The recurrence stands in genlib/models/draw_core.py. Here the whole image and the whole error image are read at every step,
and a linear map of h^dec writes to all pixels (eqs. 17 and 18):

    read(x, x^, h^dec) = [x, x^]        write(h^dec) = W(h^dec)

The paper reports 87.40 nats on binary MNIST, and 80.97 with attention.
"""

from typing import ClassVar

import torch
from torch import Tensor

from genlib.layers.recurrent import RepeatedLinear
from genlib.models.contract import Preset
from genlib.models.draw_core import DrawConfig, DrawModel, from_rows, to_rows


class DRAWNoAttention(DrawModel):
    """Reads all of the image and writes to all of it; see the module docstring."""

    class Config(DrawConfig):
        pass

    name: ClassVar[str] = "draw-noattn"
    title: ClassVar[str] = "DRAW without attention"
    presets: ClassVar[dict[str, Preset]] = {
        "paper": Preset(
            "A digit comes out of the fog all at once: every step sharpens the whole picture, where the attentive model "
            "follows a stroke.",
            {"epochs": 200, "ema_decay": 0.999},
        ),
        "tutorial": Preset(
            "Ten steps, otherwise the paper's model: the first few settle which digit it is, the rest sharpen it.",
            {"steps": 10, "batch_size": 64, "epochs": 20, "ema_decay": 0.999, "schedule": "cosine"},
        ),
        "quick": Preset(
            "At first every sample is the same grey blot and the KL is near zero; when the KL rises, strokes and then "
            "digits appear, whole and blurred.",
            {"steps": 6, "batch_size": 32, "epochs": 3, "schedule": "cosine"},
        ),
        "one-step": Preset(
            "A single step is a plain VAE with a linear map at its end: nothing can be corrected, and strokes stay broken "
            "and blurred.",
            {"steps": 1, "epochs": 10, "schedule": "cosine"},
        ),
        "kl-collapse": Preset(
            "The KL term weighs 50 times too much and falls to zero: the code says nothing about the image, and "
            "whatever is read, the same grey average is painted.",
            {"steps": 6, "batch_size": 32, "epochs": 2, "beta": 50.0},
            failure=True,
        ),
    }

    def __init__(self, config: Config) -> None:
        pixels = config.dimensions
        super().__init__(config, 2 * pixels, pixels)
        with torch.no_grad():
            self.patch.weight.div_(config.steps)  # what T whole images add up to

    def hands(self, x: Tensor | None, example: Tensor | None = None) -> "_Plain":
        return _Plain(self, x)

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        return self.config.shape


class _Plain:
    """`Hands` of section 3.1. The image is the same at every step, so that only the error image is read anew."""

    def __init__(self, model: DRAWNoAttention, x: Tensor | None) -> None:
        self.shape = model.config.shape
        self.x = x
        self.constant = None if x is None else from_rows(x, self.shape[0]).flatten(1)
        self.linear = RepeatedLinear(model.patch.weight, model.patch.bias)

    def move(self, h_dec: Tensor) -> None:
        """Decide what is written next."""
        self.image = self.linear(h_dec).unflatten(1, self.shape)

    def read(self, canvas: Tensor) -> Tensor:
        """The error image, [N, C, H, W] (eq. 17, beside the constant image)."""
        assert self.x is not None
        return from_rows(self.x - canvas.sigmoid(), self.shape[0])

    def recall(self) -> None:
        """There is no example."""

    def write(self, canvas: Tensor) -> Tensor:
        """The canvas [N, H, C W] with the image added (eq. 18)."""
        return canvas + to_rows(self.image)
