"""The Pixel by pixel page in Chromium: the player draws each step itself, goes where it is told, and a link leads there."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import genlib
from genlib.figures import pixel_by_pixel as figures
from tests.browser.conftest import ROOT

expect = pytest.importorskip("playwright.sync_api").expect
APP = ROOT / "app.py"
PATIENCE = 120_000  # milliseconds; a server's first page loads PyTorch, perhaps on a busy machine


@pytest.fixture
def pixels(page, serve_app, tiny) -> Callable[[str], object]:
    """``pixels(query)`` opens the page and waits until the player shows a step."""

    def opened(query: str):
        page.set_default_timeout(PATIENCE)
        page.goto(f"{serve_app(APP, env=tiny)}/pixel_by_pixel{query}")
        page.locator("[data-testid=player][data-step]").wait_for()
        return page

    return opened


def panel(page, index: int) -> np.ndarray:
    """A panel of the player as it is on the screen, RGBA."""
    text = page.get_by_test_id(f"player-panel-{index}").evaluate("canvas => canvas.toDataURL('image/png')")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text.split(",")[1]))).convert("RGB")).astype(int)


def cells(picture: np.ndarray, side: int) -> np.ndarray:
    """The middle of each of side x side cells, [side, side, 3]."""
    middle = ((np.arange(side) + 0.5) * picture.shape[0] / side).astype(int)
    return picture[np.ix_(middle, middle)]


def drawn(tiny: dict[str, str], seed: int) -> figures.Walk:
    model = genlib.load(f"{tiny['GENLIB_CHECKPOINTS']}/pixelcnn-mnist.safetensors")
    images = model.sample(1, seed=seed)
    return figures.walk(model.pixel_distribution(images)[0], model.code(images)[0], model.order())


def test_play_step_click_and_follow_a_link(pixels, tiny, chromium) -> None:
    page = pixels("?model=pixelcnn-mnist&seed=3&step=300")
    walk = drawn(tiny, seed=3)
    root = page.get_by_test_id("player")
    expect(root).to_have_attribute("data-step", "299")
    expect(root).to_have_attribute("data-frames", "784")
    # what is on the canvas is what was drawn by then, and not more
    shown = cells(panel(page, 0), 28)
    then = walk.order[0] < 299
    assert (shown[then] == walk.picture()[then][:, None]).all()
    later = walk.order[0] > 299 + 29  # the frame around the newest pixel touches its neighbours
    assert not np.isin(shown[later], [0]).all(1).any(), "hatched, not black"
    # keys: a value on, a row down, a row up, a value back
    page.get_by_test_id("player-forward").focus()
    for key, step in (
        ("ArrowRight", 300),
        ("ArrowDown", 328),
        ("ArrowUp", 300),
        ("ArrowLeft", 299),
        ("ArrowLeft", 298),
    ):
        page.keyboard.press(key)
        expect(root).to_have_attribute("data-step", str(step))
    chance = 100 * walk.chance[298]
    word = ("no ink", "ink")[walk.values[298]]
    caption = f"Row 10, column 18: {word}, to which the model gave {float(f'{chance:.3g}'):g} %"
    expect(page.get_by_test_id("player-caption")).to_contain_text(caption)
    page.wait_for_url(re.compile("step=299"))
    # a click on a cell of the map goes to its step
    box = page.get_by_test_id("player-panel-1").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 7.5 / 28, box["y"] + box["height"] * 20.5 / 28)
    expect(root).to_have_attribute("data-step", str(20 * 28 + 7))
    page.wait_for_url(re.compile("step=568"))
    assert (cells(panel(page, 0), 28)[:19] == walk.picture()[:19, :, None]).all()
    # play runs on from here without asking the server
    page.get_by_test_id("player-play").click()
    expect(root).to_have_attribute("data-playing", "true")
    expect(root).not_to_have_attribute("data-step", "567")
    page.get_by_test_id("player-play").click()
    expect(root).to_have_attribute("data-playing", "false")
    step = int(root.get_attribute("data-step"))
    page.wait_for_url(re.compile(f"step={step + 1}"))
    other = chromium.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(page.url)
    expect(other.get_by_test_id("player")).to_have_attribute("data-step", str(step))
    other.close()


def test_the_bars_are_as_high_as_the_probabilities(pixels, tiny) -> None:
    page = pixels("?model=pixelcnn-mnist&seed=3&step=400")
    walk = drawn(tiny, seed=3)
    picture = panel(page, 2)
    width = picture.shape[1]
    ground = picture[2, 2]
    tall = []
    for x in (width // 4, width * 3 // 4):  # of the bar's own colour, not the words above it
        column = picture[:, x]
        blue = (np.abs(column - ground).max(1) > 20) & (column[:, 2] - column[:, 0] > 40)
        tall.append(int(blue.sum()))
    assert tall[0] / sum(tall) == pytest.approx(walk.p[399, 0], abs=0.02)


def test_a_drawing_is_read_and_travels_in_the_link(pixels) -> None:
    page = pixels("?model=pixelcnn-mnist&source=Draw")
    surface = page.get_by_test_id("canvas-surface")
    surface.wait_for()
    box = surface.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.3)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.6, steps=6)
    page.mouse.up()
    page.wait_for_url(re.compile("picture="))
    page.get_by_test_id("player-last").click()
    expect(page.get_by_test_id("player")).to_have_attribute("data-step", "783")
    page.wait_for_url(re.compile("step=784"))
    shown = cells(panel(page, 0), 28)[..., 0]
    assert shown[9:16, 11].min() == 255
    assert shown[:7].max() == 0
