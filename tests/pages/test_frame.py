"""What holds for every page."""

from pathlib import Path

import pytest
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

PAGES = sorted(path.stem for path in (Path(__file__).resolve().parents[2] / "pages").glob("*.py"))


@pytest.fixture
def sent(monkeypatch) -> dict[tuple[int, ...], str]:
    """The fragment that each element and container of the page came from, "" for none, by its place."""
    places: dict[tuple[int, ...], str] = {}
    enqueue = ForwardMsgQueue.enqueue

    def noted(self, message) -> None:
        if message.WhichOneof("type") == "delta":
            places[tuple(message.metadata.delta_path)] = message.delta.fragment_id
        enqueue(self, message)

    monkeypatch.setattr(ForwardMsgQueue, "enqueue", noted)
    return places


@pytest.mark.parametrize("name", PAGES)
def test_no_fragment_lies_in_another(open_page, sent, name: str) -> None:
    """Else a click while the page is drawn for the first time leaves an empty window: the browser gets the inner fragment's elements
    without those that stand before them."""
    app = open_page(name)
    assert not app.exception
    assert any(sent.values()), "no page is without a fragment"
    for place, fragment in sent.items():
        above = {sent.get(place[:depth], "") for depth in range(2, len(place))} - {""}
        assert above <= {fragment}, f"{name}: {place}"


@pytest.mark.parametrize("name", PAGES)
def test_every_page_has_the_heading_with_the_style(open_page, name: str) -> None:
    headings = [block.proto.body for block in open_page(name).get("html") if "<h1" in block.proto.body]
    assert len(headings) == 1
    assert "stMainBlockContainer" in headings[0]
