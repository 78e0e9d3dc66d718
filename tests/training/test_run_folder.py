"""The run folder: readable at any moment, whatever a kill, a full disk or a stranger left there."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from genlib.errors import GenlibError
from genlib.training import files
from genlib.training.run import LAUNCH_GRACE, Run, Status, all_runs, check_name, fresh_name, runs_folder

Make = Callable[..., Run]


def test_what_was_asked_for_comes_back(make_run: Make):
    run = make_run("gan", seed=7, minutes=2.5, command="genlib train gan")
    again = Run.open(run.name).config
    assert again == run.config
    assert (again.model, again.seed, again.minutes, again.command) == ("gan", 7, 2.5, "genlib train gan")


def test_names_are_plain_and_unique(make_run: Make):
    make_run("gan", "my-run")
    with pytest.raises(GenlibError, match="run named 'my-run' already"):
        make_run("gan", "my-run")
    for bad in ("", "../up", "a/b", "Über", "UPPER", ".hidden", "-dash", "a" * 65, "with space", "new\nline"):
        with pytest.raises(GenlibError, match="cannot be a run's name"):
            check_name(bad)
        with pytest.raises(GenlibError, match="cannot be a run's name"):
            Run.open(bad)
    assert [check_name(name) for name in ("vae-1_b.2", "pixelcnn++-mnist")] == ["vae-1_b.2", "pixelcnn++-mnist"]


def test_fresh_names_and_the_list(make_run: Make):
    assert all_runs() == []
    assert fresh_name("vae") == "vae-1"
    for name in ("vae-1", "vae-2", "gan-1"):
        make_run("gan", name)
        time.sleep(0.01)
    assert fresh_name("vae") == "vae-3"
    assert [run.name for run in all_runs()] == ["gan-1", "vae-2", "vae-1"]
    (runs_folder() / "notes.txt").write_text("not a run")
    (runs_folder() / "empty").mkdir()
    assert len(all_runs()) == 3
    with pytest.raises(GenlibError, match="no run named 'empty'; the newest runs are: gan-1, vae-2, vae-1"):
        Run.open("empty")


def test_a_live_state_without_a_process_is_interrupted(make_run: Make):
    run = make_run("gan")
    for state in ("queued", "starting", "running"):
        run.write_status(Status(state=state, pid=12345, queued_at=time.time()))  # type: ignore[arg-type]
        assert run.status.state == "interrupted"
        with run.hold():
            assert Run.open(run.name).status.state == state
    for state in ("finished", "stopped", "diverged", "failed"):
        run.write_status(Status(state=state, pid=12345))  # type: ignore[arg-type]
        assert run.status.state == state
    run.write_status(Status(queued_at=time.time()))  # launched a moment ago: its process is still loading
    assert run.status.state == "queued"
    run.write_status(Status(queued_at=time.time() - LAUNCH_GRACE - 1))
    assert run.status.state == "interrupted"


def test_only_one_process_holds_a_run(make_run: Make):
    run = make_run("gan")
    assert not run.alive
    with run.hold():
        assert run.alive
        assert Run.open(run.name).alive
        with pytest.raises(GenlibError, match="at work already"), Run.open(run.name).hold():
            pass
    assert not Run.open(run.name).alive


def test_asking_whether_it_is_alive_does_not_keep_a_job_from_starting(make_run: Make):
    import threading

    run = make_run("gan")
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            _ = Run.open(run.name).alive

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            with Run.open(run.name).hold():
                pass
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_metrics_are_read_around_a_broken_line(make_run: Make):
    run = make_run("gan")
    assert run.metrics() == []
    row = {"step": 1, "epoch": 0.1, "seconds": 0.5, "split": "train", "loss": 0.1 + 0.2}
    run.append_metrics(row)
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "split": "tr\n[1, 2]\n\xff\n{"step": 3, "split": "train"')
    assert run.metrics() == [row]
    run.rewind(5)
    run.append_metrics(row | {"step": 4})
    assert [line["step"] for line in run.metrics()] == [1, 4]
    assert run.metrics()[0] == row  # every digit of a float survives


def test_rewinding_drops_what_lies_past_the_step(make_run: Make):
    run = make_run("gan")
    for step in range(6):
        run.append_metrics({"step": step, "split": "train"})
        files.write_bytes(run.path / "samples" / f"{step:07d}.png", b"sheet")
    (run.path / ".state.safetensors.77.1.tmp").write_bytes(b"half")
    (run.path / "samples" / ".0000003.png.77.1.tmp").write_bytes(b"half")
    run.rewind(3)
    assert [row["step"] for row in run.metrics()] == [0, 1, 2, 3]
    assert [step for step, _ in run.samples()] == [0, 1, 2, 3]
    assert not list(run.path.rglob(".*.tmp"))


def test_removing(make_run: Make):
    run = make_run("gan")
    with pytest.raises(GenlibError, match="stop it before"):
        run.remove()
    run.write_status(Status(state="stopped"))
    with run.hold(), pytest.raises(GenlibError, match="stop it before"):
        Run.open(run.name).remove()
    run.remove()
    assert not run.path.exists()
    assert not run.alive


@pytest.mark.parametrize("content", ["", "{", "[]", '{"model": "vae"}', '{"modell": "vae"}', "null"])
def test_a_broken_config_is_one_sentence(content: str, make_run: Make):
    run = make_run("gan")
    (run.path / "config.json").write_text(content)
    with pytest.raises(GenlibError, match=r"config\.json"):
        _ = run.config
    assert [found.name for found in all_runs()] == [run.name]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"states": 1}', "7"])
def test_a_broken_status_is_an_interrupted_run(content: str, make_run: Make):
    run = make_run("gan")
    (run.path / "status.json").write_text(content)
    assert run.status.state == "interrupted"


def below_a_file(tmp_path: Path) -> Path:
    """A folder that nobody can make, not even root."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "runs"


@pytest.mark.parametrize("place", [below_a_file, lambda tmp: below_a_file(tmp).parent], ids=["below a file", "a file"])
def test_a_folder_that_cannot_be_made_is_one_sentence(
    place: Callable[[Path], Path], make_run: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = place(tmp_path)
    monkeypatch.setenv("GENLIB_RUNS", str(folder))
    with pytest.raises(GenlibError, match=r"cannot be written \(.*\): choose a folder you may write to"):
        make_run("gan")
    assert all_runs() == []


def test_a_disk_that_is_full_leaves_no_half_run(make_run: Make, monkeypatch: pytest.MonkeyPatch):
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(GenlibError, match="The disk is full"):
        make_run("gan", "fresh")
    monkeypatch.undo()


def test_a_vanished_run_is_one_sentence(make_run: Make):
    run = make_run("gan")
    run.write_status(Status(state="stopped"))
    run.remove()
    writes: list[Callable[[], Any]] = [
        run.request_stop,
        lambda: run.append_metrics({"step": 1}),
        lambda: run.write_status(Status()),
        lambda: files.write_bytes(run.path / "samples" / "0000001.png", b""),
    ]
    for write in writes:
        with pytest.raises(GenlibError, match="cannot be written"):
            write()
    assert run.metrics() == []
    assert run.samples() == []


def test_files_are_replaced_whole(tmp_path: Path):
    import threading

    path = tmp_path / "value.json"
    files.write_json(path, [0] * 1000)
    stop = threading.Event()
    seen = set()

    def read() -> None:
        while not stop.is_set():
            values = files.read_json(path)
            seen.add((len(values), len(set(values))))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        files.write_json(path, [number] * 1000)
    stop.set()
    reader.join()
    assert seen == {(1000, 1)}
    assert json.loads(path.read_text()) == [59] * 1000
