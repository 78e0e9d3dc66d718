"""Several processes together make the steps that one process makes alone (gloo on the CPU; the same code serves GPUs)."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from genlib.errors import GenlibError
from genlib.training import devices, job
from genlib.training.run import Run

HERE = Path(__file__).parent


def torchrun(*command: str) -> None:
    paths = [str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
    arguments = ["--standalone", "--nproc-per-node", "2", *command]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *arguments],
        env=environment, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_take_the_steps_of_one(tmp_path: Path):
    from gradient_descent import train

    alone = train()
    torchrun(str(HERE / "gradient_descent.py"), str(tmp_path / "result"))
    first, second = (json.loads((tmp_path / f"result.{rank}").read_text()) for rank in range(2))
    assert first["weights"] == second["weights"]
    torch.testing.assert_close(torch.tensor(first["weights"]), torch.tensor(alone["weights"]), rtol=1e-5, atol=1e-7)
    assert first["terms"]["images"] == 4  # each process saw half of the batch of 8
    assert first["terms"]["loss"] == second["terms"]["loss"] == pytest.approx(alone["terms"]["loss"], rel=1e-5)
    assert first["state"] == second["state"] == alone["state"] == "finished"


def test_a_job_in_two_processes_writes_one_run(make_run: Callable[..., Run]):
    runs = [make_run("pixelcnn", name, {"binarisation": "threshold"}, steps=6) for name in ("one", "two")]
    job.work(runs[0], wait=False)
    torchrun("-m", "genlib.training.job", "two", "0")
    assert runs[1].status.state == "finished"
    alone, together = (run.metrics() for run in runs)
    assert [(row["step"], row["split"]) for row in together] == [(row["step"], row["split"]) for row in alone]
    for one, two in zip(alone, together, strict=True):
        assert two["nll"] == pytest.approx(one["nll"], rel=1e-4)
    assert [step for step, _ in runs[0].samples()] == [step for step, _ in runs[1].samples()]
    assert runs[1].checkpoint.is_file()
    assert not runs[1].alive


def test_a_batch_that_cannot_be_split_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "RANK": "0", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GenlibError, match="A batch of 6 images cannot be split evenly over 4 processes"):
        devices.launch(torch.device("cpu"), "32", 6)


def test_fabric_is_quiet(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[Any]):
    fabric = devices.launch(torch.device("cpu"), "bf16", 6)
    assert fabric.world_size == 1
    with fabric.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
