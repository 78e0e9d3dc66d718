"""Walls, bars and histograms of the GAN stage show the numbers they are given."""

import json

import numpy as np
import plotly.graph_objects as go
import pytest

from genlib.figures import gan_stage as figures
from genlib.figures.images import rgb

H, W = 6, 30


def wall(verdicts, columns=2, **options):
    verdicts = np.array(verdicts, float)
    pixels = np.arange(len(verdicts) * H * W * 3, dtype=np.uint8).reshape(len(verdicts), H, W, 3)
    return pixels, figures.wall(pixels, verdicts, verdicts, columns, **options)


def tile(sheet, i, columns=2):
    top = i // columns * (figures.tile_height(H) + figures.GAP)
    left = i % columns * (W + figures.GAP)
    return sheet[top : top + figures.tile_height(H), left : left + W]


@pytest.mark.parametrize("dark", [False, True])
def test_every_picture_stands_in_its_place_with_a_bar_as_long_as_its_share(dark):
    verdicts = [0.1, 0.5, 1.0]
    pixels, sheet = wall(verdicts, dark=dark)
    for i, verdict in enumerate(verdicts):
        shown = tile(sheet, i)
        assert np.array_equal(shown[:H], pixels[i])
        colour = rgb(figures.REAL if verdict >= 0.5 else figures.FAKE)
        assert (shown[H + 1] == colour).all(1).sum() == round(verdict * W)


def test_numbers_are_written_so_that_they_can_be_told_apart():
    signs = [figures.written(str(digit)) for digit in range(10)]
    assert all(sign.shape == (7, 5) for sign in signs)
    assert len({sign.tobytes() for sign in signs}) == 10
    assert figures.written("0.87").shape == (7, 5 + 1 + 1 + 1 + 5 + 1 + 5)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.874, "0.87"),
        (1.0, "1.00"),
        (-3.14159, "-3.1"),
        (12.34, "12.3"),
        (-123.4, "-123"),
        (2345.6, "2346"),
        (2e6, "2e6"),
    ],
)
def test_a_verdict_is_written_in_few_signs_that_fit_under_its_picture(value, text):
    assert figures.number(value) == text
    assert figures.written(text).shape[1] <= 28


def test_a_verdict_that_is_no_number_leaves_its_place_empty():
    _, sheet = wall([np.nan, 0.5])
    empty, full = tile(sheet, 0)[H + 1 + figures.BAR :], tile(sheet, 1)[H + 1 + figures.BAR :]
    assert len(np.unique(empty.reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(full.reshape(-1, 3), axis=0)) == 2


def test_histograms_hold_every_picture_once():
    rng = np.random.default_rng(0)
    real, fake = rng.uniform(size=200), rng.uniform(size=50)
    figure = figures.verdicts_figure(real, fake, ("D(x)", "D(G(z))"), probability=True, height=170, ink="#17202B")
    assert [trace["y"].sum() for trace in figure["data"]] == pytest.approx([1, 1])
    assert figure["layout"]["xaxis"]["range"] == [0, 1]
    scores = figures.verdicts_figure(
        real * 9 - 4, fake, ("C(x)", "C(G(z))"), probability=False, height=170, ink="#000000"
    )
    assert [trace["y"].sum() for trace in scores["data"]] == pytest.approx([1, 1])
    go.Figure(figure)  # plotly knows every word of it
    go.Figure(scores)


def test_curves_stand_in_their_rows_and_keep_their_values():
    curves = {"a": (list(range(1, 4)), [3.0, 2.0, 1.0]), "b": ([2], [5.0]), "c": ([], [])}
    figure = figures.curves_figure(curves, {"a": "A", "b": "B", "c": "C"}, [["a", "b"], ["c"]], 250, "#17202B")
    assert [list(trace["y"]) for trace in figure["data"]] == [[3, 2, 1], [5], []]
    assert [trace["yaxis"] for trace in figure["data"]] == ["y", "y", "y2"]
    upper, lower = (figure["layout"][axis]["domain"] for axis in ("yaxis", "yaxis2"))
    assert lower[1] < upper[0]
    json.dumps(go.Figure(figure).to_plotly_json()["layout"])
