"""The Compare page's second part: what the literature says of the autoregressive models, with measured verdicts."""

from typing import cast

import pandas as pd
import streamlit as st

from genlib.evaluation import receptive_field, training_seconds
from genlib.evaluation.claims import Rival, Verdict, judge
from genlib.figures.compare import Entry
from genlib.models.autoregressive import AutoregressiveModel
from genlib.ui import models

STEP_IMAGES = 16  # images of a timed training step
MARKS = {True: "✓ holds here", False: "✗ does not hold here", None: "? open"}


@st.cache_data(max_entries=64, ttl=900, show_spinner=False)
def _step_seconds(name: str, version: float) -> float:
    """Seconds a training step takes, per image, here and now."""
    with models.computing():
        return training_seconds(models.get(name), STEP_IMAGES, seconds=1.5) / STEP_IMAGES


@st.cache_data(max_entries=64, show_spinner=False)
def _sees(name: str, version: float) -> str:
    """The form of the receptive field of a pixel in the middle, measured on a narrow copy of the checkpoint's kind."""
    model = models.get(name)
    _, height, width = model.config.shape
    found = receptive_field.grow(type(cast(AutoregressiveModel, model)), (1, height, width), height // 2, width // 3)
    return found.form(found.last)


@st.fragment
def claims(entries: list[Entry]) -> None:
    """The autoregressive models among the compared ones: what they see, how long a step takes, and the verdicts."""
    chosen = [entry for entry in entries if isinstance(models.get(entry.name), AutoregressiveModel)]
    if not chosen:
        return
    left, right = st.columns([4, 1], vertical_alignment="bottom")
    left.subheader("Claims of the literature, measured", anchor=False)
    timed = right.button("⏱️ Time the training", width="stretch", help="A few steps of each model, here and now.")
    state = st.session_state
    state["compare-timed"] = state.get("compare-timed", False) or timed
    rivals = []
    with st.spinner("Measuring what each model sees" + (", and its training steps" if state["compare-timed"] else "")):
        for entry in chosen:
            version = models.version(entry.name)
            rivals.append(
                Rival(
                    entry.name,
                    models.get(entry.name).name,
                    _step_seconds(entry.name, version) if state["compare-timed"] else None,
                    entry.seconds,
                    entry.nats,
                    entry.form,
                    _sees(entry.name, version),
                )
            )
    _figures(rivals)
    _verdicts(judge(rivals))


def _figures(rivals: list[Rival]) -> None:
    frame = pd.DataFrame(
        {
            "model": [rival.checkpoint for rival in rivals],
            "sees": [rival.sees for rival in rivals],
            "nats": [rival.nats for rival in rivals],
            "form": [rival.form or "—" for rival in rivals],
            "step": [None if rival.step_seconds is None else 1000 * rival.step_seconds for rival in rivals],
            "draw": [1000 * rival.draw_seconds for rival in rivals],
        }
    ).sort_values("nats", na_position="last")
    number = st.column_config.NumberColumn
    st.dataframe(
        frame,
        hide_index=True,
        row_height=42,
        key="compare-causal",
        column_config={
            "model": "Checkpoint",
            "sees": st.column_config.TextColumn(
                "What a pixel sees",
                help="of what comes before it: by gradient, in a narrow copy so deep that another layer adds nothing",
            ),
            "nats": number("Nats per image", format="%.2f"),
            "form": "Data form",
            "step": number("Training, ms per image", format="%.2f", help=f"a step of {STEP_IMAGES} images, median"),
            "draw": number("Drawing, ms per image", format="%.2f"),
        },
    )


def _verdicts(found: list[Verdict]) -> None:
    frame = pd.DataFrame(
        {
            "claim": [verdict.claim for verdict in found],
            "verdict": [MARKS[verdict.holds] for verdict in found],
            "measured": [verdict.measured for verdict in found],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        row_height=42,
        key="compare-claims",
        column_config={
            "claim": st.column_config.TextColumn("Claim", width="large"),
            "verdict": "Here",
            "measured": st.column_config.TextColumn("Measured", width="large"),
        },
    )
