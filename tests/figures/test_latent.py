"""The latent plane's arithmetic: lattices, the atlas and its blend, coverage, and what the figures show where."""

from __future__ import annotations

import base64
import io
from statistics import NormalDist

import numpy as np
import pytest
import torch
from PIL import Image

from genlib.figures import latent
from genlib.ui.components import atlas_codes

RNG = np.random.default_rng(3)


def waves(speed: float):
    """A decoder whose pictures [N, 1, 6, 5] wave over the plane, the faster the greater ``speed``."""
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(5), indexing="ij")

    def decode(z: torch.Tensor) -> torch.Tensor:
        phase = speed * (z[:, :1, None] * (1 + rows / 6) + z[:, 1:, None] * (1 + columns / 5))
        return (phase.sin()[:, None] + 1) / 2

    return decode


# -- the plane ---------------------------------------------------------------------------------------------------------


def test_a_lattice_of_even_steps_is_that_of_the_pad() -> None:
    assert np.allclose(latent.lattice(latent.linear_ticks(9, 3.5)), atlas_codes(9, 3.5))


@pytest.mark.parametrize(("scale", "step"), [(0.01, None), (1.0, None), (1.9, 0.5), (20.0, 5.0), (200.0, 50.0)])
def test_the_extent_holds_99_of_100_codes_and_is_a_plain_number(scale: float, step: float | None) -> None:
    codes = RNG.normal(size=(2000, 2)) * scale
    extent = latent.extent_of(codes)
    inside = (np.abs(codes).max(1) <= extent).mean()
    assert inside >= 0.99
    if step is None:
        assert extent == latent.LEAST_EXTENT
    else:
        assert extent % step == pytest.approx(0)
        assert (np.abs(codes).max(1) <= extent - step).mean() < 0.99, "no larger than needed"


def test_no_codes_give_the_prior_s_plane() -> None:
    assert latent.extent_of(np.zeros((0, 2))) == latent.LEAST_EXTENT


@pytest.mark.parametrize("n", [2, 3, 7, 20])
def test_quantile_ticks_part_the_prior_equally(n: int) -> None:
    ticks = latent.quantile_ticks(n)
    edges = latent.cell_edges(ticks, quantiles=True)
    cumulated = [NormalDist().cdf(edge) if np.isfinite(edge) else float(edge > 0) for edge in edges]
    assert np.allclose(np.diff(cumulated), 1 / n)
    assert np.allclose([NormalDist().cdf(tick) for tick in ticks], (np.array(cumulated[1:]) + cumulated[:-1]) / 2)
    assert np.allclose(latent.prior_mass(edges), 1 / n**2)


def test_class_centres_are_medians_and_the_farthest_pair_lies_within_the_plane() -> None:
    mean = np.array([[0, 0], [0, 2], [9, 1], [-2, -2], [-2, -2.5]], np.float32)
    labels = np.array([0, 0, 1, 2, 2])
    centres = latent.class_centres(mean, labels, 4)
    assert centres == [(0, 1), (9, 1), (-2, -2.25), None]
    assert latent.farthest_pair(centres, 10) == (1, 2)
    assert latent.farthest_pair(centres, 3) == (0, 2), "class 1 lies outside"
    assert latent.farthest_pair([(0.01, 0), (0, 0), None], 3) is None, "collapsed"
    assert latent.farthest_pair([], 3) is None


@pytest.mark.parametrize("count", [1, 15, 200, 500])
def test_nearest_agrees_with_sorting_all(count: int) -> None:
    mean = RNG.normal(size=(200, 2)).astype(np.float32)
    order = np.argsort(np.hypot(*(mean - (0.3, -0.2)).T))
    assert latent.nearest(mean, (0.3, -0.2), count).tolist() == order[:count].tolist()


# -- the atlas ---------------------------------------------------------------------------------------------------------


def test_a_blend_is_the_tile_at_its_code_and_exact_for_what_is_bilinear() -> None:
    side, extent = 7, 2.0
    codes = latent.lattice(latent.linear_ticks(side, extent))
    tiles = RNG.integers(0, 256, (side * side, 3, 4)).astype(np.uint8)
    assert np.abs(latent.blend(tiles, side, extent, codes) - tiles).max() < 1e-4

    def bilinear(z: np.ndarray) -> np.ndarray:
        return 100 + 20 * z[:, :1, None] - 15 * z[:, 1:, None] + 10 * z[:, :1, None] * z[:, 1:, None] * np.ones((3, 4))

    anywhere = RNG.uniform(-extent, extent, (50, 2))
    assert np.allclose(latent.blend(bilinear(codes.astype(float)), side, extent, anywhere), bilinear(anywhere))


def test_the_atlas_says_how_far_its_blends_are_from_the_decodes() -> None:
    atlas = latent.make_atlas(waves(0.6), 3.0)
    codes = RNG.uniform(-3, 3, (4000, 2)).astype(np.float32)
    true = waves(0.6)(torch.from_numpy(codes))[:, 0].numpy() * 255
    apart = np.abs(latent.blend(atlas.tiles, atlas.side, atlas.extent, codes) - true)
    assert np.quantile(apart, 0.999) <= latent.TOLERANCE
    assert apart.mean() == pytest.approx(atlas.error, rel=0.25)
    assert np.quantile(apart, 0.999) == pytest.approx(atlas.worst, rel=0.25)


def test_the_atlas_is_as_fine_as_the_decoder_needs() -> None:
    sides = [latent.make_atlas(waves(speed), 3.0).side for speed in (0.3, 1.3, 1.6, 9.0)]
    assert sides == sorted(sides)
    assert sides[0] == latent.SIDES[0]
    assert sides[-1] == latent.SIDES[-1]


def test_tiles_have_three_channels_only_in_colour() -> None:
    assert latent.tiles_of(torch.rand(4, 1, 6, 5)).shape == (4, 6, 5)
    assert latent.tiles_of(torch.rand(4, 3, 6, 5)).shape == (4, 6, 5, 3)


# -- the grid and its coverage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quantiles", [True, False])
def test_coverage_counts_what_a_loop_counts(quantiles: bool) -> None:
    n = 6
    ticks = latent.quantile_ticks(n) if quantiles else latent.linear_ticks(n, 2.0)
    edges = latent.cell_edges(ticks, quantiles)
    codes = RNG.normal(size=(500, 2)) * 1.5
    counts = latent.coverage(codes, edges)
    for row in range(n):
        for column in range(n):
            bottom, top = edges[n - 1 - row], edges[n - row]
            inside = (codes[:, 0] >= edges[column]) & (codes[:, 0] < edges[column + 1])
            inside &= (codes[:, 1] >= bottom) & (codes[:, 1] < top)
            assert counts[row, column] == inside.sum()
    assert (counts.sum() == len(codes)) == quantiles, "by quantiles the cells fill the plane"


def test_the_prior_s_mass_is_what_draws_of_it_give() -> None:
    edges = latent.cell_edges(latent.linear_ticks(5, 2.0), quantiles=False)
    draws = RNG.normal(size=(200_000, 2))
    assert np.abs(latent.coverage(draws, edges) / len(draws) - latent.prior_mass(edges)).max() < 0.003


@pytest.mark.parametrize("n", [3, 6])
def test_the_grid_s_picture_has_each_decode_at_its_code(n: int) -> None:
    ticks = latent.linear_ticks(n, 1.5)
    tiles = np.arange(n * n, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), np.uint8)
    figure = latent.grid_figure(tiles, ticks)
    image = figure["layout"]["images"][0]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(image["source"].partition(",")[2]))))
    size = sheet.shape[0] // n
    assert min(sheet.shape[:2]) >= 1000, "large enough that the browser need not blur it"
    hover = figure["data"][0]["customdata"]
    codes = latent.lattice(ticks)
    for i in range(n * n):
        row, column = divmod(i, n)
        assert (sheet[row * size : (row + 1) * size, column * size : (column + 1) * size] == i).all()
        assert np.allclose(hover[n - 1 - row][column], codes[i]), "plotly counts rows from below"
    axis = figure["layout"]["xaxis"]
    for place, name in zip(axis["tickvals"], axis["ticktext"], strict=True):
        assert float(name.replace("−", "-")) == pytest.approx(ticks[place], abs=0.005)


def test_the_coverage_figure_has_each_count_at_its_code() -> None:
    n = 5
    ticks = latent.quantile_ticks(n)
    codes = latent.lattice(ticks).repeat(np.arange(n * n), axis=0)  # i codes at the i-th place
    counts = latent.coverage(codes, latent.cell_edges(ticks, quantiles=True))
    expected = RNG.random((n, n))
    cells = latent.coverage_figure(counts, expected, ticks)["data"][0]
    for i, code in enumerate(latent.lattice(ticks)):
        row, column = divmod(i, n)
        assert cells["z"][n - 1 - row][column] == i
        assert np.allclose(cells["customdata"][n - 1 - row][column], [*code, expected[row, column]])
