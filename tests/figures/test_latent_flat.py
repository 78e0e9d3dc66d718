"""Planes through spaces of many numbers: what they promise of distances, draws and spheres."""

import base64
import io
import math

import numpy as np
import pytest
import torch
from PIL import Image

from genlib.figures import latent_flat
from genlib.figures.latent_flat import CORNERS, lerp, principal_plane, slerp, through_three, traversal, whole_plane


def cloud(n: int = 400, latent: int = 6) -> torch.Tensor:
    """Codes that vary most along two known directions."""
    generator = torch.Generator().manual_seed(0)
    widths = torch.tensor([5.0, 0.3, 3.0, 0.2, 0.1, 0.4])[:latent]
    return torch.randn(n, latent, generator=generator) * widths + torch.arange(latent)


def test_two_numbers_are_the_plane_itself() -> None:
    xy = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(whole_plane().lift(xy), xy)
    assert torch.equal(whole_plane().project(xy), xy)


def test_principal_plane_is_that_of_largest_variance() -> None:
    codes = cloud()
    plane = principal_plane(codes)
    torch.testing.assert_close(plane.axes @ plane.axes.T, torch.eye(2), atol=1e-5, rtol=0.0)
    torch.testing.assert_close(plane.origin, codes.mean(0))
    values, vectors = torch.linalg.eigh(torch.cov(codes.T.double()))
    torch.testing.assert_close(plane.axes.double().abs(), vectors[:, [-1, -2]].T.abs(), atol=1e-4, rtol=0.0)
    assert plane.share == pytest.approx(float(values[-2:].sum() / values.sum()), abs=1e-5)
    assert (plane.axes.gather(1, plane.axes.abs().argmax(1, keepdim=True)) > 0).all()


def test_projection_undoes_the_lift_and_is_the_nearest_point() -> None:
    codes = cloud()
    plane = principal_plane(codes)
    xy = torch.randn(7, 2, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(plane.project(plane.lift(xy)), xy, atol=1e-5, rtol=1e-5)
    points = plane.project(codes)
    nearest = (codes - plane.lift(points)).norm(dim=1)
    for shift in torch.eye(2):
        assert (nearest <= (codes - plane.lift(points + 0.1 * shift)).norm(dim=1) + 1e-6).all()


def test_codes_without_any_variance_still_have_a_plane() -> None:
    plane = principal_plane(torch.ones(10, 4))
    assert plane.lift(torch.randn(3, 2)).isfinite().all()
    assert plane.share == 0.0


@pytest.mark.parametrize("latent", [3, 25, 100])
def test_three_draws_stand_at_their_corners_and_all_else_on_their_sphere(latent: int) -> None:
    draws = torch.randn(3, latent, generator=torch.Generator().manual_seed(3))
    plane = through_three(draws)
    torch.testing.assert_close(plane.lift(torch.tensor(CORNERS)), draws, atol=1e-4, rtol=1e-4)
    middle = plane.lift(torch.zeros(1, 2))
    assert float(middle.norm()) == pytest.approx(float(draws.norm(dim=1).mean()), rel=1e-4)
    between = plane.lift((torch.tensor(CORNERS[:1]) + torch.tensor(CORNERS[1:2])) / 2)
    assert float(between.norm()) == pytest.approx(float(draws[:2].norm(dim=1).mean()), rel=1e-4)
    # a plane through the origin's side: the direction half way between two draws is that of their mean
    torch.testing.assert_close(
        between / between.norm(),
        lerp(draws[0], draws[1], 3)[1:2] / lerp(draws[0], draws[1], 3)[1].norm(),
        atol=1e-4,
        rtol=1e-4,
    )


def test_ways_between_two_draws() -> None:
    a, b = torch.randn(2, 50, generator=torch.Generator().manual_seed(4))
    for way in (slerp, lerp):
        codes = way(a, b, 9)
        torch.testing.assert_close(codes[0], a, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(codes[-1], b, atol=1e-5, rtol=1e-5)
    sphere = slerp(a, b, 9)
    torch.testing.assert_close(sphere.norm(dim=1), torch.linspace(0, 1, 9) * (b.norm() - a.norm()) + a.norm())
    directions = sphere / sphere.norm(dim=1, keepdim=True)
    steps = torch.arccos((directions[1:] * directions[:-1]).sum(1))
    torch.testing.assert_close(steps, steps.mean().expand(8), atol=1e-3, rtol=0.0)
    assert float(lerp(a, b, 9)[4].norm()) < 0.9 * float(sphere[4].norm())


def test_draws_in_one_direction_are_joined_all_the_same() -> None:
    a = torch.ones(4)
    assert slerp(a, 2 * a, 5).isfinite().all()
    assert slerp(a, -a, 5).isfinite().all()


def test_traversal_changes_one_number() -> None:
    codes = traversal(torch.arange(4.0), 2, torch.tensor([-1.0, 9.0]))
    assert codes.tolist() == [[0, 1, -1, 3], [0, 1, 9, 3]]


def test_strips_show_every_picture_in_its_place() -> None:
    tiles = np.random.default_rng(0).integers(0, 256, (2, 3, 5, 4), np.uint8)
    figure = latent_flat.strips_figure(tiles, ["a", "b"], ["x", "y", "z"], "t")
    source = figure["layout"]["images"][0]["source"].partition(",")[2]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
    scale = math.ceil(1100 / 12)
    for i in range(2):
        for j in range(3):
            top, left = i * 6 * scale, j * 5 * scale
            part = sheet[top : top + 5 * scale : scale, left : left + 4 * scale : scale, 0]
            assert np.array_equal(part, tiles[i, j])
    assert figure["layout"]["yaxis"]["ticktext"] == ["a", "b"]


def test_costs_are_in_order_and_unused_numbers_grey() -> None:
    kl, active = np.array([0.5, 0.0, 2.0]), np.array([True, False, True])
    bars = latent_flat.kl_figure(kl, [2], active)["data"][0]
    assert bars["y"] == [2.0, 0.5, 0.0]
    assert bars["customdata"] == [2, 0, 1]
    colours = bars["marker"]["color"]
    assert len(set(colours)) == 3


def test_scatter_holds_every_point_once() -> None:
    points = np.random.default_rng(0).normal(size=(30, 2))
    labels = np.arange(30) % 3
    figure = latent_flat.scatter_figure(points, labels, ("a", "b", "c"), 3.0)
    assert [len(trace["x"]) for trace in figure["data"]] == [10, 10, 10]
    assert figure["data"][1]["hovertemplate"].startswith("b ")
    assert len(latent_flat.scatter_figure(points, None, (), 3.0)["data"][0]["x"]) == 30
