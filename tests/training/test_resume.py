"""Killed at any moment, a run resumes and ends bit for bit as if it had never stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from genlib.models import names
from genlib.training import job
from genlib.training.run import Run

STEPS, SAVED, KILLED = 32, 14, 23

# A job in its own process that saves once, after step SAVED, and kills itself (signal 9) at a moment given by name.
VICTIM = f"""
import os, signal, sys
from pathlib import Path
from genlib.training import files, job, loop

name, moment = sys.argv[1:]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
loop.SAVE_EVERY = 1e9
one_step, write = loop.Loop._step, files.write_bytes
step = 0

def counted(self):
    global step
    step = self.step + 1
    if self.step == {SAVED}:
        loop.SAVE_EVERY = 0.0  # save before the next step, and then, at the end, not again
    elif self.step == {SAVED} + 1:
        loop.SAVE_EVERY = 1e9
    one_step(self)
    if step == {KILLED}:
        if moment == "half a line":
            with (self.run.path / "metrics.jsonl").open("a") as file:
                file.write('{{"step": {KILLED}, "epo')
            die()
        if moment == "in a step":
            die()
        loop.SAVE_EVERY = 0.0  # die while the next state is saved

def interrupted(path, data):
    if step == {KILLED} and moment == "half a state" and path.name == "state.safetensors":
        path.with_name(".state.safetensors.1.tmp").write_bytes(data[: len(data) // 2])
        die()
    if step == {KILLED} and moment == "state without checkpoint" and path.name == "checkpoint.safetensors":
        die()
    write(path, data)

loop.Loop._step, files.write_bytes = counted, interrupted
job.main([name, "0"])
"""
MOMENTS = ("in a step", "half a state", "half a line", "state without checkpoint")


def process(run: Run, code: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, **job.thread_environment(run.config.threads)}
    return subprocess.Popen([sys.executable, "-c", code, run.name, *arguments], env=environment)


def rows(run: Run) -> list[list[tuple[str, Any]]]:
    """The metrics without the clock, terms in their order."""
    return [[(key, value) for key, value in row.items() if key != "seconds"] for row in run.metrics()]


def assert_same_end(run: Run, other: Run) -> None:
    """Weights, averages, optimizer state, metrics (but for the clock), sample sheets and distributions agree bit for bit."""
    for kind in ("checkpoint", "state_file"):
        one, two = load_file(getattr(run, kind)), load_file(getattr(other, kind))
        assert set(one) == set(two)
        assert not [name for name in one if not torch.equal(one[name], two[name])]
    assert rows(run) == rows(other)
    for sheets, others in ((run.samples(), other.samples()), (run.distributions(), other.distributions())):
        assert [step for step, _ in sheets] == [step for step, _ in others]
        assert all(one.read_bytes() == two.read_bytes() for (_, one), (_, two) in zip(sheets, others, strict=True))


@pytest.mark.parametrize(("model", "moment"), [(name, MOMENTS[i % 4]) for i, name in enumerate(names())])
def test_killed_and_resumed_is_uninterrupted(model: str, moment: str, make_run: Callable[..., Run]):
    whole, killed = make_run(model, "whole", steps=STEPS), make_run(model, "killed", steps=STEPS)
    victim = process(killed, VICTIM, moment)
    assert job.work(whole, wait=False).state == "finished"
    assert victim.wait(240) == -signal.SIGKILL
    assert killed.status.state == "interrupted"
    assert max(row["step"] for row in killed.metrics()) >= KILLED - 1
    with safe_open(killed.state_file, framework="pt") as file:
        saved = json.loads(file.metadata()["counters"])["step"]
    assert saved == (KILLED if moment == "state without checkpoint" else SAVED + 1)
    status = job.work(killed, wait=False)
    assert status.state == "finished", status.error
    assert status.step == STEPS
    assert_same_end(whole, killed)
    assert not list(killed.path.glob(".*.tmp"))


def test_killed_before_the_first_save_starts_anew(make_run: Callable[..., Run]):
    whole, killed = make_run("gan", "whole", steps=6), make_run("gan", "killed", steps=6)
    job.work(whole, wait=False)
    killed.append_metrics({"step": 1, "epoch": 0, "seconds": 0, "split": "train", "d_real": 7})
    (killed.path / "samples" / "0000000.png").write_bytes(b"half a picture")
    assert job.work(killed, wait=False).state == "finished"
    assert_same_end(whole, killed)


@pytest.mark.parametrize("how", ["stop request", "SIGTERM", "SIGINT"])
def test_stopping_saves_and_resuming_goes_on(how: str, make_run: Callable[..., Run]):
    whole, stopped = make_run("gan", "whole", steps=40), make_run("gan", "stopped", steps=40)
    slow = "import sys, time, genlib.training.loop as l; from genlib.training import job\n"
    slow += "one = l.Loop._step\ndef step(self):\n    one(self); time.sleep(0.1)\n"
    slow += "l.Loop._step = step\nraise SystemExit(job.main([sys.argv[1], '0']))"
    running = process(stopped, slow)
    assert job.work(whole, wait=False).state == "finished"
    wait_for(lambda: any(row["step"] >= 3 for row in stopped.metrics()), running)
    if how == "stop request":
        stopped.request_stop()
    else:
        running.send_signal(getattr(signal, how))
    assert running.wait(120) == 0
    status = stopped.status
    assert status.state == "stopped"
    assert 3 <= status.step < 40
    assert not stopped.stop_requested  # it was answered
    assert load_file(stopped.checkpoint)
    assert job.work(stopped, wait=False).state == "finished"
    assert_same_end(whole, stopped)


def test_resuming_a_finished_run_changes_nothing(make_run: Callable[..., Run]):
    run = make_run("gan", steps=7)
    job.work(run, wait=False)
    before, weights = rows(run), load_file(run.checkpoint)
    assert job.work(run, wait=False).state == "finished"
    assert rows(run) == before
    after = load_file(run.checkpoint)
    assert all(torch.equal(weights[name], after[name]) for name in weights)


def wait_for(
    condition: Callable[[], bool], running: subprocess.Popen[bytes] | None = None, seconds: float = 90
) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        assert running is None or running.poll() is None, "the process ended too early"
        time.sleep(0.02)
