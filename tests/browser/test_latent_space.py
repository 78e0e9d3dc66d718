"""The Latent space page in Chromium: drag the pad, follow a link, draw a digit and see where it lands."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import torch

from genlib.figures import latent as figures
from genlib.models.vae import VAE
from genlib.ui import latent_points, links
from tests.pages.latent_models import TEST_IMAGES, lively_vae, small_mnist, write_checkpoints

expect = pytest.importorskip("playwright.sync_api").expect
APP = Path(__file__).resolve().parents[2] / "app.py"
EXACT = figures.TOLERANCE + 2  # grey levels; rounding of the tiles and of the blend


@pytest.fixture(scope="session")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Planes without training, and few test images, so that the page is whole at once."""
    return {
        "GENLIB_CHECKPOINTS": str(write_checkpoints(tmp_path_factory.mktemp("planes"))),
        "GENLIB_RUNS": str(tmp_path_factory.mktemp("runs")),
        "GENLIB_DATA": str(small_mnist(tmp_path_factory.mktemp("data"))),
    }


@pytest.fixture(scope="session")
def model() -> VAE:
    """What the page's `vae-mnist` is."""
    return lively_vae()


@pytest.fixture
def latent_space(page, serve_app, env) -> Callable[[str], object]:
    """``latent_space(query)`` opens the page and waits until all is there; ``page.sent`` counts messages to the server."""
    page.sent = 0

    def count(_frame: object) -> None:
        page.sent += 1

    page.on("websocket", lambda socket: socket.on("framesent", count))

    def opened(query: str = ""):
        page.goto(f"{serve_app(APP, env=env)}/latent_space?model=vae-mnist{query}")
        expect(page.get_by_text(re.compile(f"Codes of {TEST_IMAGES} test images"))).to_be_visible(timeout=60_000)
        quiet(page)
        return page

    return opened


def quiet(page) -> None:
    """Wait until the page is whole, its script idle and the pad's picture painted."""
    page.wait_for_timeout(300)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=60_000)
    expect(page.locator(".st-key-lesson").or_(page.get_by_test_id("stAlert")).first).to_be_visible(timeout=60_000)


def pad(page):
    """The pad, once its atlas is there."""
    root = page.get_by_test_id("pad")
    expect(root).to_have_attribute("data-ready", "true", timeout=30_000)
    return root


def address(page) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(page.url).query).items()}


def numbers(root, name: str) -> np.ndarray:
    return np.array([float(v) for v in root.get_attribute(f"data-{name}").split(",")])


def picture(page) -> np.ndarray:
    """The picture under the point, in its own pixels, [28, 28]."""
    data = page.get_by_test_id("pad-picture").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    return np.array(data).reshape(28, 28, 4)[..., 0].astype(int)


def decode(model: VAE, z: np.ndarray) -> np.ndarray:
    """The true decode, [28, 28] in grey levels."""
    return model.decode(torch.tensor(z, dtype=torch.float32)[None])[0, 0].numpy() * 255


def at(page, part_x: float, part_y: float) -> tuple[float, float]:
    """A place on the plane, as shares of its width and height."""
    box = page.get_by_test_id("pad-plane").bounding_box()
    return box["x"] + part_x * box["width"], box["y"] + part_y * box["height"]


def shown_code(page) -> str:
    """The lines under "The code"."""
    page.locator(".st-key-lesson").get_by_text("The code").click()
    lines = page.get_by_test_id("stCode").first
    expect(lines).to_be_visible(timeout=30_000)
    return lines.inner_text()


def test_dragging_shows_true_decodes_and_sends_nothing_until_released(latent_space, model: VAE) -> None:
    page = latent_space()
    root = pad(page)
    assert not {"z", "a", "b"} & set(address(page))
    before, first = page.sent, picture(page)
    page.mouse.move(*at(page, 0.3, 0.3))
    page.mouse.down()
    seen = []
    for place in ((0.3, 0.75), (0.8, 0.35), (0.62, 0.7)):
        page.mouse.move(*at(page, *place), steps=6)
        page.wait_for_timeout(150)
        z = numbers(root, "z")
        seen.append(picture(page))
        assert np.abs(seen[-1] - decode(model, z)).max() <= EXACT
    assert all(np.abs(one - two).max() > 40 for one, two in zip([first, *seen], seen, strict=False)), "another picture"
    page.wait_for_timeout(600)
    assert page.sent == before, "no message while the pointer is down"
    page.mouse.up()
    page.wait_for_url(re.compile("z="))
    quiet(page)
    assert latent_points.read_point("z", address(page)["z"], 99) == pytest.approx(z, abs=0.001)
    assert np.allclose(numbers(root, "z"), z, atol=1e-3), "the pad stays where it was left"
    expect(root).to_have_attribute("data-decodes", "1")  # the atlas was sent and decoded once
    x, y = address(page)["z"].split(",")
    assert f"[[{float(x)}, {float(y)}]]" in shown_code(page)


def test_a_shared_link_gives_the_same_view(latent_space, model: VAE) -> None:
    page = latent_space("&z=1.2,-0.7&a=-1,0.5&b=0.25,1.5")
    root = pad(page)
    for name, point in (("z", (1.2, -0.7)), ("a", (-1, 0.5)), ("b", (0.25, 1.5))):
        assert numbers(root, name) == pytest.approx(point)
    assert np.abs(picture(page) - decode(model, np.array([1.2, -0.7]))).max() <= EXACT
    page.get_by_test_id("stSidebar").get_by_text("Grid", exact=True).click()
    expect(page.get_by_text("Decodes at 20 × 20 codes")).to_be_visible(timeout=60_000)
    quiet(page)
    page.reload()
    expect(page.get_by_text("Decodes at 20 × 20 codes")).to_be_visible(timeout=60_000)
    page.get_by_test_id("stSidebar").get_by_text("Plane", exact=True).click()
    assert numbers(pad(page), "z") == pytest.approx((1.2, -0.7)), "it survives another view and a reload"


def test_a_class_for_the_end_of_the_path_moves_the_anchor_and_leaves_the_point(latent_space) -> None:
    page = latent_space("&z=1.2,-0.7")
    root = pad(page)
    before = numbers(root, "b")
    page.get_by_test_id("stSidebar").get_by_label("Path to").click()
    page.get_by_role("option", name="4", exact=True).click()
    page.wait_for_url(re.compile("b="))
    quiet(page)
    assert numbers(root, "b") == pytest.approx(latent_points.read_point("b", address(page)["b"], 99), abs=0.001)
    assert np.abs(numbers(root, "b") - before).max() > 0.05
    assert numbers(root, "z") == pytest.approx((1.2, -0.7))


def test_a_drawn_digit_is_encoded(latent_space, model: VAE) -> None:
    page = latent_space("&view=Encode&source=Drawing")
    expect(page.get_by_text("Draw a digit.")).to_be_visible(timeout=30_000)
    surface = page.get_by_test_id("canvas-surface")
    box = surface.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"])
    page.mouse.down()
    for part_x, part_y in ((0.7, 0.2), (0.45, 0.85)):
        page.mouse.move(box["x"] + part_x * box["width"], box["y"] + part_y * box["height"], steps=8)
    page.mouse.up()
    page.wait_for_url(re.compile("picture="))
    quiet(page)
    drawing = links.unpack_picture(address(page)["picture"], (28, 28))
    assert drawing[5, 9:19].all(), "the stroke"
    image = torch.tensor(drawing / 255, dtype=torch.float32)[None, None]
    mean = model.encode(image)[0][0].tolist()
    parts = model.bound(image)
    said = page.get_by_test_id("stMain").inner_text()
    assert f"z₁ = {mean[0]:.2f}".replace("-", "−") in said
    assert f"z₂ = {mean[1]:.2f}".replace("-", "−") in said
    assert f"{sum(parts).item():.1f}" in said, "its -ELBO"
    expect(page.get_by_alt_text("the reconstruction")).to_be_visible(timeout=30_000)
    page.get_by_role("button", name="Move the point to its code").click()
    page.wait_for_url(re.compile("z="))
    quiet(page)
    assert numbers(pad(page), "z") == pytest.approx(mean, abs=0.001)
    assert np.abs(picture(page) - decode(model, np.array(mean))).max() <= EXACT


def test_the_ellipse_of_a_collapsed_code_is_as_wide_as_the_prior(page, serve_app, env) -> None:
    page.goto(f"{serve_app(APP, env=env)}/latent_space?model=vae-mnist-collapsed&view=Encode")
    expect(page.get_by_text("KL collapse.")).to_be_visible(timeout=60_000)
    quiet(page)
    pad(page)
    # where x = 3 and y = 3 stand on the plane follows from its margins: 40 left, 8 elsewhere, 30 below, and half a tile
    tinted = page.get_by_test_id("pad-plane").evaluate(
        """(canvas, side) => {
            const span = canvas.clientWidth - 48, reach = 3 * (1 + 1 / (side - 1)), ratio = canvas.width / canvas.clientWidth;
            const tint = (x, y) => {
                const at = [40 + (x / reach + 1) / 2 * span, 8 + (1 - y / reach) / 2 * span].map((v) => Math.round(v * ratio) - 2);
                const data = canvas.getContext("2d").getImageData(...at, 5, 5).data;
                let sum = 0;
                for (let i = 0; i < data.length; i += 4) sum += data[i] - data[i + 2];
                return sum / (data.length / 4);
            };
            return [[1.6, 0], [0, -1.6], [-1.2, 1.2], [2.4, 0], [0, -2.4], [1.8, 1.8]].map(([x, y]) => tint(x, y) > 20);
        }""",
        figures.SIDES[0],
    )
    assert tinted == [True, True, True, False, False, False], "yellow within 2σ = 2, and only there"
