"""The Compression page in Chromium: a file goes home and comes back, whole and broken."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from genlib.codec.container import Container
from tests.browser.conftest import ROOT

APP = ROOT / "app.py"


@pytest.fixture
def compression(serve_app, page):
    def opened(query: str = "") -> Page:
        page.goto(f"{serve_app(APP)}/compression{query}")
        return page

    return opened


def drop(page: Page, path: Path) -> None:
    page.locator('[data-testid="stFileUploader"]', has_text="A .glc file").locator("input").set_input_files(path)


def test_a_file_goes_home_and_comes_back(compression, tmp_path: Path) -> None:
    page = compression("?view=Lossless&model=spatial-lstm-mnist&digit=7")
    with page.expect_download() as download:
        page.get_by_role("button", name="Take the file home").click()
    path = tmp_path / download.value.suggested_filename
    download.value.save_as(path)
    assert path.name == "spatial-lstm-mnist-7.glc"
    container = Container.from_bytes(path.read_bytes())
    assert (container.kind, container.name, container.count) == ("lossless", "spatial-lstm-mnist", 1)
    expect(page.get_by_text(f"{path.stat().st_size} bytes", exact=False).first).to_be_visible()
    drop(page, path)
    expect(page.get_by_text("The same as above, to the last pixel.")).to_be_visible()
    broken = tmp_path / "broken.glc"
    broken.write_bytes(path.read_bytes()[:-2])
    drop(page, broken)
    expect(page.get_by_text("cut short")).to_be_visible()
    page.get_by_role("button", name="Another").click()
    page.wait_for_url("**digit=8**")
