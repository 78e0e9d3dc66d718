"""The warm process: it becomes the run's job; without one, or in a queue, a fresh process does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from genlib.errors import GenlibError
from genlib.training import job
from genlib.training.run import Run, Status
from genlib.training.standby import Standby


@pytest.fixture
def standby() -> Iterator[Standby]:
    one = Standby(threads=1)
    yield one
    one.dismiss()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the runs for which a fresh process would have been started."""
    names: list[str] = []
    monkeypatch.setattr(job, "launch", lambda run, **options: names.append(run.name))
    return names


def test_the_waiting_process_becomes_the_runs_job(
    make_run: Callable[..., Run], standby: Standby, fresh: list[str]
) -> None:
    run = make_run("gan", "warm", steps=2)
    standby.prepare()
    waiting = standby._process
    standby.prepare()
    assert waiting is not None
    assert standby._process is waiting, "one is enough"
    standby.launch(run)
    until = time.monotonic() + 240
    while run.written_status().state != "finished":
        assert time.monotonic() < until, run.log_file.read_text()
        time.sleep(0.05)
    assert run.written_status().pid == waiting.pid
    assert run.checkpoint.is_file()
    assert waiting.wait(60) == 0
    standby.launch(make_run("gan", "later", steps=2))
    assert fresh == ["later"], "a process does one run"


def test_a_run_that_must_queue_or_wants_other_threads_gets_a_fresh_process(
    make_run: Callable[..., Run], standby: Standby, fresh: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "_hand_over", lambda run: pytest.fail("the waiting process was used"))
    first, second = make_run("gan", "first"), make_run("gan", "second")
    first.write_status(Status(state="running", queued_at=time.time()))
    standby.launch(second)
    first.write_status(Status(state="finished"))
    standby.launch(make_run("gan", "third", threads=3))
    assert fresh == ["second", "third"]


def test_dismissed_it_leaves(standby: Standby) -> None:
    standby.prepare()
    waiting = standby._process
    assert waiting is not None
    standby.dismiss()
    assert waiting.returncode == 0


def test_a_run_at_work_is_refused(make_run: Callable[..., Run], standby: Standby) -> None:
    run = make_run("gan", "busy")
    with run.lock, pytest.raises(GenlibError, match="at work already"):
        standby.launch(Run(run.path))
