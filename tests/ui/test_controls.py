"""Controls from configs: the right widget for each kind of field, only changes come back, and the config has the last word."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field
from streamlit.testing.v1 import AppTest

from genlib.models import catalogue
from genlib.models.contract import Config, Model
from genlib.ui import controls


def toy_page() -> None:
    """A page with a control for every kind of field; what came back is shown as JSON."""
    # AppTest runs this function's text by itself, so every import stands inside
    import typing

    import streamlit as st
    from pydantic import Field

    from genlib.errors import GenlibError
    from genlib.models.contract import Config, Model
    from genlib.ui import controls

    class ToyConfig(Config):
        rate: float = Field(0.01, gt=0, le=1, description="a step size")
        share: float = Field(0.25, ge=0, le=1, description="a share")
        blocks: int = Field(3, ge=0, le=10, description="a few")
        width: int = Field(128, ge=1, le=4096, description="many")
        kernel: typing.Literal[3, 5, 7] = Field(5, description="one of three")
        mode: typing.Literal["plain", "gated"] = Field("plain", description="a word")
        flag: bool = Field(True, description="on or off")
        sizes: tuple[int, ...] = Field((8, 16), min_length=1, description="a list")

    class Toy(Model):
        name = "toy"
        presets: typing.ClassVar = {}
        terms: typing.ClassVar = {}

    Toy.Config = ToyConfig
    base = ToyConfig()
    names = ["rate", "share", "blocks", "width", "kernel", "mode", "flag", "sizes"]
    told = controls.link_complaint(Toy, base, "toy.quick")
    if told:
        st.warning(told)
    changed = controls.config_controls(Toy, base, names, "toy.quick")
    st.json({name: list(value) if isinstance(value, tuple) else value for name, value in changed.items()})
    try:
        Toy.configure(**changed)
    except GenlibError as error:
        st.error(str(error))


def toy(**query: str) -> AppTest:
    app = AppTest.from_function(toy_page, default_timeout=60)
    for name, value in query.items():
        app.query_params[f"toy.quick.{name}"] = value
    app.run()
    assert not app.exception
    return app


def changed(app: AppTest) -> dict[str, object]:
    import json

    return json.loads(app.json[0].value)


def test_each_kind_of_field_gets_its_widget_and_nothing_is_changed_at_first() -> None:
    app = toy()
    assert [slider.label for slider in app.slider] == ["Share", "Blocks"]
    assert [number.label for number in app.number_input] == ["Rate", "Width"]
    assert [choice.label for choice in app.selectbox] == ["Kernel", "Mode"]
    assert [toggle.label for toggle in app.toggle] == ["Flag"]
    assert [text.label for text in app.text_input] == ["Sizes"]
    assert changed(app) == {}


def test_descriptions_and_bounds_are_the_help() -> None:
    app = toy()
    assert app.number_input[0].help == "A step size (between 0 and 1)."
    assert app.slider[1].help == "A few (0 to 10)."
    assert app.toggle[0].help == "On or off."


def test_only_what_was_changed_comes_back_in_the_fields_own_type() -> None:
    app = toy()
    app.slider[1].set_value(7)
    app.selectbox[0].select(7)
    app.toggle[0].set_value(False)
    app.text_input[0].set_value("4, 4,2")
    app.run()
    assert changed(app) == {"blocks": 7, "kernel": 7, "flag": False, "sizes": [4, 4, 2]}
    assert not app.error


@pytest.mark.parametrize(
    ("label", "value", "sentence"),
    [
        ("Rate", 0.0, "toy: rate = 0.0 is not possible: input should be greater than 0."),
        ("Rate", 2.0, "toy: rate = 2.0 is not possible: input should be less than or equal to 1."),
        ("Width", 5000, "toy: width = 5000 is not possible: input should be less than or equal to 4096."),
    ],
)
def test_out_of_bounds_is_the_configs_one_sentence(label: str, value: float, sentence: str) -> None:
    app = toy()
    next(number for number in app.number_input if number.label == label).set_value(value).run()
    assert [error.value for error in app.error] == [sentence]


def test_words_in_a_tuple_of_numbers_reach_the_config() -> None:
    app = toy()
    app.text_input[0].set_value("4, many").run()
    assert len(app.error) == 1
    assert "'many'" in app.error[0].value


def test_a_link_restores_the_changes() -> None:
    app = toy(rate="0.5", kernel="3", flag="false")
    assert changed(app) == {"rate": 0.5, "kernel": 3, "flag": False}


@pytest.mark.parametrize(
    ("field", "text", "part"),
    [
        ("rate", "fast", "rate = 'fast' is not possible"),
        ("mode", "magic", "mode = 'magic' is not possible"),
        ("heads", "3", "toy has no field 'heads'"),
        ("sizes", "3,x", "'x' is not possible"),
    ],
)
def test_a_bad_link_is_one_sentence_and_the_page_stands(field: str, text: str, part: str) -> None:
    app = toy(**{field: text})
    assert len(app.warning) == 1
    assert part in app.warning[0].value
    assert app.json


@pytest.mark.parametrize("name", catalogue.names())
def test_every_field_of_every_model_is_in_exactly_one_group(name: str) -> None:
    kind: type[Model] = catalogue.get(name)
    architecture, training = controls.fields(kind, "architecture"), controls.fields(kind, "training")
    assert sorted([*architecture, *training, *controls.SHAPE]) == sorted(kind.Config.model_fields)
    assert "learning_rate" in training
    assert "epochs" not in controls.fields(kind, "training", without=["epochs"])
    assert not {"binarisation", "beta1", "optimizer", "label_smoothing", "beta"} & set(architecture)


def test_bounds_tell_open_ends() -> None:
    class Bounded(Config):
        half_open: Annotated[float, Field(gt=0, le=1)] = 0.5
        free: int = 3
        optional: float | None = Field(None, ge=0, le=1)

    fields = Bounded.model_fields
    assert controls.bounds(fields["half_open"]) == (0, 1, True)
    assert controls.bounds(fields["free"]) == (None, None, False)
    assert controls.field_type(fields["optional"]) is float


@pytest.mark.parametrize(
    ("value", "original", "equal"),
    [
        (0.1 + 0.2, 0.3, True),
        (3, 3.0, True),
        (3, 4, False),
        (False, 0, False),
        ("a", "a", True),
        ((1, 2), (1, 2), True),
        ((1, 2), (1, 3), False),
    ],
)
def test_same(value: object, original: object, equal: bool) -> None:
    assert controls.same(value, original) is equal


def test_parse_tuple() -> None:
    assert controls.parse_tuple("(3, 5)", tuple[int, int]) == (3, 5)
    assert controls.parse_tuple("", tuple[int, ...]) == ()
    assert controls.parse_tuple("0.5,x", tuple[float, ...]) == (0.5, "x")
    assert controls.parse_tuple("a, b", tuple[Literal["a", "b"], ...]) == ("a", "b")
