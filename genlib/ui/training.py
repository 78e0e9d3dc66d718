"""The Train page's parts: starting and stopping runs, the live view of one run, the table of all.

What is shown comes from the run folders alone, so a reload, another tab, another visitor or a restarted app finds the same runs. Fragments rerun
while a run is live and rest when it is not; files that have not changed are not read again.
"""

import html
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
import torch
from PIL import Image

from genlib import data
from genlib.errors import GenlibError
from genlib.figures import training as figures
from genlib.models import abilities, catalogue, count_parameters
from genlib.models.contract import Config, Model
from genlib.training import job
from genlib.training.history import History
from genlib.training.run import LIVE, Run, RunConfig, Status, all_runs, fresh_name, runs_folder
from genlib.training.standby import Standby
from genlib.ui.components import Panel, player

THREADS = max(1, min(4, (os.cpu_count() or 2) // 2))  # of a job; the app keeps the rest
FRESH = 4.0  # seconds for which a heartbeat is believed without asking who holds the run's lock
ALL_FRAMES = 32  # sample sheets that are all kept in the player; after them every second, fourth, eighth ...

DOORS = (
    ("latent code", "pages/latent_space.py", "Walk through its latent space", "🗺️"),
    ("completion", "pages/completion.py", "Let it complete digits", "🧩"),
    ("step-wise drawing", "pages/glimpses.py", "Watch it draw step by step", "👁️"),
)

STATES: dict[str, tuple[str, str]] = {  # state -> (mark, colour that is told apart on both grounds)
    "queued": ("⏳", "#8A949E"),
    "starting": ("⏳", "#E69F00"),
    "running": ("🟢", "#009E73"),
    "stopping": ("⏳", "#E69F00"),
    "finished": ("🏁", "#56B4E9"),
    "stopped": ("⏸️", "#8A949E"),
    "diverged": ("💥", "#D55E00"),
    "failed": ("❌", "#D55E00"),
    "interrupted": ("⚡", "#E69F00"),
}


# --- what a visitor can do ----------------------------------------------------------------------------------------------


@st.cache_resource(show_spinner=False)
def _standby() -> Standby:
    return Standby(THREADS)


@st.cache_resource(max_entries=64, show_spinner=False)
def _history(path: Path) -> History:
    return History(path / "metrics.jsonl")


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
    """A button's callback. What goes wrong is kept for `complaint`, since nothing can be shown before the page is drawn."""
    try:
        action(run)
    except GenlibError as error:
        st.session_state["train_complaint"] = str(error)


def complaint() -> None:
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


def doors(run: Run, kind: type[Model]) -> None:
    """Links to the pages that can show the run's model, by its abilities."""
    open_to = [door for door in DOORS if door[0] in abilities(kind)]
    if not run.checkpoint.is_file() or not open_to:
        return
    for (_, page, text, icon), column in zip(open_to, st.columns(len(open_to)), strict=True):
        column.page_link(page, label=text, icon=icon, query_params={"model": run.name})


# --- reading, cheaply ---------------------------------------------------------------------------------------------------


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


def metric_row(run: Run, state: Status) -> str:
    """The numbers of the moment, as HTML."""
    word = "stopping" if state.state in LIVE and run.stop_requested else state.state
    colour = STATES[word][1]
    total = f" / {state.total_steps:,}" if state.total_steps else ""
    left = duration(state.seconds_left) if state.state == "running" else "–"
    cells = [
        ("State", f'<span style="color:{colour}">●</span> {word}'),
        ("Step", f"{state.step:,}<small>{total}</small>"),
        ("Epoch", f"{state.epoch:.2f}"),
        ("Images / s", f"{state.images_per_second:,.0f}" if state.images_per_second else "–"),
        ("Trained for", duration(state.seconds)),
        ("Time left", left),
    ]
    boxes = "".join(
        f'<div><div class="genlib-small">{name}</div><div class="genlib-figure">{value}</div></div>'
        for name, value in cells
    )
    done = progress(state)
    bar = f'<div class="genlib-bar" title="{done:.0%} done"><div style="width:{100 * done:.1f}%;background:{colour}"></div></div>'
    return f'<div class="genlib-metrics" role="group" aria-label="{html.escape(run.name)}: {word}, {done:.0%} done">{boxes}</div>{bar}'


METRIC_STYLE = """
<style>
.genlib-metrics {display: grid; grid-template-columns: repeat(6, auto); gap: 0 1.4rem; justify-content: space-between;}
.genlib-small {font-size: .85rem; opacity: .75;}
.genlib-figure {font-size: 1.35rem; font-weight: 600; line-height: 1.25; font-variant-numeric: tabular-nums; white-space: nowrap;}
.genlib-figure small {font-weight: 400; font-size: 1rem; opacity: .75;}
.genlib-bar {height: 6px; border-radius: 3px; background: rgba(128, 140, 152, .25); margin-top: .45rem; overflow: hidden;}
.genlib-bar div {height: 100%;}
</style>
"""


def progress(state: Status) -> float:
    """The share of the run that is done, by time if time ends it, else by steps."""
    if state.state == "finished":
        return 1.0
    if state.state == "running" and state.seconds_left is not None and state.seconds + state.seconds_left > 0:
        return state.seconds / (state.seconds + state.seconds_left)
    return state.step / state.total_steps if state.total_steps else 0.0


# --- the live view ------------------------------------------------------------------------------------------------------


def live_view(run: Run) -> None:
    """The open run: numbers, curves and samples, renewed while it is live."""
    every = period(status(run))
    st.fragment(_live, run_every=every)(run.name, every)


def _live(name: str, every: float | None) -> None:
    run = Run.open(name)
    state = status(run)
    if period(state) != every:
        st.rerun()  # it ended, or somebody resumed it: the buttons change too
    chosen = options(run)
    kind = catalogue.get(chosen.model)
    st.html(METRIC_STYLE + metric_row(run, state))
    told = situation(run, state)
    if told is not None:
        {"info": st.info, "warning": st.warning, "error": st.error}[told[0]](told[1])
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _curves(run, kind)
    with right:
        _samples(run, chosen, state)


def _curves(run: Run, kind: type[Model]) -> None:
    history = _history(run.path)
    history.refresh()
    place = st.container()
    log_loss, log_steps = st.columns(2)
    with log_loss:
        by_loss = st.toggle(
            "Log loss", key="log_loss", bind="query-params", help="Logarithmic values, where they are all positive."
        )
    with log_steps:
        by_steps = st.toggle(
            "Log steps",
            key="log_steps",
            bind="query-params",
            help="Logarithmic steps: the first ones count as much as the rest.",
        )
    curves = {(split, term): history.curve(split, term) for split in figures.SPLITS for term in kind.terms}
    ink = "#EDF1F6" if st.context.theme.type == "dark" else "#17202B"
    figure = figures.loss_figure(
        curves, kind.terms, adversarial=kind.family == "adversarial", log_loss=by_loss, log_steps=by_steps, ink=ink
    )
    place.plotly_chart(
        figure, key="losses", config={"displayModeBar": False}, alt=figures.description(kind.terms, curves)
    )


def _samples(run: Run, chosen: RunConfig, state: Status) -> None:
    shape = (int(chosen.config["channels"]), int(chosen.config["height"]), int(chosen.config["width"]))
    steps, sheets = frames(run, shape)
    if not sheets:
        st.caption("Samples from fixed noise appear here, the first before the first step.")
        return
    per_epoch = state.step / state.epoch if state.epoch else 0
    captions = [f"step {step:,}" + (f", epoch {step / per_epoch:.2f}" if per_epoch else "") for step in steps]
    player(
        [Panel("Samples from the same noise", sheets)],
        key="samples", captions=captions, follow=True, height=364, fps=6, export_name=run.name, revision=(run.name, chosen.created),
    )  # fmt: skip


# --- the table ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A run in the table; ``progress`` in per cent."""

    run: str
    model: str
    data: str
    preset: str
    state: str
    progress: float
    loss: str
    time: str


def rows() -> list[Row]:
    """All runs, newest first. One whose files are damaged is left out; opening it by name says what is wrong."""
    found = []
    for run in all_runs():
        try:
            chosen, state = options(run), status(run)
        except GenlibError:
            continue
        term, value = next(iter(state.terms.items()), ("", 0.0))
        found.append(
            Row(run.name, chosen.model, chosen.data, chosen.preset or "", f"{STATES[state.state][0]} {state.state}", 100 * progress(state),
                f"{figures.label(term)} {value:.4g}" if term else "", duration(state.seconds))
        )  # fmt: skip
    return found


def runs_table() -> None:
    """All runs; a click on a row opens it. Renewed while any run is live."""
    live = any(status(run).state in LIVE for run in all_runs())
    st.fragment(_table, run_every=3.0 if live else None)(live)


def _table(live: bool) -> None:
    found = rows()
    if live and not any(row.state.split()[-1] in LIVE for row in found):
        st.rerun()
    if not found:
        st.caption("No run yet: choose a model at the left and press **Start**.")
        return
    names = [row.run for row in found]
    generation = st.session_state.setdefault("table_generation", 0)
    key = f"runs-{generation}"

    def opened() -> None:
        picked = st.session_state[key]["selection"]["rows"]
        if picked and picked[0] < len(names):
            st.session_state["run"] = names[picked[0]]
            st.session_state["table_generation"] = (
                generation + 1
            )  # a selected row's number means another run as soon as one is added

    st.dataframe(
        pd.DataFrame(found),
        key=key, on_select=opened, selection_mode="single-row", hide_index=True, height=min(38 * len(found) + 40, 460), row_height=38,
        column_config={
            "run": "Run", "model": "Model", "data": "Data", "preset": "Preset", "state": "State",
            "progress": st.column_config.ProgressColumn("Progress", format="%.0f %%", min_value=0.0, max_value=100.0),
            "loss": "Last loss", "time": "Trained for",
        },
    )  # fmt: skip


def data_sets() -> tuple[list[str], list[str]]:
    """(those that are here, those that must be fetched first)."""
    here = [name for name in data.DATASETS if data.find(name) is not None]
    return here, [name for name in data.DATASETS if name not in here]
