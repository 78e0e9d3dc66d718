"""The Compression page's settings: which half, which model, which pictures."""

import re
from dataclasses import dataclass
from typing import Any

import streamlit as st
from torch import Tensor

from genlib.data import datasets, few, pictures
from genlib.errors import GenlibError
from genlib.training import checkpoint
from genlib.ui import links, models
from genlib.ui.components.wire import digest

LOSSY, LOSSLESS = VIEWS = ("Lossy", "Lossless")
STEPS = "stepwise code"  # the ability behind lossy files
PIXELS = "pixel prediction"  # and behind lossless ones
ONE, HUNDRED = COUNTS = ("One picture", "100 pictures")
MANY = 100
FEWEST_BITS, MOST_BITS, FIRST_BITS = 50, 4000, 307
NO_CODER = (
    "No checkpoint here keeps a picture as a code in steps, so the lossy half has nothing to show yet. Train one on the **Train** page, "
    "or with `genlib train conv-draw --data cifar10 --preset colour`, and come back. The lossless half works."
)


@dataclass(frozen=True, eq=False)
class Settings:
    """What the sidebar says. ``version`` tells two files of the checkpoint's name apart. ``images``: the pictures, [N, C, H, W]
    in [0, 1], as they are before the model's own coding; ``index``: the first one's number in the test set, None for an upload."""

    view: str
    checkpoint: str
    version: float
    data: str
    model: Any  # a `Model` with the ability
    images: Tensor
    index: int | None
    bits: int = 0
    seed: int = 0

    @property
    def identity(self) -> str:
        """Equal for equal files."""
        return digest(self.view, self.checkpoint, self.version, self.bits, self.seed, self.images.numpy())


def settings() -> Settings | None:
    """The sidebar; None where the lossy half has no model. Values that a link got wrong are named in a sentence, and the
    defaults are taken."""
    links.check_choice("view", VIEWS, "The view")
    with st.sidebar:
        able = models.available(STEPS)
        view = st.segmented_control(
            "Compress",
            VIEWS,
            default=LOSSY if able else LOSSLESS,
            required=True,
            key="view",
            bind="query-params",
            width="stretch",
            help="Lossy: as few bits as you like, and a picture like the first. Lossless: every pixel comes back.",
        )
        if view == LOSSLESS:
            return _lossless()
        return _lossy() if able else None


def _lossless() -> Settings:
    name = models.choose(PIXELS)
    data = models.available()[name][1]
    links.check_choice("count", COUNTS, "The number of pictures")
    count = st.segmented_control(
        "Into one file", COUNTS, default=ONE, required=True, key="count", bind="query-params", width="stretch"
    )
    model = models.get(name)
    n = 1 if count == ONE else MANY
    images, index = _pictures(data, model, n)
    return Settings(LOSSLESS, name, models.version(name), data, model, images, index)


def _lossy() -> Settings:
    name = models.choose(STEPS, key="coder", later=lambda name: models.shape(name)[0] == 1)
    data = models.available()[name][1]
    model = models.get(name)
    links.check_number("bits", FEWEST_BITS, MOST_BITS, "The number of bits")
    bits = st.slider(
        "Bits for the picture",
        FEWEST_BITS,
        MOST_BITS,
        FIRST_BITS,
        key="bits",
        bind="query-params",
        help="Without the header that says which model wrote the file. A 32 x 32 picture of 256 values has 24,576.",
    )
    images, index = _pictures(data, model, 1)
    links.check_number("seed", 0, 2**31 - 1, "The seed")
    seed = st.number_input(
        "Seed", 0, 2**31 - 1, 1, key="seed", bind="query-params", help="Which details the prior invents (WPV)."
    )
    return Settings(LOSSY, name, models.version(name), data, model, images, index, int(bits), int(seed))


def _pictures(data: str, model: Any, n: int) -> tuple[Tensor, int | None]:
    """n test images from the chosen one on, or an upload."""
    uploaded = None
    with st.expander("Upload a picture", key="compression-upload-place"):
        file = st.file_uploader(
            "PNG, JPEG, GIF, WebP or BMP; it is brought to the model's size.", key="compression-upload"
        )
        if file is not None:
            with links.forgiving():
                uploaded = pictures.read_picture(
                    file.getvalue(), model.config.shape, dark_background=model.config.channels == 1, name=file.name
                )
    if uploaded is not None:
        return uploaded, None
    found = few.load_to_look_at(data).images("test")
    if found.shape[1:] != model.config.shape:
        raise GenlibError(f"{data} has images of {tuple(found.shape[1:])}, the model works on {model.config.shape}.")
    last = len(found) - n
    links.check_number("digit", 0, last, "The test image")
    if st.session_state.get("digit", 0) > last:
        st.session_state["digit"] = last
    left, right = st.columns(2, vertical_alignment="bottom")
    index = left.number_input(
        "Test image" if n == 1 else "The first one",
        0,
        last,
        key="digit",
        bind="query-params",
        persist_state="page",
        help=f"Which image of the test set of {datasets.describe(data).title}; the model has not seen it.",
    )
    right.button("Another", icon="⏭️", on_click=_next, args=(last, n), width="stretch")
    return found[index : index + n].float() / 255, int(index)


def _next(last: int, n: int) -> None:
    index = st.session_state["digit"]
    st.session_state["digit"] = 0 if index >= last else min(index + n, last)


def find_model(name: str) -> Any:
    """The model that a file names: a checkpoint's or run's name, never a path."""
    checkpoint.find_named(name)
    return models.get(name)


def file_name(s: Settings) -> str:
    """What a downloaded file is called."""
    which = (
        "upload"
        if s.index is None
        else f"{s.index}"
        if len(s.images) == 1
        else f"{s.index}-{s.index + len(s.images) - 1}"
    )
    return re.sub(r"[^A-Za-z0-9.+-]+", "-", f"{s.checkpoint}-{which}") + ".glc"
