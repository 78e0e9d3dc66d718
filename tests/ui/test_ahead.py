"""Work in advance: in the pauses, the quick before the slow, and what fails stops nothing."""

import threading

import pytest

from genlib.ui import ahead, models


@pytest.fixture
def slow_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page named slow, whose last task took long, so that it waits for a pause that never comes."""
    monkeypatch.setattr(ahead, "QUIET", 1e6)
    monkeypatch.setattr(ahead, "SOON", 0.0)
    monkeypatch.setitem(ahead._took, "slow", 9.0)


def test_a_quick_task_does_not_stand_behind_a_slow_one(slow_pages: None):
    slow, quick = threading.Event(), threading.Event()
    ahead.plan("slow", [slow.set])
    assert not slow.wait(0.3)  # the thread has looked at it by now
    ahead.plan("quick", [quick.set])
    assert quick.wait(30)
    assert not slow.is_set()
    ahead.plan("slow", [])


def test_a_page_has_one_plan(slow_pages: None):
    done: list[str] = []
    ahead.plan("slow", [lambda: done.append("old")])
    with models.computing():  # nothing begins meanwhile
        ahead.plan("once", [lambda: done.append("dropped")])
        ahead.plan("once", [lambda: done.append("kept"), (over := threading.Event()).set])
    assert over.wait(30)
    assert done == ["kept"]
    ahead.plan("slow", [])


def test_a_task_that_fails_is_logged_and_the_next_one_is_done(slow_pages: None, caplog: pytest.LogCaptureFixture):
    def fail() -> None:
        raise ZeroDivisionError

    over = threading.Event()
    ahead.plan("failing", [fail, over.set])
    assert over.wait(30)
    assert "in advance" in caplog.text
