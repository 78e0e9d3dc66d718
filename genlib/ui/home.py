"""The home page's parts: walls of samples and doors."""

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import streamlit as st

from genlib.errors import GenlibError
from genlib.training.run import shipped_folder

COLUMNS, ROWS = 6, 5  # samples in a wall

NOTICE = """
* **GAN**: crisp strokes, but look for pictures that are nearly alike and for strokes that belong to no digit.
* **VAE**: every picture comes from two numbers. Smooth, blurred where the plane passes from one digit to the next.
* **DRAW**: painted in steps, each adding to a canvas: softer edges, whole digits.
* **PixelCNN**: pixel after pixel. Strokes are perfect nearby; sometimes the whole is no digit, because nothing plans it.
"""
ATTEMPT = """
* Press **Draw fresh samples** a few times. Which family repeats itself? Which never makes a broken digit?
* Look at the drawing times under the walls: who is fast, and why? *Compare* measures it.
* Open a door below: each page shows one idea that you can move with your hand.
"""
MATHS = r"""
All four learn a distribution $p_\theta(x)$ over images from examples; they differ in what they can compute.

| family | a sample | the likelihood $p_\theta(x)$ | a code for an image |
|---|---|---|---|
| adversarial | $x = G(z),\ z \sim \mathcal N(0, I)$ | none | none |
| variational | $z \sim \mathcal N(0, I),\ x \sim p_\theta(x \mid z)$ | a lower bound (ELBO) | $q_\phi(z \mid x)$ |
| autoregressive | $x_i \sim p_\theta(x_i \mid x_{<i})$, pixel by pixel | exact: $\prod_i p_\theta(x_i \mid x_{<i})$ | none |
"""


@dataclass(frozen=True)
class Door:
    """A page and what it shows."""

    page: str
    icon: str
    title: str
    text: str


DOORS = (
    Door("pages/train.py", "🏋️", "Train", "Start a run and watch the losses and the samples move."),
    Door("pages/latent_space.py", "🗺️", "Latent space", "Wander through a VAE's plane; encode your own digit."),
    Door("pages/completion.py", "🧩", "Completion", "Hide part of a digit and let a PixelCNN finish it."),
    Door("pages/pixel_by_pixel.py", "🔬", "Pixel by pixel", "See what the model predicts before each value it draws."),
    Door("pages/receptive_field.py", "🔭", "Receptive field", "How far back each architecture looks; its blind spot."),
    Door("pages/glimpses.py", "👁️", "Glimpses", "Follow DRAW's attention as it reads and writes."),
    Door("pages/compare.py", "⚖️", "Compare", "All models side by side, same seed, honest numbers."),
)


def seed_control() -> int:
    """The seed of the walls, in the URL, with a button for the next one."""
    left, right, _ = st.columns([2, 1, 5], vertical_alignment="bottom")
    right_clicked = left.button("🎲 Draw fresh samples", type="primary", width="stretch")
    if right_clicked:
        st.session_state["seed"] = st.session_state.get("seed", 1) + 1
    return right.number_input("Seed", 0, 2**31 - 1, 1, key="seed", bind="query-params")


def _names() -> list[str]:
    return sorted(path.stem for path in shipped_folder().glob("*.safetensors"))


class Place(NamedTuple):
    """A wall on the page, which `fresh_walls` replaces where it stands."""

    picture: Any
    note: Any


def kept_walls() -> dict[str, Place]:
    """A column for each shipped checkpoint, with the visitor's last wall of it or else the samples kept beside it."""
    folder = shipped_folder()
    names = _names()
    if not names:
        raise GenlibError(f"No checkpoints lie in {folder}: train a model on the Train page, or restore the folder.")
    places = {}
    for start in range(0, len(names), 4):
        row = names[start : start + 4]
        for name, column in zip(row, st.columns(4, gap="medium"), strict=False):
            column.markdown(f"**{name}**")
            note = "samples kept with the checkpoint; fresh ones are on their way"
            sheet, alt, note = _last().get(name) or (_kept(name), f"samples of {name}", note)
            places[name] = Place(column.empty(), column.caption(note))
            if sheet:
                place = places[name].picture.image(sheet, output_format="PNG", width="stretch", alt=alt)
                places[name] = places[name]._replace(picture=place)
    return places


def _kept(name: str) -> bytes | None:
    file = shipped_folder() / f"{name}.png"
    return file.read_bytes() if file.is_file() else None


def _last() -> dict[str, tuple[bytes, str, str]]:
    """This visitor's walls: picture, its description, and the words under it."""
    return st.session_state.setdefault("home-walls", {})


def fresh_walls(places: dict[str, Place], seed: int) -> None:
    """Draw new samples of each model, the quick ones first, and put them in place as they are ready.

    A checkpoint that cannot be read says so in its place.
    """
    for name in sorted(places, key=lambda name: _took.get(name, 0.0)):
        picture, note = places[name]
        try:
            sheet, title, _took[name] = _wall(name, seed)
        except GenlibError as error:
            picture.error(str(error), icon="⚠️")
            note.empty()
            continue
        alt = f"{ROWS * COLUMNS} samples of {title}"
        words = f"{title}: {ROWS * COLUMNS} pictures in {_took[name]:.2f} s"
        picture.image(sheet, output_format="PNG", width="stretch", alt=alt)
        note.caption(words)
        _last()[name] = sheet, alt, words


_took: dict[str, float] = {}  # seconds that the last wall of each checkpoint took


@st.cache_data(max_entries=64, show_spinner=False)
def _wall(name: str, seed: int) -> tuple[bytes, str, float]:
    from genlib.training.sheets import sheet_png
    from genlib.ui import models

    model = models.get(name)
    with models.computing():
        start = time.perf_counter()
        images = model.sample(ROWS * COLUMNS, seed=seed)
        seconds = time.perf_counter() - start
    return sheet_png(images, COLUMNS, scale=4), model.title, seconds


def doors() -> None:
    """A card for each page, in two rows of equal cards."""
    across = -(-len(DOORS) // 2)
    for start in range(0, len(DOORS), across):
        for door, column in zip(DOORS[start : start + across], st.columns(across, gap="small"), strict=False):
            with column.container(border=True, height="stretch"):
                st.page_link(door.page, label=f"**{door.title}**", icon=door.icon)
                st.caption(door.text)


def code(seed: int) -> str:
    """The lines that draw the walls."""
    names = _names()
    return f"import genlib\n\nfor name in {names!r}:\n    images = genlib.load(name).sample({ROWS * COLUMNS}, seed={seed})  # [{ROWS * COLUMNS}, 1, 28, 28] in [0, 1]"
