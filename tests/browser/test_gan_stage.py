"""The GAN stage in Chromium: step both and see the wall change; play, and stop."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, ROOT

APP = ROOT / "app.py"


@pytest.fixture
def stage(serve_app, tiny, page):
    """The stage with a small pair, from a checkpoint."""
    page.goto(f"{serve_app(APP, env=tiny)}/gan_stage?start=Checkpoint&model=gan-mnist")
    page.get_by_test_id("player").wait_for()
    return page


def wall(page) -> str:
    """The generated pictures, as the browser has painted them."""
    return page.locator('[data-testid="player"] canvas').first.evaluate("canvas => canvas.toDataURL()")


def steps(page) -> int:
    """Steps of D that the wall's caption tells of."""
    text = page.get_by_test_id("player-caption").inner_text()
    return int(re.search(r"Steps: D ([\d,]+), G", text)[1].replace(",", ""))


def wait_until(page, condition) -> None:
    for _ in range(PATIENCE // 100):
        if condition():
            return
        page.wait_for_timeout(100)
    raise AssertionError("waited in vain")


def test_step_both_changes_the_wall_and_the_player_brings_the_first_one_back(stage):
    wait_until(stage, lambda: steps(stage) == 0)
    before = wall(stage)
    stage.get_by_role("button", name="Step both").click()
    wait_until(stage, lambda: steps(stage) == 1)
    wait_until(stage, lambda: wall(stage) != before)
    expect(stage.get_by_test_id("player-count")).to_have_text("2 / 2")
    stage.get_by_test_id("player-first").click()
    wait_until(stage, lambda: wall(stage) == before)


def test_play_goes_on_by_itself_and_stops(stage):
    stage.locator(".st-key-gan-play button").click()
    stop = stage.locator(".st-key-gan-stop button")
    stop.wait_for()
    seen = steps(stage)
    wait_until(stage, lambda: steps(stage) > seen)
    expect(stage.get_by_role("button", name="Step D")).to_be_disabled()
    stop.click()
    expect(stage.get_by_role("button", name="Step D")).to_be_enabled()
    stage.wait_for_timeout(3000)  # the wall of the turn that was under way when it was stopped
    reached = steps(stage)
    stage.wait_for_timeout(3000)
    assert steps(stage) == reached
