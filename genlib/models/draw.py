"""`draw`: DRAW with attention, the Deep Recurrent Attentive Writer: Gregor et al. 2015, arXiv:1502.04623.

The recurrence stands in genlib/models/draw_core.py. Here is how it reads and writes (section 3.2): through N x N grids of
Gaussian filters, whose place, stride, width and strength come from h^dec by a linear map (genlib/layers/attention.py).
Colour images are filtered channel by channel.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from genlib.errors import GenlibError
from genlib.layers.attention import FusedGrids, glimpse_box
from genlib.models import contract
from genlib.models.contract import Preset
from genlib.models.draw_core import DrawConfig, DrawModel, Step, stack, start


class DRAW(DrawModel):
    """Reads glimpses and writes patches; see the module docstring."""

    class Config(DrawConfig):
        read_size: int = Field(2, ge=1, le=28, description="filters per side of the reading grid")
        write_size: int = Field(5, ge=1, le=28, description="filters per side of the writing grid")

    name: ClassVar[str] = "draw"
    title: ClassVar[str] = "DRAW"
    presets: ClassVar[dict[str, Preset]] = {
        "paper": Preset(
            "The first steps lay down a blurred average of all digits; then the writing box shrinks and follows the "
            "stroke, as a pen does.",
            {"epochs": 200, "ema_decay": 0.999},
        ),
        "tutorial": Preset(
            "Half the paper's steps, otherwise its model: a blurred average first, then stroke after stroke; each "
            "step costs only a nat or so.",
            {"steps": 32, "batch_size": 64, "epochs": 60, "ema_decay": 0.999, "schedule": "cosine"},
        ),
        "quick": Preset(
            "At first every sample is the same grey blot and the KL is near zero; when the KL rises, strokes and then "
            "digits appear.",
            {"steps": 12, "batch_size": 32, "epochs": 4, "schedule": "cosine"},
        ),
        "cifar10": Preset(
            "The paper's CIFAR-10 row, for 32 x 32 colour images and a large machine: the writing box sweeps large washes "
            "of colour first. Intensities count as probabilities, so the loss is no likelihood of the colours.",
            {"hidden": 400, "latent": 200, "read_size": 5, "write_size": 5, "binarisation": "unit", "epochs": 200},
        ),
        "svhn": Preset(
            "The paper's SVHN row: half the glimpses, with a grid of 12 x 12; house numbers are painted one digit after "
            "another. Intensities count as probabilities, as for CIFAR-10.",
            {
                "steps": 32,
                "hidden": 800,
                "read_size": 12,
                "write_size": 12,
                "binarisation": "unit",
                "epochs": 100,
            },
        ),
        "colour": Preset(
            "Colour within an hour on two cores: 16 glimpses of the CIFAR-10 row. Soft patches of colour that could be a "
            "landscape; the box seldom gets small.",
            {
                "steps": 16,
                "batch_size": 32,
                "read_size": 5,
                "write_size": 5,
                "binarisation": "unit",
                "epochs": 10,
                "ema_decay": 0.999,
                "schedule": "cosine",
            },
        ),
        "kl-collapse": Preset(
            "The KL term weighs 50 times too much and falls to zero: the code says nothing about the image, and "
            "whatever is read, the same grey average is painted.",
            {"steps": 12, "batch_size": 32, "epochs": 2, "beta": 50.0},
            failure=True,
        ),
        "large-steps": Preset(
            "The step size is twenty times too large: sigma is an exponential, so one step can throw the loss from "
            "hundreds of nats to a million; it comes back, jumps again, and stays far above the quick preset's.",
            {"steps": 12, "batch_size": 32, "epochs": 2, "learning_rate": 0.02},
            failure=True,
        ),
    }

    example_box: nn.Linear  # in a model that is given an example (genlib/models/one_shot.py), where it looks at it
    paste_box: nn.Linear  # and where what it saw there goes

    def __init__(self, config: Config, n_example: int = 0, paste: bool = False) -> None:
        """``n_example`` filters per side read an example at each step; 0: there is none. ``paste``: what is read of it is
        also written."""
        c, h, w = config.shape
        n_read, n_write = config.read_size, config.write_size
        super().__init__(config, 2 * c * n_read**2, c * n_write**2, c * n_example**2)
        self.n_example, self.paste = n_example, paste
        self.read_box = nn.Linear(config.hidden, 5)  # eq. 21
        self.write_box = nn.Linear(config.hidden, 5)
        _start_box(self.read_box, n_read, max(h, w))
        _start_box(self.write_box, n_write, max(h, w))
        if n_example:
            self.example_box = nn.Linear(config.hidden, 5)
            _start_box(self.example_box, n_example, max(h, w))
        if paste:
            self.paste_box = nn.Linear(config.hidden, 5)
            _start_box(self.paste_box, n_example, max(h, w))

    @classmethod
    def validate_config(cls, values: Mapping[str, Any]) -> contract.Config:
        """Configs saved before `draw-noattn` was a model of its own have a switch for the attention; it must be on."""
        values = dict(values)
        if values.pop("attention", True) is not True:
            raise GenlibError("draw always has attention: for DRAW without it choose the model draw-noattn.")
        return super().validate_config(values)

    def hands(self, x: Tensor | None, example: Tensor | None = None) -> "_Attentive":
        return _Attentive(self, x, example)

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        return self.config.channels, self.config.write_size, self.config.write_size

    def attended(self, steps: list[Step], states: Tensor) -> dict[str, Any]:
        config = self.config
        _, h, w = config.shape
        found: dict[str, Any] = {"write_grid": config.write_size, "read_grid": config.read_size}
        found["write"] = glimpse_box(self.write_box(states), config.write_size, h, w)
        before = torch.stack([step.before for step in steps], 1)
        if steps[0].recalled is not None:
            found["example_grid"] = self.n_example
            found["example"] = glimpse_box(self.example_box(before), self.n_example, h, w)
            found["example_glimpses"] = stack([step.recalled for step in steps])
            if self.paste:
                found["paste"] = glimpse_box(self.paste_box(states), self.n_example, h, w)
        if steps[0].seen is not None:
            found["read"] = glimpse_box(self.read_box(before), config.read_size, h, w)
            found["glimpses"], found["error_glimpses"] = stack([step.seen for step in steps]).chunk(2, 2)
        return found


class _Attentive:
    """`Hands` of section 3.2: all filters and the patch come from one product with h^dec."""

    constant = None  # where it reads differs from step to step

    def __init__(self, model: DRAW, x: Tensor | None, example: Tensor | None) -> None:
        config = model.config
        self.x, self.example = x, example
        self.channels, h, w = config.shape
        self.n_read, self.n_write, self.n_example = config.read_size, config.write_size, model.n_example
        grids = [(model.write_box, self.n_write, -1)]
        if x is not None:
            grids.append((model.read_box, self.n_read, 1))
        if example is not None:
            grids.append((model.example_box, self.n_example, 1))
        self.example_at = len(grids) - 1
        self.paste = model.paste
        if self.paste:
            grids.append((model.paste_box, self.n_example, -1))
        self.grids = FusedGrids(grids, h, w, model.patch)

    def move(self, h_dec: Tensor) -> None:
        """Place the grids where the decoder's state wants them."""
        self.filters, self.patch = self.grids(h_dec)

    def read(self, canvas: Tensor) -> Tensor:
        """Glimpses of the image and of the error image, [N, 2 C, n, n], the image's channels first (eq. 27)."""
        assert self.x is not None
        fy, fx, gamma = self.filters[1]
        n, c = self.n_read, self.channels
        image = torch.bmm(fy, self.x)  # [N, n, C W]
        error = image - torch.bmm(fy, canvas.sigmoid())  # filtering is linear: the error image itself is not needed
        both = torch.cat((image, error), 1).view(-1, 2 * n * c, fx.shape[2])
        glimpses = torch.bmm(both, fx.mT) * gamma[:, :, None]  # [N, 2 n C, n]
        return glimpses.view(-1, 2, n, c, n).transpose(2, 3).reshape(-1, 2 * c, n, n)

    def recall(self) -> Tensor | None:
        """The glimpse of the example, [N, C, n, n] (eq. 27)."""
        if self.example is None:
            return None
        fy, fx, gamma = self.filters[self.example_at]
        n, c = self.n_example, self.channels
        rows = torch.bmm(fy, self.example).view(-1, n * c, fx.shape[2])
        self.seen = torch.bmm(rows, fx.mT) * gamma[:, :, None]  # [N, n C, n]
        return self.seen.view(-1, n, c, n).transpose(1, 2)

    def write(self, canvas: Tensor) -> Tensor:
        """The canvas [N, H, C W] with the patch, and what is pasted, spread over it (eq. 29)."""
        fy, fx, inverse_gamma = self.filters[0]
        n, c = self.n_write, self.channels
        patch = (self.patch * inverse_gamma).view(-1, c, n, n).transpose(1, 2).reshape(-1, n * c, n)
        canvas = torch.baddbmm(canvas, fy.mT, torch.bmm(patch, fx).view(-1, n, canvas.shape[2]))
        if self.paste:
            fy, fx, inverse_gamma = self.filters[-1]
            pasted = torch.bmm(self.seen * inverse_gamma[:, :, None], fx)
            canvas = torch.baddbmm(canvas, fy.mT, pasted.view(-1, self.n_example, canvas.shape[2]))
        return canvas


def _start_box(linear: nn.Linear, n: int, side: int) -> None:
    """A grid that starts over the middle of the image: n x n cells tile it, each filter a third of a cell wide."""
    start(linear)
    cell = side / n
    with torch.no_grad():
        linear.bias[2] = 2 * math.log(cell / 3)
        linear.bias[3] = math.log(cell * max(n - 1, 1) / max(side - 1, 1))
