"""The Pixel by pixel page's controls and its picture. What it shows is in `genlib.ui.pixel_by_pixel_view`."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st
import torch
from torch import Tensor

from genlib.data import few
from genlib.errors import GenlibError
from genlib.figures import pixel_by_pixel as figures
from genlib.figures.pixel_by_pixel import Walk
from genlib.models.autoregressive import LABEL_STREAM
from genlib.ui import links, models, pick_class, pick_draw, pick_image
from genlib.ui.components import canvas
from genlib.ui.components.wire import digest
from genlib.ui.recent import Recent

SAMPLE, TEST, DRAWING = SOURCES = ("Sample", "Test image", "Draw")
ENTROPY, SURPRISE, MEAN = MAPS = ("Entropy", "Surprise", "Mean")

_walks: Recent[Walk] = Recent(12)  # shared by all visitors: the same link is computed once


@dataclass(frozen=True, eq=False)
class Settings:
    """What the sidebar says. ``version`` tells two files of the checkpoint's name apart.

    ``label``: the class that the model is told, None for none (a given picture is then judged under all classes).
    ``label_name``: its name; empty without one. ``drawing``: uint8 [H, W] or [H, W, 3], the visitor's.
    """

    checkpoint: str
    version: float
    data: str
    model: Any  # a `Model` with the ability
    source: str
    shown: str
    index: int
    seed: int
    temperature: float
    label: int | None
    label_name: str
    drawing: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's images."""
        return self.model.config.shape

    @property
    def given(self) -> bool:
        """The picture is read, not drawn by the model."""
        return self.source != SAMPLE

    @property
    def identity(self) -> str:
        """Equal for equal pictures and predictions; which map is shown does not count."""
        drawing = np.zeros(0, np.uint8) if self.drawing is None else self.drawing
        numbers = (self.index, self.seed, self.temperature, self.label)
        return digest(self.checkpoint, self.version, self.source, *numbers, drawing)


def settings() -> Settings:
    """The sidebar. Values that a link got wrong are named in a sentence, and the defaults are taken."""
    links.check_choice("source", SOURCES, "The source")
    links.check_choice("map", MAPS, "The map")
    index, seed, temperature, drawing = 0, 0, 1.0, None
    with st.sidebar:
        name = models.choose("pixel prediction")
        data = models.available()[name][1]
        model = models.get(name)
        source = st.segmented_control(
            "Picture",
            SOURCES,
            default=SAMPLE,
            required=True,
            key="source",
            bind="query-params",
            width="stretch",
            help="Watch the model draw one, or look over its shoulder while it reads yours.",
        )
        classes = pick_class.class_names(model, data) if model.classes else []
        wanted = pick_class.choose_class(
            [classes], "any: it draws one by the seed; a given picture is judged under all of them together."
        )
        if source == TEST:
            index = pick_image.choose_index(data, "pixels")
        if source == SAMPLE:
            seed = pick_draw.choose_seed("Which picture it draws.")
            temperature = pick_draw.choose_temperature()
        if source == DRAWING:
            drawing = _draw(model.config.shape)
        else:
            links.put("picture", None)
        shown = st.segmented_control(
            "Map",
            MAPS,
            default=SURPRISE if source != SAMPLE else ENTROPY,
            required=True,
            key="map",
            bind="query-params",
            width="stretch",
            help="How unsure the model was before each value; how much the value surprised it; what it expected.",
        )
    label, label_name = _label(model, classes, wanted, source, seed)
    version = models.version(name)
    return Settings(name, version, data, model, source, shown, index, seed, temperature, label, label_name, drawing)


def _label(model: Any, names: list[str], wanted: str, source: str, seed: int) -> tuple[int | None, str]:
    """The number and the name of the class; for ``any`` the one that `sample` draws by this seed."""
    if not model.classes:
        return None, ""
    if wanted != pick_class.ANY:
        return names.index(wanted), wanted
    if source != SAMPLE:
        return None, ""
    stream = model.generator(seed + LABEL_STREAM)
    label = int(torch.randint(model.classes, (1,), generator=stream, device=stream.device))
    return label, names[label]


def _draw(shape: tuple[int, int, int]) -> np.ndarray:
    """The visitor's drawing; it stands in the address, and a link brings it back."""
    state = st.session_state
    channels, height, width = shape
    size = (height, width) if channels == 1 else (height, width, channels)
    start, revision = state.get("pixels-start", (np.zeros(size, np.uint8), 0))
    if start.shape != size:
        start, revision = np.zeros(size, np.uint8), revision + 1
    asked = st.query_params.get("picture")
    if asked is not None and asked != state.get("pixels-link"):
        state["pixels-link"] = asked  # a damaged one is complained about once
        with links.forgiving():
            start, revision = links.unpack_picture(asked, size), revision + 1
    state["pixels-start"] = (start, revision)
    value = canvas(
        start, mode="draw", key="pixels-canvas", presets=(), label="Your drawing, read by the model", revision=revision
    )
    text = links.pack_picture(value.image) if value.image.any() else None
    links.put("picture", text)
    state["pixels-link"] = text
    return value.image


# -- the picture -----------------------------------------------------------------------------------


def walk(s: Settings) -> Walk:
    """The picture with all predictions on the way to it, computed once for all visitors who ask for the same."""
    found = _walks.get(s.identity)
    if found is None:
        images = given_picture(s) if s.given else None
        with models.computing():
            if images is None:
                images = s.model.sample(1, seed=s.seed, label=s.label, temperature=s.temperature)
            images = images.to(s.model.device)
            p = s.model.pixel_distribution(images, label=s.label)[0]
            found = figures.walk(p, s.model.code(images)[0], s.model.order())
        _walks.put(s.identity, found)
    return found


def small_order(s: Settings) -> Tensor | None:
    """For a model that draws a small image first: the step of each of its sub-pixels, [C, h, w]."""
    return s.model.sub_sample(s.model.order()) if hasattr(s.model, "sub_sample") else None


def frame_rows(s: Settings) -> int | None:
    """For a model of films, whose frames lie one under the other: the rows of a frame."""
    return s.model.config.frame if hasattr(s.model, "to_frames") and s.model.frames > 1 else None


def given_picture(s: Settings) -> Tensor:
    """The picture that the model reads, float [1, C, H, W]."""
    if s.drawing is not None:
        pixels = s.drawing[..., None] if s.drawing.ndim == 2 else s.drawing
        return torch.from_numpy(pixels.copy()).movedim(-1, 0)[None].float() / 255
    dataset = few.load_to_look_at(s.data)
    if dataset.info.shape != s.shape:
        raise GenlibError(
            f"{s.checkpoint} reads images of {s.shape}, but {s.data} has {dataset.info.shape}: choose another model."
        )
    return dataset.batch("test", slice(s.index, s.index + 1))
