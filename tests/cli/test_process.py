"""The command as its own process: what only shows there."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from cli_home import Home

from genlib.cli import runs
from genlib.training import job
from genlib.training.run import Run, all_runs

PATIENCE = 280  # seconds: loading PyTorch takes long on a machine that has other things to do
ROOT = Path(__file__).resolve().parents[2]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "genlib.cli", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip


def finish(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def test_help_does_not_load_pytorch() -> None:
    probe = (
        "import sys; from genlib.cli import app\n"
        "for words in (['--help'], ['train', '--help'], ['runs', '--json']):\n"
        "    try: app(words)\n"
        "    except SystemExit as end: assert not end.code, end.code\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, env=environment(), check=True)
    assert done.stderr.split()[-1] == "False"


def test_errors_and_documents_keep_to_their_streams(home: Home) -> None:
    code, out, err = finish(start("sample", "nothing-of-the-kind"))
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "'nothing-of-the-kind'" in err
    code, out, err = finish(start("evaluate", "vae-mnist", "--k", "2", "--no-samples", "--json"))
    assert code == 0, err
    assert json.loads(out)["images"] == 24
    assert not err


@pytest.fixture
def tidy(home: Home) -> Iterator[Home]:
    """A home whose jobs end with the test, however it ends."""
    yield home
    for run in all_runs():
        pid = run.written_status().pid
        if run.alive and pid not in (0, os.getpid()):
            os.kill(pid, signal.SIGKILL)


def _wait_for_steps(run: str, process: "subprocess.Popen[str] | None" = None) -> Run:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if (Path(os.environ["GENLIB_RUNS"]) / run / "config.json").exists():
            found = Run.open(run)
            if found.written_status().step > 0:
                return found
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError(f"{run} does not train")


TRAIN = ("--set", "batch_size=8", "--set", "epochs=10000", "--threads", "1")


@pytest.mark.timeout(900)
def test_ctrl_c_saves_and_resume_goes_on(tidy: Home) -> None:
    process = start("train", "vae", "--run", "mine", *TRAIN)
    run = _wait_for_steps("mine", process)
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 0, err
    assert "Traceback" not in err
    assert "genlib train --resume mine" in out
    step = run.status.step
    assert run.status.state == "stopped"
    code, out, err = finish(start("train", "--resume", "mine", "--steps", str(step + 2)))
    assert code == 0, err
    assert (run.status.state, run.status.step) == ("finished", step + 2)


@pytest.mark.timeout(900)
def test_background_run_listed_and_stopped(tidy: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "STOP_WAIT", PATIENCE)
    monkeypatch.setattr(job, "launch", partial(job.launch, nice=0))  # a polite job gets no turn on a busy machine
    assert tidy.done("train", "vae", "--run", "behind", "--background", *TRAIN).stdout == "behind\n"
    run = _wait_for_steps("behind")
    found = json.loads(tidy.done("runs", "--json").stdout)["runs"]
    assert [one["state"] for one in found] == ["running"]
    assert "at work already" in tidy.refused("train", "--resume", "behind")
    assert "stopped" in tidy.done("stop", "behind").stdout
    assert not run.alive
    assert run.checkpoint.is_file()
