"""Train for ten seconds in a real browser: the curve moves, a reload and a second tab find the run, the player stays put, stop works."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from genlib.training.run import LIVE, Run, all_runs

ROOT = Path(__file__).resolve().parents[2]
QUICK = "train?new=vae&preset=quick&vae.quick.batch_size=16&minutes=5"
CURVE = ".js-plotly-plot .scatterlayer .trace .js-line, .js-plotly-plot .scatterlayer .trace .point"


@pytest.fixture(scope="module")
def train_app(serve_app: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with an empty folder of runs of its own; jobs that are left at the end are stopped."""
    folder = str(tmp_path_factory.mktemp("runs"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENLIB_RUNS", folder)
        yield serve_app(ROOT / "app.py", env={"GENLIB_RUNS": folder})
        for run in all_runs():
            run.request_stop()
        deadline = time.monotonic() + 60
        while any(run.status.state in LIVE for run in all_runs()) and time.monotonic() < deadline:
            time.sleep(0.2)


def number(page, label: str) -> int:
    """A figure of the row of numbers."""
    text = page.locator(".genlib-metrics > div", has_text=label).locator(".genlib-figure").inner_text()
    return int(re.sub(r"[^\d].*", "", text.replace(",", "")) or 0)


def wait_until(page, condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        page.wait_for_timeout(100)


def test_train_reload_and_stop(train_app: str, page) -> None:
    page.set_default_timeout(120_000)
    page.goto(f"{train_app}/{QUICK}")
    page.get_by_role("textbox", name="Run name").fill("ten-seconds")
    page.get_by_role("textbox", name="Run name").press("Enter")
    page.get_by_role("button", name="Start").click()
    clicked = time.monotonic()
    page.locator(CURVE).first.wait_for(state="attached")
    print(f"first loss point after {time.monotonic() - clicked:.1f} s")
    assert "run=ten-seconds" in page.url
    assert "running" in page.locator(".genlib-metrics").inner_text()

    player = page.get_by_test_id("player")
    frames = lambda: int(player.get_attribute("data-frames") or 0)  # noqa: E731
    wait_until(page, lambda: frames() >= 2)
    page.get_by_test_id("player-first").click()
    seen, step = frames(), number(page, "Step")
    page.wait_for_timeout(10_000)
    wait_until(page, lambda: frames() > seen)
    assert player.get_attribute("data-step") == "0", "new frames must not move the player"
    assert number(page, "Step") > step

    reached = number(page, "Step")
    page.reload()
    page.locator(CURVE).first.wait_for(state="attached")
    assert number(page, "Step") >= reached
    assert page.get_by_role("combobox", name="Run", exact=True).input_value() == "ten-seconds"

    other = page.context.new_page()  # somebody else's tab
    other.goto(page.url)
    other.locator(CURVE).first.wait_for(state="attached", timeout=120_000)
    assert (
        "ten-seconds" in other.locator("body").inner_text()
        or other.get_by_role("combobox", name="Run", exact=True).input_value() == "ten-seconds"
    )

    page.get_by_role("button", name="Stop").click()
    page.get_by_role("button", name="Resume").wait_for()
    assert "stopped" in page.locator(".genlib-metrics").inner_text()
    other.get_by_role("button", name="Resume").wait_for(timeout=120_000)
    run = Run.open("ten-seconds")
    assert run.status.state == "stopped"
    assert run.checkpoint.is_file()
    assert (
        run.status.step == max(row["step"] for row in run.metrics() if row["split"] == "train") or run.status.step > 100
    )


def test_a_row_of_the_table_opens_its_run_and_the_link_keeps_it(train_app: str, page) -> None:
    page.set_default_timeout(120_000)
    page.goto(f"{train_app}/train?new=vae")
    table = page.get_by_test_id("stDataFrame").first
    table.wait_for()
    page.wait_for_timeout(500)
    table.click(position={"x": 17, "y": 40 + 19})  # the first row's check box; the table is a canvas
    page.locator(CURVE).first.wait_for(state="attached")
    assert "run=ten-seconds" in page.url
