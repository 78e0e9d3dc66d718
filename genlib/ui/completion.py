"""The Completion page's controls: its settings, and the picture with its mask. What it shows is in
`genlib.ui.completion_view`.

The visitor's picture lives in the canvas. `Start` is what the canvas begins from; when a link, another test image or
a preset mask asks for something else, a new `Start` is made, and otherwise the canvas goes on from what the visitor
has drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import streamlit as st

from genlib.data import few, occlusions, pictures
from genlib.errors import GenlibError
from genlib.training import checkpoint
from genlib.ui import links, models, pick_class, pick_draw, pick_image
from genlib.ui.components import canvas
from genlib.ui.components.wire import digest

TEST, UPLOAD, DRAW = SOURCES = ("Test image", "Upload", "Draw")
NONE = "none"
PREFIX = "completion"  # of the page's own class filter
MAX_COMPLETIONS = 16


@dataclass(frozen=True)
class Chosen:
    """A model that completes: the loaded ``checkpoint``, trained on ``data``; ``version`` tells two files of that name apart.

    ``classes``: their names, none for a model without classes. ``label``: the class that it is told, None for any.
    """

    checkpoint: str
    version: float
    data: str
    model: Any  # a `Model` with the ability
    classes: tuple[str, ...] = ()
    label: int | None = None


@dataclass(frozen=True)
class Settings:
    """What the sidebar says. ``chosen``: one model, or two of the same image shape. ``told``: the class's name, or any."""

    chosen: tuple[Chosen, ...]
    source: str
    index: int
    n: int
    temperature: float
    seed: int
    colours: bool
    told: str = pick_class.ANY

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the models' images."""
        return self.chosen[0].model.config.shape

    @property
    def data(self) -> str:
        """The data set whose test images are offered: the first model's."""
        return self.chosen[0].data


@dataclass(frozen=True, eq=False)
class Start:
    """What the canvas begins from. ``origin`` says where the picture came from; another origin makes a new start."""

    origin: tuple
    image: np.ndarray  # uint8 [H, W] or [H, W, 3]
    known: np.ndarray  # bool [H, W]
    revision: int = 0


class Work(NamedTuple):
    """The visitor's picture, uint8 [H, W] or [H, W, 3], and ``known``, bool [H, W].

    ``given``: it is the test image as it is.
    """

    picture: np.ndarray
    known: np.ndarray
    given: bool


# -- settings --------------------------------------------------------------------------------------


def settings() -> Settings:
    """The sidebar. Values that a link got wrong are named in a sentence, and the defaults are taken."""
    links.check_choice("source", SOURCES, "The source")
    links.check_number("n", 1, MAX_COMPLETIONS, "The number of completions")
    with st.sidebar:
        first = models.choose("completion")
        second = _choose_second(first)
        names = [first] if second is None else [first, second]
        chosen, told = _tell([_chosen(name) for name in names])
        source = st.segmented_control(
            "Picture",
            SOURCES,
            default=TEST,
            required=True,
            key="source",
            bind="query-params",
            width="stretch",
        )
        index = 0
        if source == TEST:
            source = DRAW  # if the data set is not here, which is then said
            with links.forgiving():
                index = pick_image.choose_index(chosen[0].data, PREFIX)
                source = TEST
        if source == UPLOAD:
            st.file_uploader("A picture of one thing: PNG, JPEG, GIF, WebP or BMP", key="completion-upload")
        n = st.slider("Completions", 1, MAX_COMPLETIONS, 8, key="n", bind="query-params")
        temperature = pick_draw.choose_temperature()
        seed = pick_draw.choose_seed()
        colours = st.toggle("Tint what the model drew", True, key="tint", bind="query-params")
    return Settings(chosen, source, int(index), int(n), temperature, seed, colours, told)


def _choose_second(first: str) -> str | None:
    """A model to compare with, in the URL as ``with``; None for none. Only those with images of the same shape are offered."""
    shape = models.shape(first)
    options = [NONE, *(name for name in models.available("completion") if name != first and _fits(name, shape))]
    asked = links.asked("with")
    if asked is not None and asked not in options:
        links.refuse("with", _why_not(asked, first))
    if st.session_state.get("with", NONE) not in options:  # it does not go with the first model any more
        st.session_state["with"] = NONE
    second = st.selectbox(
        "Compare with",
        options,
        key="with",
        bind="query-params",
        help="A second model completes the same picture under the same mask, seed and temperature.",
    )
    return None if second == NONE else second


def _fits(name: str, shape: tuple[int, int, int]) -> bool:
    try:
        return models.shape(name) == shape
    except GenlibError:
        return False  # a broken file is not offered; asking for it by name says what is wrong with it


def _why_not(name: str, first: str) -> str:
    """Why a model cannot stand beside the first one, in a sentence."""
    if name == first:
        return f"{name!r} cannot be compared with itself: choose another model to compare with."
    try:
        if name not in models.available("completion"):
            checkpoint.find_named(name)  # says what is wrong with an unknown name
            return f"{name!r} has no completion and cannot be compared with {first}: choose another model."
        theirs, ours = (" x ".join(map(str, models.shape(each))) for each in (name, first))
    except GenlibError as error:
        return str(error)
    return f"{name!r} works on images of {theirs}, {first} on {ours} (channels, height, width): choose one of the same shape."


def _chosen(name: str) -> Chosen:
    data = models.available()[name][1]
    version = models.version(name)
    model = models.get(name)
    return Chosen(name, version, data, model, tuple(pick_class.class_names(model, data)) if model.classes else ())


def _tell(chosen: Sequence[Chosen]) -> tuple[tuple[Chosen, ...], str]:
    """Tell the chosen class to each model that knows a class of that name; returns them and the name."""
    told = pick_class.choose_class(
        [each.classes for each in chosen],
        "any: for each completion it draws a class, by what the known pixels before the first hidden one tell.",
    )
    return tuple(
        replace(each, label=each.classes.index(told)) if told in each.classes else each for each in chosen
    ), told


# -- the picture and its mask ----------------------------------------------------------------------


def work(s: Settings, presets: Any, place: Any) -> Work:
    """Show the preset masks and the canvas in their places; returns what the visitor made of the picture."""
    state = st.session_state
    origin, given = picture_of(s)
    start = _start(s, origin, given)
    state["completion-start"] = start
    with place:
        if s.source == UPLOAD and not start.image.any():
            st.info("Upload a picture at the left; the model gets it at its own size.")
        value = canvas(
            start.image,
            known=start.known,
            mode="both",
            key="completion-canvas" if s.source != DRAW else "completion-drawing",
            presets=(),
            tool="draw" if s.source == DRAW else "hide",
            label="The picture; hatched parts are hidden from the model",
            revision=start.revision,
        )
    picture, known = value.image, value.known
    state["completion-now"] = (picture, known)
    if s.source == DRAW:
        state["completion-kept-drawing"] = picture
    name = mask_name(known)
    state["completion-preset"] = name
    with presets:
        st.markdown("**Hide**", width="content")
        st.pills(
            "Hide",
            occlusions.NAMES,
            format_func=lambda hidden: hidden.replace("-", " "),
            key="completion-preset",
            on_change=_preset,
            label_visibility="collapsed",
            width="content",
        )
    mask = name or links.pack_mask(known)
    same = np.array_equal(picture, given if s.source == TEST else _blank(s))  # an upload does not travel with the link
    edited = None if same else links.pack_picture(picture)
    links.put("mask", mask)
    links.put("picture", edited)
    state["completion-link"] = (mask, edited)
    return Work(picture, known, same and s.source == TEST)


def picture_of(s: Settings) -> tuple[tuple, np.ndarray]:
    """What the settings ask for: a name for it, and the uint8 picture."""
    blank = _blank(s)
    if s.source == TEST:
        image = few.load_to_look_at(s.data).images("test")[s.index]
        if tuple(image.shape) != s.shape:
            raise GenlibError(
                f"{s.chosen[0].checkpoint} works on images of {s.shape}, but {s.data} has {tuple(image.shape)}: "
                "choose another model, upload or draw a picture."
            )
        return ("digit", s.data, s.index), _squeeze(image.movedim(0, -1).numpy())
    if s.source == UPLOAD:
        upload = st.session_state.get("completion-upload")
        if upload is None:
            return ("upload", None, s.shape), blank
        data = upload.getvalue()
        image = pictures.read_picture(
            data, s.shape, dark_background=s.shape[0] == 1, name=f"The upload {upload.name[:60]!r}"
        )
        return ("upload", digest(data), s.shape), _squeeze((image[0].movedim(0, -1) * 255).round().byte().numpy())
    return ("drawing", s.shape), blank


def _blank(s: Settings) -> np.ndarray:
    channels, height, width = s.shape
    return _squeeze(np.zeros((height, width, channels), np.uint8))


def _squeeze(pixels: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _start(s: Settings, origin: tuple, given: np.ndarray) -> Start:
    """Go on as before, or begin anew: from a link that this session did not write, or from another picture."""
    state = st.session_state
    height, width = s.shape[1:]
    start: Start | None = state.get("completion-start")
    revision = start.revision + 1 if start else 0
    _, known = state.get("completion-now", (None, None))
    if known is None or known.shape != (height, width):
        known = occlusions.occlusion("lower-half", height, width).numpy()
    link = (st.query_params.get("mask"), st.query_params.get("picture"))
    if any(link) and link != state.get("completion-link"):
        state["completion-link"] = link  # a damaged one is complained about once
        mask, text = link
        with links.forgiving():
            if mask is not None:
                named = mask in occlusions.NAMES
                known = (
                    occlusions.occlusion(mask, height, width).numpy()
                    if named
                    else links.unpack_mask(mask, height, width)
                )
            if text is not None:
                given = links.unpack_picture(text, given.shape)
        return Start(origin, given, known, revision)
    if start is not None and start.origin == origin and start.image.shape == given.shape:
        return start
    kept = state.get("completion-kept-drawing")
    if s.source == DRAW and kept is not None and kept.shape == given.shape:
        given = kept
    return Start(origin, given, known, revision)


def mask_name(known: np.ndarray) -> str | None:
    """The named occlusion that hides exactly this, if there is one."""
    return next(
        (name for name in occlusions.NAMES if np.array_equal(occlusions.occlusion(name, *known.shape).numpy(), known)),
        None,
    )


def _preset() -> None:
    """A preset mask was pressed: begin anew from the picture as it is, under that mask."""
    state = st.session_state
    name, start = state["completion-preset"], state["completion-start"]
    if name is not None:  # pressed once more, a pill goes out; the mask stays
        picture, known = state["completion-now"]
        state["completion-start"] = Start(
            start.origin, picture, occlusions.occlusion(name, *known.shape).numpy(), start.revision + 1
        )
