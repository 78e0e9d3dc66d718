"""What the Train page shows: what would be trained, or the open run, live; and the table of all runs.

The live parts are fragments that rerun while a run is live, and rest when none is.
"""

import html
from dataclasses import dataclass

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from genlib.errors import GenlibError
from genlib.figures import distributions
from genlib.figures import training as figures
from genlib.models import abilities, catalogue
from genlib.models.contract import Model
from genlib.training import checkpoint
from genlib.training.run import LIVE, Run, RunConfig, Status, all_runs
from genlib.ui import frame, runs
from genlib.ui.components import Panel, player
from genlib.ui.new_run import Plan

DOORS: tuple[tuple[str | None, str, str, str], ...] = (  # ability (None: every model), page, text, icon
    ("latent code", "pages/latent_space.py", "Walk through its latent space", "🗺️"),
    ("completion", "pages/completion.py", "Let it complete digits", "🧩"),
    ("step-wise drawing", "pages/glimpses.py", "Watch it draw step by step", "👁️"),
    ("adversaries", "pages/gan_stage.py", "Step its two players", "🎭"),
    (None, "pages/compare.py", "Put it beside the others", "⚖️"),
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


# --- the live view ------------------------------------------------------------------------------------------------------


def doors(run: Run, kind: type[Model]) -> None:
    """Links to the pages that can show the run's model, by its abilities."""
    if not run.checkpoint.is_file():
        return
    open_to = [door for door in DOORS if door[0] is None or door[0] in abilities(kind)]
    for (ability, page, text, icon), column in zip(open_to, st.columns(len(DOORS)), strict=False):
        names = {"model": run.name} if ability else {"models": ",".join([run.name, *checkpoint.shipped()])}
        column.page_link(page, label=text, icon=icon, query_params=names)


def metric_row(run: Run, state: Status) -> str:
    """The numbers of the moment, as HTML."""
    word = "stopping" if state.state in LIVE and run.stop_requested else state.state
    colour = STATES[word][1]
    total = f" / {state.total_steps:,}" if state.total_steps else ""
    left = runs.duration(state.seconds_left) if state.state == "running" else "–"
    cells = [
        ("State", f'<span style="color:{colour}">●</span> {word}'),
        ("Step", f"{state.step:,}<small>{total}</small>"),
        ("Epoch", f"{state.epoch:.2f}"),
        ("Images / s", f"{state.images_per_second:,.0f}" if state.images_per_second else "–"),
        ("Trained for", runs.duration(state.seconds)),
        ("Time left", left),
    ]
    boxes = "".join(
        f'<div><div class="genlib-small">{name}</div><div class="genlib-figure">{value}</div></div>'
        for name, value in cells
    )
    done = runs.progress(state)
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


def live_view(run: Run) -> None:
    """The open run: numbers, curves and samples, renewed while it is live."""
    every = runs.period(runs.status(run))
    st.fragment(_live, run_every=every)(run.name, every)


def _live(name: str, every: float | None) -> None:
    with frame.guard():
        run = Run.open(name)
        state = runs.status(run)
        if runs.period(state) != every:
            st.rerun()  # it ended, or somebody resumed it: the buttons change too
        chosen = runs.options(run)
        kind = catalogue.get(chosen.model)
        st.html(METRIC_STYLE + metric_row(run, state))
        told = runs.situation(run, state)
        if told is not None:
            {"info": st.info, "warning": st.warning, "error": st.error}[told[0]](told[1])
        left, right = st.columns([3, 2], gap="medium")
        with left:
            _curves(run, kind)
        with right:
            _samples(run, chosen, state)
        if kind.distributions:
            _distributions(run, kind)


def _distributions(run: Run, kind: type[Model]) -> None:
    """What the newest validation saw of single images or latents."""
    step, values = runs.newest_distributions(run)
    if values is None:
        return
    ink = "#EDF1F6" if st.context.theme.type == "dark" else "#17202B"
    st.plotly_chart(
        distributions.distribution_figure(values, kind.distributions, ink=ink),
        key="distributions", config={"displayModeBar": False}, alt=distributions.description(values, kind.distributions),
    )  # fmt: skip
    st.caption(f"At step {step:,}, on the first validation images, with the kept weights.")


def _curves(run: Run, kind: type[Model]) -> None:
    history = runs.history(run.path)
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
    steps, sheets = runs.frames(run, shape)
    if not sheets:
        st.caption("Samples from fixed noise appear here, the first before the first step.")
        return
    per_epoch = state.step / state.epoch if state.epoch else 0
    captions = [f"step {step:,}" + (f", epoch {step / per_epoch:.2f}" if per_epoch else "") for step in steps]
    player(
        [Panel("Samples from the same noise", sheets)],
        key="samples", captions=captions, follow=True, height=364, fps=6, export_name=run.name, revision=(run.name, chosen.created),
    )  # fmt: skip


# --- the middle of the page ---------------------------------------------------------------------------------------------


def notice(kind: type[Model], preset: str) -> None:
    """What to look at with this preset."""
    if preset in kind.presets:
        failure = kind.presets[preset].failure
        (st.warning if failure else st.info)(kind.presets[preset].notice, icon="⚠️" if failure else "👀")


def planned(plan: Plan) -> None:
    """What would be trained."""
    st.markdown(f"#### {plan.kind.title}, preset *{plan.preset}*")
    notice(plan.kind, plan.preset)
    parts = runs.parameters(plan.kind.name, plan.config.model_dump())
    whole = {"in all": sum(parts.values())} if len(parts) > 1 else {}
    for column, (part, count) in zip(st.columns(4), {**parts, **whole}.items(), strict=False):
        column.metric(f"Parameters, {part}", f"{count:,}")
    st.caption(plan.kind.paper)


def opened_run(run: Run, buttons: list[DeltaGenerator]) -> Plan:
    """The run, live, with its buttons; returns what it was started with."""
    chosen = runs.options(run)
    kind = catalogue.get(chosen.model)
    plan = Plan(kind, kind.validate_config(chosen.config), chosen.data, chosen.preset or "", chosen.minutes, run.name)
    state = runs.status(run).state
    live = state in LIVE
    if live:
        buttons[0].button("⏹ Stop", on_click=runs.act, args=[Run.request_stop, run], width="stretch")
    elif state not in ("finished", "diverged"):
        buttons[0].button("▶ Resume", on_click=runs.act, args=[runs.launch, run], width="stretch")
    if not live:
        with buttons[1].popover("🗑 Remove", width="stretch"):
            st.markdown(f"Delete **{run.name}** with all that it learned, for everybody?")
            st.button("Delete it", on_click=runs.act, args=[Run.remove, run], type="primary")
    live_view(run)
    doors(run, kind)
    notice(kind, plan.preset)
    return plan


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
            chosen, state = runs.options(run), runs.status(run)
        except GenlibError:
            continue
        term, value = next(iter(state.terms.items()), ("", 0.0))
        found.append(
            Row(run.name, chosen.model, chosen.data, chosen.preset or "", f"{STATES[state.state][0]} {state.state}", 100 * runs.progress(state),
                f"{figures.label(term)} {value:.4g}" if term else "", runs.duration(state.seconds))
        )  # fmt: skip
    return found


def runs_table() -> None:
    """All runs; a click on a row opens it. Renewed while any run is live."""
    live = any(runs.status(run).state in LIVE for run in all_runs())
    st.fragment(_table, run_every=3.0 if live else None)(live)


def _table(live: bool) -> None:
    with frame.guard():
        if st.session_state.pop("opened_from_table", False):
            st.rerun()  # a click in a fragment reruns the fragment alone
        found = rows()
        if live and not any(row.state.endswith(LIVE) for row in found):
            st.rerun()
        if not found:
            st.caption("No run yet: choose a model at the left and press **Start**.")
            return
        # A selected row's number would mean another run as soon as one is added, so each click starts a table without selection.
        key = f"runs-{st.session_state.setdefault('table_generation', 0)}"
        st.dataframe(
            pd.DataFrame(found),
            key=key, on_select=lambda: _open_row(key, [row.run for row in found]), selection_mode="single-row", hide_index=True,
            height=min(38 * len(found) + 40, 460), row_height=38,
            column_config={
                "run": "Run", "model": "Model", "data": "Data", "preset": "Preset", "state": "State",
                "progress": st.column_config.ProgressColumn("Progress", format="%.0f %%", min_value=0.0, max_value=100.0),
                "loss": "Last loss", "time": "Trained for",
            },
        )  # fmt: skip


def _open_row(key: str, names: list[str]) -> None:
    picked = st.session_state[key]["selection"]["rows"]
    if picked and picked[0] < len(names):
        st.session_state["run"] = names[picked[0]]
        st.session_state["table_generation"] += 1
        st.session_state["opened_from_table"] = True
