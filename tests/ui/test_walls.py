"""Walls: drawn once, the next seed's in advance, and never before a visitor."""

import time

import pytest

from genlib.errors import GenlibError
from genlib.ui import ahead, models, walls

LAYOUT = walls.Layout(n=4, columns=2)


def _appears(name: str, seed: int, within: float) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if walls.kept(name, seed, LAYOUT) is not None:
            return True
        time.sleep(0.05)
    return False


def test_a_wall_is_drawn_once_and_belongs_to_its_seed():
    first = walls.draw("gan-mnist", 11, LAYOUT)
    assert walls.draw("gan-mnist", 11, LAYOUT) is first
    assert walls.draw("gan-mnist", 12, LAYOUT).picture != first.picture


def test_a_wall_in_advance_is_the_wall_that_would_be_drawn(monkeypatch):
    monkeypatch.setattr(ahead, "QUIET", 0.0)
    walls.ahead(["gan-mnist"], 21, LAYOUT)
    assert _appears("gan-mnist", 21, within=60)
    early = walls.kept("gan-mnist", 21, LAYOUT)
    monkeypatch.setattr(walls, "_walls", walls.Recent(4))
    assert walls.draw("gan-mnist", 21, LAYOUT).picture == early.picture


def test_nothing_is_drawn_in_advance_while_a_visitor_computes(monkeypatch):
    monkeypatch.setattr(ahead, "QUIET", 0.0)
    walls.draw("gan-mnist", 30, LAYOUT)  # the model is loaded
    with models.computing():
        walls.ahead(["gan-mnist"], 31, LAYOUT)
        assert not _appears("gan-mnist", 31, within=1)
    assert _appears("gan-mnist", 31, within=60)


def test_a_broken_checkpoint_does_not_stop_the_thread(monkeypatch):
    monkeypatch.setattr(ahead, "QUIET", 0.0)
    with pytest.raises(GenlibError, match="no-such"):
        walls.draw("no-such", 1, LAYOUT)
    walls.ahead(["no-such", "gan-mnist"], 41, LAYOUT)
    assert _appears("gan-mnist", 41, within=60)
