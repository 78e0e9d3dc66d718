"""The One shot page in Chromium: a drawn character is written twenty times, and the drawing travels with the link."""

import re

from playwright.sync_api import expect

from genlib.models import catalogue
from genlib.training import checkpoint
from tests.browser.conftest import PATIENCE, ROOT

APP = ROOT / "app.py"


def test_draw_a_character_and_follow_its_link(serve_app, page, chromium, tmp_path):
    kind = catalogue.get("one-shot")
    model = kind.from_config(kind.configure("quick", (1, 28, 28), hidden=8, latent=3, steps=3))
    origin = checkpoint.Origin(data="omniglot", step=1)
    checkpoint.save(tmp_path / "one-shot-omniglot.safetensors", model, model.state_dict(), origin)
    address = serve_app(APP, env={"GENLIB_CHECKPOINTS": str(tmp_path), "GENLIB_RUNS": str(tmp_path / "runs")})
    page.goto(f"{address}/one_shot?source=Draw")
    expect(page.get_by_text("Draw a character")).to_be_visible()
    box = page.get_by_test_id("canvas-surface").bounding_box()
    page.mouse.move(box["x"] + 60, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + 60, box["y"] + 200, steps=6)
    page.mouse.up()
    wall = page.get_by_test_id("one-shot-wall")
    wall.wait_for()
    page.wait_for_url(re.compile(r"picture="))
    first = wall.get_attribute("src")
    other = chromium.new_page()
    other.set_default_timeout(PATIENCE)
    other.goto(page.url)
    expect(other.get_by_test_id("one-shot-wall")).to_have_attribute("src", first)
    other.close()
