"""What a pixel's prediction can see, measured: gradients of its outputs with respect to the input image.

Two questions:

* What an **architecture** can see (`grow`). In a copy with few features, in float64, all weights and inputs are positive
  and small: no two paths cancel, no ReLU is shut and no gate saturates. So the gradient differs from zero exactly where
  a path of taps leads. One copy for each depth, until another layer adds nothing.
* What **trained weights** use (`measure` with images): the mean size of the gradient over these images.

"The past" of a pixel is all that comes before it in the model's order: in raster order the rows above and what is left of
it, within a pixel the channels before. What of it no depth reaches is *blind* (van den Oord et al. 2016, Conditional Image Generation with PixelCNN Decoders, arXiv:1606.05328,
figure 1, names it for the PixelCNN).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple, cast, get_args, get_origin

import numpy as np
import torch
from torch import Tensor

from genlib.errors import GenlibError
from genlib.models import catalogue
from genlib.models.autoregressive import AutoregressiveConfig, AutoregressiveModel

Form = Literal[
    "full past", "blind spot", "triangle", "quadrant", "window", "part of it", "sees itself", "sees later pixels"
]

WIDTHS = ("hidden", "head", "filters", "features", "mixtures")
"""Last words of config fields that say how wide a network is: a narrow copy has two maps for each channel."""

DEEPER = ("up_layers",)
"""Config fields that grow with the depth besides `AutoregressiveModel.depth_field` and its like at other resolutions."""

MISTAKES: dict[str, Any] = {"first_mask": "B", "shifted": False, "shift": "every"}
"""Config fields that break an architecture on purpose: it sees what it should predict, or less than it could."""

CODES = FUTURE, SEEN, BLIND, BEYOND, LEAK = range(5)
"""A pixel's state: later and not seen; seen; earlier, but no depth reaches it; earlier, and reached by a deeper net only;
seen although it is the pixel itself or comes later."""


class Counts(NamedTuple):
    """Pixels: of the past ``past``, of which ``seen``, ``blind`` and ``beyond``; and ``leaks`` outside it that are seen."""

    past: int
    seen: int
    blind: int
    beyond: int
    leaks: int


@dataclass(frozen=True, eq=False)
class ReceptiveField:
    """What the sub-pixel (``channel``, ``row``, ``column``) can see while its network grows.

    ``maps`` bool [depths, C, H, W]: the first for depth ``first``, the last for a network so deep that one more layer adds
    nothing (or the deepest its config allows). ``order`` [C, H, W]: when each sub-pixel is drawn, its rank.
    """

    row: int
    column: int
    channel: int
    first: int
    maps: np.ndarray
    order: np.ndarray

    @property
    def last(self) -> int:
        """The depth of the last map: deeper networks see the same."""
        return self.first + len(self.maps) - 1

    def at(self, depth: int) -> np.ndarray:
        """bool [C, H, W]: the map at a depth, at the nearest one if there is no such."""
        return self.maps[min(max(depth, self.first), self.last) - self.first]

    @cached_property
    def promised(self) -> np.ndarray:
        """bool [C, H, W]: the sub-pixels before this one."""
        return self.order < self.order[self.channel, self.row, self.column]

    @cached_property
    def past(self) -> np.ndarray:
        """bool [H, W]: the pixels before this one, with all their channels."""
        return np.asarray(self.promised.all(0))

    def own(self, depth: int) -> np.ndarray:
        """bool [C]: which channels of the pixel itself are seen."""
        return self.at(depth)[:, self.row, self.column]

    def leaks(self, depth: int) -> np.ndarray:
        """bool [H, W]: pixels of which something is seen that comes later, or is the sub-pixel itself."""
        return np.asarray((self.at(depth) & ~self.promised).any(0))

    def states(self, depth: int) -> np.ndarray:
        """int8 [H, W]: the state of every pixel, one of `CODES`. An earlier pixel is seen if all its channels are."""
        seen, ever = self.at(depth).all(0), self.at(self.last).all(0)
        states = np.full(self.past.shape, FUTURE, np.int8)
        states[self.past] = np.where(seen, SEEN, np.where(ever, BEYOND, BLIND))[self.past]
        states[self.leaks(depth)] = LEAK
        return states

    def counts(self, depth: int) -> Counts:
        """How many pixels are in which state."""
        found = np.bincount(self.states(depth).ravel(), minlength=len(CODES))
        return Counts(int(self.past.sum()), *(int(found[code]) for code in (SEEN, BLIND, BEYOND, LEAK)))

    def form(self, depth: int) -> Form:
        """The name of what is seen at a depth, from the map alone.

        What is missing on the left or on the right has an upright border, or a slanted one that lies further out in the
        rows further up. ``window``: an upright border on the left, or a row above that is not reached at all.
        ``triangle``: slanted borders on both sides. With everything on the left seen, ``quadrant``: every row above ends
        on the right at the same upright border, at any depth; ``blind spot``: anything else is missing. In another order than raster:
        ``part of it``.
        """
        leaks = self.leaks(depth)
        if leaks.any():
            return "sees itself" if leaks[self.row, self.column] else "sees later pixels"
        seen = np.asarray(self.at(depth).all(0))
        missing = self.past & ~seen
        if not missing.any():
            return "full past"
        if not np.array_equal(self.past, past(self.past.shape, self.row, self.column)):
            return "part of it"
        left = missing[:, : self.column].any()
        above = seen[: self.row]
        if not above.any(1).all():
            return "window"
        if left:
            return "triangle" if _slanted(seen, self.row, self.column) else "window"
        ends = above[:, ::-1].argmax(1)  # how far from the right edge each row above ends
        upright = len(ends) > 0 and ends[0] > 0 and (ends == ends[0]).all()
        if not upright:
            return "blind spot"
        return "window" if (missing & self.at(self.last).all(0)).any() else "quadrant"


def past(shape: tuple[int, int], row: int, column: int) -> np.ndarray:
    """bool [H, W]: what comes before a pixel in raster order."""
    return (np.arange(shape[0] * shape[1]) < row * shape[1] + column).reshape(shape)


def _slanted(seen: np.ndarray, row: int, column: int) -> bool:
    """Whether the first seen column of some row, from the pixel's own upwards, lies further out than that of the row below it."""
    edges = seen[row::-1].argmax(1)
    if not seen[row].any():
        edges[0] = column
    return bool((np.diff(edges) < 0).any())


# --- architectures ----------------------------------------------------------------------------------------------------


def architectures() -> dict[str, type[AutoregressiveModel]]:
    """Every autoregressive model of the catalogue that says how its depth is set, by name."""
    kinds = {name: catalogue.get(name) for name in catalogue.names()}
    return {
        name: kind
        for name, kind in kinds.items()
        if issubclass(kind, AutoregressiveModel) and hasattr(kind, "depth_field")
    }


def bounds(kind: type[AutoregressiveModel], field: str) -> tuple[int, int]:
    """The least and the greatest whole number that a config field allows."""
    limits = kind.Config.model_fields[field].metadata
    low = [limit.ge for limit in limits if hasattr(limit, "ge")] + [
        limit.gt + 1 for limit in limits if hasattr(limit, "gt")
    ]
    high = [limit.le for limit in limits if hasattr(limit, "le")] + [
        limit.lt - 1 for limit in limits if hasattr(limit, "lt")
    ]
    return int(max(low, default=0)), int(min(high, default=64))


def allows(kind: type[AutoregressiveModel], field: str, value: Any) -> bool:
    """Whether the config has this field and, where it is a choice, this value in it."""
    if field not in kind.Config.model_fields:
        return False
    annotation = kind.Config.model_fields[field].annotation
    return get_origin(annotation) is not Literal or value in get_args(annotation)


def narrow(
    kind: type[AutoregressiveModel], shape: tuple[int, int, int], depth: int, **values: Any
) -> AutoregressiveModel:
    """A copy of an architecture with few features, `opened`.

    A class may say in ``narrow_values`` how its copy is made small. ``values`` are further fields, of which the config
    takes those it has.
    """
    channels = shape[0]
    small: dict[str, Any] = {}
    for field in kind.Config.model_fields:
        if field in AutoregressiveConfig.model_fields:
            continue
        low, high = bounds(kind, field)
        if field.split("_")[-1] in WIDTHS:
            small[field] = min(high, channels * max(2, -(-low // channels)))
        elif field in DEEPER or kind.depth_field in (field, *field.split("_")):
            small[field] = min(high, max(low, depth))
    small |= dict(getattr(kind, "narrow_values", {}))
    small |= {name: value for name, value in values.items() if allows(kind, name, value)}
    config = kind.configure(None, shape, **{**small, "levels": 2})
    with torch.inference_mode(False):  # gradients are to go through it, whoever asks
        return opened(kind.from_config(config))


def opened(model: AutoregressiveModel) -> AutoregressiveModel:
    """The model itself, in float64 and with small positive weights: a gradient is not zero exactly where there is a path."""
    model.double().eval()
    with torch.no_grad():
        for p in model.parameters():
            p.abs_().mul_(0.1).add_(0.01)
    return model


def grow(
    kind: type[AutoregressiveModel],
    shape: tuple[int, int, int] = (1, 28, 28),
    row: int = 14,
    column: int = 10,
    channel: int = 0,
    values: Mapping[str, Any] | None = None,
) -> ReceptiveField:
    """What a sub-pixel of images (C, H, W) sees in an architecture, for growing depth until one more layer adds nothing."""
    first, deepest = bounds(kind, kind.depth_field)
    order = _kept(cast(Any, kind), shape, first, tuple(sorted((values or {}).items()))).order().numpy()
    maps: list[np.ndarray] = []
    for depth in range(first, deepest + 1):
        model = _kept(cast(Any, kind), shape, depth, tuple(sorted((values or {}).items())))
        maps.append((measure(model, row, column, channel) != 0).numpy())
        if np.array_equal(maps[-1], order < order[channel, row, column]):
            break
        if depth > 1 and len(maps) > 1 and np.array_equal(maps[-1], maps[-2]):
            break  # layers are alike: what one more does not add, none will
    while len(maps) > 1 and np.array_equal(maps[-1], maps[-2]):
        maps.pop()
    return ReceptiveField(row, column, channel, first, np.stack(maps), order)


@lru_cache(512)
def _kept(
    kind: Any, shape: tuple[int, int, int], depth: int, values: tuple[tuple[str, Any], ...]
) -> AutoregressiveModel:
    """Narrow copies are small, and the same ones are asked for at every pixel."""
    return narrow(kind, shape, depth, **dict(values))


# --- the measurement --------------------------------------------------------------------------------------------------


def measure(
    model: AutoregressiveModel,
    row: int,
    column: int,
    channel: int = 0,
    images: Tensor | None = None,
    labels: Tensor | None = None,
) -> Tensor:
    """Mean |d output / d input| of one sub-pixel's output over coded images [N, C, H, W] with classes [N], as [C, H, W].

    The output is ln p(1) - ln p(0) with two levels, the logit; else ln p of the value that stands there. Without images:
    one of random values from 0.1 to 1. Raises `GenlibError` for a place outside the image.
    """
    channels, height, width = model.config.shape
    if not (0 <= channel < channels and 0 <= row < height and 0 <= column < width):
        raise GenlibError(
            f"There is no channel {channel} at row {row}, column {column}: images of this {model.name} have {channels} x "
            f"{height} x {width} (channels, rows, columns), counted from 0."
        )
    parameter = next(model.parameters())
    if images is None:
        draw = torch.Generator().manual_seed(0)
        images = 0.1 + 0.9 * torch.rand(1, channels, height, width, generator=draw, dtype=torch.float64)
    with torch.inference_mode(False), torch.enable_grad(), model.evaluating():
        x = images.detach().to(parameter.device, parameter.dtype, copy=True).requires_grad_()
        outputs = model(x, labels.to(x.device) if model.classes and labels is not None else None)
        log_probs = model.level_log_probs(outputs, x)[:, channel, :, row, column]  # [N, levels]
        if model.config.levels == 2:
            output = log_probs[:, 1] - log_probs[:, 0]
        else:
            output = log_probs.gather(1, model.values(x.detach())[:, channel, row, column, None])
        (gradient,) = torch.autograd.grad(output.sum(), x)
    if not bool(gradient.isfinite().all()):
        raise GenlibError(
            f"The gradient of this {model.name} is not finite at row {row}, column {column}: its outputs overflow."
        )
    return gradient.abs().mean(0).cpu()


def within(gradient: np.ndarray, row: int, column: int) -> np.ndarray:
    """Of a map [C, H, W] the share that lies within 0, 1, 2, ... pixels of (row, column), rows and columns alike."""
    total = gradient.sum(0)
    rows, columns = np.indices(total.shape)
    distance = np.maximum(abs(rows - row), abs(columns - column))
    sums = np.bincount(distance.ravel(), total.ravel(), minlength=max(total.shape))
    return sums.cumsum() / max(float(sums.sum()), 1e-300)
