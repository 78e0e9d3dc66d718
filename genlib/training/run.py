"""The run folder: everything there is to know about one training run, readable by any process at any moment.

    config.json              what was asked for: model, config, data, seed, options
    metrics.jsonl            a line for each logged step
    samples/STEP.png         sheets of samples from the same fixed noise
    checkpoint.safetensors   the weights to use (averaged, where the config says so)
    state.safetensors        everything a resume needs: weights, averages, optimizers, random state
    status.json              state, progress, heartbeat, error
    lock                     held by the job's process for as long as it lives
    stop                     present when somebody asked the job to stop

No import of PyTorch here: a job that waits in the queue, and the page that lists runs, should cost nothing.
"""

import json
import os
import re
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import platformdirs
from filelock import FileLock, Timeout

from genlib.errors import GenlibError
from genlib.training import files

State = Literal["queued", "starting", "running", "finished", "stopped", "diverged", "failed", "interrupted"]
LIVE: tuple[State, ...] = ("queued", "starting", "running")
assert set(LIVE) < set(get_args(State))

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def runs_folder() -> Path:
    """The folder of all runs: ``$GENLIB_RUNS``, else the user data folder."""
    given = os.environ.get("GENLIB_RUNS")
    return Path(given) if given else Path(platformdirs.user_data_dir("genlib", appauthor=False)) / "runs"


def check_name(name: str) -> str:
    """A run's name is a plain file name; anything else is a `GenlibError`."""
    if not _NAME.fullmatch(name):
        raise GenlibError(f"{name!r} cannot be a run's name: use lower-case letters, digits, '-', '_' and '.', at most 64, a letter or digit first.")
    return name


@dataclass(frozen=True)
class RunConfig:
    """What was asked for. ``minutes``, ``steps``: stop after that much (0: no limit). ``patience``: stop after that many
    validations without improvement (0: never). ``threads``: CPU threads of the job; a resume uses the same number."""

    model: str
    config: dict[str, Any]
    data: str
    preset: str | None = None
    seed: int = 0
    minutes: float = 0.0
    steps: int = 0
    patience: int = 0
    threads: int = 1
    device: str = "auto"
    command: str = ""
    created: float = field(default_factory=time.time)


@dataclass
class Status:
    """Where a run stands. Times are seconds; ``terms`` are the last logged scalars."""

    state: State = "queued"
    pid: int = 0
    queued_at: float = 0.0
    heartbeat: float = 0.0
    step: int = 0
    total_steps: int = 0
    epoch: float = 0.0
    seconds: float = 0.0
    seconds_left: float | None = None
    images_per_second: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    error: str = ""


class Run:
    """A run folder. Reading never waits and never fails on a file that is being replaced."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.lock = FileLock(path / "lock", timeout=0, thread_local=False)

    def __repr__(self) -> str:
        return f"Run({self.name!r})"

    @classmethod
    def create(cls, name: str, config: RunConfig) -> "Run":
        """Make the folder. A name that is taken is a `GenlibError`."""
        path = runs_folder() / check_name(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir()
            (path / "samples").mkdir()
        except FileExistsError:
            raise GenlibError(f"There is a run named {name!r} already: resume it, or choose another name.") from None
        except OSError as error:
            raise files.unwritable(path, error) from None
        run = cls(path)
        files.write_json(path / "config.json", asdict(config))
        run.write_status(Status(queued_at=time.time()))
        return run

    @classmethod
    def open(cls, name: str) -> "Run":
        """An existing run by name. Raises `GenlibError`."""
        path = runs_folder() / check_name(name)
        if not (path / "config.json").is_file():
            known = ", ".join(run.name for run in all_runs()[:8]) or "none yet"
            raise GenlibError(f"There is no run named {name!r}; the newest runs are: {known}.")
        return cls(path)

    @property
    def config(self) -> RunConfig:
        value = files.read_json(self.path / "config.json")
        try:
            return RunConfig(**value)
        except TypeError:
            raise GenlibError(f"{self.path / 'config.json'} is not a run's config: delete the folder and start the run again.") from None

    @property
    def alive(self) -> bool:
        """Whether a process is at work on this run (it holds the lock, whatever its status file says)."""
        if self.lock.is_locked:
            return True
        probe = FileLock(self.path / "lock", timeout=0)
        try:
            with probe:
                return False
        except Timeout:
            return True

    @property
    def status(self) -> Status:
        """The status as it really is: a live state without a process is `interrupted`."""
        status = self.written_status()
        if status.state in LIVE and time.time() - status.queued_at > 3 and not self.alive:
            status.state = "interrupted"
        return status

    def written_status(self) -> Status:
        """The status file as it stands."""
        try:
            return Status(**files.read_json(self.path / "status.json"))
        except (GenlibError, TypeError):
            return Status(state="interrupted")

    def write_status(self, status: Status) -> None:
        files.write_json(self.path / "status.json", asdict(status))

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.safetensors"

    @property
    def state_file(self) -> Path:
        return self.path / "state.safetensors"

    @property
    def log_file(self) -> Path:
        return self.path / "log.txt"

    def request_stop(self) -> None:
        """Ask the job to save and stop; it does so within a step."""
        (self.path / "stop").touch()

    @property
    def stop_requested(self) -> bool:
        return (self.path / "stop").exists()

    def clear_stop(self) -> None:
        (self.path / "stop").unlink(missing_ok=True)

    def metrics(self) -> list[dict[str, Any]]:
        """All complete lines of metrics.jsonl, oldest first; a half-written last line is left out."""
        try:
            text = (self.path / "metrics.jsonl").read_text()
        except FileNotFoundError:
            return []
        lines = text.split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def append_metrics(self, row: dict[str, Any]) -> None:
        path = self.path / "metrics.jsonl"
        try:
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise files.unwritable(path, error) from None

    def rewind(self, step: int) -> None:
        """Drop metrics and samples past ``step``: a resumed run writes them again."""
        rows = [row for row in self.metrics() if row["step"] <= step]
        files.write_text(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        for at, path in self.samples():
            if at > step:
                path.unlink(missing_ok=True)

    def samples(self) -> list[tuple[int, Path]]:
        """(step, sheet) of every saved sample sheet, oldest first."""
        return sorted((int(path.stem), path) for path in (self.path / "samples").glob("[0-9]*.png"))


def all_runs() -> list[Run]:
    """Every run, newest first."""
    folder = runs_folder()
    if not folder.is_dir():
        return []
    paths = [path for path in folder.iterdir() if (path / "config.json").is_file()]
    return [Run(path) for path in sorted(paths, key=lambda path: (path / "config.json").stat().st_mtime, reverse=True)]


def fresh_name(model: str) -> str:
    """The first free name MODEL-1, MODEL-2, ..."""
    taken = {path.name for path in runs_folder().iterdir()} if runs_folder().is_dir() else set()
    number = 1
    while f"{model}-{number}" in taken:
        number += 1
    return f"{model}-{number}"
