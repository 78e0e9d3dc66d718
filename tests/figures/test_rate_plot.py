"""The printed plot: axes named in round values, every point where it belongs."""

import io

import numpy as np
import pytest
from PIL import Image, ImageColor

from genlib.figures.compression import Curve
from genlib.figures.palette import CYCLE
from genlib.figures.rate_plot import HEIGHT, LEFT, MOST_MARKS, RIGHT, WIDTH, Panel, marks, rate_plot


@pytest.mark.parametrize(("low", "high"), [(14.5, 34.2), (0.28, 0.98), (-3.0, 1000.0), (5.0, 5.0), (0.0, 1.0)])
def test_marks_are_round_and_hold_all_values(low: float, high: float) -> None:
    found = marks(low, high)
    assert found[0] <= low
    assert found[-1] >= high
    assert len(found) <= MOST_MARKS + 2
    np.testing.assert_allclose(np.diff(found, 2), 0, atol=1e-6)


def test_marks_by_hand() -> None:
    assert marks(14.5, 34.2) == [10, 15, 20, 25, 30, 35]
    assert marks(0.28, 0.98) == [0.2, 0.4, 0.6, 0.8, 1.0]


def drawn(curves: list[Curve], panels: int = 1) -> np.ndarray:
    data = rate_plot([Panel("PSNR (dB)", curves)] * panels, "of nothing")
    return np.asarray(Image.open(io.BytesIO(data))).astype(int)


def where(pixels: np.ndarray, colour: str) -> np.ndarray:
    """Places [n, 2] (row, column) of about this colour, below the legend."""
    near = np.abs(pixels - ImageColor.getrgb(colour)).sum(2) < 30
    return np.argwhere(near[50:]) + np.array([50, 0])


def test_points_lie_by_the_logarithm_of_the_bits() -> None:
    pixels = drawn([Curve("flat", [64, 1024], [20.0, 20.0]), Curve("dot", [256], [30.0])])
    assert pixels.shape[1] == WIDTH
    flat, dot = (where(pixels, colour) for colour in CYCLE[:2])
    assert np.ptp(flat[:, 0]) < 10, "a line of equal values is level"
    assert np.ptp(dot, axis=0).max() < 10, "one point is a dot"
    assert dot[:, 0].mean() < flat[:, 0].mean(), "better is higher"
    middle = (flat[:, 1].min() + flat[:, 1].max()) / 2
    assert abs(dot[:, 1].mean() - middle) < 2, "256 is the geometric mean of 64 and 1024"
    assert LEFT < flat[:, 1].min() < flat[:, 1].max() < WIDTH - RIGHT


def test_panels_stand_side_by_side() -> None:
    curve = [Curve("one", [100, 200, 400], [1.0, 2.0, 4.0])]
    one, two = drawn(curve), drawn(curve, 2)
    assert two.shape == (one.shape[0], 2 * WIDTH, 3)
    assert one.shape[0] > HEIGHT
    for left in (0, WIDTH):
        np.testing.assert_array_equal(where(two[:, left : left + WIDTH], CYCLE[0]), where(one, CYCLE[0]))
