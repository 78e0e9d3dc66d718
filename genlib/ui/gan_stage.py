"""The GAN stage's settings: which view, which pair, from which weights, beside which cure."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from genlib import data as datasets
from genlib.errors import GenlibError
from genlib.models import abilities, catalogue
from genlib.models.contract import Config, Model
from genlib.training import checkpoint
from genlib.ui import controls, links, models, pick_draw, runs
from genlib.ui.components.wire import digest
from genlib.ui.gan_stage_cures import Cure, cures
from genlib.ui.new_run import pick

STAGE, NOISE, QUIZ = VIEWS = ("Stage", "Noise", "Be D")
FRESH, CHECKPOINT = STARTS = ("Fresh weights", "Checkpoint")
BETWEEN, ARITHMETIC = WAYS = ("Between", "Arithmetic")
ABILITY = "adversaries"
OWN = "its own"  # the preset of a checkpoint that is trained on as it was
ALONE = "nothing"


@dataclass(frozen=True)
class Pair:
    """What the stage trains: model class, its config, the data, and where the weights come from (None: fresh).

    ``beside``: the cure that is trained at its side, if any.
    """

    kind: type[Model]
    config: Config
    data: str
    preset: str
    weights: str | None
    beside: Cure | None

    @property
    def failure(self) -> bool:
        return self.preset in self.kind.presets and self.kind.presets[self.preset].failure

    @property
    def file(self) -> Path | None:
        """The checkpoint's file."""
        return checkpoint.find_named(self.weights) if self.weights else None

    def key(self, seed: int) -> str:
        """A name for the games that this pair and seed make."""
        version = self.file.stat().st_mtime if self.file else 0
        changes = sorted(self.beside.values.items()) if self.beside else None
        return digest(self.kind.name, self.config.model_dump_json(), self.data, self.weights, version, changes, seed)


@dataclass(frozen=True)
class Settings:
    """What the controls say. On the stage there is a ``pair``, in the other views a loaded checkpoint."""

    view: str
    seed: int
    pair: Pair | None = None
    checkpoint: str = ""
    data: str = ""
    model: Any = None  # a `Model` with the ability
    way: str = BETWEEN


def settings() -> Settings:
    """The sidebar. Values that a link got wrong are named in a sentence, and the defaults are taken."""
    links.check_choice("view", VIEWS, "The view")
    links.check_choice("start", STARTS, "The start")
    links.check_choice("way", WAYS, "The way through the noise")
    links.check_number("seed", 0, pick_draw.MAX_SEED, "The seed")
    _refuse_wrong_model()
    with st.sidebar:
        view = st.segmented_control(
            "View", VIEWS, default=STAGE, required=True, key="view", bind="query-params", width="stretch",
            persist_state="page",
        )  # fmt: skip
        if view == STAGE:
            pair = _pair()
            return Settings(view, pick_draw.choose_seed("Which weights, noise and pictures it begins with."), pair)
        name = models.choose(ABILITY)
        way = BETWEEN
        if view == NOISE:
            way = st.segmented_control(
                "Way", WAYS, default=BETWEEN, required=True, key="way", bind="query-params", width="stretch",
                persist_state="page",
            )  # fmt: skip
        seed = pick_draw.choose_seed(
            "Which noise is drawn." if view == NOISE else "Which pictures the round is made of."
        )
    return Settings(view, seed, None, name, models.available()[name][1], models.get(name), way)


def _refuse_wrong_model() -> None:
    """A model in the link that is unknown or has no adversaries is a `GenlibError`, in every view."""
    asked, known = st.query_params.get("model"), models.available(ABILITY)
    if asked is not None and asked not in known:
        checkpoint.find_named(asked)  # says what is wrong with an unknown name
        raise GenlibError(f"{asked!r} has no generator with a judge: choose one of {', '.join(known) or 'none here'}.")


# -- the stage's pair --------------------------------------------------------------------------------------------------


def kinds() -> list[str]:
    """The adversarial models of the catalogue."""
    return [name for name in catalogue.names() if ABILITY in abilities(catalogue.get(name))]


def _pair() -> Pair:
    start = FRESH
    if models.available(ABILITY):
        start = st.segmented_control(
            "Start from", STARTS, default=FRESH, required=True, key="start", bind="query-params", width="stretch",
            persist_state="page",
        )  # fmt: skip
    if start == CHECKPOINT:
        weights: str | None = models.choose(ABILITY)
        kind, data, preset, config = _trained(str(weights))
    else:
        weights = None
        kind = catalogue.get(pick("Model", kinds(), "kind", {name: catalogue.get(name).title for name in kinds()}))
        here, elsewhere = runs.data_sets()
        asked = st.query_params.get("data", "")
        absent = f"The data set {asked!r} is not on this machine: run `genlib data fetch {asked}`."
        data = pick(
            "Data", here, "data", {name: datasets.describe(name).title for name in here},
            absent=absent if asked in elsewhere else "",
        )  # fmt: skip
        preset = pick("Preset", list(kind.presets), "preset", _marks(kind), first="quick")
        config = kind.configure(preset, datasets.describe(data).shape)
    beside = None
    found = cures(kind, config, preset, kept=weights is not None)
    if found:
        usual = found[0].name
        name = pick("Beside it", [cure.name for cure in found] + [ALONE], "beside", {}, first=usual)
        beside = next((cure for cure in found if cure.name == name), None)
    return Pair(kind, config, data, preset, weights, beside)


def _marks(kind: type[Model]) -> dict[str, str]:
    return {name: f"⚠️ {name} (fails on purpose)" for name, preset in kind.presets.items() if preset.failure}


def _trained(name: str) -> tuple[type[Model], str, str, Config]:
    """The checkpoint's model and data; a preset, which gives all but the architecture; the config of both."""
    model, data = models.available()[name]
    kind = catalogue.get(model)
    own = kind.validate_config(checkpoint.read_header(checkpoint.find_named(name)).config)
    fitting = [preset for preset in kind.presets if _fits(kind, preset, own)]
    preset = pick("Preset", [OWN, *fitting], "preset", _marks(kind), first=OWN)
    if preset == OWN:
        return kind, data, preset, own
    given = kind.configure(preset, own.shape).model_dump()
    trained = {field: given[field] for field in training_fields(kind)}
    return kind, data, preset, kind.validate_config({**own.model_dump(), **trained})


def training_fields(kind: type[Model]) -> list[str]:
    """The fields that may change under trained weights; spectral norm gives them another form."""
    return controls.fields(kind, "training", without=["spectral_norm"])


def _fits(kind: type[Model], preset: str, own: Config) -> bool:
    """Whether a preset does to trained weights what it is for: it sets no switch that belongs to the architecture."""
    given = kind.configure(preset, own.shape)
    fixed = [field for field in kind.Config.model_fields if field not in training_fields(kind)]
    return all(getattr(given, f) == getattr(own, f) for f in fixed if isinstance(getattr(own, f), bool))
