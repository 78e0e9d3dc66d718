"""The One shot page's controls: its settings, and the picture that the model is shown.

The picture lives in the canvas, where a visitor may draw one or change a given one. `Start` is what the canvas begins from; another
character, or a link that this session did not write, makes a new one.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from genlib.data import Dataset, datasets
from genlib.data.one_shot_runs import CHARACTERS, RUNS, OneShotRuns, one_shot_runs
from genlib.ui import links, models, pick_draw
from genlib.ui.components import canvas

ABILITY = "conditioning by example"
WRITE, TELL, STEPS = VIEWS = ("Write", "Tell apart", "Steps")
GIVEN, DRAW = SOURCES = ("Held-out", "Draw")
HELD = ("test", "validation")  # the splits whose characters are offered
DRAWERS = 20
NO_MODEL = (
    "There is no trained one-shot model here yet, so nothing can be written after an example. Train one on the **Train** page (model "
    "*one-shot*, data *omniglot*, preset *tutorial*: half an hour of one core), or with `genlib train one-shot --data omniglot "
    "--preset tutorial`; this page then shows it."
)


@dataclass(frozen=True)
class Settings:
    """What the controls say. ``version`` tells two files of the checkpoint's name apart. In the view *Tell apart* ``run`` and
    ``query`` say which of Lake et al.'s drawings is asked about; in the others ``character`` and ``drawer`` what is shown."""

    checkpoint: str
    version: float
    data: str
    model: Any  # a `Model` with the ability
    view: str
    source: str
    character: str = ""
    drawer: int = 1
    run: int = 1
    query: int = 1
    draws: int = 10
    seed: int = 0
    temperature: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the model's images."""
        return self.model.config.shape


@dataclass(frozen=True, eq=False)
class Start:
    """What the canvas begins from; another ``origin`` makes a new start."""

    origin: tuple[object, ...]
    image: np.ndarray  # uint8 [H, W] or [H, W, 3]
    revision: int = 0


@dataclass(frozen=True, eq=False)
class Shown:
    """The picture on the canvas, uint8 [H, W] or [H, W, 3]; ``given``: nobody has changed it."""

    picture: np.ndarray
    given: bool


def settings() -> Settings | None:
    """The sidebar; None while there is no model. Values that a link got wrong are named in a sentence, and defaults are taken."""
    found = models.available(ABILITY)
    if not found:
        return None
    links.check_choice("view", VIEWS, "The view")
    links.check_choice("source", SOURCES, "The source")
    with st.sidebar:
        name = models.choose(ABILITY, later=lambda one: not datasets.describe(found[one][1]).unseen)
        data, model = found[name][1], models.get(name)
        views = VIEWS if model.config.shape == one_shot_runs().query.shape[2:] else (WRITE, STEPS)
        view = links.segments("View", views, "view")
        source = links.segments("Picture", SOURCES, "source")
        values: dict[str, Any] = {}
        if view == TELL:
            values["run"] = _number(
                "Run", "run", RUNS, "20 characters of one alphabet, each drawn once (Lake et al. 2015)."
            )
            if source == GIVEN:
                values["query"] = _number("Drawing", "query", CHARACTERS, "Another person's drawing of one of the 20.")
            values["draws"] = _number(
                "Draws", "draws", 50, "Draws of the codes for each bound on log p; more are surer and slower.", 10
            )
        elif source == GIVEN:
            values["character"] = _choose_character(datasets.load(data))
            values["drawer"] = _number("Drawn by", "drawer", DRAWERS, "Each character was drawn by 20 people.")
        values["seed"] = pick_draw.choose_seed()
        if view != TELL:
            values["temperature"] = pick_draw.choose_temperature("Scales the spread of the prior that z is drawn from.")
    return Settings(name, models.version(name), data, model, view, source, **values)


def _number(label: str, key: str, last: int, help_text: str, first: int = 1) -> int:
    links.check_number(key, 1, last, f"The {label.lower()}")
    return int(
        st.number_input(label, 1, last, first, key=key, bind="query-params", persist_state="page", help=help_text)
    )


def characters(dataset: Dataset) -> dict[str, tuple[str, int]]:
    """The characters on offer: name -> (split, label). Of alphabets that no model is trained on, where there are such."""
    splits = HELD if dataset.info.unseen else HELD[:1]
    return {dataset.classes[i]: (split, i) for split in splits for i in dataset.labels(split).unique().tolist()}


def _choose_character(dataset: Dataset) -> str:
    """Alphabet by alphabet: ``character`` in the URL is its number in the alphabet."""
    alphabets: dict[str, list[str]] = {}
    for name in characters(dataset):
        alphabets.setdefault(name.partition("/")[0] if "/" in name else dataset.info.title, []).append(name)
    links.check_choice("alphabet", list(alphabets), "The alphabet")
    alphabet = st.selectbox(
        "Alphabet",
        list(alphabets),
        format_func=lambda name: name.replace("_", " "),
        key="alphabet",
        bind="query-params",
        persist_state="page",
        help="Its characters were kept from the model while it learned." if dataset.info.unseen else None,
    )
    names = alphabets[alphabet]
    if st.session_state.get("character", 1) > len(names):  # of the alphabet before
        st.session_state["character"] = 1
    return names[_number("Character", "character", len(names), "Its number in the alphabet.") - 1]


# The picture


def place_of(s: Settings) -> tuple[str, int]:
    """(split, row) of the held-out picture that the settings name."""
    dataset = datasets.load(s.data)
    split, label = characters(dataset)[s.character]
    rows = (dataset.labels(split) == label).nonzero()[:, 0]
    return split, int(rows[(s.drawer - 1) % len(rows)])


def runs() -> OneShotRuns:
    return one_shot_runs()


def show_canvas(s: Settings) -> Shown:
    """The canvas with the picture; what was changed of it, or drawn, stands in the address."""
    state = st.session_state
    origin, given = _given(s)
    start: Start | None = state.get("one-shot-start")
    revision = start.revision + 1 if start else 0
    text = st.query_params.get("picture")
    if text is not None and text != state.get("one-shot-link"):
        state["one-shot-link"] = text  # a damaged one is complained about once
        image = given
        with links.forgiving():
            image = links.unpack_picture(text, given.shape)
        start = Start(origin, image, revision)
    elif start is None or start.origin != origin or start.image.shape != given.shape:
        start = Start(origin, given, revision)
    state["one-shot-start"] = start
    value = canvas(
        start.image,
        mode="draw",
        key="one-shot-canvas",
        presets=(),
        size=340,
        label="The character that the model is shown",
        revision=start.revision,
    )
    same = np.array_equal(value.image, given)
    state["one-shot-link"] = None if same else links.pack_picture(value.image)
    links.put("picture", state["one-shot-link"])
    return Shown(value.image, same)


def _given(s: Settings) -> tuple[tuple[object, ...], np.ndarray]:
    """What the settings ask for: a name for it, and the uint8 picture; for drawing, an empty one."""
    channels, height, width = s.shape
    if s.source == DRAW:
        return ("drawing", s.shape), np.zeros((height, width) if channels == 1 else (height, width, channels), np.uint8)
    if s.view == TELL:
        pixels = (runs().query[s.run - 1, s.query - 1, 0] * 255).round().byte().numpy()
        return ("query", s.run, s.query), pixels
    split, row = place_of(s)
    pixels = datasets.load(s.data).images(split)[row].movedim(0, -1).numpy()
    return (s.data, split, row), np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels)
