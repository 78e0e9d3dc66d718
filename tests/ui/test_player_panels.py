"""The player's panels for long films: what is sent is what was given, and what does not fit is refused."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from genlib.ui.components import Bars, Captions, Reveal, Series
from genlib.ui.components.player import _series_data
from genlib.ui.components.player_panels import NEVER, Scale, packed


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def sheet(asset: dict[str, str]) -> np.ndarray:
    """A picture as the browser gets it, RGB."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(asset["png"]))).convert("RGB")).astype(float)


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


@pytest.mark.parametrize(("levels", "error"), [(2, 1e-5), (4, 1e-5), (16, 2e-3), (256, 2e-3)])
def test_the_browser_gets_the_heights_back(rng: np.random.Generator, levels: int, error: float) -> None:
    table = rng.dirichlet(np.ones(levels), size=30)
    table[3] = 0
    table[3, 1] = 1  # a certain prediction
    data = Bars("b", table, table.argmax(1), [], ["#56b4e9"]).data(30)
    pixels = sheet(data["sheets"][0])
    top = numbers(data["tops"][0], "<f4")
    back = (256 * pixels[..., 0] + pixels[..., 1]) / 65535 * top[:, None]
    assert np.abs(back - table).max() <= error * table.max()
    assert (numbers(data["chosen"], "u1") == table.argmax(1)).all()


def test_rows_of_nothing_are_packed_as_nothing() -> None:
    assert (packed(np.zeros((2, 3))) == 0).all()


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_a_reveal_sends_one_picture_and_its_order(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    picture = rng.integers(0, 256, shape, dtype=np.uint8)
    order = rng.permutation(picture.size).reshape(shape)
    data = Reveal("r", picture, order, picture.size).data(picture.size)
    assert (sheet(data["sheets"][0]) == (picture if len(shape) == 3 else picture[..., None])).all()
    assert (numbers(data["order"], "<u2").reshape(shape) == order).all()
    assert (data["channels"], data["cells"], data["width"]) == (len(shape), 5, 5)


def test_cells_that_are_no_part_of_the_picture_never_appear() -> None:
    order = np.array([[0, NEVER, 1]])
    data = Reveal("film", np.zeros((1, 3), np.uint8), order, 2).data(2)
    assert np.frombuffer(base64.b64decode(data["order"]), "<u2").tolist() == [0, 65535, 1]
    with pytest.raises(ValueError, match=r"order must lie in 0\.\.1"):
        Reveal("film", np.zeros((1, 3), np.uint8), np.full((1, 3), NEVER), 2).data(2)


def test_what_does_not_fit_is_refused() -> None:
    picture, order = np.zeros((2, 4), np.uint8), np.arange(8).reshape(2, 4)
    reveal = Reveal("p", picture, order, 8)
    for bad in (
        replace(reveal, order=order + 1),
        replace(reveal, order=order - 1),
        replace(reveal, order=order[:1]),
        replace(reveal, across=3),
        replace(reveal, scale=Scale(["red;}", "#000000"], "0", "1")),
    ):
        with pytest.raises(ValueError, match="panel 'p'"):
            bad.data(8)
    with pytest.raises(TypeError, match="integers"):
        replace(reveal, order=order / 2).data(8)
    heights = np.full((3, 2), 0.5)
    bars = Bars("p", heights, np.array([0, 1, 0]), [(0, "a")], ["#56b4e9"])
    for bad in (
        replace(bars, heights=heights[:2]),
        replace(bars, heights=-heights),
        replace(bars, heights=heights * np.nan),
        replace(bars, heights=np.full((3, 1), 1.0)),
        replace(bars, outline=heights[:, :1]),
        replace(bars, chosen=np.array([0, 2, 0])),
        replace(bars, inks=np.array([0, 1, 0])),
        replace(bars, colours=["url(x)"]),
        replace(bars, ticks=[(2, "c")]),
    ):
        with pytest.raises(ValueError, match="panel 'p'"):
            bad.data(3)
    two = np.array([1, 2])
    for captions in (Captions("{0}", [two[:1]]), Captions("{0} {1}", [two]), Captions("{0}", [-two])):
        with pytest.raises(ValueError, match="captions"):
            captions.data(2)


def test_captions_travel_as_numbers() -> None:
    columns = [np.array([1, 255]), np.array([0, 256]), np.array([0.5, 70.25]), ["ink", "none"]]
    small, large, real, words = Captions("{0} {1} {2} {3}", columns).data(2)["columns"]
    assert numbers(small["bytes"], "u1").tolist() == [1, 255]
    assert numbers(large["shorts"], "<u2").tolist() == [0, 256]
    assert numbers(real["floats"], "<f4").tolist() == [0.5, 70.25]
    assert [words["words"][i] for i in numbers(words["bytes"], "u1")] == ["ink", "none"]


def test_a_long_series_travels_as_floats_with_its_gaps() -> None:
    values = np.linspace(0, 1, 600)
    values[5] = np.nan
    back = numbers(_series_data(Series("s", values), 600)["floats"], "<f4")
    assert np.allclose(back, values, equal_nan=True)
