"""Runs for the Train page: starting, stopping, reading their folders cheaply, and saying in words how they stand. Shows nothing itself.

Everything comes from the run folders alone, so a reload, another tab, another visitor or a restarted app finds the same runs. Files that
have not changed are not read again.
"""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
import torch
from PIL import Image

from genlib import data
from genlib.errors import GenlibError
from genlib.models import catalogue, count_parameters
from genlib.models.contract import Config, Model
from genlib.training import files, job
from genlib.training.history import History
from genlib.training.run import LIVE, Run, RunConfig, Status, all_runs, fresh_name, runs_folder
from genlib.training.standby import Standby

THREADS = max(1, min(4, (os.cpu_count() or 2) // 2))  # of a job; the app keeps the rest
FRESH = 4.0  # seconds for which a heartbeat is believed without asking who holds the run's lock
ALL_FRAMES = 32  # sample sheets that are all kept in the player; after them every second, fourth, eighth ...


# --- what a visitor can do ----------------------------------------------------------------------------------------------


@st.cache_resource(show_spinner=False)
def _standby() -> Standby:
    return Standby(THREADS)


def warm_up() -> None:
    """Keep a process loaded for the next run, so that its first loss point comes within a second or two; not while others train."""
    if os.environ.get("GENLIB_STANDBY", "1") != "0" and not any(status(run).state in LIVE for run in all_runs()):
        _standby().prepare()


def start(kind: type[Model], config: Config, dataset: str, preset: str, minutes: float, name: str) -> Run:
    """Create the run and launch its job. Without a ``name`` it gets the first free one, whoever else starts a run in the same moment."""
    while True:
        taken = name or fresh_name(kind.name)
        options = RunConfig(
            model=kind.name, config=config.model_dump(mode="json"), data=dataset, preset=preset, minutes=minutes, threads=THREADS,
            command=command(kind, config, dataset, preset, minutes, taken),
        )  # fmt: skip
        try:
            run = Run.create(taken, options)
            break
        except GenlibError:
            if name or not (runs_folder() / taken).exists():
                raise  # the visitor's own name is taken or no name, or the disk is full; otherwise somebody was faster
    launch(run)
    return run


def launch(run: Run) -> None:
    """Start or resume a run's job."""
    _standby().launch(run)


def act(action: Callable[[Run], object], run: Run) -> None:
    """A button's callback. What goes wrong is kept for `complain`, since nothing can be shown before the page is drawn."""
    try:
        action(run)
    except GenlibError as error:
        st.session_state["train_complaint"] = str(error)


def complain() -> None:
    """Show, once, what went wrong in the last callback."""
    told = st.session_state.pop("train_complaint", None)
    if told:
        st.error(told)


def changes(kind: type[Model], config: Config, preset: str | None) -> dict[str, Any]:
    """The fields in which a config differs from its preset."""
    base = kind.configure(preset if preset in kind.presets else None, config.shape)
    return {name: value for name, value in config.model_dump().items() if value != getattr(base, name)}


def command(kind: type[Model], config: Config, dataset: str, preset: str | None, minutes: float, name: str) -> str:
    """The same run from the command line."""
    parts = ["genlib train", kind.name, "--data", dataset, *(["--preset", preset] if preset else [])]
    parts += [f"--set {field}={value}" for field, value in changes(kind, config, preset).items()]
    parts += [f"--minutes {minutes:g}"] if minutes else []
    return " ".join([*parts, f"--threads {THREADS}", "--run", name])


def code(kind: type[Model], config: Config, dataset: str, preset: str | None, minutes: float, name: str) -> str:
    """The same run in Python."""
    values = "".join(f", {field}={value!r}" for field, value in changes(kind, config, preset).items())
    chosen = f", preset={preset!r}" if preset else ""
    limit = f", minutes={minutes:g}" if minutes else ""
    return (
        "import genlib\n\n"
        f"model = genlib.create({kind.name!r}{chosen}, data={dataset!r}{values})\n"
        f"genlib.fit(model, data={dataset!r}{limit}, run={name!r})  # the same loop, in this process, with a progress bar\n\n"
        f"# as a job of its own, from the command line:\n# {command(kind, config, dataset, preset, minutes, name)}\n"
    )


@st.cache_data(max_entries=128, show_spinner=False)
def parameters(model: str, values: dict[str, Any]) -> dict[str, int]:
    """Trainable parameters of each part; the network is laid out without memory for its weights."""
    kind = catalogue.get(model)
    with torch.device("meta"):
        network = kind.from_config(kind.validate_config(values))
    return {part: count_parameters(module) for part, module in network.parts().items()}


def data_sets() -> tuple[list[str], list[str]]:
    """(those that are here, those that must be fetched first)."""
    known = data.names()
    here = [name for name in known if data.find(name) is not None]
    return here, [name for name in known if name not in here]


# --- reading, cheaply ---------------------------------------------------------------------------------------------------


@st.cache_resource(max_entries=64, show_spinner=False)
def history(path: Path) -> History:
    return History(path / "metrics.jsonl")


@lru_cache(maxsize=512)
def _config(path: Path, version: int) -> RunConfig:
    return Run(path).config


def options(run: Run) -> RunConfig:
    """The run's config, read once."""
    try:
        return _config(run.path, (run.path / "config.json").stat().st_mtime_ns)
    except FileNotFoundError:
        raise GenlibError(f"The run {run.name!r} has just been removed: choose another one.") from None


@lru_cache(maxsize=512)
def _ended(path: Path, version: int) -> Status | None:
    state = Run(path).written_status()
    return None if state.state in LIVE else state


def status(run: Run) -> Status:
    """The run's status. One that has ended is read once, since a resume writes the file anew; one whose heart has just beaten is believed."""
    try:
        ended = _ended(run.path, (run.path / "status.json").stat().st_mtime_ns)
    except FileNotFoundError:
        return run.status
    if ended is not None:
        return ended
    state = run.written_status()
    return state if time.time() - state.heartbeat < FRESH else run.status


def period(state: Status) -> float | None:
    """Seconds between two looks at a run: often at first, seldom in the third hour, None when it is over."""
    if state.state not in LIVE:
        return None
    return 1.0 if state.seconds < 120 else 2.0 if state.seconds < 1200 else 5.0


def kept(total: int) -> list[int]:
    """Which of ``total`` frames a player shows: all early ones, then ever fewer, and the newest.

    What was kept stays kept, at its place, when frames arrive, so the player never moves under the visitor.
    """
    chosen = [i for i in range(total) if i % 2 ** (i // ALL_FRAMES).bit_length() == 0]
    return chosen if not total or chosen[-1] == total - 1 else [*chosen, total - 1]


@lru_cache(maxsize=2048)
def _sheet(path: Path, version: int, height: int, width: int) -> np.ndarray:
    """A sheet with a gap of two pixels between its tiles, uint8 [H, W] or [H, W, 3]."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture)
    rows, columns = pixels.shape[0] // height, pixels.shape[1] // width
    gap = 2
    spaced = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *pixels.shape[2:]), 110, np.uint8)
    for row in range(rows):
        for column in range(columns):
            tile = pixels[row * height : (row + 1) * height, column * width : (column + 1) * width]
            spaced[row * (height + gap) :, column * (width + gap) :][:height, :width] = tile
    return spaced


def frames(run: Run, shape: tuple[int, int, int]) -> tuple[list[int], list[np.ndarray]]:
    """Steps and sheets for the player, oldest first."""
    samples = run.samples()
    steps, sheets = [], []
    for index in kept(len(samples)):
        step, path = samples[index]
        try:
            sheets.append(_sheet(path, path.stat().st_mtime_ns, *shape[1:]))
        except OSError:
            continue  # a resumed run has just dropped it
        steps.append(step)
    return steps, sheets


def newest_distributions(run: Run) -> tuple[int, dict[str, list[float]] | None]:
    """Step and content of the newest file of `Run.distributions`; (0, None) if there is none that can be read."""
    for step, path in reversed(run.distributions()):
        try:
            return step, files.read_json(path)
        except GenlibError:
            continue  # a resumed run has just dropped it
    return 0, None


# --- words --------------------------------------------------------------------------------------------------------------


def duration(seconds: float | None) -> str:
    """75 -> "1 min 15 s"."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def situation(run: Run, state: Status) -> tuple[str, str] | None:
    """(kind of box, sentence) on where the run stands and what to do; None while it simply trains."""
    if state.state == "queued":
        ahead = job.position(run) - job.slots() + 1
        if ahead <= 0:
            return "info", "Starting: the first loss point comes within a few seconds."
        return (
            "info",
            f"Waiting in the queue: {ahead} run{'s' if ahead > 1 else ''} before it. It begins by itself; you may close the page.",
        )
    if state.state == "starting":
        return "info", "Starting: the first loss point comes within a few seconds."
    if state.state == "stopped":
        return "info", f"Stopped after step {state.step:,}, and saved: **Resume** goes on from there."
    if state.state == "interrupted":
        if run.state_file.exists():
            return (
                "warning",
                "Its process ended without a word: the machine went down, or somebody ended it. **Resume** goes on from what was saved last.",
            )
        return "warning", "Its process ended without a word before anything was saved: **Resume** starts it anew."
    if state.state == "diverged":
        return (
            "error",
            f"{state.error} A resume would end the same way, since a run repeats bit for bit: start a new one with other settings.",
        )
    if state.state == "failed":
        return (
            "error",
            f"{state.error or 'The job failed.'} When that is mended, **Resume** goes on from what was saved last.",
        )
    return None


def progress(state: Status) -> float:
    """The share of the run that is done, by time if time ends it, else by steps."""
    if state.state == "finished":
        return 1.0
    if state.state == "running" and state.seconds_left is not None and state.seconds + state.seconds_left > 0:
        return state.seconds / (state.seconds + state.seconds_left)
    return state.step / state.total_steps if state.total_steps else 0.0
