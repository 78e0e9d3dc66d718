"""Train: choose a model and its settings, start a run, and watch it learn. Anybody can watch any run; the open one is in the URL."""

from typing import NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from genlib import data
from genlib.errors import GenlibError
from genlib.models import catalogue
from genlib.models.contract import Config, Model
from genlib.training.run import LIVE, Run, all_runs, fresh_name
from genlib.ui import controls, frame, links, runs, training
from genlib.ui.training_text import ATTEMPT, MATHS, NOTICE


class Plan(NamedTuple):
    """What is set up at the left, or what the open run was started with."""

    kind: type[Model]
    config: Config
    dataset: str
    preset: str
    minutes: float
    name: str


def pick(label: str, options: list[str], key: str, describe: dict[str, str], first: str = "", absent: str = "") -> str:
    """A selectbox whose choice is in the URL by its plain name. A word there that is no option is answered with a sentence."""
    asked = st.query_params.get(key)
    if asked is not None and asked not in options:
        st.error(absent or f"{asked!r} in the link is no {label.lower()} here: choose one of {', '.join(options)}.")
    if st.session_state.get(key) not in options:
        st.session_state[key] = asked if asked in options else first if first in options else options[0]
    chosen = st.selectbox(label, options, key=key, format_func=lambda name: describe.get(name, name))
    if chosen != asked:
        st.query_params[key] = chosen
    return chosen


def new_run() -> Plan:
    """The sidebar: what to train, and the Start button."""
    here, elsewhere = runs.data_sets()
    kind = catalogue.get(
        pick("Model", catalogue.names(), "new", {n: f"{n} · {catalogue.get(n).family}" for n in catalogue.names()})
    )
    asked = st.query_params.get("data", "")
    absent = (
        f"The data set {asked!r} is not on this machine: run `genlib data fetch {asked}`." if asked in elsewhere else ""
    )
    dataset = pick("Data", here, "data", {name: data.describe(name).title for name in here}, absent=absent)
    marks = {name: f"⚠️ {name} (fails on purpose)" for name, preset in kind.presets.items() if preset.failure}
    preset = pick("Preset", list(kind.presets), "preset", marks, first="quick")
    base = kind.configure(preset, data.describe(dataset).shape)
    prefix = f"{kind.name}.{preset}"
    complaint = controls.link_complaint(kind, base, prefix)

    left, right = st.columns(2)
    with left:
        links.check_number("minutes", 0, 10_000, "The minutes", whole=False)
        minutes = st.number_input(
            "Minutes",
            0.0,
            10_000.0,
            10.0,
            key="minutes",
            bind="query-params",
            format="%g",
            help="Stop after that long. 0: no limit.",
        )
    with right:
        changed = controls.config_controls(kind, base, ["epochs"], prefix)
    name = st.text_input(
        "Run name", placeholder=fresh_name(kind.name), max_chars=64, help="Empty: the next free name."
    ).strip()
    button = st.container()
    for group in controls.GROUPS:
        with st.expander(group.capitalize()):
            changed |= controls.config_controls(kind, base, controls.fields(kind, group, without=["epochs"]), prefix)
    if elsewhere:
        with st.expander("More data sets"):
            st.markdown(
                "\n".join(f"* {data.describe(other).title}: `genlib data fetch {other}`" for other in elsewhere)
            )
    config, possible = base, True
    try:
        config = kind.configure(preset, base.shape, **changed)
    except GenlibError as error:
        complaint, possible = str(error), False
    plan = Plan(kind, config, dataset, preset, minutes, name)
    with button:
        if complaint:
            st.error(complaint)
        try:
            if st.button("▶ Start", type="primary", width="stretch", disabled=not possible):
                st.session_state["run"] = runs.start(*plan).name
        except GenlibError as error:
            st.error(str(error))
    return plan


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
    training.live_view(run)
    training.doors(run, kind)
    notice(kind, plan.preset)
    return plan


frame.enter_through_app()
with st.sidebar:
    plan = new_run()
heading, place, *buttons = st.columns([1, 2, 1, 1.1], vertical_alignment="center")
heading.title("Train", anchor=False)
names = [run.name for run in all_runs()]
asked = st.session_state.get("run") or st.query_params.get("run")
with frame.guard():
    runs.complain()
    if asked is not None and asked not in names:
        st.session_state["run"] = None
        Run.open(asked)  # says what is wrong with the name
opened = place.selectbox(
    "Run", names, index=None, key="run", bind="query-params", placeholder="Open a run", label_visibility="collapsed"
)
with frame.guard():
    if opened is None:
        planned(plan)
    else:
        plan = opened_run(Run.open(opened), buttons)
st.subheader("All runs", anchor=False)
training.runs_table()
runs.warm_up()
family = plan.kind.family
code = runs.code(*plan._replace(name=plan.name or fresh_name(plan.kind.name)))
frame.lesson(notice=NOTICE[family], attempt=ATTEMPT[family], maths=MATHS[family], code=code, model=plan.kind)
