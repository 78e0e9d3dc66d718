"""The Glimpses page in Chromium: step the player, follow a link, move the attention by hand."""

import json
import re

import pytest
import torch
from playwright.sync_api import expect

from genlib import data
from genlib.layers.attention import GlimpseBox, read, write
from tests.browser.conftest import PATIENCE, ROOT

APP = ROOT / "app.py"


@pytest.fixture
def glimpses(serve_app, page):
    def opened(query=""):
        page.goto(f"{serve_app(APP)}/glimpses{query}")
        return page

    return opened


def test_the_player_steps_and_the_link_brings_the_step_back(glimpses, chromium):
    page = glimpses("?view=Read&digit=3&seed=4")
    page.get_by_test_id("player").wait_for()
    count = page.get_by_test_id("player-count")
    expect(count).to_have_text(re.compile(r"^1 /"))
    for shown in (2, 3, 4):
        page.get_by_test_id("player-forward").click()
        expect(count).to_have_text(re.compile(rf"^{shown} /"))
    page.wait_for_url(re.compile(r"step=4"))
    other = chromium.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(page.url)
    expect(other.get_by_test_id("player-count")).to_have_text(re.compile(r"^4 /"))
    other.close()


def test_attention_by_hand_is_the_models_own(glimpses):
    page = glimpses("?view=By+hand&digit=3")
    pad = page.get_by_test_id("attention")
    pad.wait_for()
    scene = page.get_by_test_id("attention-grid")
    box = scene.bounding_box()
    before = json.loads(pad.get_attribute("data-grid"))
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*middle)
    page.mouse.down()
    page.mouse.move(middle[0] + 40, middle[1] + 25, steps=4)
    page.mouse.up()
    page.wait_for_url(re.compile(r"grid="))
    grid = json.loads(pad.get_attribute("data-grid"))
    pixel = box["width"] / 28
    assert grid["x"] == pytest.approx(before["x"] + 40 / pixel, abs=0.1)
    assert grid["y"] == pytest.approx(before["y"] + 25 / pixel, abs=0.1)
    image = data.load("mnist").batch("test", slice(3, 4))[0]
    where = GlimpseBox(*(torch.tensor(float(grid[name])) for name in ("x", "y", "delta", "sigma", "gamma")))
    glimpse = read(image, where, grid["n"])
    assert torch.allclose(torch.tensor(json.loads(pad.get_attribute("data-glimpse"))), glimpse[0], atol=1e-3)
    back = write(glimpse, where, (28, 28))
    assert torch.allclose(torch.tensor(json.loads(pad.get_attribute("data-written"))), back[0], atol=1e-3)
