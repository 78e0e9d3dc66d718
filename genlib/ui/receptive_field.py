"""The Receptive field page's controls, and its measurements, kept for all visitors. What it shows is in `receptive_field_view`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from genlib.data import datasets, few
from genlib.evaluation import receptive_field as measured
from genlib.evaluation.receptive_field import ReceptiveField
from genlib.figures.images import blend, to_pixels
from genlib.models.autoregressive import AutoregressiveModel
from genlib.ui import links, models
from genlib.ui.pick_pixel import pick_pixel

REACH, USE, MASKS, SKEWING = VIEWS = ("Reach", "Use", "Masks", "Skewing")
GREY, COLOUR = IMAGES = ("Grey", "Colour")
CHANNELS = ("R", "G", "B")
KERNELS = ("3", "5", "7", "9", "11")
RIGHT, WRONG = BUILDS = ("Right", "With a mistake")
SIDE = 28  # of all images here
START = (14, 10)
DEPTH = 5  # shown at first
BACKDROP = 5  # the test digit under the pad, for orientation
IMAGES_USED = 8  # test images that trained weights are looked at with


@dataclass(frozen=True)
class Settings:
    """What the controls say. ``shape`` is (C, H, W) of the architectures' images; ``kernel`` that of the first layer."""

    view: str
    row: int
    column: int
    channel: int
    shape: tuple[int, int, int]
    kernel: int
    mistake: bool

    @property
    def values(self) -> dict[str, Any]:
        """The fields of the configs that differ from the defaults."""
        return {"first_kernel": self.kernel, **(measured.MISTAKES if self.mistake else {})}


def settings() -> Settings:
    """The sidebar. Values that a link got wrong are named in a sentence, and the defaults are taken."""
    links.check_choice("view", VIEWS, "The view")
    links.check_choice("images", IMAGES, "The kind of image")
    links.check_choice("channel", CHANNELS, "The channel")
    links.check_choice("kernel", KERNELS, "The kernel")
    links.check_choice("mask", KERNELS, "The kernel")
    links.check_choice("built", BUILDS, "The build")
    (row, column), images, channel, kernel, built = START, GREY, CHANNELS[0], "7", RIGHT
    with st.sidebar:
        view = links.pills("View", VIEWS, "view")
        if view in (REACH, USE):
            row, column = pick_pixel(
                _backdrop(), START, key="receptive-pad", label="The pixel that is predicted", size=270
            )
        if view == REACH:
            images = _segments("Images", IMAGES, GREY, "images")
            if images == COLOUR:
                channel = _segments("Channel that is predicted", CHANNELS, CHANNELS[0], "channel")
            kernel = _segments("Kernel of the first layer", KERNELS, "7", "kernel")
            built = _segments(
                "Built",
                BUILDS,
                RIGHT,
                "built",
                help="Mistakes: mask B in the first layer, the Diagonal BiLSTM's map not moved down, the gated PixelCNN's "
                "vertical stack moved down in every layer.",
            )
        if view == MASKS:
            kernel = _segments("Kernel", KERNELS, "5", "mask")
    shape = (3 if images == COLOUR else 1, SIDE, SIDE)
    return Settings(view, row, column, CHANNELS.index(channel), shape, int(kernel), built == WRONG)


def _segments(label: str, options: tuple[str, ...], default: str, key: str, help: str | None = None) -> str:
    return st.segmented_control(
        label, options, default=default, required=True, key=key, bind="query-params", persist_state="page", help=help,
        width="stretch",
    )  # fmt: skip


@st.cache_data(show_spinner=False)
def _backdrop() -> np.ndarray:
    """A faint test digit, uint8 [H, W, 3]: the pad's picture, always the same."""
    digit = to_pixels(datasets.load("mnist").batch("test", slice(BACKDROP, BACKDROP + 1))[0])
    return blend(digit, np.ones(digit.shape[:2], bool), "#30363C", 0.55)


# -- measurements --------------------------------------------------------------------------------------------------------


def fields(s: Settings) -> dict[str, ReceptiveField]:
    """What the sub-pixel sees in every architecture of the catalogue, by name."""
    values = tuple(sorted(s.values.items()))
    return {name: _field(name, s.shape, s.row, s.column, s.channel, values) for name in measured.architectures()}


@st.cache_data(max_entries=1024, show_spinner=False)
def _field(
    name: str, shape: tuple[int, int, int], row: int, column: int, channel: int, values: tuple[tuple[str, Any], ...]
) -> ReceptiveField:
    with models.computing():
        return measured.grow(measured.architectures()[name], shape, row, column, channel, dict(values))


def trained_names() -> dict[str, str]:
    """Checkpoints whose trained weights can be looked at here: name -> data set."""
    kinds = measured.architectures()
    found = {name: data for name, (kind, data) in models.available("pixel prediction").items() if kind in kinds}
    return {name: data for name, data in found.items() if datasets.describe(data).shape[1:] == (SIDE, SIDE)}


def gradients(s: Settings, name: str, data: str) -> np.ndarray:
    """Mean size of the gradient in a checkpoint over a few test images, [C, H, W]."""
    return _gradients(name, models.version(name), data, s.row, s.column)


@st.cache_data(max_entries=256, show_spinner=False)
def _gradients(name: str, version: float, data: str, row: int, column: int) -> np.ndarray:
    model = models.get(name)
    assert isinstance(model, AutoregressiveModel)
    dataset = few.load_to_look_at(data)
    chosen = slice(0, IMAGES_USED)
    images = model.code(dataset.batch("test", chosen).to(model.device))
    with models.computing():
        return measured.measure(model, row, column, 0, images, dataset.labels("test")[chosen]).double().numpy()
