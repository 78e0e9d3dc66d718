"""Train: choose a model and its settings, start a run, and watch it learn. Anybody can watch any run; the open one is in the URL."""

import streamlit as st

from genlib import data
from genlib.errors import GenlibError
from genlib.models import catalogue
from genlib.models.contract import Config
from genlib.training.run import LIVE, Run, all_runs, fresh_name
from genlib.ui import controls, frame, training
from genlib.ui.training_text import ATTEMPT, MATHS, NOTICE


def pick(
    label: str, options: list[str], key: str, describe: dict[str, str], first: str = "", complaint: str = ""
) -> str:
    """A selectbox whose choice is in the URL by its plain name. A word there that is no option is answered with a sentence."""
    asked = st.query_params.get(key)
    if asked is not None and asked not in options:
        st.error(complaint or f"{asked!r} in the link is no {label.lower()} here: choose one of {', '.join(options)}.")
    if st.session_state.get(key) not in options:
        st.session_state[key] = asked if asked in options else first if first in options else options[0]
    chosen = st.selectbox(label, options, key=key, format_func=lambda name: describe.get(name, name))
    if chosen != asked:
        st.query_params[key] = chosen
    return chosen


# --- a new run: the sidebar ---------------------------------------------------------------------------------------------

here, elsewhere = training.data_sets()
with st.sidebar:
    titles = {name: f"{name} · {catalogue.get(name).family}" for name in catalogue.names()}
    kind = catalogue.get(pick("Model", catalogue.names(), "new", titles))
    fetch = {
        name: f"The data set {name!r} is not on this machine: run `genlib data fetch {name}`." for name in elsewhere
    }
    dataset = pick(
        "Data",
        here,
        "data",
        {name: data.describe(name).title for name in here},
        complaint=fetch.get(st.query_params.get("data", ""), ""),
    )
    marks = {name: f"⚠️ {name} (fails on purpose)" for name, preset in kind.presets.items() if preset.failure}
    preset = pick("Preset", list(kind.presets), "preset", marks, first="quick")
    base: Config = kind.configure(preset, data.describe(dataset).shape)
    prefix = f"{kind.name}.{preset}"
    complaint = controls.link_complaint(kind, base, prefix)

    limits = st.columns(2)
    with limits[0]:
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
    with limits[1]:
        changed = controls.config_controls(kind, base, ["epochs"], prefix)
    name = st.text_input(
        "Run name", placeholder=fresh_name(kind.name), max_chars=64, help="Empty: the next free name."
    ).strip()
    button = st.container()
    for group in ("architecture", "training"):
        with st.expander(group.capitalize()):
            changed |= controls.config_controls(kind, base, controls.fields(kind, group, without=["epochs"]), prefix)
    if elsewhere:
        with st.expander("More data sets"):
            st.markdown(
                "\n".join(f"* {data.describe(other).title}: `genlib data fetch {other}`" for other in elsewhere)
            )
    config: Config = base
    try:
        config = kind.configure(preset, base.shape, **changed)
    except GenlibError as error:
        complaint = str(error)
    with button:
        if complaint:
            st.error(complaint)
        try:
            if st.button("▶ Start", type="primary", width="stretch", disabled=config is base and bool(changed)):
                st.session_state["run"] = training.start(kind, config, dataset, preset, minutes, name).name
        except GenlibError as error:
            st.error(str(error))

# --- the open run -------------------------------------------------------------------------------------------------------

heading, place, *actions = st.columns([1, 2, 1, 1.1], vertical_alignment="center")
heading.title("Train", anchor=False)
names = [run.name for run in all_runs()]
asked = st.session_state.get("run") or st.query_params.get("run")
if asked is not None and asked not in names:
    with frame.guard():
        Run.open(asked)
    st.session_state["run"] = None
opened = place.selectbox(
    "Run", names, index=None, key="run", bind="query-params", placeholder="Open a run", label_visibility="collapsed"
)
if opened is None:
    training.warm_up()
    st.markdown(f"#### {kind.title}, preset *{preset}*")
    (st.warning if kind.presets[preset].failure else st.info)(
        kind.presets[preset].notice, icon="⚠️" if kind.presets[preset].failure else "👀"
    )
    parts = training.parameters(kind.name, config.model_dump())
    for column, (part, count) in zip(st.columns(4), {**parts, "in all": sum(parts.values())}.items(), strict=False):
        column.metric(f"Parameters, {part}", f"{count:,}")
    st.caption(kind.paper)
else:
    run = Run.open(opened)
    chosen = training.options(run)
    kind, preset, dataset, minutes = catalogue.get(chosen.model), chosen.preset or "", chosen.data, chosen.minutes
    config = kind.validate_config(chosen.config)
    state = training.status(run)
    training.complaint()
    with frame.guard():
        if state.state in LIVE:
            actions[0].button("⏹ Stop", on_click=training.act, args=[Run.request_stop, run], width="stretch")
        elif state.state not in ("finished", "diverged"):
            actions[0].button("▶ Resume", on_click=training.act, args=[training.launch, run], width="stretch")
        if state.state not in LIVE:
            with actions[1].popover("🗑 Remove", width="stretch"):
                st.markdown(f"Delete **{run.name}** with all that it learned, for everybody?")
                st.button("Delete it", on_click=training.act, args=[Run.remove, run], type="primary")
        training.live_view(run)
    training.doors(run, kind)
    if preset in kind.presets:
        (st.warning if kind.presets[preset].failure else st.info)(
            kind.presets[preset].notice, icon="⚠️" if kind.presets[preset].failure else "👀"
        )

st.subheader("All runs", anchor=False)
training.runs_table()
frame.lesson(
    notice=NOTICE[kind.family],
    attempt=ATTEMPT[kind.family],
    maths=MATHS[kind.family],
    code=training.code(kind, config, dataset, preset, minutes, opened or name or fresh_name(kind.name)),
    model=kind,
)
