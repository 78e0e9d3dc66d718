"""Train: choose a model and its settings, start a run, and watch it learn. Anybody can watch any run; the open one is in the URL."""

import streamlit as st

from genlib.training.run import Run, all_runs, fresh_name
from genlib.ui import frame, runs, training
from genlib.ui.new_run import new_run
from genlib.ui.training_text import ATTEMPT, MATHS, NOTICE


def page() -> None:
    frame.enter_through_app()
    with st.sidebar:
        plan = new_run()
    heading, place, *buttons = st.columns([1, 2, 1, 1.1], vertical_alignment="center")
    frame.header("Train", place=heading)
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
            training.planned(plan)
        else:
            plan = training.opened_run(Run.open(opened), buttons)
    st.subheader("All runs", anchor=False)
    training.runs_table()
    runs.warm_up()
    family = plan.kind.family
    code = runs.code(*plan._replace(name=plan.name or fresh_name(plan.kind.name)))
    frame.lesson(notice=NOTICE[family], attempt=ATTEMPT[family], maths=MATHS[family], code=code, model=plan.kind)


frame.run(page, parts=True)
