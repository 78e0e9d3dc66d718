"""The Train page's sidebar: what to train, and the Start button."""

from typing import NamedTuple

import streamlit as st

from genlib import data
from genlib.errors import GenlibError
from genlib.models import catalogue
from genlib.models.contract import Config, Model
from genlib.training.run import fresh_name
from genlib.ui import controls, links, own_pictures, runs


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
    own_pictures.choose_the_new_one()
    here, elsewhere = runs.data_sets()
    kind = catalogue.get(
        pick("Model", catalogue.names(), "new", {n: f"{n} · {catalogue.get(n).family}" for n in catalogue.names()})
    )
    asked = st.query_params.get("data", "")
    absent = (
        f"The data set {asked!r} is not on this machine: run `genlib data fetch {asked}`." if asked in elsewhere else ""
    )
    dataset = pick("Data", here, "data", {name: data.describe(name).title for name in here}, absent=absent)
    own_pictures.uploader(dataset)
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
