"""Jobs as processes of their own, and their queue."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from genlib.errors import GenlibError
from genlib.training import job
from genlib.training.run import LIVE, Run, all_runs


def wait_for(condition: Callable[[], bool], seconds: float = 240) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def no_job_outlives_its_test():
    yield
    for run in all_runs():
        status = run.written_status()
        if status.pid not in (0, os.getpid()) and run.alive:
            os.kill(status.pid, signal.SIGKILL)


def test_jobs_queue_stop_crash_and_resume(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    """One story, for a process takes seconds to start."""
    first, second = make_run("gan", "first", {"epochs": 10_000}), make_run("gan", "second", {"epochs": 10_000})
    assert job.position(first) == 0
    job.launch(first, nice=0)
    wait_for(lambda: first.written_status().pid != 0)
    job.launch(second, nice=0)
    assert second.status.state == "queued"
    assert (job.position(first), job.position(second)) == (0, 1)
    wait_for(lambda: any(row["split"] == "train" for row in first.metrics()))
    assert first.alive
    status = first.status
    assert status.state == "running"
    assert status.pid not in (0, os.getpid())
    with pytest.raises(GenlibError, match="'first' is at work already"):
        job.launch(first)
    with pytest.raises(GenlibError, match="'first' is at work already"):
        job.work(first)

    # The second one waits, and can be stopped while it does.
    wait_for(lambda: second.alive)
    assert second.status.state == "queued"
    assert not second.metrics()
    second.request_stop()
    wait_for(lambda: not second.alive)
    assert second.status.state == "stopped"
    assert not second.stop_requested

    # The second one takes its turn when the first one is gone, however it went.
    job.launch(second, nice=0)
    wait_for(lambda: second.written_status().pid != 0 and second.alive)
    assert job.position(second) == 1
    os.kill(status.pid, signal.SIGKILL)
    wait_for(lambda: not first.alive)
    assert first.status.state == "interrupted"
    assert job.position(second) == 0
    wait_for(lambda: bool(second.metrics()))
    second.request_stop()
    wait_for(lambda: not second.alive)
    assert second.status.state == "stopped"
    assert second.checkpoint.is_file()
    assert second.log_file.read_text() == ""  # nobody chatters into the log


def test_the_queue_is_in_order_of_arrival(make_run: Callable[..., Run]):
    runs = [make_run("gan", name) for name in ("c", "b", "a")]
    for arrival, run in enumerate(runs):
        status = run.written_status()
        status.queued_at += arrival / 100
        run.write_status(status)
    assert [job.position(run) for run in runs] == [0, 1, 2]
    status = runs[2].written_status()
    status.state, status.pid = "running", os.getpid()
    runs[2].write_status(status)
    with runs[2].hold():
        assert [job.position(run) for run in runs] == [1, 2, 2]
    assert [job.position(run) for run in runs] == [0, 1, 2]  # it says that it runs, but no process holds its lock


@pytest.mark.parametrize(("given", "slots"), [("3", 3), ("0", 1)])
def test_slots(given: str, slots: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GENLIB_JOBS", given)
    assert job.slots() == slots


def test_slots_that_are_no_number_are_one_sentence(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GENLIB_JOBS", "two")
    with pytest.raises(GenlibError, match="GENLIB_JOBS='two'"):
        job.slots()


def test_a_bad_config_fails_with_a_sentence(make_run: Callable[..., Run]):
    run = make_run("gan")
    config = run.path / "config.json"
    for old, new, wanted in (
        ('"latent": 3', '"latent": -3', "latent = -3 is not possible"),
        ('"latent": -3', '"latent": 3, "colour": "red"', "no field 'colour'"),
        ('"model": "gan"', '"model": "dalle"', "no model named 'dalle'"),
        ("{", "[", "cannot be read"),
    ):
        config.write_text(config.read_text().replace(old, new, 1))
        status = job.work(run, wait=False)
        assert status.state == "failed"
        assert wanted in status.error
        assert run.status.state == "failed"


def test_an_unforeseen_error_is_in_the_status_and_raised(make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch):
    from genlib.models.gan import GAN

    def broken(self: GAN, *args: object) -> None:
        raise ZeroDivisionError("a mistake of ours")

    monkeypatch.setattr(GAN, "training_step", broken)
    run = make_run("gan")
    with pytest.raises(ZeroDivisionError):
        job.work(run, wait=False)
    assert run.status.state == "failed"
    assert run.status.error.startswith("The job broke off (ZeroDivisionError: a mistake of ours)")
    assert not run.alive


def test_an_unknown_run_is_one_line_on_stderr(make_run: Callable[..., Run]):
    make_run("gan", "known")
    done = subprocess.run(
        [sys.executable, "-m", "genlib.training.job", "unknown"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 1
    assert done.stderr == "There is no run named 'unknown'; the newest runs are: known.\n"


def test_a_launch_that_cannot_write_is_one_sentence(make_run: Callable[..., Run]):
    run = make_run("gan")
    run.log_file.mkdir()
    with pytest.raises(GenlibError, match=r"log\.txt cannot be written"):
        job.launch(run)
    assert run.status.state == "failed"


def test_live_states_are_states(make_run: Callable[..., Run]):
    assert make_run("gan").status.state in LIVE
