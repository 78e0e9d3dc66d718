"""Home in Chromium: fresh samples replace the walls, a door leads to its page, and a click that comes early breaks nothing."""

import pytest
from playwright.sync_api import expect

from genlib.ui.home import DOORS
from tests.browser.conftest import ROOT

APP = ROOT / "app.py"


@pytest.fixture
def home(serve_app, tiny, page):
    page.goto(serve_app(APP, env=tiny))
    page.get_by_role("navigation", name="Doors").wait_for()  # the doors come after the last wall
    return page


def wall(page, name: str):
    return page.locator(".genlib-walls figure").filter(has=page.get_by_text(name, exact=True)).get_by_role("img")


@pytest.mark.parametrize("name", ["gan-mnist", "vae-mnist", "draw-mnist", "pixelcnn-mnist"])
def test_fresh_samples_replace_a_wall(home, name):
    before = wall(home, name).get_attribute("src")
    home.get_by_role("button", name="Draw fresh samples").click()
    expect(home.get_by_label("Seed", exact=True)).to_have_value("2")
    expect(wall(home, name)).not_to_have_attribute("src", before)
    assert wall(home, name).evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_a_door_leads_to_its_page_within_the_same_visit(home):
    doors = home.get_by_role("navigation", name="Doors").get_by_role("link")
    expect(doors).to_have_count(len(DOORS))
    home.evaluate("window.sameVisit = true")
    doors.filter(has_text="Glimpses").click()
    expect(home.get_by_role("heading", name="Glimpses", level=1)).to_be_visible()
    assert home.evaluate("location.pathname.endsWith('/glimpses') && window.sameVisit")
    home.go_back()
    door = home.get_by_role("navigation", name="Doors").get_by_role("link").filter(has_text="Compare")
    door.press("Enter")
    expect(home.get_by_role("heading", name="Compare", level=1)).to_be_visible()
    assert home.evaluate("window.sameVisit")


def test_a_click_while_the_page_is_drawn_for_the_first_time_leaves_it_whole(serve_app, tiny, page):
    page.goto(serve_app(APP, env=tiny) + "/?seed=77")
    page.get_by_role("button", name="Draw fresh samples").click()
    expect(page.get_by_label("Seed", exact=True)).to_have_value("78")
    expect(page.get_by_role("navigation", name="Doors").get_by_role("link")).to_have_count(len(DOORS))
