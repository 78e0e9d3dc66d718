"""The three components in a real browser: what the user does, what Python gets, and what is *not* sent."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genlib.ui.components import preset_mask

from .demo_data import EXTENT, GRID, plane

expect = pytest.importorskip("playwright.sync_api").expect
DEMO = Path(__file__).parent / "component_demo_app.py"


@pytest.fixture
def demo(page, serve_app) -> Callable[..., object]:
    """``demo(**query)`` opens the demo page; ``page.sent`` counts the messages to the server from then on."""
    page.sent = 0

    def count(_frame: object) -> None:
        page.sent += 1

    page.on("websocket", lambda socket: socket.on("framesent", count))

    def open_page(**query: object):
        url = serve_app(DEMO)
        page.goto(f"{url}/?" + "&".join(f"{name}={value}" for name, value in query.items()))
        name = {"pages": "canvas"}.get(show := query.get("show", "canvas"), show)
        root = page.get_by_test_id(name)
        # A component is ready when its first picture is painted; the page, when the script has ended.
        sign = {"canvas": ("revision", "0"), "pad": ("ready", "true"), "player": ("step", re.compile(r"\d"))}[name]
        expect(root).to_have_attribute(f"data-{sign[0]}", sign[1])
        settle(page)
        return root

    return open_page


def settle(page) -> None:
    """Wait until the app's script is idle."""
    page.wait_for_timeout(150)
    expect(page.get_by_test_id("stApp")).to_have_attribute("data-test-script-state", "notRunning")


def echo(page, name: str) -> dict:
    settle(page)
    return json.loads(page.get_by_test_id(f"echo-{name}").inner_text())


def echo_changed(page, name: str, key: str, old: object) -> dict:
    """The echo once ``key`` is no longer ``old``: on a busy machine the run that tells of it may not have begun yet."""
    for _ in range(100):
        value = echo(page, name)
        if value[key] != old:
            break
        page.wait_for_timeout(100)
    return value


def assert_echo(page, name: str, key: str, wanted: object) -> None:
    """The echo of ``key`` is what is wanted, at the latest when the run that tells of it is over: it may begin late."""
    for _ in range(100):
        value = echo(page, name)[key]
        if value == wanted:
            return
        page.wait_for_timeout(100)
    assert value == wanted


def runs(page) -> int:
    settle(page)
    return int(page.get_by_test_id("runs").inner_text())


def cell(page, row: float, column: float, side: int = 28) -> tuple[float, float]:
    """The middle of a pixel, in page coordinates."""
    box = page.get_by_test_id("canvas-surface").bounding_box()
    return box["x"] + (column + 0.5) * box["width"] / side, box["y"] + (row + 0.5) * box["height"] / side


def stroke(page, *cells: tuple[float, float]) -> None:
    page.mouse.move(*cell(page, *cells[0]))
    page.mouse.down()
    for one in cells[1:]:
        page.mouse.move(*cell(page, *one), steps=6)
    page.mouse.up()


# --- canvas ---


def test_a_stroke_gives_exactly_its_pixels(page, demo) -> None:
    demo(mode="draw", image="blank", brush=1)
    stroke(page, (5, 5), (5, 12), (9, 12))
    line = [[5, c, 255] for c in range(5, 13)] + [[r, 12, 255] for r in range(6, 10)]
    assert_echo(page, "canvas", "ink", line)
    page.get_by_test_id("canvas-tool-erase").click()
    stroke(page, (5, 5), (5, 8))
    assert_echo(page, "canvas", "ink", line[4:])
    page.get_by_test_id("canvas-undo").click()
    assert_echo(page, "canvas", "ink", line)
    page.get_by_test_id("canvas-undo").click()
    assert_echo(page, "canvas", "ink", [])
    expect(page.get_by_test_id("canvas-undo")).to_be_disabled()
    page.get_by_test_id("canvas-redo").click()
    assert echo(page, "canvas") == {"ink": line, "hidden": [], "picked": None, "revision": 5}


def test_nothing_is_sent_until_the_stroke_ends(page, demo) -> None:
    demo(mode="draw", image="blank", brush=3)
    before = page.sent
    page.mouse.move(*cell(page, 3, 3))
    page.mouse.down()
    for row in (8, 14, 20):
        page.mouse.move(*cell(page, row, 20), steps=10)
    page.wait_for_timeout(600)
    assert page.sent == before
    page.mouse.up()
    assert_echo(page, "canvas", "revision", 1)
    assert page.sent == before + 1


def test_the_brush_has_its_size_and_ink_its_value_and_edges_clip(page, demo) -> None:
    demo(mode="draw", image="blank", brush=3)
    page.get_by_test_id("canvas-ink").fill("100")
    stroke(page, (0, 0))
    assert_echo(page, "canvas", "ink", [[0, 0, 100], [0, 1, 100], [1, 0, 100], [1, 1, 100]])
    page.get_by_test_id("canvas-clear").click()
    assert_echo(page, "canvas", "ink", [])


@pytest.mark.parametrize("name", ["lower half", "right half", "centre square"])
def test_preset_buttons_make_the_masks_python_knows(page, demo, name: str) -> None:
    demo(mode="mask", image="ring")
    page.get_by_test_id(f"canvas-preset-{name.replace(' ', '-')}").click()
    assert_echo(page, "canvas", "hidden", np.argwhere(~preset_mask(name, 28, 28)).tolist())
    page.get_by_test_id("canvas-preset-nothing-hidden").click()
    assert_echo(page, "canvas", "hidden", [])


def test_mask_tools_leave_the_picture_alone(page, demo) -> None:
    demo(mode="mask", image="ring", brush=1)
    expect(page.get_by_test_id("canvas-tool-draw")).to_be_hidden()
    ink = echo(page, "canvas")["ink"]
    page.get_by_test_id("canvas-tool-box").click()
    stroke(page, (4, 6), (2, 3))
    box = [[r, c] for r in range(2, 5) for c in range(3, 7)]
    assert_echo(page, "canvas", "hidden", box)
    page.get_by_test_id("canvas-tool-reveal").click()
    stroke(page, (2, 3), (2, 6))
    assert_echo(page, "canvas", "hidden", box[4:])
    page.get_by_test_id("canvas-tool-hide").click()
    stroke(page, (27, 27))
    after = echo(page, "canvas")
    assert after["hidden"] == [*box[4:], [27, 27]]
    assert after["ink"] == ink


def test_a_rerun_keeps_the_work_and_a_new_picture_starts_afresh(page, demo) -> None:
    root = demo(mode="both", image="blank", brush=1)
    stroke(page, (3, 3))
    page.get_by_role("button", name="Rerun").click()
    assert_echo(page, "canvas", "ink", [[3, 3, 255]])
    expect(root).to_have_attribute("data-revision", "1")
    expect(page.get_by_test_id("canvas-undo")).to_be_enabled()
    page.get_by_role("button", name="Other picture").click()
    expect(root).to_have_attribute("data-revision", "0")
    assert_echo(page, "canvas", "revision", 0)
    assert len(echo(page, "canvas")["ink"]) > 100
    page.get_by_role("button", name="Other picture").click()
    expect(root).to_have_attribute("data-revision", "0")
    assert_echo(page, "canvas", "ink", [])
    stroke(page, (4, 4))
    assert_echo(page, "canvas", "ink", [[4, 4, 255]])


def test_work_survives_leaving_the_page(page, demo) -> None:
    root = demo(show="pages", image="blank", brush=1)
    stroke(page, (3, 3), (3, 5))
    assert_echo(page, "canvas", "ink", [[3, c, 255] for c in (3, 4, 5)])
    toggle = page.get_by_text("Elsewhere")
    toggle.click()
    expect(page.get_by_text("Another page")).to_be_visible()
    toggle.click()
    expect(root).to_have_attribute("data-revision", "1")
    assert_echo(page, "canvas", "ink", [[3, c, 255] for c in (3, 4, 5)])
    page.get_by_test_id("canvas-undo").click()
    assert_echo(page, "canvas", "ink", [])


def test_an_edit_is_not_lost_when_the_page_is_left_at_once(page, demo) -> None:
    demo(show="pages", image="blank", brush=1)
    page.get_by_test_id("canvas-surface").focus()
    page.keyboard.press("Space")  # sent a moment later, so that held keys cost one message
    page.get_by_text("Elsewhere").click()
    expect(page.get_by_text("Another page")).to_be_visible()
    page.wait_for_timeout(500)
    page.get_by_text("Elsewhere").click()
    expect(page.get_by_test_id("canvas")).to_have_attribute("data-revision", "1")
    assert echo_changed(page, "canvas", "ink", [])["ink"] == [[14, 14, 255]]


def test_a_forged_answer_stops_at_the_door(page, demo) -> None:
    demo(show="pages", image="blank")
    page.get_by_text("Elsewhere").click()
    expect(page.get_by_text("Another page")).to_be_visible()
    settle(page)
    page.evaluate("genlibComponentMemory.get('canvas-both').state.known = new Uint8Array(9)")
    page.get_by_text("Elsewhere").click()
    stroke(page, (3, 3))
    expect(page.get_by_test_id("stException")).to_be_visible()
    expect(page.get_by_test_id("echo-canvas")).to_have_count(0)


def test_the_keyboard_alone_is_enough(page, demo) -> None:
    root = demo(mode="both", image="blank", brush=1)
    page.get_by_test_id("canvas-surface").focus()
    for _ in range(4):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    expect(root).to_have_attribute("data-cursor", "10,16")
    page.wait_for_timeout(500)
    assert_echo(page, "canvas", "ink", [[10, 14, 255], [10, 15, 255], [10, 16, 255]])
    page.keyboard.press("Control+z")
    assert_echo(page, "canvas", "ink", [[10, 14, 255], [10, 15, 255]])
    before = runs(page)
    # R is "rerun" to Streamlit, C "clear cache": with the focus here they are ours.
    page.keyboard.press("r")
    page.keyboard.press("c")
    expect(root).to_have_attribute("data-tool", "reveal")
    assert runs(page) == before
    page.keyboard.press("b")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    page.wait_for_timeout(500)
    assert_echo(page, "canvas", "hidden", [[10, 16], [11, 16]])


def test_picking_a_pixel(page, demo) -> None:
    root = demo(mode="pick", image="ring")
    page.mouse.click(*cell(page, 7, 21))
    assert_echo(page, "canvas", "picked", [7, 21])
    page.get_by_test_id("canvas-surface").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(root).to_have_attribute("data-picked", "7,20")
    assert_echo(page, "canvas", "picked", [7, 20])


def test_touch_draws(chromium, serve_app) -> None:
    context = chromium.new_context(viewport={"width": 420, "height": 900}, has_touch=True)
    page = context.new_page()
    page.goto(f"{serve_app(DEMO)}/?mode=draw&image=blank&brush=1")
    expect(page.get_by_test_id("canvas")).to_have_attribute("data-revision", "0")
    page.touchscreen.tap(*cell(page, 9, 4))
    expect(page.get_by_test_id("canvas")).to_have_attribute("data-revision", "1")
    assert_echo(page, "canvas", "ink", [[9, 4, 255]])
    context.close()


def test_colour_pictures_are_drawn_in_grey(page, demo) -> None:
    demo(mode="draw", image="colour", brush=1)
    page.get_by_test_id("canvas-ink").fill("77")
    page.mouse.click(*cell(page, 2, 2, side=32))
    assert [2, 2, 77] in echo(page, "canvas")["ink"]


# --- latent pad ---


def pad_picture(page) -> np.ndarray:
    """The decoded picture's own pixels, int [28, 28]."""
    data = page.get_by_test_id("pad-picture").evaluate(
        "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data]"
    )
    return np.array(data).reshape(28, 28, 4)[..., 0].astype(int)


def numbers(root, name: str) -> np.ndarray:
    return np.array([float(v) for v in root.get_attribute(f"data-{name}").split(",")])


def blend(z: np.ndarray) -> np.ndarray:
    """The same blend in float64, from the sheet that the demo page builds."""
    sheet = plane()[0].astype(float).reshape(GRID, 28, GRID, 28).swapaxes(1, 2)
    at = (np.array([z[0], -z[1]]) / EXTENT + 1) / 2 * (GRID - 1)
    low = np.minimum(at.astype(int), GRID - 2)
    (fx, fy), (column, row) = at - low, low
    top = (1 - fx) * sheet[row, column] + fx * sheet[row, column + 1]
    return (1 - fy) * top + fy * ((1 - fx) * sheet[row + 1, column] + fx * sheet[row + 1, column + 1])


def plane_point(page, x: float, y: float) -> tuple[float, float]:
    """Page coordinates of a code: the plot lies within fixed margins, and its edge is half a tile beyond the extent."""
    box = page.get_by_test_id("pad-plane").bounding_box()
    span, reach = box["width"] - 48, 3.0 * (1 + 1 / 12)
    return box["x"] + 40 + (x / reach + 1) / 2 * span, box["y"] + 8 + (1 - y / reach) / 2 * span


def test_dragging_decodes_here_and_sends_nothing(page, demo) -> None:
    root = demo(show="pad")
    before = page.sent
    page.mouse.move(*plane_point(page, 0, 0))
    page.mouse.down()
    for target in ((0.9, 2.1), (-2.3, -1.37), (2.9, -2.9), (1.13, 0.77)):
        page.mouse.move(*plane_point(page, *target), steps=8)
        page.wait_for_timeout(120)
        z = numbers(root, "z")
        assert np.abs(z - target).max() < 0.02
        assert np.abs(pad_picture(page) - blend(z)).max() <= 2
    page.wait_for_timeout(700)
    assert page.sent == before
    page.mouse.up()
    assert np.allclose(echo(page, "pad")["z"], numbers(root, "z"), atol=1e-3)
    assert page.sent == before + 1


def test_the_pad_clamps_to_its_extent(page, demo) -> None:
    root = demo(show="pad")
    page.mouse.move(*plane_point(page, 0, 0))
    page.mouse.down()
    page.mouse.move(*plane_point(page, 3.6, 3.4), steps=4)
    page.mouse.up()
    assert_echo(page, "pad", "z", [3, 3])
    assert np.abs(pad_picture(page) - blend(np.array([3.0, 3.0]))).max() <= 2
    assert numbers(root, "z").tolist() == [3, 3]


def test_a_rerun_neither_decodes_again_nor_moves_the_point(page, demo) -> None:
    root = demo(show="pad")
    page.mouse.click(*plane_point(page, 1, 1))
    z = echo(page, "pad")["z"]
    page.get_by_text("Marker").click()
    page.get_by_role("button", name="Rerun").click()
    assert_echo(page, "pad", "z", z)
    expect(root).to_have_attribute("data-decodes", "1")
    assert np.allclose(numbers(root, "z"), z, atol=1e-3)


def test_anchors_path_and_keyboard(page, demo) -> None:
    root = demo(show="pad")
    page.keyboard.down("Shift")
    page.mouse.click(*plane_point(page, -1, -2))
    page.keyboard.up("Shift")
    assert np.allclose(echo(page, "pad")["a"], [-1, -2], atol=0.02)
    before = echo(page, "pad")["b"]
    stroke_points = (plane_point(page, 1.5, 0), plane_point(page, 2, 2))
    page.mouse.move(*stroke_points[0])
    page.mouse.down()
    page.mouse.move(*stroke_points[1], steps=5)
    page.mouse.up()
    value = echo_changed(page, "pad", "b", before)
    assert np.allclose(value["b"], [2, 2], atol=0.05), "an anchor is dragged by its handle"
    assert value["z"] == [0, 0], "and takes the point not along"
    page.get_by_test_id("pad-plane").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowUp")
    page.keyboard.press("Enter")
    assert np.allclose(echo(page, "pad")["z"], [0.1, 0.5])
    before = page.sent
    page.get_by_test_id("pad-play").click()
    page.wait_for_timeout(700)
    assert page.sent == before
    assert root.get_attribute("data-playing") == "true"
    page.get_by_test_id("pad-play").click()
    value = echo(page, "pad")
    a, b, z = (np.array(value[name]) for name in "abz")
    d = b - a
    t = (z - a) @ d / (d @ d)
    assert 0 <= t <= 1
    assert np.allclose(a + t * d, z, atol=1e-6), "the point is on the path"


def test_a_class_alone(page, demo) -> None:
    root = demo(show="pad")
    page.mouse.click(*plane_point(page, -1.6, 0.4))
    expect(root).to_have_attribute("data-nearest", "5")
    page.get_by_test_id("pad-class-5").click()
    expect(root).to_have_attribute("data-only", "5")
    page.get_by_test_id("pad-class-5").click()
    expect(root).to_have_attribute("data-only", "")


# --- player ---


def test_arrow_keys_step_and_python_hears_once(page, demo) -> None:
    root = demo(show="player")
    page.get_by_test_id("player-forward").focus()
    before = page.sent
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    expect(root).to_have_attribute("data-step", "4")
    page.wait_for_timeout(500)
    assert_echo(page, "player", "step", 4)
    assert page.sent == before + 1
    page.keyboard.press("End")
    expect(root).to_have_attribute("data-step", "31")
    page.keyboard.press("Home")
    expect(root).to_have_attribute("data-step", "0")


def test_playing_sends_nothing_and_pausing_once(page, demo) -> None:
    root = demo(show="player")
    before = page.sent
    page.get_by_test_id("player-speed").select_option("4")
    page.get_by_test_id("player-play").click()
    expect(root).not_to_have_attribute("data-step", "0")
    page.wait_for_timeout(400)
    assert page.sent == before
    page.get_by_test_id("player-play").click()
    step = int(root.get_attribute("data-step"))
    assert step >= 5
    assert_echo(page, "player", "step", step)
    assert page.sent == before + 1


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_autoplay_asks_whether_motion_is_wanted(page, demo, motion: str) -> None:
    page.emulate_media(reduced_motion=motion)
    root = demo(show="player", autoplay=1)
    page.wait_for_timeout(600)
    assert (int(root.get_attribute("data-step")) > 0) == (motion == "no-preference")


def test_appended_frames_leave_the_user_where_they_are(page, demo) -> None:
    root = demo(show="player")
    page.get_by_test_id("player-scrub").fill("7")
    assert_echo(page, "player", "step", 7)
    page.get_by_role("button", name="Append 8 frames").click()
    expect(root).to_have_attribute("data-frames", "40")
    expect(root).to_have_attribute("data-step", "7")
    assert_echo(page, "player", "step", 7)


def test_followers_go_along_until_they_leave_the_end(page, demo) -> None:
    root = demo(show="player", follow=1)
    expect(root).to_have_attribute("data-step", "31")
    append = page.get_by_role("button", name="Append 8 frames")
    append.click()
    expect(root).to_have_attribute("data-step", "39")
    assert echo(page, "player") == {"step": 39, "following": True}
    page.get_by_test_id("player-back").click()
    page.wait_for_timeout(400)
    append.click()
    expect(root).to_have_attribute("data-frames", "48")
    expect(root).to_have_attribute("data-step", "38")
    assert echo(page, "player") == {"step": 38, "following": False}
    page.get_by_test_id("player-follow").click()
    expect(root).to_have_attribute("data-step", "47")
    assert echo(page, "player") == {"step": 47, "following": True}


def test_a_click_on_a_chart_moves_every_panel(page, demo) -> None:
    root = demo(show="player")
    box = page.get_by_test_id("player-chart-0").bounding_box()
    page.mouse.click(box["x"] + box["width"] * (20.5 / 32), box["y"] + 20)
    expect(root).to_have_attribute("data-step", "20")
    assert_echo(page, "player", "step", 20)
    expect(page.get_by_test_id("player-caption")).to_have_text("Step 21: the window has turned 225°")


def test_the_gif_holds_every_frame_with_its_overlays(page, demo) -> None:
    demo(show="player", frames=6)
    with page.expect_download() as waiting:
        page.get_by_test_id("player-gif").click()
    assert waiting.value.suggested_filename == "demo.gif"
    film = Image.open(io.BytesIO(Path(waiting.value.path()).read_bytes()))
    assert (film.n_frames, film.info["loop"], film.info["duration"]) == (6, 0, 130)
    orange = []
    for t in range(6):
        film.seek(t)
        pixels = np.asarray(film.convert("RGB")).astype(int)
        mask = np.abs(pixels - [0xE6, 0x9F, 0x00]).max(-1) < 24
        orange.append(np.argwhere(mask).mean(0))
        assert mask.sum() > 100
    assert (np.diff(np.array(orange)[:, 0]) > 0).all(), "the write box goes down as the window turns"
    with page.expect_download() as waiting:
        page.get_by_test_id("player-png").click()
    picture = Image.open(Path(waiting.value.path()))
    assert picture.width > 900
    assert picture.width <= 1600


# --- the look ---


@pytest.mark.parametrize("width", [420, 1280])
@pytest.mark.parametrize("show", ["canvas", "pad", "player"])
def test_nothing_is_wider_than_the_page(page, demo, show: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 720})
    root = demo(show=show)
    assert root.evaluate("node => node.scrollWidth <= node.clientWidth")
    main = page.get_by_test_id("stMain")
    assert main.evaluate("node => node.scrollWidth <= node.clientWidth")
    sizes = root.locator("canvas").evaluate_all("nodes => nodes.map(n => [n.getBoundingClientRect().right, n.width])")
    assert all(right <= width and pixels > 0 for right, pixels in sizes)
