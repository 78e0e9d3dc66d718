"""The Receptive field page in Chromium: click a pixel, move the depth, follow the link."""

import re

import pytest
from playwright.sync_api import expect

from genlib.evaluation.receptive_field import grow
from genlib.models.pixelcnn import PixelCNN
from tests.browser.conftest import PATIENCE, ROOT

APP = ROOT / "app.py"


@pytest.fixture
def receptive(serve_app, tiny, page):
    def opened(query=""):
        page.goto(f"{serve_app(APP, env=tiny)}/receptive_field{query}")
        page.get_by_test_id("player").wait_for()
        return page

    return opened


def test_a_click_a_key_and_the_depth_are_measured_and_in_the_link(receptive, chromium):
    page = receptive("?kernel=3")
    note = page.get_by_test_id("player-note-0")
    expect(note).to_contain_text("of 402")
    pad = page.get_by_test_id("canvas-surface")
    box = pad.bounding_box()
    pad.click(position={"x": box["width"] * 3.5 / 28, "y": box["height"] * 10.5 / 28})
    page.wait_for_url(re.compile(r"pixel=10\.3"))
    counts = grow(PixelCNN, (1, 28, 28), 10, 3, values={"first_kernel": 3}).counts(5)
    expect(note).to_contain_text(f"sees {counts.seen} of 283")
    expect(note).to_contain_text(f"{counts.blind} blind")
    page.get_by_test_id("player-forward").click()
    deeper = grow(PixelCNN, (1, 28, 28), 10, 3, values={"first_kernel": 3}).counts(6)
    expect(note).to_contain_text(f"sees {deeper.seen} of 283")  # in the browser, before the server hears of it
    page.wait_for_url(re.compile(r"depth=6"))
    pad.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.wait_for_url(re.compile(r"pixel=10\.4"))
    expect(note).to_contain_text("of 284")
    shown = note.text_content()
    other = chromium.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(page.url)
    expect(other.get_by_test_id("player-note-0")).to_have_text(shown)
    other.close()


def test_masks_are_drawn_and_the_skewing_plays(receptive):
    page = receptive("?view=Skewing")
    expect(page.get_by_test_id("player-count")).to_have_text("1 / 25")
    page.get_by_test_id("player-last").click()
    expect(page.get_by_test_id("player-caption")).to_contain_text("moved down a row")
    page.get_by_text("Masks", exact=True).click()
    kernels = page.locator(".genlib-kernels img")
    expect(kernels).to_have_count(20)
    assert kernels.evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 0)")
