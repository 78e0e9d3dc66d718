"""The Compare page's picture: quality against speed, size or training, with axes to choose."""

import streamlit as st

from genlib.evaluation.comparison import BOUND, Marked
from genlib.figures.compare import Axis, Spot, missing, scatter
from genlib.ui import links
from genlib.ui.compare import short
from genlib.ui.compare_rows import Figures

QUALITY = {
    "Frechet": ("frechet", Axis("Frechet classifier distance, lower is better", log=True)),
    "Nats": ("nats", Axis("nats per image, lower is better")),
    "Precision": ("precision", Axis("precision, higher is better")),
    "Recall": ("recall", Axis("recall, higher is better")),
    "Sharpness": ("sharpness", Axis("sharpness, real images: 1")),
}
COST = {
    "Speed": ("ms", Axis("milliseconds to draw one picture (this machine, now)", log=True)),
    "Size": ("parameters", Axis("trainable parameters", log=True)),
    "Training": ("minutes", Axis("training, minutes", log=True)),
    "Images seen": ("seen", Axis("training images seen", log=True)),
}


def picture(figures: Figures) -> None:
    """The scatter and its two controls, in the URL."""
    st.subheader("Quality against cost", anchor=False)
    links.check_choice("y", list(QUALITY), "The upright axis")
    links.check_choice("x", list(COST), "The level axis")
    left, right = st.columns([6, 5], gap="small")
    upright = left.segmented_control(
        "Upright", list(QUALITY), default=next(iter(QUALITY)), required=True, key="y", bind="query-params"
    )
    level = right.segmented_control(
        "Level", list(COST), default=next(iter(COST)), required=True, key="x", bind="query-params"
    )
    x, y = COST[level], QUALITY[upright]
    spots = [spot(one, figures) for one in figures.models]
    absent = missing(spots, x, y)
    if len(absent) == len(spots):
        st.info(
            f"No model shown has both figures, {upright.lower()} and {level.lower()}: choose other axes.", icon="📈"
        )
        return
    st.plotly_chart(
        scatter(spots, x, y, _floor(figures, y[0])), key="compare-picture", config={"displayModeBar": False}
    )
    notes = ["Hollow marks: a bound, or another scale."]
    if absent:
        notes.append(f"Not in the picture, as a figure is missing: {', '.join(absent)}.")
    st.caption(" ".join(notes))


def spot(one: Marked, figures: Figures) -> Spot:
    """A row's place in the picture."""
    row, found = one.row, one.row.quality
    values = {name: getattr(found, name, None) for name in ("frechet", "precision", "recall", "sharpness")}
    notes = {} if one.samples_comparable else dict.fromkeys(values, one.samples_mark)
    if one.likelihood_mark == BOUND or not one.likelihood_comparable:
        notes["nats"] = one.likelihood_mark
    return Spot(
        short(row.name, row.data),
        row.family,
        {
            **values,
            "nats": row.nats,
            "ms": figures.milliseconds.get(row.name),
            "parameters": row.parameters,
            "minutes": None if row.training_seconds is None else row.training_seconds / 60,
            "seen": row.images_seen,
        },
        frozenset(notes),
        notes,
    )


def _floor(figures: Figures, measure: str) -> tuple[float, str] | None:
    """What real images have on the common scale."""
    for one in figures.rows:
        if one.row.family == "data" and one.samples_comparable and one.row.quality:
            value = getattr(one.row.quality, measure, None)
            return None if value is None else (value, one.row.name)
    return None
