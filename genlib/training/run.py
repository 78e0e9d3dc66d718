"""The run folder: everything there is to know about one training run, readable by any process at any moment.

    config.json              what was asked for: model, config, data, seed, options
    metrics.jsonl            a line for each logged step
    samples/STEP.png         sheets of samples from the same fixed noise
    distributions/STEP.json  what was seen of single images or latents, for models that have `distributions`
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
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
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

LAUNCH_GRACE = 20.0  # seconds a launched process may take, on a busy machine, until it holds the run's lock

_NAME = re.compile(r"[a-z0-9][a-z0-9._+-]{0,63}")
_SHIPPED = Path(__file__).resolve().parents[2] / "checkpoints"


def runs_folder() -> Path:
    """The folder of all runs: ``$GENLIB_RUNS``, else the user data folder."""
    given = os.environ.get("GENLIB_RUNS")
    return Path(given) if given else Path(platformdirs.user_data_dir("genlib", appauthor=False)) / "runs"


def shipped_folder() -> Path:
    """The folder of checkpoints that ship with the project (``$GENLIB_CHECKPOINTS`` overrides it)."""
    given = os.environ.get("GENLIB_CHECKPOINTS")
    return Path(given) if given else _SHIPPED


def process_rank() -> int | None:
    """This process's number among those that torchrun started; None if it was not torchrun."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else None


def check_name(name: str) -> str:
    """A run's name is a plain file name; anything else is a `GenlibError`."""
    if not _NAME.fullmatch(name):
        raise GenlibError(
            f"{name!r} cannot be a run's name: use at most 64 lower-case letters, digits, '-', '_', '+' and '.', "
            "a letter or digit first."
        )
    return name


@dataclass(frozen=True)
class RunConfig:
    """What was asked for. ``minutes``, ``steps``: stop after that much (0: no limit). ``patience``: stop after that
    many validations without improvement (0: never). ``threads``: CPU threads of the job; a resume uses the same
    number. ``start``: the checkpoint whose weights the run begins with, "" for fresh ones; ``seen_before``,
    ``seconds_before`` and ``earlier`` are what that checkpoint had seen, taken, and been made by."""

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
    start: str = ""
    seen_before: int = 0
    seconds_before: float = 0.0
    earlier: list[str] = field(default_factory=list)
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
        except OSError as error:
            raise files.unwritable(path.parent, error) from None
        try:
            path.mkdir()
            (path / "samples").mkdir()
        except FileExistsError:
            raise GenlibError(f"There is a run named {name!r} already: resume it, or choose another name.") from None
        except OSError as error:
            raise files.unwritable(path, error) from None
        run = cls(path)
        try:
            files.write_json(path / "config.json", asdict(config))
            run.write_status(Status(queued_at=time.time()))
        except GenlibError:
            shutil.rmtree(path, ignore_errors=True)  # half a run folder would hold the name for ever
            raise
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
            raise GenlibError(
                f"{self.path / 'config.json'} is not a run's config: delete the folder and start the run again."
            ) from None

    @property
    def alive(self) -> bool:
        """Whether a process is at work on this run (it holds the lock, whatever its status file says)."""
        if self.lock.is_locked:
            return True
        for last_try in (False, True):
            try:
                with FileLock(self.path / "lock", timeout=0):
                    return False
            except Timeout:
                if last_try:
                    return True
                time.sleep(0.002)  # another look at the same moment holds the lock too, but not for long
            except OSError:
                return False  # the folder is gone, or nobody can write to it: no job is at work there
        return True

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the run's lock: the block is at work on the run, and nobody else is. Else a `GenlibError`."""
        try:
            self.lock.acquire(timeout=2)  # somebody who only asks whether the run is alive holds it for a moment
        except Timeout:
            raise GenlibError(f"The run {self.name!r} is at work already: stop it first.") from None
        except OSError as error:
            raise files.unwritable(self.path, error) from None
        try:
            yield
        finally:
            self.lock.release()

    @property
    def status(self) -> Status:
        """The status as it really is: a live state without a process is `interrupted`."""
        status = self.written_status()
        starting = status.pid == 0 and time.time() - status.queued_at < LAUNCH_GRACE
        if status.state in LIVE and not starting and not self.alive:
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
        try:
            (self.path / "stop").touch()
        except OSError as error:
            raise files.unwritable(self.path / "stop", error) from None

    @property
    def stop_requested(self) -> bool:
        return (self.path / "stop").exists()

    def clear_stop(self) -> None:
        (self.path / "stop").unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder with all that was trained. A live run is a `GenlibError`: it must be stopped first."""
        refusal = GenlibError(f"The run {self.name!r} is at work: stop it before you remove it.")
        if self.status.state in LIVE:  # a job that is just starting may not hold the lock yet
            raise refusal
        try:
            with self.lock:
                (self.path / "config.json").unlink(missing_ok=True)  # from now on nobody takes the folder for a run
                shutil.rmtree(self.path)
        except Timeout:
            raise refusal from None
        except OSError as error:
            raise GenlibError(f"The run {self.name!r} cannot be removed ({error.strerror or error}).") from None

    def metrics(self) -> list[dict[str, Any]]:
        """All whole lines of metrics.jsonl, oldest first; one that a kill or a full disk cut short is left out."""
        try:
            text = (self.path / "metrics.jsonl").read_text(errors="replace")
        except OSError:
            return []
        rows = []
        for line in text.split("\n")[:-1]:
            try:
                rows.append(json.loads(line))
            except ValueError:
                continue
        return [row for row in rows if isinstance(row, dict) and "step" in row and "split" in row]

    def append_metrics(self, row: dict[str, Any]) -> None:
        path = self.path / "metrics.jsonl"
        try:
            with path.open("a") as file:
                file.write(json.dumps(row) + "\n")
        except OSError as error:
            raise files.unwritable(path, error) from None

    def rewind(self, step: int) -> None:
        """Drop metrics, samples and distributions past ``step``, which a resumed run writes again, and what a kill left unfinished."""
        files.sweep(self.path)
        files.sweep(self.path / "samples")
        files.sweep(self.path / "distributions")
        rows = [row for row in self.metrics() if row["step"] <= step]
        files.write_text(self.path / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        for at, path in [*self.samples(), *self.distributions()]:
            if at > step:
                path.unlink(missing_ok=True)

    def write_distributions(self, step: int, values: dict[str, list[float]]) -> None:
        folder = self.path / "distributions"
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise files.unwritable(folder, error) from None
        files.write_bytes(folder / f"{step:07d}.json", json.dumps(values).encode())

    def distributions(self) -> list[tuple[int, Path]]:
        """(step, file) of all that was seen of single images or latents, oldest first."""
        return sorted((int(path.stem), path) for path in (self.path / "distributions").glob("[0-9]*.json"))

    def samples(self) -> list[tuple[int, Path]]:
        """(step, sheet) of every saved sample sheet, oldest first."""
        return sorted((int(path.stem), path) for path in (self.path / "samples").glob("[0-9]*.png"))


def all_runs() -> list[Run]:
    """Every run, newest first."""
    folder = runs_folder()
    if not folder.is_dir():
        return []
    found = []
    for path in folder.iterdir():
        try:
            found.append(((path / "config.json").stat().st_mtime, path))
        except OSError:
            continue  # something else lies there, or the run is just being removed
    return [Run(path) for _, path in sorted(found, reverse=True)]


def fresh_name(model: str) -> str:
    """The first free name MODEL-1, MODEL-2, ..."""
    taken = {path.name for path in runs_folder().iterdir()} if runs_folder().is_dir() else set()
    number = 1
    while f"{model}-{number}" in taken:
        number += 1
    return f"{model}-{number}"
