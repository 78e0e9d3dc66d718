"""The Compare page's figures: what the checkpoints' cards keep, marked with what may be compared. Nothing is measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import streamlit as st
import torch

from genlib.data import datasets
from genlib.errors import GenlibError
from genlib.evaluation import Judge, Quality, find_judge, parameters
from genlib.evaluation.comparison import REAL, UNKNOWN, Marked, Row, compare
from genlib.evaluation.forms import sample_form
from genlib.models import abilities, catalogue
from genlib.training import checkpoint
from genlib.ui import links, models

OWN = "own form"


@dataclass(frozen=True)
class Figures:
    """The rows of the models and of real images, marked and sorted; milliseconds a picture by checkpoint, here and now."""

    rows: list[Marked]
    milliseconds: Mapping[str, float]
    form: str
    """In which pictures are compared: `OWN`, or the one form of all."""

    @property
    def models(self) -> list[Marked]:
        return [one for one in self.rows if one.row.family != "data"]

    @property
    def floors(self) -> list[Row]:
        return [one.row for one in self.rows if one.row.family == "data"]


@dataclass(frozen=True)
class Facts:
    """What a checkpoint's header says of its model."""

    model: str
    family: str
    values: int
    """In an image: C x H x W."""
    form: str
    """Of the pictures that it draws."""
    parameters: int
    code: int | None
    """Numbers in the code of an image; None: it gives none."""


def facts(name: str) -> Facts:
    """From the header alone: with many checkpoints compared, not all of their weights stay in memory."""
    return _facts(name, models.version(name))


@lru_cache(maxsize=512)
def _facts(name: str, version: float) -> Facts:
    header = checkpoint.read_header(checkpoint.find_named(name))
    kind = catalogue.get(header.model)
    config = kind.validate_config(header.config)
    with torch.device("meta"):  # only shapes are counted
        total = parameters(kind.from_config(config))["total"]
    code = getattr(config, "latent", None) if "latent code" in abilities(kind) else None
    return Facts(kind.name, kind.family, config.dimensions, sample_form(config), total, code)


def choose_form(names: Sequence[str]) -> str:
    """In which form pictures are compared, in the URL; a choice where cards keep them in one form besides each model's own.

    At first the form in which most models share a scale.
    """
    cards = [models.card(name) for name in names]
    shared = list(dict.fromkeys(form for one in cards for form in one.get("quality_in", {})))
    if not shared:
        return OWN
    own = [one.get("quality", {}).get("form") for one in cards]

    def together(form: str) -> int:
        if form == OWN:
            return max(own.count(found) for found in own if found) if any(own) else 0
        return sum(form in one.get("quality_in", {}) or one.get("quality", {}).get("form") == form for one in cards)

    options = sorted([OWN, *shared], key=together, reverse=True)
    links.check_choice("form", options, "The form of the pictures")
    return st.segmented_control(
        "Pictures compared in", options, default=options[0], required=True, key="form", bind="query-params",
        help="Bits or grey values: figures of two forms are on two scales. In one form for all, grey values are drawn as bits first.",
    )  # fmt: skip


def gather(names: Sequence[str], milliseconds: Mapping[str, float], form: str) -> Figures:
    """The figures of checkpoints of one data set."""
    rows = [_row(name, form) for name in names]
    return Figures(compare([*_floors(rows), *rows]), milliseconds, form)


def _row(name: str, form: str) -> Row:
    own, known = facts(name), models.card(name)
    origin = checkpoint.read_header(checkpoint.find_named(name)).origin
    measured = _quality(known, origin.data, own.form if form == OWN else form)
    return Row(
        name, own.family, origin.data, measured if isinstance(measured, Quality) else None, known.get("scores", {}),
        own.parameters, origin.images_seen, origin.seconds, origin.machine,
        "" if isinstance(measured, Quality) else measured,
    )  # fmt: skip


def _judge(data: str) -> Judge | None:
    """The judge of a data set's pictures, where there is one here."""
    try:
        return find_judge(datasets.load(data))
    except GenlibError:  # without data or judge there are no figures, and the table says how to get them
        return None


def _quality(known: dict[str, Any], data: str, form: str) -> Quality | str:
    """What the card keeps in a form and by the present judge; else why there is nothing."""
    judge = _judge(data)
    kept = [value for value in (known.get("quality"), known.get("quality_in", {}).get(form)) if value]
    try:
        found = [one for one in map(Quality.from_json, kept) if one.form == form and one.split == "test"]
    except GenlibError as error:
        return str(error)
    if judge is None or not found:
        return UNKNOWN
    fitting = [one for one in found if one.judge == judge.version]
    return fitting[0] if fitting else "measured by another judge"


def _floors(rows: Sequence[Row]) -> list[Row]:
    """Real images on each scale on which a model is measured, as far as the judge's card keeps them."""
    floors = []
    for scale in dict.fromkeys(row.quality.scale for row in rows if row.quality):
        data, _, form, *_ = scale
        judge = _judge(data)
        kept = judge.card.get("floors", {}).values() if judge else []
        found = next((one for one in map(Quality.from_json, kept) if one.scale == scale), None)
        if found:
            floors.append(Row(f"{REAL} ({data}, {form})", "data", data, found))
    return floors
