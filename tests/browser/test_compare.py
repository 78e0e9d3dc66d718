"""The Compare page in Chromium: the divider follows the mouse and the arrow keys, and stays where it is when the seed changes."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PATIENCE, ROOT

APP = ROOT / "app.py"


@pytest.fixture
def compared(serve_app, tiny, page):
    """The page with two quick models."""
    page.goto(f"{serve_app(APP, env=tiny)}/compare?models=gan-mnist,vae-mnist&a=gan-mnist&b=vae-mnist")
    page.get_by_test_id("wipe-handle").wait_for()
    return page


def shown(page, side: str) -> dict[str, float]:
    """How much of a picture is cut away on the left and on the right, in per cent."""
    clip = page.get_by_test_id(f"wipe-{side}").evaluate("image => image.style.clipPath")
    _, right, _, left = (float(part.strip("%px")) for part in clip.removeprefix("inset(").removesuffix(")").split())
    return {"left": left, "right": right}


def sources(page) -> list[str]:
    return [page.get_by_test_id(f"wipe-{side}").get_attribute("src") for side in ("first", "second")]


def test_the_divider_is_dragged_and_stepped_and_outlives_a_new_seed(compared):
    page, handle = compared, compared.get_by_test_id("wipe-handle")
    expect(handle).to_have_attribute("aria-valuenow", "50")
    stage = page.get_by_test_id("wipe")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    expect(handle).to_have_attribute("aria-valuenow", "80")
    assert shown(page, "first")["right"] == pytest.approx(20, abs=0.5)  # nothing lies under both, or under neither
    assert shown(page, "second")["left"] == pytest.approx(80, abs=0.5)
    handle.press("ArrowLeft")
    expect(handle).to_have_attribute("aria-valuenow", "78")
    handle.press("Home")
    expect(handle).to_have_attribute("aria-valuetext", "0 % gan-mnist, 100 % vae-mnist")
    handle.press("Shift+ArrowRight")
    expect(handle).to_have_attribute("aria-valuenow", "10")
    before = sources(page)
    assert before[0] != before[1]
    page.get_by_role("button", name="New seed").click()
    for _ in range(PATIENCE // 100):
        if not set(before) & set(sources(page)):
            break
        page.wait_for_timeout(100)
    assert not set(before) & set(sources(page))
    expect(handle).to_have_attribute("aria-valuenow", "10")
