"""What the Completion page's figures claim is true of the numbers, counted the slow way."""

import math

import numpy as np
import pytest
import torch

from genlib.data.occlusions import NAMES, occlusion
from genlib.figures import completion as figures
from genlib.figures import images


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 256), (3, 4)])
def test_entropy(channels: int, levels: int) -> None:
    even = torch.full((channels, levels, 2, 2), 1 / levels)
    assert figures.entropy_bits(even) == pytest.approx(channels * math.log2(levels), rel=1e-5)
    sure = torch.zeros(channels, levels, 2, 2)
    sure[:, -1] = 1
    assert (figures.entropy_bits(sure) == 0).all()
    some = torch.rand(channels, levels, 2, 2, generator=torch.Generator().manual_seed(0)).double()
    some /= some.sum(1, keepdim=True)
    slow = -sum(float(v) * math.log2(float(v)) for v in some[:, :, 1, 0].flatten())
    assert figures.entropy_bits(some)[1, 0] == pytest.approx(slow)


def test_temperature_sharpens_and_keeps_the_sum() -> None:
    p = torch.tensor([[0.2, 0.5, 0.3], [0.0, 0.1, 0.9]])
    assert torch.allclose(figures.tempered(p, 1.0), p, atol=1e-6)
    assert figures.tempered(p, 0).tolist() == [[0, 1, 0], [0, 0, 1]]
    largest = []
    for temperature in (0.25, 0.5, 1.0, 2.0):
        drawn = figures.tempered(p, temperature)
        assert torch.allclose(drawn.sum(1), torch.ones(2))
        assert torch.allclose(drawn, p ** (1 / temperature) / (p ** (1 / temperature)).sum(1, keepdim=True), atol=1e-6)
        largest.append(float(drawn[0].max()))
    assert largest == sorted(largest, reverse=True)


@pytest.mark.parametrize("name", NAMES)
def test_sight_counts_the_hidden_pixels_that_come_later(name: str) -> None:
    known = occlusion(name, 6, 5).numpy()
    share = figures.sight(known)
    order = known.ravel()
    hidden = (~order).sum()
    for i, value in enumerate(share.ravel()):
        if not order[i]:
            assert np.isnan(value)
        else:
            assert value == pytest.approx((~order[i:]).sum() / hidden if hidden else 1)


def test_what_the_halves_see() -> None:
    lower, upper = (occlusion(name, 8, 8).numpy() for name in ("lower-half", "upper-half"))
    assert (figures.sight(lower)[lower] == 1).all(), "all that is known comes first"
    assert (figures.sight(upper)[upper] == 0).all(), "all that is known comes too late"


def test_later_is_raster_order() -> None:
    after = figures.later((4, 5), (2, 3))
    assert after.sum() == 4 * 5 - (2 * 5 + 3) - 1
    assert not after[2, 3]
    assert after[2, 4]
    assert after[3, 0]
    assert not after[1].any()


def coarse_first(height: int, width: int, stride: int) -> np.ndarray:
    """Every stride-th pixel of every stride-th row first, then the rest, each in raster order."""
    coarse = np.zeros((height, width), bool)
    coarse[::stride, ::stride] = True
    order = np.empty((height, width), int)
    order[coarse], order[~coarse] = np.arange(coarse.sum()), np.arange(coarse.sum(), coarse.size)
    return order


def orders(height: int, width: int) -> dict[str, np.ndarray]:
    return {
        "raster": figures.raster((height, width)),
        "coarse first": coarse_first(height, width, 2),
        "any": np.random.default_rng(3).permutation(height * width).reshape(height, width),
    }


@pytest.mark.parametrize("order", ["raster", "coarse first", "any"])
@pytest.mark.parametrize("name", NAMES)
def test_sight_past_and_what_is_drawn_follow_the_order(order: str, name: str) -> None:
    ranks = orders(6, 5)[order]
    known = occlusion(name, 6, 5).numpy()
    share = figures.sight(known, ranks)
    hidden = ranks[~known]
    for place in np.ndindex(6, 5):
        assert figures.later((6, 5), place, ranks).sum() == 29 - ranks[place]
        if known[place]:
            assert share[place] == pytest.approx((hidden > ranks[place]).mean() if hidden.size else 1)
    first = figures.known_first(known, ranks)
    assert known[first].all()
    assert first.sum() == (hidden.min() if hidden.size else 30)
    for row in range(6):
        drawn = figures.drawn_with(row, known, ranks)
        assert drawn[row][~known[row]].all()
        assert drawn.sum() == (ranks[row][~known[row]].max() + 1 if (~known[row]).any() else 0)
        assert ranks[drawn].max(initial=-1) < ranks[~drawn].min(initial=30), "and no pixel before an earlier one"


def test_raster_order_is_what_is_meant_without_an_order() -> None:
    known = np.random.default_rng(0).random((6, 5)) < 0.5
    ranks = figures.raster((6, 5))
    assert np.array_equal(figures.sight(known), figures.sight(known, ranks), equal_nan=True)
    assert np.array_equal(figures.known_first(known), figures.known_first(known, ranks))
    assert np.array_equal(figures.drawn_with(3, known), figures.drawn_with(3, known, ranks))


def test_ranks_of_pixels_are_those_of_their_first_channel() -> None:
    sub_pixels = torch.arange(3 * 6 * 5).view(6, 5, 3).permute(2, 0, 1)
    assert np.array_equal(figures.pixel_ranks(sub_pixels), figures.raster((6, 5)))
    ranks = orders(6, 5)["any"]
    assert np.array_equal(figures.pixel_ranks(torch.from_numpy(3 * ranks + np.arange(3)[:, None, None])), ranks)


def test_a_coarse_picture_first_is_recognised() -> None:
    assert [figures.coarse_stride(coarse_first(8, 8, k)) for k in (2, 3, 4)] == [2, 3, 4]
    assert figures.coarse_stride(figures.raster((8, 8))) == 0
    assert figures.coarse_stride(orders(8, 8)["any"]) == 0


def test_default_pixel_is_the_hidden_one_with_most_entropy() -> None:
    entropy = np.zeros((4, 4))
    entropy[0, 0], entropy[3, 1] = 1.0, 0.5
    known = occlusion("lower-half", 4, 4).numpy()
    assert figures.default_pixel(entropy, known) == (3, 1)
    assert figures.default_pixel(entropy, np.ones((4, 4), bool)) == (0, 0)


def test_tiles_tell_given_from_drawn_from_waiting() -> None:
    known = occlusion("lower-half", 4, 4).numpy()
    tiles = figures.completion_tiles(torch.ones(2, 1, 4, 4), known, drawn=np.arange(4)[:, None] <= np.full(4, 2))
    assert (tiles[:, :2] == 255).all(), "what was given stays white"
    assert (tiles[:, 2] == images.rgb(figures.DRAWN)).all()
    assert (tiles[:, 3] == images.rgb(figures.UNDRAWN)).all()
    assert (figures.completion_tiles(torch.ones(2, 1, 4, 4), known, colours=False) == 255).all()
    colour = torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(figures.completion_tiles(colour, known), images.to_pixels(colour)), "colours are never dyed"


def test_past_picture_shows_the_past_untouched() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    known = occlusion("right-half", 8, 8).numpy()
    shown = figures.past_picture(picture, known, (4, 3))
    scale = shown.shape[0] // 8
    centres = shown[scale // 2 :: scale, scale // 2 :: scale]  # inside each block, away from the frame
    after = figures.later((8, 8), (4, 3))
    assert np.array_equal(centres[~after], picture[~after])
    assert (centres[after & ~known] == images.rgb(figures.UNDRAWN)).all()
    assert (centres[after & known] != picture[after & known]).any(-1).all()


@pytest.mark.parametrize(("channels", "levels"), [(1, 2), (1, 256), (3, 4)])
def test_chart_shows_the_distribution(channels: int, levels: int) -> None:
    p = np.random.default_rng(0).dirichlet(np.ones(levels), channels)
    chart = figures.distribution_chart(p)
    assert len(chart.data) == channels
    for bars, row in zip(chart.data, p, strict=True):
        assert bars.y == pytest.approx(row, abs=1e-6)
    assert len(figures.distribution_chart(p, p).data) == 2 * channels
