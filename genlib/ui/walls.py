"""Walls of samples: drawn once for all visitors, and the next seed's in advance.

Whoever presses "fresh samples" asks for the next seed: its walls are there when the button is pressed.
"""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from genlib.errors import GenlibError
from genlib.ui import ahead as in_advance
from genlib.ui.components.wire import digest
from genlib.ui.recent import Recent

if TYPE_CHECKING:  # the kept pictures are on the screen before PyTorch is loaded
    from torch import Tensor

    from genlib.models.contract import Model


class Layout(NamedTuple):
    """n pictures in rows of ``columns``."""

    n: int
    columns: int


@dataclass(frozen=True, eq=False)
class Wall:
    """A PNG, whose model it is, and the seconds that drawing the pictures took."""

    picture: bytes
    title: str
    family: str
    seconds: float


_walls: Recent[Wall] = Recent(512)
_took: dict[str, float] = {}  # seconds that the last wall of each checkpoint took


def kept(name: str, seed: int, layout: Layout) -> Wall | None:
    """The wall if it has been drawn already; none of a checkpoint that cannot be read, since drawing it says what is wrong."""
    if "torch" not in sys.modules:
        return None
    try:
        return _walls.get(_key(name, seed, layout))
    except GenlibError:
        return None


def draw(name: str, seed: int, layout: Layout) -> Wall:
    """The wall, from memory or drawn now. A checkpoint that cannot be read is a `GenlibError`."""
    from genlib.ui import models

    key = _key(name, seed, layout)
    wall = _walls.get(key)
    if wall is None:
        model = models.get(name)
        with models.computing():
            wall = _drawn(model, seed, layout)
        _took[name] = wall.seconds
        _walls.put(key, wall)
    return wall


def quickest_first(names: Sequence[str]) -> list[str]:
    """The order in which walls should be drawn; a model whose time is not known yet counts as quick."""
    return sorted(names, key=lambda name: _took.get(name, 0.0))


def _key(name: str, seed: int, layout: Layout) -> str:
    from genlib.ui import models

    return digest(name, models.version(name), seed, layout)


def _drawn(model: "Model", seed: int, layout: Layout) -> Wall:
    start = time.perf_counter()
    samples = model.sample(layout.n, seed=seed)
    seconds = time.perf_counter() - start
    return Wall(picture(samples, layout), model.title, model.family, seconds)


def picture(images: "Tensor", layout: Layout) -> bytes:
    """Images [n, C, H, W] in [0, 1] side by side, a transparent pixel apart, as a small PNG; the browser enlarges it."""
    from genlib.figures import images as figures

    return figures.png(figures.sheet(figures.to_pixels(images), layout.columns, scale=1, gap=1))


def ahead(names: Sequence[str], seed: int, layout: Layout) -> None:
    """Draw these walls when nobody waits for a model. What was wanted before and is not drawn yet is forgotten.

    Quick ones need only a short pause, so they do not stand in one plan with the slow ones.
    """
    quick = [name for name in names if _took.get(name, math.inf) <= in_advance.SHORT]
    for plan, some in (("quick walls", quick), ("walls", [name for name in names if name not in quick])):
        in_advance.plan(plan, [partial(_keep, name, seed, layout) for name in quickest_first(some)])


def _keep(name: str, seed: int, layout: Layout) -> None:
    from genlib.ui import models

    if kept(name, seed, layout) is None:
        _walls.put(_key(name, seed, layout), _drawn(models.get(name), seed, layout))
