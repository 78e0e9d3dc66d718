"""The Completion page in Chromium: draw and complete, follow a link, upload what is no picture."""

from __future__ import annotations

import base64
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from genlib.data import load
from genlib.data.codings import binarise
from genlib.figures import images
from genlib.training import checkpoint
from genlib.ui import links
from tests.pages.conftest import tiny as tiny_model

expect = pytest.importorskip("playwright.sync_api").expect
PATIENCE = 120_000  # milliseconds; a server's first page loads PyTorch, perhaps on a busy machine
APP = Path(__file__).resolve().parents[2] / "app.py"


@pytest.fixture(scope="session")
def more(tiny, tmp_path_factory) -> dict[str, str]:
    """The small checkpoints, and one of a model that knows classes: told-mnist."""
    folder = tmp_path_factory.mktemp("completion-checkpoints")
    for file in Path(tiny["GENLIB_CHECKPOINTS"]).iterdir():
        os.link(file, folder / file.name)
    model = tiny_model("gated-pixelcnn", classes=10, layers=2)
    weights = {name: 4 * value for name, value in model.state_dict().items()}  # fresh ones hardly heed the class
    checkpoint.save(folder / "told-mnist.safetensors", model, weights, checkpoint.Origin(data="mnist", step=1))
    return {**tiny, "GENLIB_CHECKPOINTS": str(folder)}


@pytest.fixture
def completion(page, serve_app, more) -> Callable[[str], object]:
    """``completion(query)`` opens the page and waits until it is quiet."""

    def opened(query: str = ""):
        page.set_default_timeout(PATIENCE)
        page.goto(f"{serve_app(APP, env=more)}/completion{query}")
        quiet(page)
        return page

    return opened


def quiet(page) -> None:
    """Wait until the page is whole and its script idle."""
    expect(page.locator(".st-key-lesson")).to_be_visible(timeout=PATIENCE)  # the last element of the page
    page.wait_for_timeout(300)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning", timeout=PATIENCE)


def address_of(url: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}


def address(page) -> dict[str, str]:
    return address_of(page.url)


def ink(text: str) -> np.ndarray:
    """The 28 x 28 picture in a link."""
    return links.unpack_picture(text, (28, 28))


def sheet(page, number: str = "") -> np.ndarray:
    """The sheet of completions of the first model, or that of the second with ``number`` -2, as the browser got it, RGBA."""
    picture = page.locator(f".st-key-completion-sheet{number} img")
    expect(picture).to_have_attribute("alt", re.compile(r"^\d+ completions$"), timeout=PATIENCE)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.get_attribute("src").split(",")[1]))))


def tiles(page, n: int) -> np.ndarray:
    """The single completions of a sheet, uint8 [n, 28, 28, 3]."""
    columns, step = images.best_columns(n, 1.9), 28 + 1
    whole = sheet(page)[..., :3]
    assert whole.shape[1] == columns * step - 1
    places = [(i // columns * step, i % columns * step) for i in range(n)]
    return np.stack([whole[top : top + 28, left : left + 28] for top, left in places])


def drag(page, surface, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Drag from one pixel (row, column) of the 28 x 28 picture to another."""
    surface.scroll_into_view_if_needed()
    box = surface.bounding_box()
    points = [
        (box["x"] + (c + 0.5) * box["width"] / 28, box["y"] + (r + 0.5) * box["height"] / 28) for r, c in (start, end)
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=8)
    page.mouse.up()


def test_draw_and_complete(completion) -> None:
    page = completion("?source=Draw&seed=3")
    before = sheet(page)
    surface = page.get_by_test_id("canvas-surface").first
    drag(page, surface, (6, 8), (6, 20))
    drag(page, surface, (6, 20), (11, 12))
    page.wait_for_url(lambda url: "picture" in (asked := address_of(url)) and ink(asked["picture"])[11, 12])
    quiet(page)
    picture = ink(address(page)["picture"])
    assert picture[6, 8:21].all(), "the stroke"
    assert not picture[14:].any()
    assert not np.array_equal(sheet(page), before)
    drawn = tiles(page, 8)
    assert np.array_equal(drawn[:, :14, :, 0], np.broadcast_to(picture[:14], (8, 14, 28))), "all keep what was drawn"
    assert len({tile[14:].tobytes() for tile in drawn}) == 8, "and differ below"


def test_hide_with_the_brush_and_the_box_and_follow_the_link(completion, chromium) -> None:
    page = completion("?model=pixelcnn-mnist&digit=3&n=4&seed=9&mask=nothing")
    surface = page.get_by_test_id("canvas-surface").first
    page.get_by_test_id("canvas-tool-box").first.click()
    drag(page, surface, (10, 5), (20, 22))
    page.wait_for_url(lambda url: "mask=nothing" not in url)
    quiet(page)
    page.get_by_test_id("canvas-tool-hide").first.click()
    one = page.url
    drag(page, surface, (24, 3), (24, 10))
    page.wait_for_url(lambda url: url != one)
    quiet(page)
    known = links.unpack_mask(address(page)["mask"], 28, 28)
    assert not known[10:21, 5:23].any()
    assert not known[24, 3:11].any()
    assert known[:10].all()
    expect(page.get_by_text(re.compile(f"completions of {(~known).sum()} hidden pixels"))).to_be_visible()

    chart = page.locator(".genlib-values")
    entropy = page.get_by_test_id("canvas-surface").nth(1)
    drag(page, entropy, (12, 9), (12, 9))
    page.wait_for_url(re.compile(r"pixel=12\.9"))
    quiet(page)
    expect(chart).to_be_visible()
    said = page.get_by_text(re.compile(r"^Probability of ink")).inner_text()
    expect(page.get_by_text(re.compile(r"Row 12, column 9: "))).to_be_visible()

    digit = binarise(load("mnist").batch("test", slice(3, 4)), "threshold")[0, 0].numpy() * 255
    drawn = tiles(page, 4)
    assert all(np.array_equal(tile[known][:, 0], digit[known]) for tile in drawn), "the known pixels are kept"

    other = chromium.new_context(viewport={"width": 1280, "height": 720}).new_page()
    other.goto(page.url)
    quiet(other)
    assert np.array_equal(sheet(other), sheet(page)), "the link gives the same completions"
    assert other.get_by_text(re.compile(r"^Probability of ink")).inner_text() == said
    other.context.close()


def test_a_click_on_a_pixel_leaves_the_completions_alone(completion) -> None:
    page = completion("?n=2")
    source = page.locator(".st-key-completion-sheet img").get_attribute("src")
    line = page.get_by_text(re.compile("drawn in")).inner_text()
    for column in (5, 14, 20):
        drag(page, page.get_by_test_id("canvas-surface").nth(1), (18, column), (18, column))
        page.wait_for_url(re.compile(rf"pixel=18\.{column}(&|$)"))
        quiet(page)
    assert page.locator(".st-key-completion-sheet img").get_attribute("src") == source
    assert page.get_by_text(re.compile("drawn in")).inner_text() == line, "the time of the one drawing"


def test_uploads_that_are_no_pictures_are_one_sentence_and_a_picture_is_taken(completion) -> None:
    page = completion("?source=Upload")
    expect(page.get_by_text("Upload a picture at the left")).to_be_visible()
    large, small = io.BytesIO(), io.BytesIO()
    Image.new("L", (6000, 5000)).save(large, "PNG")
    disc = np.where(np.hypot(*(np.mgrid[:28, :28] - 13.5)) < 9, 255, 0).astype(np.uint8)
    Image.fromarray(disc).resize((56, 56), Image.Resampling.NEAREST).save(small, "PNG")
    chooser = page.locator("input[type=file]")
    for name, data, said in (
        ("letter.png", b"Dear Sir or Madam", "letter.png.* is not a picture"),
        ("poster.png", large.getvalue(), "poster.png.* is too large"),
    ):
        chooser.set_input_files({"name": name, "mimeType": "image/png", "buffer": data})
        alerts = page.get_by_test_id("stAlert")
        expect(alerts.filter(has_text=re.compile(said))).to_have_count(1, timeout=PATIENCE)
        expect(alerts).to_have_count(1, timeout=PATIENCE)  # those of the run before fade when the script ends
        expect(page.get_by_test_id("stException")).to_have_count(0)
    chooser.set_input_files({"name": "disc.png", "mimeType": "image/png", "buffer": small.getvalue()})
    page.wait_for_url(re.compile("picture="))
    quiet(page)
    expect(page.get_by_test_id("stAlert")).to_have_count(0, timeout=PATIENCE)
    picture = ink(address(page)["picture"])
    assert np.array_equal(picture, disc)
    assert np.array_equal(tiles(page, 8)[:, :14, :, 0], np.broadcast_to(disc[:14], (8, 14, 28)))


def test_a_click_on_either_map_looks_at_the_same_pixel_in_both_models(completion) -> None:
    page = completion("?model=pixelcnn-mnist&with=told-mnist&n=2&look=original")
    assert sheet(page).shape == sheet(page, "-2").shape
    maps = page.get_by_test_id("canvas-surface")
    expect(maps).to_have_count(3)
    for number, column in ((1, 9), (2, 14), (1, 9)):
        drag(page, maps.nth(number), (16, column), (16, column))
        page.wait_for_url(re.compile(rf"pixel=16\.{column}(&|$)"))
        quiet(page)
        expect(page.get_by_text(re.compile(rf"^Row 16, column {column}: "))).to_have_count(2)
        below = page.get_by_test_id("canvas-status").filter(has_text=re.compile(rf"^Row 16, column {column}$"))
        expect(below).to_have_count(2)


def test_a_second_model_and_a_class_are_chosen_and_followed_in_a_link(completion, chromium) -> None:
    page = completion("?model=pixelcnn-mnist&n=2")
    alone = sheet(page)
    choose(page, "Compare with", "told-mnist")
    page.wait_for_url(re.compile(r"with=told-mnist"))
    quiet(page)
    first, second = sheet(page), sheet(page, "-2")
    choose(page, "Class it is told", "7")
    page.wait_for_url(re.compile(r"class=7"))
    quiet(page)
    told = sheet(page, "-2")
    assert np.array_equal(sheet(page), first)
    assert not np.array_equal(told, second)

    other = chromium.new_context(viewport={"width": 1280, "height": 720}).new_page()
    other.goto(page.url)
    quiet(other)
    assert np.array_equal(sheet(other), first)
    assert np.array_equal(sheet(other, "-2"), told)
    other.context.close()

    choose(page, "Compare with", "none")
    page.wait_for_url(lambda url: "with=" not in url and "class=" not in url)
    quiet(page)
    expect(page.get_by_test_id("stAlert")).to_have_count(0)
    expect(page.locator(".st-key-completion-sheet-2")).to_have_count(0)
    assert np.array_equal(sheet(page), alone)


def choose(page, label: str, option: str) -> None:
    """An option of a selectbox in the sidebar."""
    page.get_by_test_id("stSidebar").get_by_role("combobox", name=re.compile(label)).click()
    page.get_by_role("option", name=option, exact=True).click()
