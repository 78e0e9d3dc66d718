"""The uploader on the Train page: a zip becomes the chosen data set, a bad one a sentence."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from genlib import data

OpenPage = Callable[..., AppTest]


class Upload(io.BytesIO):
    name = "holiday.zip"


def album(n: int) -> bytes:
    file, random = io.BytesIO(), np.random.default_rng(0)
    with zipfile.ZipFile(file, "w") as archive:
        for i in range(n):
            content = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (16, 16, 3), np.uint8)).save(content, "PNG")
            archive.writestr(f"{i}.png", content.getvalue())
    return file.getvalue()


@pytest.fixture
def upload(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[bytes], None]:
    """``upload(content)``: that is what the visitor has chosen."""
    monkeypatch.setenv("GENLIB_DATA", str(tmp_path / "data"))

    def choose(content: bytes) -> None:
        monkeypatch.setattr(st, "file_uploader", lambda *_, **__: Upload(content))

    return choose


def press(app: AppTest, key: str) -> AppTest:
    return app.button(key=key).click().run()


def test_a_zip_becomes_the_chosen_data_set(upload: Callable[[bytes], None], open_page: OpenPage) -> None:
    upload(album(24))
    app = open_page("train", new="vae-mlp")
    assert app.selectbox(key="data").value == "mnist"
    app.text_input(key="own_name").set_value("holiday")
    app.selectbox(key="own_size").set_value(32)
    app = press(app, "own_make")
    assert not app.exception
    assert [box.value for box in app.error] == []
    assert data.describe("holiday").shape == (3, 32, 32)
    assert app.selectbox(key="data").value == "holiday"
    assert "24 pictures in one class" in app.success[0].value
    assert any("3" in one.value for one in app.metric)  # the plan is for pictures of that shape
    app = press(app, "own_remove")
    assert "holiday" not in data.names()
    assert app.selectbox(key="data").value == "mnist"
    assert not app.error


@pytest.mark.parametrize(
    ("content", "name", "word"),
    [
        (b"no zip", "", "holiday.zip is not a whole zip"),
        (album(3), "", "at least 20"),
        (album(24), "../up", "cannot name"),
    ],
)
def test_a_bad_zip_is_a_sentence(
    upload: Callable[[bytes], None], open_page: OpenPage, content: bytes, name: str, word: str
) -> None:
    upload(content)
    app = open_page("train")
    app.text_input(key="own_name").set_value(name)
    app = press(app, "own_make")
    assert not app.exception
    assert [word in box.value for box in app.error] == [True]
    assert app.selectbox(key="data").value == "mnist"


def test_nothing_to_make_without_a_zip(open_page: OpenPage) -> None:
    assert open_page("train").button(key="own_make").disabled
