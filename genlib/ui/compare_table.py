"""The Compare page's tables: likelihoods, samples, cost. Every figure is one that a card keeps, or the time of a wall."""

import math
from typing import Any

import pandas as pd
import streamlit as st

from genlib.evaluation.comparison import BOUND, NONE, SAME, UNKNOWN, Marked
from genlib.ui import links
from genlib.ui.compare_rows import OWN, Figures
from genlib.ui.walls import Layout

LIKELIHOOD, SAMPLES, COST = TABLES = ("Likelihood", "Samples", "Cost")
ROW = 38  # pixels
MEASURES = ("frechet", "precision", "recall", "density", "coverage", "class_entropy", "sharpness", "nearest_ratio")
number, text = st.column_config.NumberColumn, st.column_config.TextColumn


def table(figures: Figures, wall: Layout) -> None:
    """One of three tables, chosen in the URL, and how to measure what is missing."""
    links.check_choice("table", TABLES, "The table")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Figures", anchor=False, width="content")
        shown = st.segmented_control(
            "Which figures", TABLES, default=LIKELIHOOD, required=True, key="table", bind="query-params",
            label_visibility="collapsed",
        )  # fmt: skip
    if shown == LIKELIHOOD:
        _show(
            sorted(map(_likelihood, figures.models), key=lambda row: row["nats"] or math.inf),
            {
                "nats": number("Nats", format="%.2f", help="-log p(x), or the bound; test set; lower is better"),
                "kind": text("Which", help="exact, or a bound: the truth is lower"),
                "iwae": number("IWAE", format="%.2f", help="the tighter bound, k draws of the code"),
                "bits": number("Bits/dim", format="%.4f"),
                "form": text("Data form", help="how grey pixels became bits"),
                "comparable": _comparable(),
            },
        )  # fmt: skip
    elif shown == SAMPLES:
        _show(list(map(_samples, figures.rows)), _sample_columns())
    else:
        _show(
            [_cost(one, figures) for one in figures.models],
            {
                "ms": number("ms per picture", format="%.2f", help=f"drawing the wall of {wall.n} at once, on this machine"),
                "parameters": number("Parameters", format="localized"),
                "minutes": number("Training, min", format="%.0f"),
                "seen": number("Images seen", format="localized"),
                "machine": text("Trained on"),
            },
        )  # fmt: skip
    _how_to_measure(figures)


def _show(rows: list[dict[str, Any]], columns: dict[str, Any]) -> None:
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        row_height=ROW,
        height=ROW * (len(rows) + 1) + 2 if len(rows) < 24 else "auto",
        column_config={"model": text("Checkpoint", pinned=True), "family": "Family", **columns},
    )


def _comparable() -> Any:
    return text("Comparable?", help="only what is on the scale that most of them share may be held against each other")


def mark(found: str) -> str:
    """A mark of `genlib.evaluation.comparison` with a sign before it."""
    sign = {SAME: "✓", BOUND: "≤", NONE: "—", UNKNOWN: "?"}.get(found, "✗" if found.startswith("other scale") else "?")
    return f"{sign} {'a bound' if found == BOUND else found}"


def _likelihood(one: Marked) -> dict[str, Any]:
    row = one.row
    return {
        "model": row.name,
        "family": row.family,
        "nats": row.nats,
        "kind": row.likelihood,
        "iwae": row.scores.get("iwae_nats"),
        "bits": row.scores.get("bits_per_dim"),
        "form": row.likelihood_form or "—",
        "comparable": mark(one.likelihood_mark),
    }


def _samples(one: Marked) -> dict[str, Any]:
    found = one.row.quality
    measures = {name: getattr(found, name, None) for name in MEASURES}
    frechet = {"frechet": measures.pop("frechet"), "half": found.intervals.get("frechet") if found else None}
    return {
        "model": one.row.name,
        "family": one.row.family,
        **frechet,
        **measures,
        "form": found.form if found else "—",
        "pictures": len(found.seeds) * found.samples if found else None,
        "comparable": mark(one.samples_mark),
    }


def _sample_columns() -> dict[str, Any]:
    return {
        "frechet": number(
            "Frechet", format="%.2f", help="Frechet distance of a classifier's features; lower is better"
        ),
        "half": number("± 95 %", format="%.2f", help="half the width of the distance's 95 % interval"),
        "precision": number("Precision", format="%.3f", help="share of the pictures that lie among real ones"),
        "recall": number("Recall", format="%.3f", help="share of real images that lie among the pictures"),
        "density": number("Density", format="%.2f", help="precision that outliers cannot raise; real images: about 1"),
        "coverage": number("Coverage", format="%.3f", help="share of real images that have a picture near them"),
        "class_entropy": number("Class entropy", format="%.3f", help="nats; ln 10 = 2.303 where ten classes are even"),
        "sharpness": number("Sharpness", format="%.2f", help="1: as real images; below blurred, above noisy"),
        "nearest_ratio": number(
            "Nearest",
            format="%.2f",
            help="distance to the nearest training image, over that of test images; 0 would be copies",
        ),
        "form": text("Form", help="bits or grey values"),
        "pictures": number("Pictures", format="localized"),
        "comparable": _comparable(),
    }


def _cost(one: Marked, figures: Figures) -> dict[str, Any]:
    row = one.row
    return {
        "model": row.name,
        "family": row.family,
        "ms": figures.milliseconds.get(row.name),
        "parameters": row.parameters,
        "minutes": None if row.training_seconds is None else row.training_seconds / 60,
        "seen": row.images_seen,
        "machine": row.machine or "—",
    }


def _how_to_measure(figures: Figures) -> None:
    """Commands for the figures that no card keeps."""
    form = "" if figures.form == OWN else f" --form {figures.form}"
    lacking = [one.row.name for one in figures.models if one.row.quality is None or not one.row.scores]
    if lacking:
        st.caption(f"Not measured, or not kept: {', '.join(lacking)}. These commands measure them, in minutes each:")
        st.code("\n".join(f"genlib evaluate {name}{form} --keep" for name in lacking), language="bash")
